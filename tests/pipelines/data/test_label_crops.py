from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.classes import ClassList
from pipelines.data.images import find_images
from pipelines.data.label_crops import LabelledPictures, Sample, random_crop, reduced_size
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.errors import InputError

CAT_DOG = ClassList.from_names(["cat", "dog"])  # palette indices 8 and 12


class Scripted(np.random.Generator):
    """A generator that gives prepared numbers."""

    def __init__(self, uniform: list[float], random: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._uniform, self._random = iter(uniform), random

    def uniform(self, *_: object) -> float:  # type: ignore[override]
        return next(self._uniform)

    def random(self) -> float:  # type: ignore[override]
        return self._random

    def integers(self, high: int) -> int:  # type: ignore[override]
        return high - 1


def scene(height: int = 40, width: int = 60) -> Sample:
    """White discs of class 1 on black background."""
    y, x = np.mgrid[:height, :width]
    label = (((y % 20) - 10) ** 2 + ((x % 20) - 10) ** 2 < 50).astype(np.uint8)
    return Sample(np.repeat(label[..., None] * np.uint8(255), 3, axis=2), label)


def folder(tmp_path: Path, labels: dict[str, NDArray[np.uint8]], size: tuple[int, int] = (6, 4)) -> LabelFolder:
    """Pictures of `size` (width, height) and label maps of palette indices by id."""
    (tmp_path / "images").mkdir()
    for image_id in labels:
        Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "images" / f"{image_id}.png")
    result = LabelFolder(tmp_path / "labels", CAT_DOG)
    for image_id, label in labels.items():
        write_palette_map(result.label_path(image_id), label)
    return result


def opened(labels: LabelFolder, ids: list[str] | None = None, **options: bool) -> LabelledPictures:
    pictures = find_images(labels.path.parent / "images")
    return LabelledPictures(ids or labels.ids(), pictures, labels, longest_side=100, **options)


def test_crop_at_scale_one_is_a_window_of_the_picture() -> None:
    picture, label, _, _ = scene()
    # scale, left, top, then brightness, contrast and colour unchanged
    crop, target, confidence, _ = random_crop(scene(), 32, Scripted([1.0, 5.0, 3.0, 1.0, 1.0, 1.0], random=0.9))
    np.testing.assert_array_equal(crop, picture[3:35, 5:37])
    np.testing.assert_array_equal(target, label[3:35, 5:37])
    assert confidence is None
    mirrored = random_crop(scene(), 32, Scripted([1.0, 5.0, 3.0, 1.0, 1.0, 1.0], random=0.1))
    np.testing.assert_array_equal(mirrored[0], crop[:, ::-1])
    np.testing.assert_array_equal(mirrored[1], target[:, ::-1])


def test_small_picture_is_surrounded_by_ignored_pixels() -> None:
    picture = np.full((10, 20, 3), 200, np.uint8)
    # scale 1/2: 64 pixels show 128 of the picture; it begins 28 to the right and 4 down, at cells 14 and 2
    sample = Sample(picture, np.ones((10, 20), np.uint8), np.full((10, 20), 77, np.uint8))
    crop, target, confidence, _ = random_crop(sample, 64, Scripted([0.5, -28.0, -4.0, 1.0, 1.0, 1.0], random=0.9))
    inside = np.zeros((64, 64), bool)
    inside[2:7, 14:24] = True
    np.testing.assert_array_equal(target == 1, inside)
    np.testing.assert_array_equal(target == 255, ~inside)
    assert (crop[inside] == 200).all() and (crop[~inside] == (124, 116, 104)).all()
    assert confidence is not None
    np.testing.assert_array_equal(confidence, 77 * inside)


def test_published_crops_have_one_of_the_scales_and_the_colours_of_the_picture() -> None:
    picture, label, _, _ = scene()
    # of the scales the last, 2: the crop of 32 shows 16 pixels; then left and top, and nothing else is drawn
    crop, target, _, _ = random_crop(scene(), 32, Scripted([5.0, 3.0], random=0.9), scales=(0.5, 2.0), recolour=False)
    np.testing.assert_array_equal(target, np.repeat(np.repeat(label[3:19, 5:21], 2, 0), 2, 1))
    assert abs(crop[::2, ::2].astype(int).mean() - picture[3:19, 5:21].mean()) < 20
    shares = set()
    for seed in range(40):
        whole = Sample(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8))
        crop = random_crop(whole, 40, np.random.default_rng(seed), scales=(0.5, 1.0, 1.5), recolour=False)
        shares.add(int((crop.label == 0).sum() ** 0.5))
    assert shares == {10, 20, 30}


@pytest.mark.parametrize("seed", range(6))
def test_confidence_goes_wherever_the_label_goes(seed: int) -> None:
    picture, label, _, _ = scene()
    _, target, confidence, _ = random_crop(Sample(picture, label, 100 + label), 48, np.random.default_rng(seed))
    assert confidence is not None
    inside = target != 255
    np.testing.assert_array_equal(confidence[inside], 100 + target[inside])
    assert (confidence[~inside] == 0).all()


@pytest.mark.parametrize("seed", range(12))
def test_label_map_goes_wherever_the_picture_goes(seed: int) -> None:
    crop, target, _, _ = random_crop(scene(), 48, np.random.default_rng(seed))
    assert crop.shape == (48, 48, 3) and target.shape == (48, 48) and set(np.unique(target)) <= {0, 1, 255}
    known = target != 255
    assert known.any()
    bright = (
        crop[..., 0].astype(int) - crop[known][:, 0].min()
        > (int(crop[known][:, 0].max()) - crop[known][:, 0].min()) / 2
    )
    # resampling blurs the picture and not the labels, so that the rims differ
    assert (bright == (target == 1))[known].mean() > 0.93


def test_crop_depends_on_the_generator_alone() -> None:
    first, second = (random_crop(scene(), 48, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], random_crop(scene(), 48, np.random.default_rng(8))[0])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_extreme_pictures_give_whole_crops(size: tuple[int, int], seed: int) -> None:
    sample = Sample(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8))
    crop, target, _, _ = random_crop(sample, 33, np.random.default_rng(seed))
    assert crop.shape == (33, 33, 3) and (target == 0).any()


def test_large_pictures_are_reduced_with_their_labels(tmp_path: Path) -> None:
    assert reduced_size(1000, 500, 642) == (642, 321) and reduced_size(300, 400, 642) == (300, 400)
    labels = folder(tmp_path, {"a": np.full((90, 200), 12, np.uint8)}, size=(200, 90))
    labels.write_confidence("a", np.full((90, 200), 40, np.uint8))
    picture, label, confidence, _ = opened(labels, confidence=True)[0]
    assert picture.shape == (45, 100, 3) and label.shape == (45, 100) and (label == 2).all()
    assert confidence is not None and confidence.shape == (45, 100) and (confidence == 40).all()
    assert opened(labels)[0].confidence is None


def test_samples_are_network_classes_and_come_from_memory_the_second_time(tmp_path: Path) -> None:
    label = np.zeros((4, 6), np.uint8)
    label[0, :3] = 8, 12, 255
    labels = folder(tmp_path, {"a": label})
    pictures = opened(labels)
    pictures.check()
    labels.label_path("a").unlink()
    pictures_once = pictures._cache  # nothing is decoded for the check
    assert len(pictures) == 1 and not pictures_once
    with pytest.raises(InputError):
        pictures[0]
    write_palette_map(labels.label_path("a"), label)
    assert pictures[0][1][0].tolist() == [1, 2, 255, 0, 0, 0]
    labels.label_path("a").unlink()
    assert pictures[0][1][0].tolist() == [1, 2, 255, 0, 0, 0]


def test_labels_of_another_size_are_named(tmp_path: Path) -> None:
    labels = folder(tmp_path, {"a": np.zeros((4, 6), np.uint8), "b": np.zeros((6, 4), np.uint8)})
    with pytest.raises(InputError, match=r"b\.png: label map is 4x6, expected 6x4 .*\[label-size\]"):
        opened(labels).check()


def test_labels_outside_the_classes_are_named(tmp_path: Path) -> None:
    labels = folder(tmp_path, {"a": np.full((4, 6), 8, np.uint8), "b": np.full((4, 6), 9, np.uint8)})
    with pytest.raises(InputError, match=r"b\.png: holds the values 9, expected 0, 8, 12, 255; .*\[label-value\]"):
        opened(labels).check()


def test_other_voc_classes_are_ignored_in_ground_truth(tmp_path: Path) -> None:
    labels = folder(tmp_path, {"a": np.array([[8, 9, 12, 0, 255, 20]] * 4, np.uint8)})
    pictures = opened(labels, strict=False)
    pictures.check()
    assert pictures[0][1][0].tolist() == [1, 255, 2, 0, 255, 255]
    write_palette_map(labels.label_path("a"), np.full((4, 6), 21, np.uint8))
    with pytest.raises(InputError, match="holds the values 21"):
        opened(labels, strict=False).check()


def test_missing_label_and_missing_picture_are_named(tmp_path: Path) -> None:
    labels = folder(tmp_path, {"a": np.zeros((4, 6), np.uint8), "b": np.zeros((4, 6), np.uint8)})
    labels.label_path("b").unlink()
    with pytest.raises(InputError, match=r"b\.png: no such file, expected label maps for b; .*\[label-missing\]"):
        opened(labels, ["a", "b"])
    with pytest.raises(InputError, match=r"no picture for c, .*\[image-missing\]"):
        opened(labels, ["a", "c"])


def test_labels_that_say_nothing_are_refused(tmp_path: Path) -> None:
    labels = folder(tmp_path, {name: np.full((4, 6), 255, np.uint8) for name in "ab"})
    with pytest.raises(InputError, match=r"every pixel of 2 label maps is 255.*\[labels-empty\]"):
        opened(labels).check()
    write_palette_map(labels.label_path("b"), np.zeros((4, 6), np.uint8))
    opened(labels).check()
    with pytest.raises(InputError, match=r"2 label maps hold the values 0 and 255 alone.*\[truth-binary\]"):
        opened(labels, strict=False).check()  # masks drawn by people


def test_confidence_is_complete_and_of_the_labels_size_or_named(tmp_path: Path) -> None:
    labels = folder(tmp_path, {name: np.zeros((4, 6), np.uint8) for name in "ab"})
    labels.write_confidence("a", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match=r"confidence/b\.png: no such file, .* maps for b; .*\[confidence-missing\]"):
        opened(labels, confidence=True)
    labels.write_confidence("b", np.zeros((6, 4), np.uint8))
    with pytest.raises(InputError, match=r"confidence/b\.png: confidence map is 4x6, expected 6x4 .*\[label-size\]"):
        opened(labels, confidence=True).check()
    opened(labels).check()


def test_unsure_labels_are_left_open(tmp_path: Path) -> None:
    label_map = np.full((4, 6), 12, np.uint8)
    label_map[3] = 0  # background stays
    labels = folder(tmp_path, {"a": label_map})
    confidence = np.full((4, 6), 229, np.uint8)
    confidence[0, :3] = 230  # 0.9 of 255 is 229.5
    labels.write_confidence("a", confidence)
    pictures = opened(labels, least_confidence=0.9)
    pictures.check()
    assert pictures[0].label.tolist() == [[2] * 3 + [255] * 3] + [[255] * 6] * 2 + [[0] * 6]
    assert pictures[0].confidence is None  # not asked for
    assert (opened(labels, least_confidence=0.8)[0].label[:3] == 2).all()
    both = opened(labels, confidence=True, least_confidence=0.9)[0]
    assert both.confidence is not None and (both.confidence == confidence).all()
    write_palette_map(labels.label_path("a"), np.full((4, 6), 12, np.uint8))
    with pytest.raises(InputError, match=r"is 255 or unsure, .* lower --least-confidence, .*\[labels-empty\]"):
        opened(labels, least_confidence=0.95).check()
    (tmp_path / "labels/confidence/a.png").unlink()
    with pytest.raises(InputError, match=r"leave out --least-confidence \[confidence-missing\]"):
        opened(labels, least_confidence=0.9)


def test_classes_of_a_picture_are_those_of_its_whole_label_map(tmp_path: Path) -> None:
    label_map = np.zeros((4, 6), np.uint8)
    label_map[0, :2] = 12, 255
    labels = folder(tmp_path, {"a": label_map, "b": np.full((4, 6), 8, np.uint8), "c": label_map * 0 + 255})
    labels.write_confidence("c", np.zeros((4, 6), np.uint8))
    labels.write_confidence("a", np.zeros((4, 6), np.uint8))
    labels.write_confidence("b", np.zeros((4, 6), np.uint8))
    pictures = opened(labels, least_confidence=0.5)  # unsure classes are shown too
    assert pictures[0].in_picture.tolist() == [False, True]
    assert pictures[1].in_picture.tolist() == [True, False]
    assert pictures[2].in_picture.tolist() == [True, True]  # all of it is open: may show anything
