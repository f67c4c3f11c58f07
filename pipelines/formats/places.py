"""Where the pictures of a source lie."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipelines.data.images import Frame, ImageFile, find_image_files, picture_frame, readable_suffixes
from pipelines.data.notes import Notes, first_names
from pipelines.data.picture_folders import find_pictures
from pipelines.data.picture_names import PictureNames
from pipelines.errors import InputError
from pipelines.formats.annotated import is_rooted

_BESIDE = ("", "images", "JPEGImages")  # folders beside a file in which its pictures may lie


class PicturePlaces:
    """Finds pictures by the names that a source gives them.

    With folders that the user names, a name is matched as `PictureNames` does, and every name has to mean a picture.
    Without such folders, a picture lies where the name says, beside the source, or it is not known.
    """

    def __init__(self, folders: Sequence[Path] | None, notes: Notes) -> None:
        """Look for the pictures in the folders of the user.

        Args:
            folders: Folders and tars of pictures; None if the user names none.
            notes: Told of names that were matched in part.
        """
        self._notes = notes
        self.given: Mapping[str, ImageFile] | None = None if folders is None else find_pictures(folders, notes)

    def find(self, names: Iterable[str], where: Path, beside: Sequence[Path] = ()) -> dict[str, ImageFile]:
        """Return the picture of each name, as far as it is known.

        Args:
            names: Names in the source, each once.
            where: The file or folder of the names, for messages.
            beside: Folders in which pictures lie if the user names none.

        Raises:
            InputError: The folders of the user lack a picture [image-missing].
        """
        names = list(names)
        if self.given is None:
            return {name: place for name in names if (place := _beside(name, beside)) is not None}
        matched = PictureNames(self.given, self._notes).match(names, str(where))
        missing = [name for name in names if name not in matched]
        if missing:
            raise InputError(
                f"{where}: {len(missing)} of {len(names)} pictures are not in the folders of --images "
                f"({first_names(missing)}), expected all of them; check --images",
                "image-missing",
            )
        return {name: self.given[image_id] for name, image_id in matched.items()}

    def all_below(self, folder: Path) -> Mapping[str, ImageFile]:
        """Return every picture by its id: those of the user's folders, or else those of a folder.

        Raises:
            InputError: There is none [folder-empty].
        """
        return self.given if self.given is not None else find_image_files(folder, self._notes)


def frame_of(file: ImageFile | None, size: tuple[int, int] | None, name: str, where: Path) -> Frame:
    """Return the frame of a picture: that of its file, or the size (height, width) that the source gives.

    Raises:
        InputError: Neither is known [image-missing], or the file cannot be read.
    """
    if file is not None:
        return picture_frame(file)
    if size is None:
        raise InputError(
            f"{where}: {name}: neither the picture nor its size is known, one of both expected; name the folder of the "
            "pictures with --images",
            "image-missing",
        )
    return Frame(size, size)


def _beside(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the picture of a name without or with its suffix; no path leads out of the folders."""
    inside = PurePosixPath(name.replace("\\", "/"))
    if not inside.name or "\0" in name:
        return None
    if is_rooted(inside) or ".." in inside.parts:
        inside = PurePosixPath(inside.name)
    for folder in folders:
        for below in _BESIDE:
            place = folder / below / inside
            for path in (place, *(place.with_name(place.name + suffix) for suffix in readable_suffixes())):
                if path.name.lower().endswith(readable_suffixes()) and os.path.isfile(path):
                    return path
    return None
