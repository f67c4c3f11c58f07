import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.coco import encode_masks, load_coco
from pipelines.errors import InputError
from pipelines.events import Events

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
    data["info"] = {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org"}
    data["annotations"][0]["iscrowd"] = 1
    for number, counts in enumerate(([HEIGHT * WIDTH], [HEIGHT * WIDTH, 0]), start=9):
        mask = {"size": [HEIGHT, WIDTH], "counts": counts}
        data["annotations"].append({"id": number, "image_id": 7, "segmentation": mask})
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
        (("images", 0, "file_name"), "../images/c.jpg", "coco-picture-missing"),
        (("images", 0, "file_name"), "/etc/passwd", "coco-picture-missing"),
        (("images", 0, "file_name"), "none.jpg", "coco-picture-missing"),
        (("images", 0, "file_name"), "sub/b.png", "coco-image-twice"),
        (("images", 0, "height"), HEIGHT + 1, "coco-picture-size"),
        (("images", 0, "height"), -1, "coco-structure"),
        (("images", 0, "width"), 30.5, "coco-structure"),
        (("images", 0, "width"), None, "coco-structure"),
        (("annotations", 1, "segmentation", "size"), [WIDTH, HEIGHT], "coco-mask"),
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
    assert "mask of 20x30, 30x20 as the picture expected" in message
    assert "a.jpg" in message


def test_what_cannot_be_used_is_left_out_and_told(tmp_path: Path, data: dict[str, Any]) -> None:
    good, other = data["annotations"]
    square = [3, 2, 10, 2, 10, 8, 3, 8]
    data["annotations"] = [
        {**good, "segmentation": [square, [1, 1, 4, 4]]},  # a polygon of two corners beside a good one
        {**other, "segmentation": []},
        {**other, "id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": "04"}},
        {**other, "id": 3, "image_id": 99},
        {**other, "id": 4},
        {**other, "id": 4},
    ]
    del data["annotations"][1]["id"]
    (tmp_path / "train.json").write_text(json.dumps(data))
    stream = io.StringIO()
    first, second = load_coco(tmp_path / "train.json", tmp_path / "images", Events(stream))
    # the square spans x 3..9 and y 2..7, the other mask x 6..28 and y 5..17
    assert first.boxes.tolist() == [[3, 2, 10, 8], [6, 5, 29, 18]]
    assert len(second.boxes) == 0
    told = stream.getvalue().replace(f"{tmp_path}/", "").splitlines()
    assert told == [
        "warning: train.json: annotations left out, because their image_id is that of no picture: 1 (annotations[3])",
        "warning: train.json: annotations left out, because they are there twice: 1 (annotations[5])",
        "warning: train.json: polygons left out, because a polygon is not a list of three or more x, y pairs: 1 "
        "(annotations[0])",
        "warning: train.json: annotations left out, because they have no mask: 1 (annotations[1])",
        "warning: train.json: annotations left out, because run lengths cover 4 pixels, the picture has 600: 1 "
        "(annotations[2])",
    ]


def test_a_picture_whose_masks_are_all_unusable_is_no_picture_without_instances(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    for annotation in data["annotations"]:
        annotation["segmentation"] = None
    assert [picture.image_id for picture in load(tmp_path, data)] == ["sub/b"]
    data["annotations"].append({**data["annotations"][0], "image_id": 3})
    refused = refusal(tmp_path, data)
    assert refused.rule == "coco-empty" and "none of the masks of its 2 pictures is usable" in str(refused)


def test_annotations_of_no_picture_alone_are_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    for annotation in data["annotations"]:
        annotation["image_id"] = 99
    assert refusal(tmp_path, data).rule == "coco-unknown-image"


@pytest.mark.parametrize("key", [7.0, "7"])
def test_ids_may_be_floats_or_texts(key: object, tmp_path: Path, data: dict[str, Any]) -> None:
    for annotation in data["annotations"]:
        annotation["image_id"] = key
    assert len(load(tmp_path, data)[0].boxes) == 2


@pytest.mark.parametrize(
    "name", ["train/a.jpg", "images\\1\\a.jpg", "/home/me/a.jpg", "x/A.JPG", "../a.jpg", "?d=x/a.jpg", "x/a%2Ejpg"]
)
def test_a_picture_is_found_by_its_base_name_where_that_is_unique(
    name: str, tmp_path: Path, data: dict[str, Any]
) -> None:
    data["images"][0]["file_name"] = name
    assert load(tmp_path, data)[0].path == tmp_path / "images" / "a.jpg"
    shutil.copy(tmp_path / "images" / "a.jpg", tmp_path / "images" / "sub" / "a.jpg")
    assert refusal(tmp_path, data).rule == "coco-picture-missing"


@pytest.mark.parametrize("name", ["A.JPG", "JPEGImages/a.jpg", "./a.jpg", "a.jpeg", "a%2Ejpg"])
def test_a_whole_path_is_compared_before_base_names(name: str, tmp_path: Path, data: dict[str, Any]) -> None:
    data["images"][0]["file_name"] = name
    shutil.copy(tmp_path / "images" / "a.jpg", tmp_path / "images" / "sub" / "a.jpg")
    assert load(tmp_path, data)[0].path == tmp_path / "images" / "a.jpg"


def test_two_names_of_one_base_name_match_nothing(tmp_path: Path, data: dict[str, Any]) -> None:
    data["images"][0]["file_name"] = "x/a.jpg"
    data["images"].append({"id": 9, "file_name": "y/a.jpg"})
    assert refusal(tmp_path, data).rule == "coco-picture-missing"


def test_a_picture_without_a_listed_size_is_taken_as_it_is(tmp_path: Path, data: dict[str, Any]) -> None:
    del data["images"][0]["height"], data["images"][0]["width"]
    data["annotations"] = [{"id": 1, "image_id": 7, "segmentation": [[3, 2, 10, 2, 10, 8, 3, 8]]}]
    assert load(tmp_path, data)[0].boxes.tolist() == [[3, 2, 10, 8]]
    # 60 wide, drawn on a picture of twice the size
    data["annotations"][0]["segmentation"] = [[3, 2, 60, 2, 60, 8, 3, 8]]
    assert refusal(tmp_path, data).rule == "coco-mask"


def test_masks_follow_a_picture_that_was_scaled(tmp_path: Path, data: dict[str, Any]) -> None:
    data["images"][0] |= {"height": 2 * HEIGHT, "width": 2 * WIDTH}
    large = np.kron(make_masks()[1], np.ones((2, 2), np.uint8))
    data["annotations"] = [
        {"id": 1, "image_id": 7, "segmentation": [[6, 4, 20, 4, 20, 16, 6, 16]]},
        {"id": 2, "image_id": 7, "segmentation": encode_masks(large[None])[0]},
    ]
    np.testing.assert_array_equal(load(tmp_path, data)[0].masks(), make_masks())


def test_masks_follow_a_picture_that_exif_turns(tmp_path: Path, data: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / "a.jpg", exif=exif)
    first, _ = load(tmp_path, data)  # listed as stored, 30x20; shown 20x30
    assert (first.height, first.width) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(first.masks(), np.rot90(make_masks(), -1, axes=(1, 2)))
    exif[0x0112] = 3  # by 180 degrees: the size does not tell on which form the masks were drawn
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / "sub" / "b.png", exif=exif)
    data["annotations"][1]["image_id"] = 3
    _, second = load(tmp_path, data)  # as the other picture tells
    np.testing.assert_array_equal(second.masks()[0], make_masks()[1, ::-1, ::-1])
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / "a.jpg")
    _, second = load(tmp_path, data)  # no other picture tells: as viewers show it
    np.testing.assert_array_equal(second.masks()[0], make_masks()[1])


def test_masks_marked_as_crowds_by_other_tools_are_instances(tmp_path: Path, data: dict[str, Any]) -> None:
    data["annotations"][0]["iscrowd"] = 1
    assert len(load(tmp_path, data)[0].boxes) == 2
    data["annotations"][0]["id"] = 900100000007  # as COCO numbers its crowds
    assert len(load(tmp_path, data)[0].boxes) == 1


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


@pytest.mark.slow
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
