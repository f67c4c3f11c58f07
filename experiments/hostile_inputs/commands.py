"""Command lines over a folder of pictures, with masks and annotations beside it."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Place
from pipelines.data.palette import voc_palette

HEIGHT, WIDTH = 48, 64


def first_class(place: Place) -> str:
    """Return the first class of the shared list, after which folders of pictures are named."""
    return place.voc("classes.txt").read_text().splitlines()[0]


def scene(seed: int, mode: str = "RGB", size: tuple[int, int] = (HEIGHT, WIDTH)) -> Image.Image:
    """Return a bright box on a dark ground with noise."""
    pixels = np.random.default_rng(seed).integers(0, 60, (*size, 3), dtype=np.uint8)
    pixels[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] += 150
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, form: str, **how: object) -> bytes:
    """Return a picture as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, form, **how)  # type: ignore[arg-type]
    return file.getvalue()


def mask(height: int = HEIGHT, width: int = WIDTH, index: int = 1) -> Image.Image:
    """Return a label map with a box of a class."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = index
    image = Image.fromarray(pixels, "L").convert("P")
    image.putdata(list(pixels.ravel()))
    image.putpalette(voc_palette())
    return image


def write_pictures(place: Place, files: Mapping[str, bytes], good: int = 2, where: str | None = None) -> Path:
    """Write pictures, good ones beside them, a mask for each, and annotations; return the folder of the pictures."""
    folder = place.given / "pictures"
    below = folder / (first_class(place) if where is None else where)
    below.mkdir(parents=True)
    whole = {f"good{number}.png": encoded(scene(number), "PNG") for number in range(good)}
    for name, content in {**whole, **files}.items():
        path = below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    describe(place, folder)
    return folder


def describe(place: Place, folder: Path) -> None:
    """Write a mask and annotations for every picture of a folder."""
    images, annotations = [], []
    names = [Path(top) / name for top, _, names in os.walk(folder) for name in sorted(names)]
    for number, path in enumerate(names, start=1):
        name = path.relative_to(folder)
        target = place.given / "masks" / name.with_suffix(".png")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            mask().save(target)
            str(name).encode()
        except (OSError, UnicodeError, ValueError):
            continue
        images.append({"id": number, "file_name": str(name), "height": HEIGHT, "width": WIDTH})
        outline = [[16, 12, 48, 12, 48, 36, 16, 36]]
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": outline,
                "bbox": [16, 12, 32, 24],
                "area": 768,
            }
        )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": first_class(place)}]}
    (place.given / "instances.json").write_text(json.dumps(content))


OVER_PICTURES = {
    "predict-s4net": "predict {pictures} --weights {net} --out {out} --min-score 0 PLAIN",
    "predict-deeplab": "predict {pictures} --weights {deeplab} --out {out} PLAIN",
    "pseudo-label": "pseudo-label {pictures} --weights {net} --out {out} CLASSES LABEL",
    "check": "check {pictures} --json",
    "train": "train ANNOTATED --run {out} S4NET --no-report",
    "deeplab-train": "deeplab-train MASKED CLASSES --run {out} DEEPLAB --no-report",
    "evaluate-masks": "evaluate --images {pictures} --masks {masks} --weights {deeplab} PLAIN --json",
    "init": "init {pictures} --out {out}/s4.toml",
    "evaluate-instances": "evaluate ANNOTATED --weights {net} PLAIN --report {out}/page.html",
    "explain": "explain ANNOTATED --weights {net} --out {out} --count 2 --figures 1 PLAIN",
    "from-masks": "pseudo-label {pictures} --instances {masks} --out {out} CLASSES LABEL",
    "yolo": "convert {masks} --from masks --to yolo-seg --images {pictures} --out {out} CLASSES",
    "voc": "convert {annotations} --to voc --copy-images --images {pictures} --out {out}",
    "labelme": "convert {annotations} --to labelme --polygons --images {pictures} --out {out}",
    "csv": "convert --to csv --images {pictures} --out {out}/k.csv CLASSES",
    "crf": "pseudo-label {pictures} --weights {net} --out {out} CLASSES LABEL --refine crf",
    "studio": "convert {annotations} --to label-studio --images {pictures} --out {out}/s.json",
    "dry": "pseudo-label {pictures} --weights {net} --out {out} CLASSES LABEL --dry-run --json",
    "run": "run {chain} --out {out} --dry-run",
    "ablate": "ablate --table 1 ANNOTATED --test-annotations {annotations} --out {out} TRUNK --dry-run PLAIN",
}
FORMS = {"voc": "", "coco": ".json", "labelme": "", "cvat-voc": "", "cvat-coco": "", "label-studio": ".json"}
FORMS |= {"yolo-seg": "", "masks": "", "s4net-pickle": ".pkl"}
OVER_LABELS = {
    "deeplab-train": "deeplab-train --labels {given} --images {voc}/JPEGImages --run {out} DEEPLAB --confidence",
    "report": "report {given} --out {out}/page.html",
    "check": "check {given} --json",
    "evaluate": "evaluate --voc {voc} --split train --labels {given} PLAIN --json",
    "again": "pseudo-label KEYWORDS --weights {net} LABEL --out {given}",
    "cues": "pseudo-label KEYWORDS --weights {net} LABEL --out {out} --cues-of {given}",
    "reviewed": "pseudo-label KEYWORDS --weights {net} LABEL --out {out} --reviewed {given}",
    "init": "init {given} --out {out}/s4.toml",
    "review": "review {given} --images {voc}/JPEGImages",
    **{form: f"convert {{given}} --to {form} --out {{out}}/x{suffix}" for form, suffix in FORMS.items()},
}
OVER_WEIGHTS = {
    "predict": "predict {voc}/JPEGImages --weights {given} --out {out} PLAIN",
    "pseudo-label": "pseudo-label KEYWORDS --weights {given} --out {out} LABEL",
    "segmenter": "pseudo-label KEYWORDS --weights {net} --segmenter {given} --out {out} LABEL",
    "evaluate": "evaluate --voc {voc} --weights {given} PLAIN --json",
    "evaluate-instances": "evaluate DRAWN --weights {given} PLAIN",
    "foreground": "evaluate --voc {voc} --weights {given} --foreground PLAIN",
    "versus": "evaluate --voc {voc} --predictions {world}/predictions --versus {given} PLAIN --allow-missing",
    "start-from": "train DRAWN --run {out} --start-from {given} STEP --no-report",
    "trunk": "train DRAWN --run {out} S4NET --no-report --trunk-weights {given}",
    "deeplab-trunk": "deeplab-train TRUE CLASSES --run {out} DEEPLAB --trunk-weights {given}",
    "explain": "explain DRAWN --weights {net} --compare {given} --out {out} --count 2 --figures 1 PLAIN",
    "export": "export {given} --out {out}/n.onnx",
    "check": "check {given}",
}


def over_pictures(name: str, place: Place, folder: Path | None = None) -> list[str]:
    """Return the command line of a name over the folder that `write_pictures` has made, or another one."""
    pictures = folder or place.given / "pictures"
    chain = {"chain": _chain(place, pictures)} if name == "run" else {}
    return filled(OVER_PICTURES[name], place, pictures=pictures, **chain)


def over_labels(name: str, place: Place, labels: Path) -> list[str]:
    """Return a command line that reads a label folder."""
    return filled(OVER_LABELS[name], place, given=labels)


def over_weights(name: str, place: Place, weights: Path) -> list[str]:
    """Return a command line that takes a network."""
    return filled(OVER_WEIGHTS[name], place, given=weights)


def _chain(place: Place, pictures: Path) -> Path:
    """Write a settings file of a chain over the pictures, and return its path."""
    file = place.given / "chain.toml"
    file.write_text(
        f"[pseudo-label]\nimages = {json.dumps(str(pictures).encode('utf-8', 'replace').decode())}\n"
        f"weights = {json.dumps(str(place.world / 'net.pt'))}\nclasses = {json.dumps(str(place.voc('classes.txt')))}\n"
        '[deeplab-train]\ntrunk_weights = "none"\nsteps = 1\ncrop = 65\nbatch_size = 2\n'
    )
    return file
