import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data.rle import encode_masks
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.labels.instances import MaskSource, open_source, source_hash
from pipelines.pseudo_label import pseudo_label

PICTURE = np.zeros((6, 8, 3), np.uint8)
LEFT, RIGHT = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
LEFT[1:4, 0:3], RIGHT[2:6, 5:8] = True, True


def config(instances: Path, **changes: Any) -> PseudoLabelConfig:
    images, out = instances.parent / "images", instances.parent / "out"
    return PseudoLabelConfig(**{"images": images, "out": out, "instances": instances, "recognise": "off"} | changes)


def source(instances: Path, images: tuple[str, ...] = ("a", "sub/b")) -> MaskSource:
    return open_source(config(instances), images, 0.0)


def coco(path: Path, **changes: Any) -> Path:
    """Write a COCO file: picture a has two instances and a crowd, sub/b has none."""
    left, right = encode_masks(np.stack([LEFT, RIGHT]))
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "height": 6, "width": 8},
            {"id": 2, "file_name": "sub/b.jpg", "height": 6, "width": 8},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "score": 0.25, "segmentation": left},
            {"id": 2, "image_id": 1, "score": 0.75, "segmentation": right},
            {"id": 3, "image_id": 1, "iscrowd": 1, "segmentation": left},
        ],
    }
    path.write_text(json.dumps(content | changes))
    return path


def png(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def numbered(folder: Path) -> Path:
    png(folder / "a.png", LEFT * 1 + RIGHT * 7 + 255 * (np.arange(6)[:, None] == 0))
    png(folder / "sub/b.png", np.zeros((6, 8)))
    return folder


def one_by_one(folder: Path) -> Path:
    png(folder / "a/0.png", 255 * LEFT)
    png(folder / "a/1.png", 255 * RIGHT)
    png(folder / "sub/b/0.png", np.zeros((6, 8)))
    return folder


@pytest.mark.parametrize("make", [numbered, one_by_one])
def test_folders_of_masks_give_the_instances(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"))
    found = find("a", PICTURE)
    assert np.array_equal(found.masks.numpy(), np.stack([LEFT, RIGHT]))
    assert found.boxes.tolist() == [[0, 1, 3, 4], [5, 2, 8, 6]]
    assert found.scores.tolist() == [1, 1]
    assert len(find("sub/b", PICTURE)) == 0


def test_coco_json_gives_the_instances_best_first(tmp_path: Path):
    find = source(coco(tmp_path / "found.json"))
    found = find("a", PICTURE)
    assert np.array_equal(found.masks.numpy(), np.stack([RIGHT, LEFT]))
    assert found.boxes.tolist() == [[5, 2, 8, 6], [0, 1, 3, 4]]
    assert found.scores.tolist() == [0.75, 0.25]
    assert len(find("sub/b", PICTURE)) == 0


def test_instances_without_score_are_certain(tmp_path: Path):
    polygon = {"id": 1, "image_id": 1, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]}
    found = source(coco(tmp_path / "found.json", annotations=[polygon]))("a", PICTURE)
    assert found.scores.tolist() == [1]
    assert found.masks.sum() == 12


@pytest.mark.parametrize(
    ("annotation", "finding"),
    [
        ({"segmentation": encode_masks(np.ones((1, 5, 8), bool))[0]}, r"size \[5, 8\]"),
        ({"segmentation": None}, "neither run lengths nor polygons"),
        ({"segmentation": encode_masks(LEFT[None])[0], "score": 1.5}, "scores are 1.5"),
        ({"segmentation": encode_masks(LEFT[None])[0], "score": float("nan")}, "scores are nan"),
        ({"segmentation": encode_masks(LEFT[None])[0], "score": "high"}, "high"),
    ],
)
def test_a_mask_that_cannot_be_fails_its_picture_alone(tmp_path: Path, annotation: dict, finding: str):
    find = source(coco(tmp_path / "found.json", annotations=[{"id": 1, "image_id": 1, **annotation}]))
    with pytest.raises(InputError, match=rf"found\.json: a: .*{finding}.*coco-mask"):
        find("a", PICTURE)
    assert len(find("sub/b", PICTURE)) == 0


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_a_picture_that_nothing_is_known_of_is_told(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"), ("a", "c"))
    with pytest.raises(InputError, match=r"nothing about c, .*masks-missing"):
        find("c", PICTURE)


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_masks_of_other_pictures_are_refused_as_a_whole(tmp_path: Path, make):
    with pytest.raises(InputError, match=r"none of the 2 pictures \(x, \.\.\.\).*masks-none"):
        source(make(tmp_path / "masks"), ("x", "y"))


@pytest.mark.parametrize("make", [numbered, one_by_one])
def test_masks_of_another_size_are_refused(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"))
    with pytest.raises(InputError, match=r"mask of 8x6, 9x6 as the picture expected.*mask-size"):
        find("a", np.zeros((6, 9, 3), np.uint8))


@pytest.mark.parametrize(
    "change", [{"images": 3}, {"annotations": None}, {"annotations": [{"image_id": 9}]}, {"images": [{}]}]
)
def test_json_of_another_form_is_refused(tmp_path: Path, change: dict):
    with pytest.raises(InputError, match="coco-structure"):
        source(coco(tmp_path / "found.json", **change))


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_the_hash_tells_contents_apart_but_not_places(tmp_path: Path, make):
    (tmp_path / "other").mkdir()
    first, again = make(tmp_path / "masks"), make(tmp_path / "other" / "masks")
    images = ("a", "sub/b")
    assert source_hash(config(first), images) == source_hash(config(again), images)
    if again.is_dir():
        png(again / "sub/b.png" if (again / "a.png").is_file() else again / "sub/b/0.png", np.ones((6, 8)))
    else:
        coco(again, annotations=[])
    assert source_hash(config(first), images) != source_hash(config(again), images)


def test_one_source_alone_is_taken(tmp_path: Path):
    with pytest.raises(ConfigError, match="both given"):
        config(tmp_path / "masks", weights=tmp_path / "run")


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_every_source_becomes_labels(tmp_path: Path, make):
    for name in ("a", "sub/b"):
        png(tmp_path / f"images/{name}.png", PICTURE)
    (tmp_path / "keywords.csv").write_text("image,keywords\na,cat\nsub/b,dog\n")
    result = pseudo_label(
        config(make(tmp_path / "masks"), keywords=str(tmp_path / "keywords.csv"), min_score=0.2, sure_score=0.2),
        Events(),
    )
    assert (result["labelled"], result["empty"], result["assigned"]) == (1, 1, 2)
    label_map = np.asarray(Image.open(tmp_path / "out/labels/a.png"))
    assert np.array_equal(label_map == 8, LEFT | RIGHT)
    assert "instances_sha256" in json.loads((tmp_path / "out/manifest.json").read_text())
