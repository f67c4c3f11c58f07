"""What people bring, through the command line: small inputs as public bug reports have them, and the right values.

Pictures have 40 x 40 pixels. SQUARE is 16 x 16 pixels at row and column 10: 256 pixels. A polygon from 2 to 17 covers
15 x 15 pixels: 225.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.rle import encode_masks
from s4cli.main import main

SQUARE = np.zeros((40, 40), np.uint8)
SQUARE[10:26, 10:26] = 1
HOLE = SQUARE.copy()
HOLE[16:20, 16:20] = 0  # 16 pixels
CAT, DOG = 8, 12
POLYGON = [2, 2, 17, 2, 17, 17, 2, 17]
TRAIN = ["--trunk", "timm/mobilenetv3_small_050", "--trunk-weights", "none", "--image-size", "64", "--steps", "1"]


def save(path: str, values: Any, **options: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path, **options)


def picture(name: str, **options: Any) -> None:
    save(name, np.zeros((*options.pop("size", (40, 40)), 3)), **options)


def coco(path: str, annotations: list[dict[str, Any]], names: list[str], categories: list[str], **image: Any) -> None:
    """Write COCO JSON; picture `n` of the names has id n + 1, and so has category `n`."""
    images = [{"id": n, "file_name": name, "height": 40, "width": 40} | image for n, name in enumerate(names, 1)]
    numbered = [{"id": n, "iscrowd": 0, "category_id": 1} | annotation for n, annotation in enumerate(annotations, 1)]
    kinds = [{"id": n, "name": name} for n, name in enumerate(categories, 1)]
    content = {"images": images, "annotations": numbered, "categories": kinds}
    Path(path).write_text(json.dumps(content))


def keywords(*lines: str) -> None:
    Path("k.csv").write_text("\n".join(["image,keywords", *lines, ""]))


def label(*arguments: str, out: str = "out") -> int:
    return main(
        ["pseudo-label", "--images", "images", "--assign", "single", "--cells", "off", "--out", out, *arguments]
    )


def train(annotations: str, run: str) -> int:
    return main(
        ["train", "--images", "images", "--annotations", annotations, "--run", run, "--batch-size", "1", *TRAIN]
    )


def shown(name: str, out: str = "out") -> dict[int, int]:
    """Return how many pixels of each index a label map has."""
    values, counts = np.unique(np.asarray(Image.open(f"{out}/labels/{name}.png")), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_saliency_maps_of_0_to_255(capsys) -> None:
    for name in ("hard", "soft"):
        picture(f"images/{name}.jpg")
        save(f"masks/{name}.png", 255 * SQUARE)
    soft = 255 * SQUARE
    soft[9, 10:26] = np.linspace(60, 120, 16)  # an edge of grey values, as a sigmoid gives it
    save("masks/soft.png", soft)
    keywords("hard.jpg,cat", "soft.jpg,cat")
    assert label("--keywords", "k.csv", "--instances", "masks") == 0
    assert shown("hard") == shown("soft") == {0: 1344, CAT: 256}
    assert "masks of grey values, of which 128 and more belong to the instance: 1 (soft.png)" in capsys.readouterr().err


def test_masks_with_holes_that_are_marked_as_crowds(capsys) -> None:
    for name in "ab":
        picture(f"images/{name}.jpg")
    rle = {"size": [40, 40], "counts": encode_masks(HOLE[None])[0]["counts"]}
    crowd = {"image_id": 1, "iscrowd": 1, "segmentation": rle}
    coco("c.json", [crowd, {"image_id": 2, "segmentation": [POLYGON]}], ["a.jpg", "b.jpg"], ["cat"])
    assert label("--keywords", "c.json", "--instances", "c.json") == 0
    assert shown("a") == {0: 1360, CAT: 240}
    assert shown("b") == {0: 1375, CAT: 225}
    assert "masks marked iscrowd, read as single instances" in capsys.readouterr().err
    assert train("c.json", "run") == 0
    assert "2 pictures, 2 instances" in capsys.readouterr().err


def voc(truth: np.ndarray, predicted: np.ndarray, classes: str) -> None:
    picture("voc/JPEGImages/a.jpg")
    save("voc/SegmentationClass/a.png", truth)
    save("pred/a.png", predicted)
    Path("voc/ImageSets/Segmentation").mkdir(parents=True)
    Path("voc/ImageSets/Segmentation/val.txt").write_text("a\n")
    Path("classes.txt").write_text(classes)


def evaluate(*arguments: str) -> int:
    return main(["evaluate", "--voc", "voc", "--classes", "classes.txt", "--json", *arguments])


def test_truth_of_0_and_255(capsys) -> None:
    voc(255 * SQUARE, 0 * SQUARE, "thing\n")
    assert evaluate("--predictions", "pred") == 3
    assert "[truth-binary]" in capsys.readouterr().err
    arguments = ["--images", "voc/JPEGImages", "--labels", "voc/SegmentationClass", "--labels-are", "ground-truth"]
    network = ["--network", "efficientnet_lite0", "--trunk-weights", "none", "--steps", "1", "--run", "run"]
    assert main(["deeplab-train", *arguments, "--classes", "classes.txt", *network]) == 3
    assert "[truth-binary]" in capsys.readouterr().err


def test_predictions_of_0_and_255(capsys) -> None:
    voc(SQUARE, 255 * SQUARE, "thing\n")
    assert evaluate("--predictions", "pred") == 3
    assert "[predictions-binary]" in capsys.readouterr().err


def test_true_masks_of_another_size_are_named_before_the_work(capsys) -> None:
    voc(np.zeros((50, 40)), SQUARE, "thing\n")
    Path("none.pt").touch()
    assert main(["evaluate", "--voc", "voc", "--classes", "classes.txt", "--weights", "none.pt"]) == 3
    error = capsys.readouterr().err
    assert "a.png is 40x50, a.jpg is 40x40" in error and "[label-size]" in error


def test_class_names_of_labelme(capsys) -> None:
    voc(SQUARE, SQUARE, "_background_\naeroplane\nbicycle\n")
    assert evaluate("--predictions", "pred") == 0
    assert json.loads(capsys.readouterr().out)["per_class"] == {"background": 1, "aeroplane": 1, "bicycle": None}
    picture("images/a.jpg")
    save("m/a/0.png", 255 * SQUARE)
    keywords("a.jpg,aeroplane")
    assert label("--keywords", "k.csv", "--instances", "m", "--classes", "classes.txt") == 0
    assert shown("a") == {0: 1344, 1: 256}


def test_categories_in_the_annotators_own_spelling(capsys) -> None:
    names = ["Dog", "cat", "TV", "dining_table", "Person ", "sheep"]
    shows = {"a": (1, 2), "b": (3, 2), "c": (4, 2), "d": (5, 2), "e": (6,)}
    found = []
    for number, (name, kinds) in enumerate(shows.items(), 1):
        picture(f"images/{name}.jpg")
        for place, kind in enumerate(kinds):
            corners = [value + 18 * place * (index % 2 == 0) for index, value in enumerate(POLYGON)]
            found.append({"image_id": number, "category_id": kind, "segmentation": [corners]})
    coco("c.json", found, [f"{name}.jpg" for name in shows], names)
    assert main(["convert", "--to", "csv", "--images", "images", "--keywords", "c.json", "--out", "k.csv"]) == 0
    assert Path("k.csv").read_text().split() == [
        "image,keywords", "a,cat;dog", "b,cat;tvmonitor", "c,cat;diningtable", "d,cat;person", "e,sheep"
    ]  # fmt: skip
    spelled = "'Dog' is dog, 'TV' is tvmonitor, 'dining_table' is diningtable, 'Person ' is person"
    assert f"names of classes that are spelled otherwise: {spelled}\n" in capsys.readouterr().err
    assert label("--keywords", "c.json", "--instances", "c.json") == 0
    assert shown("a") == {0: 1150, CAT: 225, DOG: 225}  # each mask has its own class


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("polygon", "polygons left out, because a polygon is not a list of three or more x, y pairs: 1"),
        ("empty", "annotations left out, because they have no mask: 1"),
        ("missing", "annotations left out, because they have no mask: 1"),
    ],
)
def test_broken_polygons(fault: str, told: str, capsys) -> None:
    for name in "ab":
        picture(f"images/{name}.jpg")
    first: dict[str, Any] = {"image_id": 1, "segmentation": [POLYGON]}
    found = [first, {"image_id": 2, "segmentation": [POLYGON]}]
    if fault == "polygon":
        first["segmentation"] = [POLYGON, [3, 3, 9, 9]]
    else:
        found.append({"image_id": 1} if fault == "missing" else {"image_id": 1, "segmentation": []})
    coco("c.json", found, ["a.jpg", "b.jpg"], ["cat"])
    assert label("--keywords", "c.json", "--instances", "c.json") == 0
    assert shown("a") == shown("b") == {0: 1375, CAT: 225}
    assert told in capsys.readouterr().err
    assert train("c.json", "run") == 0
    error = capsys.readouterr().err
    assert told in error and "2 pictures, 2 instances" in error


def results() -> str:
    entry = {"image_id": "a", "category_id": 1, "score": 0.9, "segmentation": encode_masks(SQUARE[None])[0]}
    Path("predictions.json").write_text(json.dumps([entry]))
    return "predictions.json"


def segment_anything() -> str:
    masks = [{"segmentation": encode_masks(SQUARE[None])[0], "predicted_iou": 0.98, "stability_score": 0.97}]
    Path("amg").mkdir()
    Path("amg/a.json").write_text(json.dumps(masks))
    return "amg"


@pytest.mark.parametrize("write", [results, segment_anything])
def test_results_of_other_programs(write: Callable[[], str]) -> None:
    picture("images/a.jpg")
    keywords("a.jpg,cat")
    assert label("--keywords", "k.csv", "--instances", write()) == 0
    assert shown("a") == {0: 1344, CAT: 256}


def test_polygons_of_another_size_or_from_before_exif(capsys) -> None:
    exif = Image.Exif()
    picture("images/small.jpg")
    for name, orientation in (("turned", 6), ("upside", 3)):
        exif[0x0112] = orientation
        picture(f"images/{name}.jpg", size=(40, 60), exif=exif)
    corner = [40, 0, 60, 0, 60, 10, 40, 10]  # upper right corner of the stored picture
    found = [{"image_id": n, "segmentation": [c]} for n, c in enumerate([[5 * v for v in POLYGON], corner, corner], 1)]
    found[0]["segmentation"] = [[10, 10, 40, 10, 40, 40, 10, 40]]
    coco("c.json", found, ["small.jpg", "turned.jpg", "upside.jpg"], ["cat"], width=60)
    content = json.loads(Path("c.json").read_text())
    content["images"][0] |= {"width": 80, "height": 80}
    Path("c.json").write_text(json.dumps(content))
    assert label("--keywords", "c.json", "--instances", "c.json") == 0
    # scaled to 5..20; at the lower right after a quarter turn; at the lower left after half a turn
    for name, rows, columns in (
        ("small", slice(5, 20), slice(5, 20)),
        ("turned", slice(40, 60), slice(30, 40)),
        ("upside", slice(30, 40), slice(0, 20)),
    ):
        label_map = np.asarray(Image.open(f"out/labels/{name}.png"))
        expected = np.zeros_like(label_map)
        expected[rows, columns] = CAT
        np.testing.assert_array_equal(label_map, expected)
    told = capsys.readouterr().err
    assert "scaled to the picture's size: 1 (small)" in told
    assert "turned as EXIF turns the picture: 2 (turned, upside)" in told
    assert train("c.json", "run") == 0


def test_folders_as_people_name_them() -> None:
    for name in ("cat", "Dog", "dogs", "dining table", "tv_monitor", "n02084071"):
        picture(f"images/{name}/a.jpg")
        save(f"m/{name}/a/0.png", 255 * SQUARE)
    assert label("--instances", "m") == 0
    indices = {"cat": CAT, "Dog": DOG, "dogs": DOG, "dining table": 11, "tv_monitor": 20, "n02084071": DOG}
    for name, index in indices.items():
        assert shown(f"{name}/a") == {0: 1344, index: 256}


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ({"file_name": "JPEGImages/a.jpg"}, {}),
        ({"file_name": "images\\1\\a.jpg"}, {}),
        ({"file_name": "images/a.jpg"}, {}),
        ({"file_name": "/home/me/images/a.jpg"}, {}),
        ({}, {"image_id": 1.0}),
        ({}, {"image_id": "1"}),
        ({"height": None, "width": None}, {}),
    ],
)
def test_names_and_ids_as_tools_write_them(image: dict[str, Any], annotation: dict[str, Any], capsys) -> None:
    picture("images/a.jpg")
    keywords("a.jpg,cat")
    coco("c.json", [{"image_id": 1, "segmentation": [POLYGON]} | annotation], ["a.jpg"], ["cat"], **image)
    assert label("--keywords", "k.csv", "--instances", "c.json") == 0
    assert shown("a") == {0: 1375, CAT: 225}
    assert train("c.json", "run") == 0
    assert "1 pictures, 1 instances" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, "annotations left out, because they are there twice: 1 (annotations[1])"),
        (
            {"id": 2, "image_id": 7},
            "annotations left out, because their image_id is that of no picture: 1 (annotations[1])",
        ),
    ],
)
def test_annotations_that_are_too_many(change: dict[str, Any], told: str, capsys) -> None:
    picture("images/a.jpg")
    first = {"id": 1, "image_id": 1, "segmentation": [POLYGON]}
    coco("c.json", [first, first | change], ["a.jpg"], ["cat"])
    keywords("a.jpg,cat")
    assert label("--keywords", "k.csv", "--instances", "c.json") == 0
    assert shown("a") == {0: 1375, CAT: 225}
    assert told in capsys.readouterr().err
    assert train("c.json", "run") == 0
    error = capsys.readouterr().err
    assert told in error and "1 pictures, 1 instances" in error


def test_parts_of_a_data_set_are_no_class(capsys) -> None:
    for name in ("train/dog", "train/Dog", "train/zebra", "train/n01440764", "train/n02123045", "val/dog", "val/zebra"):
        picture(f"data/{name}/1.jpg")
    convert = ["convert", "--to", "csv", "--images", "data", "--out", "k.csv"]
    assert main(convert) == 3
    error = capsys.readouterr().err
    assert "train/zebra 1; val/zebra 1" in error and "--allow-unplaced" in error and "[keywords-unplaced]" in error
    assert main([*convert, "--allow-unplaced"]) == 0
    assert Path("k.csv").read_text().split() == [
        "image,keywords", "train/Dog/1,dog", "train/dog/1,dog", "train/n02123045/1,cat", "val/dog/1,dog"
    ]  # fmt: skip


def test_a_mask_of_the_background(capsys) -> None:
    picture("images/a.jpg")
    keywords("a.jpg,cat")
    found = [
        {"image_id": 1, "score": score, "segmentation": rle}
        for rle, score in zip(encode_masks(np.stack([SQUARE, 1 - SQUARE])), (0.9, 0.95), strict=True)
    ]
    coco("c.json", found, ["a.jpg"], ["x"])
    assert label("--keywords", "k.csv", "--instances", "c.json") == 0
    assert shown("a") == {0: 1344, CAT: 256}
    assert "warning: c.json: pictures of which a mask of the background is left out: 1 (a)" in capsys.readouterr().err


def test_files_that_are_no_pictures_are_named(capsys) -> None:
    for name in ("cat/a.JPG", "cat/b.jfif"):
        picture(f"images/{name}", format="JPEG")
    Path("images/cat/c.ARW").write_bytes(b"")
    Path("images/cat/d.jpg").symlink_to("gone.jpg")
    assert main(["convert", "--to", "csv", "--images", "images", "--out", "k.csv"]) == 0
    assert Path("k.csv").read_text().split() == ["image,keywords", "cat/a,cat", "cat/b,cat"]
    error = capsys.readouterr().err
    assert "images: 1 file ignored: .ARW (convert to JPEG or PNG)" in error
    assert "images: left out, because they are no files: 1 (d.jpg (a link that leads nowhere))" in error
