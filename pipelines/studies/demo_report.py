"""The report of `s4 demo`: every step of the chain in pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.usual_places import BUILTIN, builtin_file
from pipelines.data.classes import load_classes
from pipelines.data.coco import load_coco
from pipelines.data.images import open_image
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_palette_map
from pipelines.data.voc import image_path, read_split, truth_path
from pipelines.journal import Journal
from pipelines.networks.load import load_deeplab, load_s4net
from pipelines.report.charts import loss_curves, per_class_bars
from pipelines.report.html import Picture, Section, Table, render_report
from pipelines.report.overlays import FAINT, draw_label_map, side_by_side
from pipelines.studies.demo_photographs import drawn, shipped_section

_SHOWN = 8


@dataclass(frozen=True)
class DemoPaths:
    """Where the demo keeps its parts.

    Attributes:
        out: Folder of all parts, that of `--out`.
    """

    out: Path

    @property
    def instances(self) -> Path:
        """Scenes with masks that S4Net learns from (train.json) and is tested on (test.json)."""
        return self.out / "scenes" / "instances"

    @property
    def voc(self) -> Path:
        """Scenes with keywords, and held-out ones with masks, in VOC's layout."""
        return self.out / "scenes" / "voc"

    @property
    def s4net(self) -> Path:
        """Run of `s4 train`."""
        return self.out / "runs" / "s4net"

    @property
    def labels(self) -> Path:
        """Label folder of `s4 pseudo-label`."""
        return self.out / "labels"

    @property
    def weak(self) -> Path:
        """Run of `s4 deeplab-train` on the labels."""
        return self.out / "runs" / "deeplab"

    @property
    def upper(self) -> Path:
        """Run of `s4 deeplab-train` on exact masks."""
        return self.out / "runs" / "deeplab_exact_masks"

    @property
    def report(self) -> Path:
        """The page."""
        return self.out / "report.html"

    @property
    def results(self) -> Path:
        """The figures."""
        return self.out / "results.json"

    @property
    def settings(self) -> Path:
        """What the demo was started with."""
        return self.out / "demo.json"


def write_report(
    paths: DemoPaths, results: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]], found: Mapping[str, Any]
) -> None:
    """Write the page.

    Args:
        paths: The demo's parts, every stage done.
        results: The figures of `results.json`.
        scores: Results of `evaluate` for "labels", "weak" and "upper"; None where nothing was judged.
        found: Result of `evaluate` for S4Net.
    """
    sections = [
        shipped_section(FAINT),
        _instances(paths, found),
        _labels(paths, scores["labels"]),
        _networks(paths, scores),
    ]
    render_report(
        paths.report,
        "s4 demo",
        sections,
        "First the network that ships, on photographs. Then the whole chain on generated scenes. Salient instances "
        "were learnt from scenes with masks. Other scenes were labelled from their keywords alone. A segmentation "
        "network was trained on those labels, and measured on held-out scenes with exact masks.",
        {
            "mask AP50": _percent(results["ap50"]),
            "mask AP70": _percent(results["ap70"]),
            "label mIoU": _percent(results["label_miou"]),
            "DeepLab mIoU": _percent(results["miou"]),
            "same network on exact masks": _percent(results["upper_bound_miou"]),
            "ratio": _percent(results["ratio"]),
        },
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _instances(paths: DemoPaths, found: Mapping[str, Any]) -> Section:
    keys = ("ap", "ap50", "ap70", "ap75", "release_map50", "release_map70")
    networks = {"trained": load_s4net(paths.s4net)}
    if builtin_file() is not None:
        networks = {"as it ships": load_s4net(BUILTIN), "fine-tuned": networks["trained"]}
    pictures = []
    for scene in load_coco(paths.instances / "test.json", paths.instances / "images")[:_SHOWN]:
        picture = open_image(scene.path)
        row = [drawn(picture, network(picture).above(FAINT)) for network in networks.values()]
        pictures.append(Picture.from_array(side_by_side([picture, *row], ["scene", *networks]), scene.image_id))
    curve = loss_curves(Journal(paths.s4net / "metrics.jsonl").read(), "S4Net")
    return Section(
        "2. Salient instances of scenes",
        f"Instances scored {FAINT:g} or more, on scenes that S4Net has not seen. AP is COCO's, over all pictures and "
        "20 detections each; the released metric is a mean over pictures, and more lenient.",
        [Table(keys, [[_percent(found[key]) for key in keys]])],
        [*pictures, Picture(curve, "losses over the steps")],
    )


def _labels(paths: DemoPaths, quality: Mapping[str, Any]) -> Section:
    classes = load_classes(str(paths.voc / "classes.txt"))
    folder = open_labels(paths.labels, "pseudo", None)
    pictures = []
    for image_id, picture, truth in _scenes(paths, "train", folder.ids()):
        row = [
            picture,
            draw_label_map(picture, folder.read_label(image_id), classes),
            draw_label_map(picture, classes.from_palette(truth), classes),
        ]
        pictures.append(Picture.from_array(side_by_side(row, ["scene", "label", "truth"]), image_id))
    keys = ("miou", "miou_kept", "coverage", "precision_kept")
    return Section(
        "3. Labels from keywords",
        "Each instance gets a keyword of its picture. Striped pixels are unknown (255): no training signal comes from "
        "them, and in the mIoU they count as errors. The truth is shown for comparison; no stage has seen it.",
        [Table(keys, [[_percent(quality[key]) for key in keys]])],
        pictures,
    )


def _networks(paths: DemoPaths, scores: Mapping[str, Mapping[str, Any]]) -> Section:
    classes = load_classes(str(paths.voc / "classes.txt"))
    weak, upper = load_deeplab(paths.weak), load_deeplab(paths.upper)
    pictures = []
    for image_id, picture, truth in _scenes(paths, "val", None):
        maps = [weak(picture), upper(picture), truth]
        row = [picture, *(draw_label_map(picture, classes.from_palette(label_map), classes) for label_map in maps)]
        captions = ["scene", "trained on labels", "trained on exact masks", "truth"]
        pictures.append(Picture.from_array(side_by_side(row, captions), image_id))
    series = {
        "labels": scores["labels"]["per_class"],
        "DeepLab on labels": scores["weak"]["per_class"],
        "DeepLab on exact masks": scores["upper"]["per_class"],
    }
    charts = [Picture(per_class_bars(series, "IoU of every class"), "IoU of every class")]
    charts += [
        Picture(loss_curves(Journal(run / "metrics.jsonl").read(), title), title)
        for run, title in ((paths.weak, "DeepLab on labels"), (paths.upper, "DeepLab on exact masks"))
    ]
    columns = ("class", *series)
    rows = [[name, *(_percent(values[name]) for values in series.values())] for name in scores["weak"]["per_class"]]
    return Section(
        "4. The segmentation network",
        "Held-out scenes, one scale, no refinement.",
        [Table(columns, rows)],
        [*charts, *pictures],
    )


def _scenes(
    paths: DemoPaths, split: str, ids: list[str] | None
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield (image_id, picture [H, W, 3], true label map [H, W]) of the first scenes of a split."""
    for image_id in (ids or read_split(paths.voc, split))[:_SHOWN]:
        yield image_id, open_image(image_path(paths.voc, image_id)), read_palette_map(truth_path(paths.voc, image_id))
