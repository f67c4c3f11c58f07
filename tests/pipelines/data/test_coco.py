import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.coco import encode_masks, load_coco
from pipelines.errors import InputError

HEIGHT, WIDTH = 20, 30


def make_masks() -> np.ndarray:
    masks = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    masks[0, 2:8, 3:10] = 1
    masks[1, 5:18, 6:29] = 1
    return masks


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """A file of two pictures, the first with two instances; the test may damage it before `load`."""
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / name)
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH, "source": "duts"},
            {"id": 3, "file_name": "sub/b.png", "height": HEIGHT, "width": WIDTH},
        ],
        "annotations": [
            {"id": number, "image_id": 7, "iscrowd": 0, "category_id": 1, "segmentation": rle}
            for number, rle in enumerate(encode_masks(make_masks()))
        ],
        "categories": [{"id": 1, "name": "salient"}],
    }


def load(tmp_path: Path, data: Any) -> list[Any]:
    (tmp_path / "train.json").write_text(json.dumps(data))
    return load_coco(tmp_path / "train.json", tmp_path / "images")


def refusal(tmp_path: Path, data: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        load(tmp_path, data)
    assert "train.json" in str(caught.value)
    return caught.value


def test_pictures_come_with_their_instances_in_file_order(tmp_path: Path, data: dict[str, Any]) -> None:
    first, second = load(tmp_path, data)
    assert (first.image_id, first.source, first.height, first.width) == ("a", "duts", HEIGHT, WIDTH)
    assert first.path == tmp_path / "images" / "a.jpg"
    assert first.boxes.tolist() == [[3, 2, 10, 8], [6, 5, 29, 18]]
    assert first.boxes.dtype == np.float32
    np.testing.assert_array_equal(first.masks(), make_masks())
    assert (second.image_id, second.source, second.rles) == ("sub/b", "", ())
    assert second.boxes.shape == (0, 4)
    assert second.masks().shape == (0, HEIGHT, WIDTH)


def test_crowds_and_empty_masks_are_no_instances(tmp_path: Path, data: dict[str, Any]) -> None:
    data["annotations"][0]["iscrowd"] = 1
    data["annotations"].append(
        {"id": 9, "image_id": 7, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}}
    )
    first, _ = load(tmp_path, data)
    assert first.boxes.tolist() == [[6, 5, 29, 18]]
    assert len(first.masks()) == 1


def test_polygons_and_plain_run_lengths_are_masks_too(tmp_path: Path, data: dict[str, Any]) -> None:
    data["annotations"][0]["segmentation"] = [[3, 2, 10, 2, 10, 8, 3, 8]]
    flat = make_masks()[1].T.ravel()  # columns, one after the other
    changes = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    data["annotations"][1]["segmentation"]["counts"] = np.diff(changes, prepend=0).tolist()
    first, _ = load(tmp_path, data)
    np.testing.assert_array_equal(first.masks(), make_masks())


def test_pictures_are_compared_as_they_are_seen(tmp_path: Path, data: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, seen standing
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "images" / "a.jpg", exif=exif)
    assert load(tmp_path, data)[0].height == HEIGHT


@pytest.mark.parametrize(
    ("where", "value", "rule"),
    [
        (("images",), None, "coco-structure"),
        (("annotations",), {}, "coco-structure"),
        (("images",), ["a.jpg"], "coco-structure"),
        (("images",), [], "coco-empty"),
        (("images", 0, "id"), None, "coco-structure"),
        (("images", 0, "id"), [1], "coco-structure"),
        (("images", 0, "id"), 3, "coco-image-twice"),
        (("images", 0, "file_name"), None, "coco-structure"),
        (("images", 0, "file_name"), "../a.jpg", "coco-path"),
        (("images", 0, "file_name"), "/etc/a.jpg", "coco-path"),
        (("images", 0, "file_name"), "none.jpg", "coco-picture-missing"),
        (("images", 0, "file_name"), "sub/b.png", "coco-image-twice"),
        (("images", 0, "height"), HEIGHT + 1, "coco-picture-size"),
        (("images", 0, "height"), -1, "coco-structure"),
        (("images", 0, "width"), 30.0, "coco-structure"),
        (("annotations", 1, "id"), 0, "coco-annotation-twice"),
        (("annotations", 1, "image_id"), 99, "coco-unknown-image"),
        (("annotations", 1, "image_id"), None, "coco-structure"),
        (("annotations", 1, "segmentation"), None, "coco-mask"),
        (("annotations", 1, "segmentation", "size"), [WIDTH, HEIGHT], "coco-mask"),
        (("annotations", 1, "segmentation", "counts"), "04", "coco-mask"),
    ],
)
def test_a_contradiction_is_refused(
    where: tuple[Any, ...], value: Any, rule: str, tmp_path: Path, data: dict[str, Any]
) -> None:
    target: Any = data
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = value
    assert refusal(tmp_path, data).rule == rule


def test_a_wrong_mask_size_tells_both_sizes_and_the_picture(tmp_path: Path, data: dict[str, Any]) -> None:
    data["annotations"][1]["segmentation"]["size"] = [WIDTH, HEIGHT]
    message = str(refusal(tmp_path, data))
    assert "annotations[1]" in message
    assert "[30, 20]" in message
    assert "[20, 30]" in message
    assert "a.jpg" in message


def test_missing_pictures_are_counted_and_five_are_named(tmp_path: Path, data: dict[str, Any]) -> None:
    data["images"] += [
        {"id": 100 + number, "file_name": f"x{number}.jpg", "height": 1, "width": 1} for number in range(7)
    ]
    message = str(refusal(tmp_path, data))
    assert "7 of 9 pictures" in message
    assert "(x0.jpg, x1.jpg, x2.jpg, x3.jpg, x4.jpg, ...)" in message


@pytest.mark.parametrize(
    ("text", "rule"), [("[]", "coco-structure"), ('{"images": [', "json-damaged"), ("", "json-damaged")]
)
def test_damaged_json_is_refused(text: str, rule: str, tmp_path: Path, data: dict[str, Any]) -> None:
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(InputError, match=rule):
        load_coco(tmp_path / "train.json", tmp_path / "images")


def test_a_missing_file_and_a_missing_folder_are_told(tmp_path: Path, data: dict[str, Any]) -> None:
    load(tmp_path, data)
    with pytest.raises(InputError, match="folder-missing"):
        load_coco(tmp_path / "train.json", tmp_path / "none")
    with pytest.raises(InputError, match="file-missing"):
        load_coco(tmp_path / "none.json", tmp_path / "images")


def test_a_picture_without_a_readable_header_is_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.jpg: file is empty.*image-damaged"):
        load(tmp_path, data)


def test_reading_five_hundred_large_pictures_is_quick(tmp_path: Path, data: dict[str, Any]) -> None:
    # Decoding one of these takes about 100 ms, which would be near a minute for all.
    Image.effect_noise((3000, 2000), 50).save(tmp_path / "images" / "large.png", compress_level=1)
    for number in range(500):
        (tmp_path / "images" / f"{number}.png").symlink_to("large.png")
    data["images"] = [
        {"id": number, "file_name": f"{number}.png", "height": 2000, "width": 3000} for number in range(500)
    ]
    data["annotations"] = []
    start = time.perf_counter()
    assert len(load(tmp_path, data)) == 500
    assert time.perf_counter() - start < 5
