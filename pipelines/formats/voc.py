"""VOC folders: class masks and instance masks. CVAT's "Segmentation mask 1.1" is one with a `labelmap.txt`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.checking import require_same_size
from pipelines.data.classes import BACKGROUND_NAMES, IGNORE, IGNORED_NAME, MOST_CLASSES, ClassList, load_classes
from pipelines.data.colour_tables import LABELMAP, read_colour_table
from pipelines.data.images import ImageFile, find_image_files, picture_files, strip_image_suffix
from pipelines.data.label_maps import encode_palette_map, read_label_map
from pipelines.data.mask_pictures import open_mask
from pipelines.data.notes import Notes
from pipelines.data.palette import voc_palette
from pipelines.data.rle import encode_masks
from pipelines.data.voc import read_id_list
from pipelines.errors import InputError
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet, Instance, regions
from pipelines.formats.losses import Losses
from pipelines.formats.places import PicturePlaces, frame_of
from pipelines.formats.target import TargetFolder

_CLASS_MASKS, _INSTANCE_MASKS, _LISTS = "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"
_PICTURES = "JPEGImages"
_NAMES = "classes.txt"
_CVAT_LIST = "default"


def is_voc(folder: Path) -> bool:
    """Return whether a folder has class masks in VOC's layout."""
    return (folder / _CLASS_MASKS).is_dir()


def is_cvat(folder: Path) -> bool:
    """Return whether the masks of a folder in VOC's layout have the colours of a table, as CVAT exports them."""
    return is_voc(folder) and (folder / LABELMAP).is_file()


def read_voc(
    folder: Path, form: str, classes: str | None, split: str | None, places: PicturePlaces, notes: Notes
) -> AnnotatedSet:
    """Read a folder in VOC's layout.

    Args:
        folder: The folder.
        form: Name of the form.
        classes: Class list; None for that of `labelmap.txt` or `classes.txt` in the folder, or else VOC's.
        split: List of pictures; None for all class masks.
        places: Finds the pictures.
        notes: Told how masks are read.

    Raises:
        InputError: There are no class masks [folder-missing] [folder-empty], or the list names others [truth-missing].
    """
    if not is_voc(folder):
        raise InputError(f"{folder}: no {_CLASS_MASKS} in it, a VOC folder expected; check the path", "folder-missing")
    class_list = _classes_of(folder, classes)
    class_masks = find_image_files(folder / _CLASS_MASKS)
    numbered = folder / _INSTANCE_MASKS
    instance_masks = _by_id(numbered) if numbered.is_dir() else {}
    ids = list(class_masks) if split is None else read_id_list(folder / _LISTS / f"{split}.txt")
    missing = [image_id for image_id in ids if image_id not in class_masks]
    if missing:
        raise InputError(
            f"{folder / _CLASS_MASKS}: {len(missing)} of the {len(ids)} pictures of {split} have no mask (first "
            f"{missing[0]}), expected all; choose another --split",
            "truth-missing",
        )
    pictures = places.find(ids, folder, [folder])

    def read(image_id: str) -> AnnotatedPicture:
        label_map = read_label_map(class_masks[image_id], class_list)
        picture = pictures.get(image_id)
        shape = (label_map.shape[0], label_map.shape[1])
        if picture is not None:
            frame = frame_of(picture, shape, image_id, folder)
            require_same_size(class_masks[image_id], shape, picture, frame.shown)
        if image_id in instance_masks:
            found = _instances(instance_masks[image_id], class_masks[image_id], label_map, class_list.names, notes)
        else:
            notes.decided(f"{folder}: each connected region of a class is taken for an instance", image_id)
            found = regions(label_map, class_list.names)
        return AnnotatedPicture(image_id, _name(image_id, picture), *shape, found, picture, label_map)

    return AnnotatedSet(form, class_list.names, ids, read)


def _by_id(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder that may be empty."""
    return {strip_image_suffix(path.relative_to(folder).as_posix()): path for path in picture_files(folder)}


def _name(image_id: str, picture: ImageFile | None) -> str:
    return image_id + (".jpg" if picture is None else Path(picture.name).suffix)


def _classes_of(folder: Path, classes: str | None) -> ClassList:
    if classes is not None and classes != "auto":
        return load_classes(classes)
    if (folder / LABELMAP).is_file():
        return _classes_of_table(folder / LABELMAP)
    return load_classes(str(folder / _NAMES) if (folder / _NAMES).is_file() else "voc")


def _classes_of_table(path: Path) -> ClassList:
    """Return the classes of `labelmap.txt`, with the indices that masks of the VOC palette have for their colours."""
    table = read_colour_table(path)
    labels = table.labels or load_classes(str(path)).names
    names = tuple(label for label in labels if label not in (*BACKGROUND_NAMES, IGNORED_NAME))
    ClassList.from_names(names, str(path))  # checks them
    colours = [tuple(colour) for colour in np.reshape(voc_palette(), (-1, 3)).tolist()]
    own = [tuple(colour) for label, colour in zip(table.labels, table.colours.tolist(), strict=True) if label in names]
    if own and len(set(own)) == len(own) and set(own) <= set(colours[1:IGNORE]):
        return ClassList(names, tuple(colours.index(colour) for colour in own))
    # Masks without colours in the table have those of the VOC palette in the order of the table.
    return ClassList(names, tuple(range(1, len(names) + 1)))


def _instances(
    file: Path, class_file: Path, label_map: NDArray[np.uint8], names: Sequence[str], notes: Notes
) -> tuple[Instance, ...]:
    """Return the instances of a map of their numbers; the class of most pixels is that of an instance."""
    numbers = _numbers(file)
    require_same_size(file, numbers.shape, class_file, label_map.shape)
    found = []
    for number in np.unique(numbers[numbers > 0]).tolist():
        mask = numbers == number
        positions = np.bincount(label_map[mask], minlength=256)
        position = int(positions[1:IGNORE].argmax()) + 1
        if not positions[position]:
            notes.left_out(f"{file.parent}: instances left out, because they have no class", f"{file.name} {number}")
            continue
        found.append(Instance(encode_masks(mask[None])[0], names[position - 1]))
    return tuple(found)


def _numbers(file: Path) -> NDArray[np.int64]:
    """Return the number of the instance at each pixel, 0 for none and for unknown pixels."""
    picture = open_mask(file)
    values = picture.values.astype(np.int64)
    return np.where(values == picture.top, 0, values)


class VocWriter:
    """Writes VOC's layout, or that of CVAT."""

    def __init__(
        self, target: TargetFolder, names: Sequence[str], split: str, copies: bool, cvat: bool, losses: Losses
    ) -> None:
        """Take where to write.

        Args:
            target: The folder.
            names: Names of the classes.
            split: Name of the list of pictures; CVAT has a name of its own.
            copies: Whether pictures are copied.
            cvat: Whether to write for CVAT.
            losses: Told what is lost.

        Raises:
            InputError: There are more classes than a byte can tell apart [classes-count].
        """
        self._target, self._copies, self._cvat, self._losses = target, copies, cvat, losses
        self._classes = ClassList.from_names(names, "classes of the source") if names else None
        self._split = _CVAT_LIST if cvat else split
        self._ids: list[str] = []

    def add(self, picture: AnnotatedPicture) -> None:
        """Write a picture with its masks."""
        image_id = picture.image_id
        class_map, numbers = self._painted(picture)
        if self._cvat and (class_map == IGNORE).any():
            class_map = np.where(class_map == IGNORE, 0, class_map).astype(np.uint8)
            numbers = np.where(numbers == IGNORE, 0, numbers).astype(np.uint8)
        indices = class_map if self._classes is None else self._classes.to_palette(class_map)
        self._target.add(f"{_CLASS_MASKS}/{image_id}.png", encode_palette_map(indices))
        self._target.add(f"{_INSTANCE_MASKS}/{image_id}.png", encode_palette_map(numbers))
        if self._copies or picture.pixels is not None:
            self._target.add_picture(f"{_PICTURES}/{image_id}", picture)
        self._ids.append(image_id)

    def finish(self) -> None:
        """Write the list of the pictures and the names of the classes."""
        self._target.add(f"{_LISTS}/{self._split}.txt", "".join(f"{image_id}\n" for image_id in self._ids))
        names = () if self._classes is None else self._classes.names
        if not self._cvat:
            self._target.add(_NAMES, "".join(f"{name}\n" for name in names))
            return
        indices = () if self._classes is None else self._classes.indices
        colours = np.reshape(voc_palette(), (-1, 3)).tolist()
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        lines += [f"{name}:{','.join(map(str, colours[index]))}::" for name, index in zip(names, indices, strict=True)]
        self._target.add(LABELMAP, "\n".join(lines) + "\n")

    def _painted(self, picture: AnnotatedPicture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return positions of classes and numbers of instances [H, W]; small instances lie over large ones."""
        shape = (picture.height, picture.width)
        class_map, numbers = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        singles = [instance for instance in picture.instances if not instance.crowd]
        for number, instance in enumerate(picture.instances):
            if instance.crowd:
                self._losses.add("crowd", f"{picture.image_id} {number + 1}")
                class_map[instance.mask] = numbers[instance.mask] = 0 if self._cvat else IGNORE
        areas = [int(instance.mask.sum()) for instance in singles]
        for place in sorted(range(len(singles)), key=lambda place: -areas[place]):
            mask = singles[place].mask
            class_map[mask] = self._position(singles[place].name)
            numbers[mask] = place + 1 if place < MOST_CLASSES else 0
        self._tell_covered(picture.image_id, areas, numbers)
        return (class_map if picture.label_map is None else picture.label_map), numbers

    def _position(self, name: str) -> int:
        assert self._classes is not None
        return self._classes.names.index(name) + 1

    def _tell_covered(self, image_id: str, areas: Sequence[int], numbers: NDArray[np.uint8]) -> None:
        left: Mapping[int, int] = dict(enumerate(np.bincount(numbers.ravel(), minlength=256).tolist()))
        for place, area in enumerate(areas):
            case = f"{image_id} {place + 1}"
            if place >= MOST_CLASSES:
                self._losses.add("too-many", case)
            elif area == 0:
                self._losses.add("empty", case)
            elif left[place + 1] < area:
                self._losses.add("overlaps" if left[place + 1] else "hidden", case)
