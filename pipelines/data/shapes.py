"""Generated scenes for `s4 demo`: named shapes cut from photographs, lying on other photographs, with exact masks.

The photographs come with the scikit-image wheel, so nothing is downloaded. Each photograph is cut in two, with a gap
between the parts: scenes to train on show its left part alone, and scenes to test on its right part alone. So they
share no pixel. A scene is a pure function of (seed, split, index).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipelines.data.classes import ClassList
from pipelines.data.label_maps import write_palette_map
from pipelines.data.outlines import SHAPES, random_outline, rasterise, regular_polygon
from pipelines.data.photographs import bundled_photograph, in_colour
from pipelines.data.rle import boxes_of, encode_masks
from pipelines.errors import ConfigError
from pipelines.files import atomic_write, write_json, write_text

SPLITS = {"train": 0, "test": 1, "voc_train": 2, "voc_val": 3}
"""The independent streams of scenes; the odd ones are cut from the test part of the photographs."""

_TEXTURES = (
    "astronaut",
    "cat",
    "coffee",
    "immunohistochemistry",
    "retina",
    "stereo_motorcycle",
    "brick",
    "gravel",
    "coins",
)
_GROUNDS = ("brick", "grass", "gravel", "moon", "hubble_deep_field", "rocket")
_TRAIN_PART, _TEST_PART = (0.0, 0.57), (0.6, 1.0)
_SEVERAL_SHARE = 1 / 3  # of the scenes: more than one keyword
_LEAST_VISIBLE = 0.6  # of the area of an instance
_LEAST_CONTRAST = 75.0  # distance of mean RGB colours between a shape and the ground below it


@dataclass(frozen=True)
class Scene:
    """One generated picture and the shapes on it.

    Attributes:
        picture: [S, S, 3] uint8 RGB.
        masks: [N, S, S] uint8, 1 where the instance is visible; no pixel belongs to two.
        classes: [N] int64, indices into `SHAPES`.
    """

    picture: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    classes: NDArray[np.int64]

    @property
    def keywords(self) -> tuple[str, ...]:
        """Names of the shapes that are on the picture, in the order of `SHAPES`."""
        return tuple(SHAPES[index] for index in np.unique(self.classes))

    @property
    def label_map(self) -> NDArray[np.uint8]:
        """[S, S] class indices from 1, background 0."""
        label_map: NDArray[np.uint8] = (self.masks * (self.classes + 1)[:, None, None]).sum(axis=0).astype(np.uint8)
        return label_map


@cache
def _photograph(name: str, part: tuple[float, float]) -> NDArray[np.uint8]:
    """Return [h, w, 3] RGB: the vertical strip of a bundled photograph between two shares of its width."""
    photograph = bundled_photograph(name)
    if name == "retina":
        photograph = photograph[300:-300:2, 200:-200:2]  # without the black surround
    start, stop = (round(share * photograph.shape[1]) for share in part)
    photograph = photograph[:, start:stop]
    return np.ascontiguousarray(in_colour(photograph))


def _crop(name: str, part: tuple[float, float], zoom: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Cut out a random square [c, c, 3] of a photograph, `zoom` of its shorter side, turned and mirrored."""
    photograph = _photograph(name, part)
    height, width = photograph.shape[:2]
    cut = round(zoom * min(height, width))
    top, left = generator.integers(height - cut + 1), generator.integers(width - cut + 1)
    square = np.rot90(photograph[top : top + cut, left : left + cut], int(generator.integers(4)))
    return square[:, ::-1] if generator.random() < 0.5 else square


def _scaled(crop: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Scale a square to [side, side, 3] in 0..255."""
    image = Image.fromarray(np.ascontiguousarray(crop))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32)


def _mean_colour(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean colour [3] of pixels [h, w, 3], from every third row and column."""
    mean: NDArray[np.float32] = pixels[::3, ::3].reshape(-1, 3).mean(axis=0, dtype=np.float32)
    return mean


def _colour(generator: np.random.Generator, saturation: float) -> NDArray[np.float32]:
    """Return factors [3] around 1, of a random hue."""
    hue = generator.random() * 2 * np.pi + np.array([0, 2, 4]) * np.pi / 3
    return (1 + saturation * np.cos(hue)).astype(np.float32)


def _ground(part: tuple[float, float], side: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a ground [side, side, 3] in 0..255: a photograph of lower contrast, on which nothing stands out."""
    crop = _crop(str(generator.choice(_GROUNDS)), part, generator.uniform(0.55, 1), generator)
    contrast, level = generator.uniform((0.55, 0.75), (0.85, 1.15)).astype(np.float32)
    # This is (x - mean) * contrast + mean, times the level and a faint hue, in one pass over the pixels.
    colour = level * _colour(generator, 0.15)
    ground = _scaled(crop, side) * (contrast * colour) + (1 - contrast) * _mean_colour(crop) * colour
    clipped: NDArray[np.float32] = np.clip(ground, 0, 255)
    return clipped


def _shading(side: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return factors [side, side, 1]: light that falls in from one side."""
    angle = generator.uniform(0, 2 * np.pi)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    slope = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
    light: NDArray[np.float32] = (1 + 0.18 * slope)[:, :, None].astype(np.float32)
    return light


def _texture(
    part: tuple[float, float], side: int, below: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return a texture [side, side, 3] in 0..255: a crop of a photograph, unlike `below`, the mean colour under it."""
    candidates = []
    for _ in range(8):
        crop = _crop(str(generator.choice(_TEXTURES)), part, generator.uniform(0.3, 0.8), generator)
        mean = _mean_colour(crop)
        colour = _colour(generator, 0.45 if np.ptp(mean) < 5 else 0.2)  # a grey photograph is dyed more
        colour *= generator.uniform(0.8, 1.5)
        candidates.append((float(np.linalg.norm(mean * colour - below)), crop, colour))
        if candidates[-1][0] >= _LEAST_CONTRAST:
            break
    _, crop, colour = max(candidates, key=lambda candidate: candidate[0])
    return np.clip(_scaled(crop, side) * (_shading(side, generator) * colour), 0, 255)


def _add_clutter(ground: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Add things to the ground that do not stand out: dim scraps, thin lines and pale patches."""
    side = len(ground)
    layer = Image.new("L", (side, side), 128)
    draw = ImageDraw.Draw(layer)
    for _ in range(generator.integers(2, 7)):
        x, y = generator.uniform(0, side, 2)
        tone = int(128 + generator.choice((-1, 1)) * generator.uniform(25, 60))
        kind = generator.integers(3)
        if kind == 0:
            corners = regular_polygon(int(generator.integers(3, 7))) * side * generator.uniform(0.015, 0.04)
            draw.polygon([tuple(point) for point in corners + np.array([x, y])], fill=tone)
        elif kind == 1:
            draw.line([(x, y), tuple(generator.uniform(0, side, 2))], fill=tone, width=max(1, side // 128))
        else:
            width, height = generator.uniform(0.1, 0.35, 2) * side
            draw.rectangle((x, y, x + width, y + height), fill=128 + (tone - 128) // 3)
    softened = layer.filter(ImageFilter.GaussianBlur(1))
    cluttered: NDArray[np.float32] = np.clip(ground + (np.asarray(softened, np.float32)[:, :, None] - 128), 0, 255)
    return cluttered


def _plan(generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw the classes of 1 to 4 instances: several classes in a third of the scenes, otherwise a single one."""
    if generator.random() < _SEVERAL_SHARE:
        count = int(generator.integers(2, 5))
        kinds = generator.choice(len(SHAPES), int(generator.integers(2, min(count, 3) + 1)), replace=False)
        return generator.permutation(np.resize(kinds, count)).astype(np.int64)
    count = int(generator.choice((1, 2, 3), p=(0.6, 0.25, 0.15)))
    return np.full(count, generator.integers(len(SHAPES)), np.int64)


def _place(classes: NDArray[np.int64], side: int, generator: np.random.Generator) -> list[NDArray[np.float32]]:
    """Return an opacity map [side, side] for each instance, the lowest first; each instance is visible enough.

    Sizes and places are drawn together, and drawn again until that holds. The shapes are a little smaller each time, so
    the search ends.
    """
    largest = min(0.66, 0.9 / len(classes) ** 0.45)
    for attempt in range(100):
        opacities: list[NDArray[np.float32]] = []
        for index in classes:
            diameter = side * generator.uniform(0.24, largest) * 0.98**attempt
            outlines = random_outline(SHAPES[index], diameter, generator)
            reach = np.abs(outlines[0]).max(axis=0)
            centre = generator.uniform(np.minimum(reach, side / 2), np.maximum(side - reach, side / 2))
            opacities.append(rasterise(outlines, centre, side))
        if _all_visible(opacities):
            break
    return opacities


def _visible(opacities: list[NDArray[np.float32]]) -> list[NDArray[np.bool_]]:
    """Return the part of each instance that no later one hides."""
    hidden = np.zeros(opacities[0].shape, bool)
    visible = []
    for opacity in reversed(opacities):
        inside = opacity >= 0.5
        visible.append(inside & ~hidden)
        hidden |= inside
    return visible[::-1]


def _all_visible(opacities: list[NDArray[np.float32]]) -> bool:
    pairs = zip(_visible(opacities), opacities, strict=True)
    return all(seen.sum() >= _LEAST_VISIBLE * (whole >= 0.5).sum() for seen, whole in pairs)


def make_scene(seed: int, split: str, index: int, side: int = 256) -> Scene:
    """Make a scene with 1 to 4 shapes; the same arguments give the same scene.

    Args:
        seed: Seed of the scenes, 0 or more.
        split: Stream of the scenes, one of `SPLITS`.
        index: Number of the scene, 0 or more.
        side: Height and width in pixels.

    Raises:
        ConfigError: The split is not known [split-unknown].
        MachineError: scikit-image is not installed [demo-missing].
    """
    if split not in SPLITS:
        raise ConfigError(f"{split}: unknown split, one of {', '.join(SPLITS)} expected; change it", "split-unknown")
    generator = np.random.default_rng((seed, SPLITS[split], index))
    part = _TEST_PART if SPLITS[split] % 2 else _TRAIN_PART
    picture = _add_clutter(_ground(part, side, generator), generator)
    classes = _plan(generator)
    opacities = _place(classes, side, generator)
    for opacity in opacities:
        below = picture[opacity >= 0.5][::7].mean(axis=0)
        weight = opacity[:, :, None]
        picture = picture * (1 - weight) + _texture(part, side, below, generator) * weight
    masks = np.stack(_visible(opacities)).astype(np.uint8)
    return Scene(np.rint(picture).astype(np.uint8), masks, classes)


def write_instances(folder: Path, n: int, split: str, seed: int, side: int = 256) -> Path:
    """Write scenes as a set of salient instances: pictures and one COCO JSON file, without the names of the shapes.

    Args:
        folder: Receives `images/` and `<split>.json`; it may have other splits already.
        n: Number of scenes.
        split: Stream of the scenes, one of `SPLITS`.
        seed: Seed of the scenes, 0 or more.
        side: Height and width in pixels.

    Returns:
        Path of the annotation file.
    """
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(n):
        scene = make_scene(seed, split, index, side)
        name = f"{split}_{index:05d}.jpg"
        _write_picture(folder / "images" / name, scene.picture)
        pictures.append({"id": index + 1, "file_name": name, "height": side, "width": side, "source": "shapes"})
        rles = encode_masks(scene.masks)
        for rle, box, mask in zip(rles, boxes_of(rles).tolist(), scene.masks, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": int(mask.sum()),
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "segmentation": rle,
                }
            )
    path = folder / f"{split}.json"
    categories = [{"id": 1, "name": "salient"}]
    write_json(path, {"images": pictures, "annotations": annotations, "categories": categories}, indent=None)
    return path


def write_voc(folder: Path, n_train: int, n_val: int, seed: int, side: int = 256) -> Path:
    """Write scenes as a VOC folder: pictures, exact label maps, the lists `train` and `val`, `classes.txt`, keywords.

    Args:
        folder: Receives the layout.
        n_train: Number of scenes to label and train on.
        n_val: Number of scenes to evaluate on, from other parts of the photographs.
        seed: Seed of the scenes, 0 or more; they differ from those of `write_instances` with the same seed.
        side: Height and width in pixels.

    Returns:
        Path of the keyword table of the `train` list, a CSV file.
    """
    table = ["image,keywords"]
    classes = ClassList.from_names(SHAPES)
    for split, n in (("train", n_train), ("val", n_val)):
        names = [f"{split}_{index:05d}" for index in range(n)]
        for index, name in enumerate(names):
            scene = make_scene(seed, f"voc_{split}", index, side)
            _write_picture(folder / "JPEGImages" / f"{name}.jpg", scene.picture)
            write_palette_map(folder / "SegmentationClass" / f"{name}.png", classes.to_palette(scene.label_map))
            if split == "train":
                table.append(f"{name},{';'.join(scene.keywords)}")
        write_text(folder / "ImageSets" / "Segmentation" / f"{split}.txt", "".join(f"{name}\n" for name in names))
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in SHAPES))
    keywords = folder / "keywords_train.csv"
    write_text(keywords, "".join(f"{line}\n" for line in table))
    return keywords


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    image = Image.fromarray(picture)
    atomic_write(path, lambda file: image.save(file, format="JPEG", quality=92, subsampling=0))
