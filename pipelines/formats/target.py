"""Where a writer puts its files: beside the old ones until all are there, then into place.

A folder gets a list of the files that a conversion wrote, so that the next conversion into the same folder leaves none
of them behind. Files that somebody else put there stay.
"""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipelines.config.outputs import CONVERSION
from pipelines.data.images import ImageFile, encode_png, open_image
from pipelines.data.output_names import require_short_name
from pipelines.data.tar_shards import TarMember, read_member
from pipelines.errors import InputError
from pipelines.file_errors import read_error, write_error
from pipelines.files import read_json, remove_file, sync_folder, write_json
from pipelines.formats.annotated import AnnotatedPicture
from pipelines.regular_files import open_regular

_AT_ONCE = 16  # files that are flushed at the same time
_NEW = ".s4-new"  # holds the files of a conversion that is not finished


class TargetFolder:
    """The folder of a conversion in the making.

    Attributes:
        files: Paths of the files, below the folder.
    """

    def __init__(self, staging: Path) -> None:
        """Name the folder in which files wait."""
        self._staging = staging
        self.files: dict[str, None] = {}

    def add(self, inside: str, content: bytes | str) -> None:
        """Write a file.

        Args:
            inside: Its path below the folder, with `/`.
            content: Its bytes, or its text.

        Raises:
            InputError: Two files would have the same path [image-id-twice], or a name is too long [name-too-long].
            MachineError: The file cannot be written.
        """
        self._write(inside, content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)

    def add_picture(self, inside: str, picture: AnnotatedPicture, suffixes: tuple[str, ...] = ()) -> str:
        """Write the picture itself, with the bytes that it has; a picture that is no file becomes a PNG.

        Args:
            inside: Its path below the folder, without suffix.
            picture: The picture; it has a file or pixels.
            suffixes: Suffixes that the form takes; a picture with another one becomes a PNG. None: all.

        Returns:
            The path with its suffix.

        Raises:
            InputError: It is not known where the picture lies [image-missing], or as `add`.
        """
        if picture.pixels is not None:
            self.add(f"{inside}.png", encode_png(picture.pixels))
            return f"{inside}.png"
        if picture.file is None:
            raise InputError(
                f"{picture.file_name}: no such picture beside the source, expected it to copy it; name the folder of "
                "the pictures with --images, or add --no-copy-images",
                "image-missing",
            )
        suffix = PurePosixPath(picture.file.name).suffix.lower()
        if suffixes and suffix not in suffixes:
            self.add(f"{inside}.png", encode_png(open_image(picture.file)))
            return f"{inside}.png"
        self._write(f"{inside}{suffix}", _content(picture.file))
        return f"{inside}{suffix}"

    def _write(self, inside: str, content: bytes) -> None:
        """Write a file that waits; it reaches the disk for sure when all do."""
        path = self._claim(inside)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise write_error(path, error, len(content)) from error

    def _claim(self, inside: str) -> Path:
        if inside in self.files:
            raise InputError(
                f"{inside}: two pictures would be written to this file, one expected; rename one of them",
                "image-id-twice",
            )
        require_short_name(self._staging / inside)
        self.files[inside] = None
        return self._staging / inside


@contextmanager
def open_folder(out: Path) -> Iterator[TargetFolder]:
    """Give a folder to write into, and put everything into place when the context ends without an error.

    Args:
        out: The folder; held by this process, see `pipelines.config.outputs.alone`.

    Raises:
        MachineError: A file cannot be written or moved.
    """
    staging = out / _NEW
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        target = TargetFolder(staging)
        yield target
        _put_into_place(out, staging, list(target.files))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _content(file: ImageFile) -> bytes:
    if isinstance(file, TarMember):
        return read_member(file, file.size)
    try:
        with open_regular(file) as opened:
            return opened.read()
    except OSError as error:
        raise read_error(file, error) from error


def _sync(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _put_into_place(out: Path, staging: Path, files: list[str]) -> None:
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # a disk flushes many files as fast as one
            for _ in pool.map(_sync, [staging / inside for inside in files]):
                pass
    except OSError as error:
        raise write_error(out, error) from error
    before = _written_before(out)
    # Both lists at first: whenever the process is killed, the next one knows every file that may be there.
    write_json(out / CONVERSION, {"files": [*dict.fromkeys([*before, *files])]}, indent=None)
    try:
        for inside in files:
            (out / inside).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / inside, out / inside)
        for inside in set(before) - set(files):
            remove_file(out / inside)
        for folder in {(out / inside).parent for inside in files}:
            sync_folder(folder)
    except OSError as error:
        raise write_error(out, error) from error
    write_json(out / CONVERSION, {"files": files}, indent=None)


def _written_before(out: Path) -> list[str]:
    """Return the files of an earlier conversion, as far as they lie in the folder."""
    note = out / CONVERSION
    content = read_json(note) if note.is_file() else None
    files = content.get("files") if isinstance(content, dict) else None
    named = [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
    return [name for name in named if name and not PurePosixPath(name).is_absolute() and ".." not in Path(name).parts]
