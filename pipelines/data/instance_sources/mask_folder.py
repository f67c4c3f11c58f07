"""Instances in picture files: one file `<id>.png` for a picture, or a folder `<id>/` with a file for each instance.

A single file is a map of instance numbers, with 0 for background and 255 for unknown as in VOC's SegmentationObject; or
it is the mask of what is salient, in black and white or in grey values. The values of all files together tell which:
masks have values in the upper half of the range, and numbers are counted from 1. All instances have score 1.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import Frame, ImageFile
from pipelines.data.instance_sources.picture_masks import PictureMasks, reject_strangers, unlisted, wrong_size
from pipelines.data.mask_pictures import MaskPicture, open_mask
from pipelines.data.notes import Notes
from pipelines.data.picture_names import PictureNames
from pipelines.data.placement import place_mask, placement, tell_placement
from pipelines.data.rle import MaskSizeError
from pipelines.errors import InputError

_LOOKED_AT = 64  # files that tell whether a folder holds numbers or masks


class MaskFolder:
    """A source of instances, see `InstanceSource`."""

    has_categories = False

    def __init__(self, folder: Path, files: Mapping[str, Path], images: Mapping[str, ImageFile], notes: Notes) -> None:
        """Match the files with the pictures, and find out what they hold.

        Args:
            folder: The folder.
            files: Name of each picture file below the folder, without suffix -> the file.
            images: image_id -> picture file.
            notes: Told how masks are read, and what is matched, scaled or turned.

        Raises:
            InputError: The folder has masks of none of the pictures [masks-none].
        """
        self.path, self._notes = folder, notes
        self._single, self._several = _by_picture(folder, files, images, notes)
        self._known = dict(sorted({**{i: [f] for i, f in self._single.items()}, **self._several}.items()))
        reject_strangers(folder, self._known, files, images)
        self.files: Sequence[Path] = [file for own in self._known.values() for file in own]
        self._numbered = _hold_numbers(sorted(self._single.values()))

    def categories(self, image_id: str) -> Sequence[str]:
        """Return nothing: picture files name no categories."""
        return []

    def __call__(self, image_id: str, frame: Frame) -> PictureMasks:
        """Return the instances of a picture; see `InstanceSource`."""
        working = frame.working
        masks = [working.reduce_mask(mask) for _, mask in self.masks(image_id, frame)]
        return PictureMasks.certain(masks, working.size)

    @property
    def ids(self) -> list[str]:
        """Image ids of the pictures that have masks."""
        return list(self._known)

    def files_of(self, image_id: str) -> Sequence[Path]:
        """Return the files of a picture that has masks."""
        return self._known[image_id]

    def is_folder(self, image_id: str) -> bool:
        """Return whether a picture has a folder of masks, and not a single file."""
        return image_id in self._several

    def masks(self, image_id: str, frame: Frame) -> Iterator[tuple[Path, NDArray[np.bool_]]]:
        """Yield each mask of a picture [H, W], of the size that is shown, with its file.

        Raises:
            InputError: As `__call__`.
        """
        if image_id not in self._known:
            raise unlisted(self.path, image_id)
        single = not self.is_folder(image_id)
        for file in self._known[image_id]:
            picture = open_mask(file)
            try:
                way = placement(picture.values.shape, frame)
            except MaskSizeError as error:
                raise wrong_size(file, image_id, error) from error
            tell_placement(self.path, image_id, way, frame, self._notes)
            yield from ((file, place_mask(mask, way)) for mask in self._masks_in(file, picture, single))

    def _masks_in(self, file: Path, picture: MaskPicture, single: bool) -> Iterable[NDArray[np.bool_]]:
        if single and (picture.kind == "indices" or (self._numbered and picture.kind == "grey")):
            if picture.tells_grey:
                raise InputError(
                    f"{file}: holds grey values up to {picture.numbers()[-1]}, numbers of instances expected as in the "
                    "other files; keep masks and numbers in folders apart",
                    "mask-mode",
                )
            # One at a time, as there may be many and each is as large as the picture.
            return (np.asarray(picture.values == number) for number in picture.numbers())
        name = file.relative_to(self.path).as_posix()
        if picture.is_soft:
            what = f"{self.path}: masks of grey values, of which {picture.half} and more belong to the instance"
            self._notes.decided(what, name)
        elif single:
            self._notes.decided(f"{self.path}: masks in black and white, each one instance", name)
        return [picture.cut() if single else picture.mask()]


def _by_picture(
    folder: Path, files: Mapping[str, Path], images: Mapping[str, ImageFile], notes: Notes
) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Return the single file of each picture, and of others all files of its folder; the latter win."""
    single = {name: file for name, file in files.items() if name in images}
    folders: dict[str, list[Path]] = defaultdict(list)
    for name, file in files.items():
        parent = PurePosixPath(name).parent.as_posix()
        if name not in single and parent != ".":
            folders[parent].append(file)
    several = {name: own for name, own in folders.items() if name in images}
    pictures, where = PictureNames(images, notes), str(folder)
    named = pictures.match([name for name in folders if name not in several], where, {*single, *several})
    several |= {image_id: folders[name] for name, image_id in named.items()}
    used = {file for own in (*several.values(), single.values()) for file in own}
    named = pictures.match([name for name, file in files.items() if file not in used], where, {*single, *several})
    return single | {image_id: files[name] for name, image_id in named.items()}, several


def _hold_numbers(files: Sequence[Path]) -> bool:
    """Return whether single files hold numbers of instances; some files, spread over all, tell."""
    step = max(1, len(files) // _LOOKED_AT)
    pictures = list(_readable(files[::step]))
    return any(picture.tells_numbers for picture in pictures) and not any(picture.tells_grey for picture in pictures)


def _readable(files: Iterable[Path]) -> Iterable[MaskPicture]:
    for file in files:
        try:
            yield open_mask(file)
        except InputError:  # told when the picture is worked on
            continue
