import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("skimage")

from pipelines.data.classes import load_classes
from pipelines.data.coco import load_coco
from pipelines.data.images import open_image
from pipelines.data.label_maps import read_palette_map
from pipelines.data.outlines import SHAPES, rasterise, regular_polygon
from pipelines.data.shapes import _GROUNDS, _TEST_PART, _TEXTURES, _TRAIN_PART, make_scene, write_instances, write_voc
from pipelines.data.voc import read_split
from pipelines.errors import ConfigError

SIDE = 64


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_there_are_eight_distinct_names():
    assert len(SHAPES) == len(set(SHAPES)) == 8


def test_a_scene_depends_on_seed_split_and_index_alone():
    first = make_scene(3, "train", 5, SIDE)
    make_scene(0, "test", 0, SIDE)
    again = make_scene(3, "train", 5, SIDE)
    assert np.array_equal(first.picture, again.picture) and np.array_equal(first.masks, again.masks)
    for other in (
        make_scene(4, "train", 5, SIDE),
        make_scene(3, "voc_train", 5, SIDE),
        make_scene(3, "train", 6, SIDE),
    ):
        assert not np.array_equal(first.picture, other.picture)


def test_a_scene_holds_one_to_four_instances_that_share_no_pixel():
    for index in range(40):
        scene = make_scene(0, "train", index, SIDE)
        assert scene.picture.shape == (SIDE, SIDE, 3) and scene.picture.dtype == np.uint8
        assert 1 <= len(scene.masks) == len(scene.classes) <= 4
        assert scene.masks.sum(axis=0).max() == 1
        assert scene.masks.sum(axis=(1, 2)).min() > 20  # each is there to be seen


@pytest.mark.slow
def test_about_a_third_of_the_scenes_have_several_keywords():
    several = sum(len(make_scene(0, "train", index, 32).keywords) > 1 for index in range(300))
    assert 75 <= several <= 125  # 100 expected, standard deviation 8.2


def test_keywords_and_label_map_follow_from_the_instances():
    for index in range(20):
        scene = make_scene(1, "voc_val", index, SIDE)
        assert scene.keywords == tuple(name for i, name in enumerate(SHAPES) if i in scene.classes)
        for mask, kind in zip(scene.masks, scene.classes, strict=True):
            assert (scene.label_map[mask == 1] == kind + 1).all()
        assert (scene.label_map[scene.masks.sum(axis=0) == 0] == 0).all()


def test_shapes_differ_in_colour_from_what_they_lie_on():
    contrasts = []
    for index in range(40):
        scene = make_scene(2, "train", index, SIDE)
        if len(scene.masks) == 1:
            inside = scene.masks[0] == 1
            contrasts.append(np.linalg.norm(scene.picture[inside].mean(0) - scene.picture[~inside].mean(0)))
    assert np.median(contrasts) > 75 and min(contrasts) > 40


def test_train_and_test_parts_of_the_photographs_are_disjoint():
    assert _TRAIN_PART[1] < _TEST_PART[0]


def test_every_photograph_is_inside_the_wheel():
    from importlib.resources import files

    names = {"cat": "chelsea", "immunohistochemistry": "ihc", "stereo_motorcycle": "motorcycle_left"}
    bundled = {Path(entry.name).stem for entry in files("skimage.data").iterdir()}
    assert {names.get(name, name) for name in (*_TEXTURES, *_GROUNDS)} <= bundled


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match=r"\[split-unknown\]"):
        make_scene(0, "validation", 0, SIDE)


def test_edges_are_soft_and_the_area_is_right():
    # A square with corners at distance r from its centre has the area 2 r^2.
    opacity = rasterise((regular_polygon(4) * 20,), np.array([32.0, 32.0]), SIDE)
    assert opacity.sum() == pytest.approx(800, rel=0.03)
    assert ((opacity > 0.1) & (opacity < 0.9)).any()


def test_a_second_outline_is_a_hole():
    opacity = rasterise((regular_polygon(4) * 20, regular_polygon(4) * 10), np.array([32.0, 32.0]), SIDE)
    assert opacity[32, 32] == 0 and opacity[32, 47] == 1
    assert opacity.sum() == pytest.approx(600, rel=0.05)


def test_instance_sets_are_read_back_exactly(tmp_path: Path):
    annotations = write_instances(tmp_path, 3, "test", seed=7, side=SIDE)
    pictures = load_coco(annotations, tmp_path / "images")
    assert [picture.image_id for picture in pictures] == ["test_00000", "test_00001", "test_00002"]
    for index, picture in enumerate(pictures):
        scene = make_scene(7, "test", index, SIDE)
        assert np.array_equal(picture.masks(), scene.masks)
        difference = open_image(picture.path).astype(float) - scene.picture
        assert np.abs(difference).mean() < 6  # JPEG keeps the picture, not every pixel


def test_voc_folders_are_read_back_exactly(tmp_path: Path):
    keywords = write_voc(tmp_path, 4, 2, seed=7, side=SIDE)
    assert load_classes(str(tmp_path / "classes.txt")).names == SHAPES
    assert read_split(tmp_path, "train") == [f"train_{index:05d}" for index in range(4)]
    assert read_split(tmp_path, "val") == ["val_00000", "val_00001"]
    rows = list(csv.DictReader(keywords.read_text().splitlines()))
    assert [row["image"] for row in rows] == read_split(tmp_path, "train")
    for index, row in enumerate(rows):
        scene = make_scene(7, "voc_train", index, SIDE)
        assert tuple(row["keywords"].split(";")) == scene.keywords
        truth = tmp_path / "SegmentationClass" / f"{row['image']}.png"
        assert np.array_equal(read_palette_map(truth), scene.label_map)
        with Image.open(truth) as image:
            assert image.mode == "P"


def test_sets_are_written_the_same_every_time(tmp_path: Path):
    for name in ("a", "b"):
        write_instances(tmp_path / name, 2, "train", seed=1, side=SIDE)
        write_voc(tmp_path / name, 2, 1, seed=1, side=SIDE)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
