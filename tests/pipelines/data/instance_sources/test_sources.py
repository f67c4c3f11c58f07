"""The same two instances in every form in which programs write them: each gives the same masks.

The picture `sub/a` has 8 x 6 pixels. LEFT is 3 x 3 pixels at column 0 and row 1, RIGHT 3 x 4 at column 5 and row 2.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import picture_frame
from pipelines.data.instance_sources.opening import instance_files, open_instances
from pipelines.data.instance_sources.picture_masks import InstanceSource, PictureMasks
from pipelines.data.instance_sources.yolo_names import read_names
from pipelines.data.notes import Notes
from pipelines.data.palette import voc_palette
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from pipelines.events import Events

LEFT, RIGHT = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
LEFT[1:4, 0:3], RIGHT[2:6, 5:8] = True, True
RLES = encode_masks(np.stack([LEFT, RIGHT]))
# Corners of the same rectangles, in pixels.
CORNERS = ([0, 1, 3, 1, 3, 4, 0, 4], [5, 2, 8, 2, 8, 6, 5, 6])
SHARES = tuple([x / (8, 6)[place % 2] for place, x in enumerate(corners)] for corners in CORNERS)


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def save(path: Path, values: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path, **options)


def listed(**changes: Any) -> dict[str, Any]:
    image = {"id": 1, "file_name": "sub/a.jpg", "height": 6, "width": 8}
    annotations = [{"id": n, "image_id": 1, "category_id": n, "segmentation": rle} for n, rle in enumerate(RLES)]
    return {"images": [image], "annotations": annotations, "categories": [{"id": 0, "name": "cat"}]} | changes


def coco_run_lengths(root: Path) -> Path:
    return write(root / "found.json", listed())


def coco_polygons(root: Path) -> Path:
    annotations = [{"id": n, "image_id": 1, "segmentation": [corners]} for n, corners in enumerate(CORNERS)]
    return write(root / "found.json", listed(annotations=annotations))


def coco_in_its_folder(root: Path) -> Path:
    write(root / "export" / "_annotations.coco.json", listed())
    return root / "export"


def results_by_name(root: Path) -> Path:
    return write(root / "r.json", [{"image_id": "a", "category_id": 1, "segmentation": r, "score": 1.0} for r in RLES])


def results_with_boxes_between(root: Path) -> Path:
    entries = [{"image_id": "sub/a.jpg", "bbox": [0, 0, 1, 1], "score": 0.5}]
    return write(root / "r.segm.json", entries + [{"image_id": "sub/a.jpg", "segmentation": r} for r in RLES])


def segment_anything(root: Path) -> Path:
    masks = [{"segmentation": rle, "area": 9, "predicted_iou": 1.02, "crop_box": [0, 0, 8, 6]} for rle in RLES]
    write(root / "amg" / "a.json", masks)
    return root / "amg"


def segment_anything_data_set(root: Path) -> Path:
    content = {"image": {"file_name": "a.jpg"}, "annotations": [{"id": 1, "segmentation": rle} for rle in RLES]}
    write(root / "sa1b" / "sub" / "a.json", content)
    return root / "sa1b"


def yolo(root: Path) -> Path:
    lines = [f"{n} {' '.join(map(str, shares))}" for n, shares in enumerate(SHARES)]
    write(root / "yolo" / "labels" / "train" / "a.txt", "\n".join([*lines, ""]))
    write(root / "yolo" / "data.yaml", "path: x\nnames:\n  0: cat\n  1: dog\nnc: 2\n")
    return root / "yolo"


def map_of_numbers(root: Path) -> Path:
    save(root / "masks" / "sub" / "a.png", LEFT * 1 + RIGHT * 7 + 255 * (np.arange(6)[:, None] == 0))
    return root / "masks"


def map_of_16_bits(root: Path) -> Path:
    (root / "masks").mkdir()
    Image.fromarray((LEFT * 24001 + RIGHT * 24002).astype(np.uint16)).save(root / "masks" / "a.png")
    return root / "masks"


def map_of_voc_colours(root: Path) -> Path:
    colours = np.array(voc_palette()).reshape(256, 3)
    save(root / "SegmentationObject" / "a.png", colours[LEFT * 1 + RIGHT * 2])
    return root / "SegmentationObject"


def folder_of_masks(root: Path) -> Path:
    save(root / "masks" / "sub" / "a" / "0.png", 255 * LEFT)
    save(root / "masks" / "sub" / "a" / "1.png", 255 * RIGHT)
    write(root / "masks" / "sub" / "a" / "metadata.csv", "id,area\n")
    return root / "masks"


def flat_folder_of_masks(root: Path) -> Path:
    save(root / "masks" / "a" / "0.png", 1 * LEFT)
    save(root / "masks" / "a" / "1.PNG", 1 * RIGHT, format="PNG")
    return root / "masks"


FORMS: list[Callable[[Path], Path]] = [
    coco_run_lengths, coco_polygons, coco_in_its_folder, results_by_name, results_with_boxes_between, segment_anything,
    segment_anything_data_set, yolo, map_of_numbers, map_of_16_bits, map_of_voc_colours, folder_of_masks,
    flat_folder_of_masks,
]  # fmt: skip


def pictures(root: Path, *names: str) -> dict[str, Path]:
    files = {name: root / "images" / f"{name}.jpg" for name in names}
    for file in files.values():
        save(file, np.zeros((6, 8, 3)))
    return files


def look(root: Path, path: Path, *names: str) -> tuple[InstanceSource, PictureMasks, list[str]]:
    """Return the source for pictures, what it gives for the first one, and the lines that were told."""
    stream = io.StringIO()
    notes = Notes(Events(stream))
    files = pictures(root, *names)
    source = open_instances(path, files, notes)
    found = source(names[0], picture_frame(files[names[0]]))
    notes.tell()
    return source, found, stream.getvalue().replace(f"{root}/", "").splitlines()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_same_masks(form: Callable[[Path], Path], tmp_path: Path) -> None:
    source, found, _ = look(tmp_path, form(tmp_path), "sub/a")
    np.testing.assert_array_equal(found.masks, np.stack([LEFT, RIGHT]))
    assert found.scores.tolist() == [1, 1]
    assert source.files and all(file.is_file() for file in source.files)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_refuses_masks_of_other_pictures(form: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 1 pictures \(other\).*masks-none"):
        look(tmp_path, form(tmp_path), "other")


def test_categories_come_with_coco_and_yolo(tmp_path: Path) -> None:
    source, found, _ = look(tmp_path, coco_run_lengths(tmp_path), "sub/a")
    assert found.categories == ("cat", "") == tuple(source.categories("sub/a"))
    source, found, _ = look(tmp_path, yolo(tmp_path), "sub/a")
    assert found.categories == ("cat", "dog") == tuple(source.categories("sub/a"))


# --- COCO


def test_masks_of_a_picture_with_another_suffix_are_not_taken(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"sub/a.{end}", "height": 6, "width": 8} for n, end in enumerate(("jpg", "png"))]
    annotations = [{"id": n, "image_id": n, "segmentation": rle} for n, rle in enumerate(RLES)]
    path = write(tmp_path / "found.json", listed(images=images, annotations=annotations))
    _, found, told = look(tmp_path, path, "sub/a")
    np.testing.assert_array_equal(found.masks, LEFT[None])
    assert told == [
        "warning: found.json: names left out, because another one means the same picture: 1 (sub/a.png)",
    ]


def test_a_picture_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": "sub/a.jpg", "height": 6, "width": 8} for n in (1, 2)]
    with pytest.raises(InputError, match=r"found\.json: sub/a\.jpg and sub/a\.jpg share.*coco-image-twice"):
        look(tmp_path, write(tmp_path / "found.json", listed(images=images)), "sub/a")
    others = [{**image, "file_name": "elsewhere.jpg", "id": 3 + n} for n, image in enumerate(images)]
    look(tmp_path, write(tmp_path / "found.json", listed(images=[images[0], *others])), "sub/a")  # nobody asks for it


# --- lists of results


def test_results_of_all_spellings_of_a_name_are_taken(tmp_path: Path) -> None:
    entries = [{"image_id": n, "segmentation": r} for n, r in zip(("sub/a", "sub/a.jpg"), RLES, strict=True)]
    _, found, _ = look(tmp_path, write(tmp_path / "r.json", entries), "sub/a")
    np.testing.assert_array_equal(found.masks, np.stack([LEFT, RIGHT]))


def test_numbers_are_those_in_the_names_of_the_pictures(tmp_path: Path) -> None:
    entries = [{"image_id": 139, "segmentation": RLES[0], "score": 0.5}]
    _, found, _ = look(tmp_path, write(tmp_path / "r.json", entries), "val/000000000139", "val/000000000140")
    np.testing.assert_array_equal(found.masks, LEFT[None])
    assert found.scores.tolist() == [0.5]
    _, none, _ = look(tmp_path, tmp_path / "r.json", "val/000000000140", "val/000000000139")
    assert len(none.masks) == 0  # no result means that nothing was found


def test_numbers_that_somebody_gave_are_refused(tmp_path: Path) -> None:
    entries = [{"image_id": number, "segmentation": RLES[0]} for number in (1, 2)]
    with pytest.raises(InputError, match=r"numbers the pictures \(1, 2\).*such as sub/a;.*results-numbers"):
        look(tmp_path, write(tmp_path / "r.json", entries), "sub/a")


@pytest.mark.parametrize(
    ("entries", "rule"),
    [
        ([{"image_id": "a", "bbox": [0, 0, 1, 1], "score": 0.5}], "results-boxes"),
        ([{"segmentation": RLES[0]}, 3], "results-structure"),
        ([["a"]], "results-structure"),
    ],
)
def test_lists_of_something_else_are_refused(entries: list[Any], rule: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rule):
        look(tmp_path, write(tmp_path / "r.json", entries), "sub/a")


# --- Segment Anything


def test_the_estimate_of_quality_is_the_score(tmp_path: Path) -> None:
    masks = [{"segmentation": rle, "predicted_iou": quality} for rle, quality in zip(RLES, (0.9, 1.02), strict=True)]
    write(tmp_path / "amg" / "a.json", masks)
    _, found, _ = look(tmp_path, tmp_path / "amg", "sub/a")
    assert found.scores.tolist() == pytest.approx([0.9, 1])


def test_json_of_another_program_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "labelme" / "a.json", {"shapes": [], "imagePath": "a.jpg"})
    with pytest.raises(InputError, match=r"a\.json: no list of masks.*sam-structure"):
        look(tmp_path, tmp_path / "labelme", "sub/a")


# --- YOLO


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names: ['cat', \"guinea pig\", dog]\n"),
        ("data.yaml", "train: x\nnames: {0: cat, 1: guinea pig, 2: dog}\nnc: 3\n"),
        ("data.yml", "names:\n- cat\n- 'guinea pig'\n- dog\nval: y\n"),
        ("data.yaml", "names: [cat,\n  guinea pig,\n  dog]\n"),
        ("classes.txt", "cat\nguinea pig\n\ndog\n"),
        ("obj.names", "cat\nguinea pig\ndog\n"),
    ],
)
def test_names_of_yolo_are_read_in_every_form(name: str, text: str, tmp_path: Path) -> None:
    shares = " ".join(map(str, SHARES[0]))
    write(tmp_path / "yolo" / "labels" / "a.txt", f"1 {shares}\n2 {shares} 0.25\n9 {shares}\n")
    write(tmp_path / "yolo" / name, text)
    _, found, _ = look(tmp_path, tmp_path / "yolo" / "labels", "sub/a")
    assert found.categories == ("guinea pig", "dog", "")
    assert found.scores.tolist() == [1, 0.25, 1]  # an odd number at the end is the score


@pytest.mark.parametrize("score", ["1.05", "-0.05"])  # a corner may lie as far outside
def test_lines_of_yolo_with_a_score_beyond_0_to_1_are_left_out(score: str, tmp_path: Path) -> None:
    shares = "0.0 0.0 1.0 0.0 1.0 1.05"
    write(tmp_path / "yolo" / "a.txt", f"0 {shares} {score}\n0 {shares} 1.0\n0 {shares} 0\n")
    _, found, told = look(tmp_path, tmp_path / "yolo", "sub/a")
    assert found.scores.tolist() == [1, 0]
    assert "warning: yolo: lines left out, because their score is not 0 to 1: 1 (sub/a, line 1)" in told


@pytest.mark.parametrize("score", [1.05, -0.05, float("nan"), 1e300])
def test_a_list_of_results_with_a_score_beyond_0_to_1_is_refused(score: float, tmp_path: Path) -> None:
    entry = {"image_id": "a", "segmentation": RLES[0], "score": score}
    with pytest.raises(InputError, match=r"scores are .*scores of 0 to 1 expected.*coco-mask"):
        look(tmp_path, write(tmp_path / "r.json", [entry]), "a")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('names: ["salt, pepper", "cat"]', ["salt, pepper", "cat"]),
        ("names: ['a [b]', 'it''s', c]  # three", ["a [b]", "it's", "c"]),
        ('names: {0: "a: b, c", 1: "d}"}', ["a: b, c", "d}"]),
        ("names: [  # all\n  a, # first\n\n  b #2 c,\n]\nnc: 3", ["a", "b"]),
        ("names:  # of COCO\n  0: person  # people\n\n  # vehicles\n  1: car\nnc: 2", ["person", "car"]),
        ("names:\n- cat\n\n# pets\n- 'a # b'\n- c#\n- dog's\n", ["cat", "a # b", "c#", "dog's"]),
        ('names:\n  \'0\': cat\n  2: "\\u00e9 \\"x\\""\n', ["cat", "", 'é "x"']),
        ("# names: [x]\nnames: [a]\n", ["a"]),
        ("names: [a, , b]", ["a", "", "b"]),
        ("names: ['0: background', '12: x']", ["0: background", "12: x"]),
    ],
)
def test_names_of_yolo_are_read_as_yaml_has_them(text: str, names: list[str], tmp_path: Path) -> None:
    assert read_names(write(tmp_path / "data.yaml", text)) == names


def test_lines_of_yolo_without_a_mask_are_left_out(tmp_path: Path) -> None:
    shares = " ".join(map(str, SHARES[0]))
    write(tmp_path / "yolo" / "a.txt", f"0 0.5 0.5 0.2 0.2\n0 {shares}\n\n0 a b\n0 {shares.replace('0.0', '7')}\n")
    _, found, told = look(tmp_path, tmp_path / "yolo", "sub/a", "b")
    np.testing.assert_array_equal(found.masks, LEFT[None])
    assert told == [
        "yolo: names of pictures matched without their folder, case or suffix: 1 (a is sub/a)",
        "yolo: pictures without a text, taken for pictures without instances: 1 (b)",
        "warning: yolo: lines left out, because they are boxes without a mask: 1 (sub/a, line 1)",
        "warning: yolo: lines left out, because they are no polygons of YOLO-seg: 2 (sub/a, line 4, sub/a, line 5)",
    ]


# --- masks in picture files


def test_saliency_maps_hold_one_instance_each(tmp_path: Path) -> None:
    soft = np.where(LEFT | RIGHT, 200, 0)
    soft[0, :4] = (60, 127, 128, 1)
    save(tmp_path / "masks" / "a.png", soft)
    save(tmp_path / "masks" / "b.png", 255 * RIGHT)
    _, found, told = look(tmp_path, tmp_path / "masks", "a", "b")
    expected = LEFT | RIGHT
    expected[0, 2] = True  # 128 is the first value of the upper half
    np.testing.assert_array_equal(found.masks, expected[None])
    assert told == ["masks: masks of grey values, of which 128 and more belong to the instance: 1 (a.png)"]
    _, found, told = look(tmp_path, tmp_path / "masks", "b", "a")
    np.testing.assert_array_equal(found.masks, RIGHT[None])
    assert told == ["masks: masks in black and white, each one instance: 1 (b.png)"]


def test_one_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for name in range(200):
        save(tmp_path / "masks" / f"{name:03}.png", LEFT + 2 * RIGHT)
    save(tmp_path / "masks" / "001.png", 200 * LEFT + 90 * RIGHT)
    names = [f"{name:03}" for name in range(200)]
    with pytest.raises(InputError, match=r"001\.png: holds grey values up to 200, numbers of instances.*mask-mode"):
        look(tmp_path, tmp_path / "masks", "001", *names)


def test_pictures_are_not_taken_for_their_masks(tmp_path: Path) -> None:
    pictures(tmp_path, "sub/a")
    with pytest.raises(InputError, match=r"nothing to read masks from.*folder-empty"):
        look(tmp_path, tmp_path / "images", "sub/a")
    write(tmp_path / "images" / "sub" / "a.json", [{"segmentation": rle} for rle in RLES])
    _, found, _ = look(tmp_path, tmp_path / "images", "sub/a")
    np.testing.assert_array_equal(found.masks, np.stack([LEFT, RIGHT]))


def test_a_base_name_that_two_pictures_have_finds_none(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "x" / "a.png", 255 * LEFT)
    save(tmp_path / "masks" / "z" / "a.png", 255 * RIGHT)
    with pytest.raises(InputError, match=r"nothing about y/a.*masks-missing"):
        look(tmp_path, tmp_path / "masks", "y/a", "x/a")


def test_two_files_of_one_name_are_all_listed(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png", "b.jpg"):
        save(tmp_path / "masks" / name, 255 * LEFT)
    with pytest.raises(InputError, match=r"2 names .*\(a\.bmp and a\.png, b\.jpg and b\.png\).*image-id-twice"):
        look(tmp_path, tmp_path / "masks", "a", "b")


def test_a_file_in_no_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no JSON.*instances-form"):
        look(tmp_path, write(tmp_path / "masks.npz", "PK"), "sub/a")
    with pytest.raises(InputError, match="json-damaged"):
        look(tmp_path, write(tmp_path / "masks.json", "{"), "sub/a")
    with pytest.raises(InputError, match="file-missing"):
        look(tmp_path, tmp_path / "none.json", "sub/a")


def test_files_of_a_folder_are_those_that_masks_are_read_from(tmp_path: Path) -> None:
    folder_of_masks(tmp_path)
    assert list(instance_files(tmp_path / "masks")) == ["sub/a/0.png", "sub/a/1.png"]
