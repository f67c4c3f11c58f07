"""From a source to the files of another program: one picture at a time, and into place when all are written."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pipelines.config import ConvertConfig
from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import atomic_write, write_text
from pipelines.formats.annotated import AnnotatedPicture, AnnotatedSet
from pipelines.formats.coco import CVAT_FILE, coco_text
from pipelines.formats.label_studio import LabelStudioWriter
from pipelines.formats.labelme import LabelmeWriter
from pipelines.formats.losses import Losses
from pipelines.formats.mask_files import MaskFilesWriter
from pipelines.formats.opening import open_source
from pipelines.formats.s4net_pickle import PickleWriter
from pipelines.formats.target import open_folder
from pipelines.formats.voc import VocWriter
from pipelines.formats.yolo_seg import YoloWriter

_LIST = "train"  # of a VOC folder


class _Writer(Protocol):
    def add(self, picture: AnnotatedPicture) -> None: ...
    def finish(self) -> None: ...


def convert_annotations(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Write the annotations of `config.source` in the form `config.to`.

    Args:
        config: Settings.
        events: Receives progress, and what could not be expressed.

    Returns:
        {from, to, images, instances, classes, lost, out}: `lost` counts by kind what the form cannot express, and
        what was left out while reading (see `pipelines.formats.losses`). For YOLO also `train` and `val`, the number of
        pictures of each.

    Raises:
        InputError: The source cannot be read or has no picture, or the form needs pictures that are not there.
            Nothing is written then.
    """
    notes = Notes(events)
    source = open_source(config, notes)
    if not source.ids:
        raise InputError(f"{config.source}: no picture in it, one or more expected; check the path", "source-empty")
    losses = Losses(config.to, notes)
    counted = {"instances": 0}
    with events.progress(len(source.ids), "pictures") as progress:

        def pictures() -> Iterator[AnnotatedPicture]:
            for picture in source:
                losses.look_at(picture)
                counted["instances"] += len(picture.instances)
                yield picture
                progress.advance()

        more = _FORMS[config.to](config, source, pictures(), losses)
    lost = losses.counts
    notes.tell()
    return {
        "from": source.form,
        "to": config.to,
        "images": len(source.ids),
        **counted,
        **more,
        "classes": list(source.names),
        "lost": lost,
        "out": str(config.out),
    }


_Pictures = Iterator[AnnotatedPicture]


def _fill(writer: _Writer, pictures: _Pictures) -> None:
    for picture in pictures:
        writer.add(picture)
    writer.finish()


def _voc(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    cvat = config.to == "cvat-voc"
    with open_folder(config.out) as target:
        copies = config.copy_images and not cvat
        _fill(VocWriter(target, source.names, config.split or _LIST, copies, cvat, losses), pictures)
    return {}


def _labelme(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    with open_folder(config.out) as target:
        _fill(LabelmeWriter(target, source.names, config.copy_images, config.polygons, losses), pictures)
    return {}


def _yolo(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    with open_folder(config.out) as target:
        writer = YoloWriter(target, source.names, source.ids, config.val_share, losses)
        _fill(writer, pictures)
    return writer.counts


def _masks(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    with open_folder(config.out) as target:
        _fill(MaskFilesWriter(target, losses), pictures)
    return {}


def _cvat_coco(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    with open_folder(config.out) as target:
        target.add(CVAT_FILE, coco_text(pictures, source.names, config.polygons, source.numbers, losses))
    return {}


def _coco(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    write_text(config.out, coco_text(pictures, source.names, config.polygons, source.numbers, losses))
    return {}


def _label_studio(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    writer = LabelStudioWriter(config.polygons, losses)
    for picture in pictures:
        writer.add(picture)
    write_text(config.out, writer.text())
    return {}


def _pickle(config: ConvertConfig, source: AnnotatedSet, pictures: _Pictures, losses: Losses) -> dict[str, int]:
    writer = PickleWriter(source.names, losses)
    for picture in pictures:
        writer.add(picture)
    atomic_write(config.out, writer.write)
    return {}


_FORMS: dict[str, Callable[[ConvertConfig, AnnotatedSet, _Pictures, Losses], dict[str, int]]] = {
    "voc": _voc,
    "cvat-voc": _voc,
    "coco": _coco,
    "cvat-coco": _cvat_coco,
    "labelme": _labelme,
    "label-studio": _label_studio,
    "yolo-seg": _yolo,
    "masks": _masks,
    "s4net-pickle": _pickle,
}
