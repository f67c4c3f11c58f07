"""Every form keeps every mask to the pixel, with holes and parts, and says what it does not keep."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import ConfigError, InputError
from tests.pipelines.formats.annotated_scene import SIZE, masks_of, read, run, scene, write_scene

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "voc": ("voc", {}),
    "cvat-voc": ("cvat", {}),
    "coco": ("c.json", {}),
    "coco, polygons": ("c.json", {"polygons": True}),
    "cvat-coco": ("cvat", {}),
    "cvat-coco, polygons": ("cvat", {"polygons": True}),
    "labelme": ("labelme", {}),
    "labelme, polygons": ("labelme", {"polygons": True}),
    "label-studio": ("l.json", {}),
    "label-studio, polygons": ("l.json", {"polygons": True}),
    "yolo-seg": ("yolo", {}),
    "masks": ("masks", {}),
    "s4net-pickle": ("d.pkl", {}),
}


def _bare(image_id: str) -> str:
    return image_id.removeprefix("train/")


@pytest.mark.parametrize("form", FORMS)
def test_every_mask_comes_back_to_the_pixel(tmp_path: Path, form: str) -> None:
    source, (name, more) = write_scene(tmp_path), FORMS[form]
    to = form.split(",")[0]
    result, _ = run(source, to, tmp_path / name, images=(tmp_path / "pictures",), **more)
    assert (result["from"], result["to"], result["images"], result["instances"]) == ("coco", to, 2, 4)
    found = read(tmp_path / name)
    if to == "s4net-pickle":
        masks = [instance.mask for instance in found["train/000001"].instances]
        assert np.array_equal(masks, list(scene().values()))
        assert result["lost"] == {"classes": 4, "names": 2}
        return
    assert result["lost"] == ({"no-instance": 1} if to == "masks" else {})
    back = masks_of(found["sub/a"])
    assert back.keys() == scene().keys()
    for key, mask in scene().items():
        np.testing.assert_array_equal(back[key], mask, err_msg=key)
    assert to == "masks" or found["b"].instances == ()


NUMBERS = ("2007_000032", "train/2007_000033", "20240115_103000")


@pytest.mark.parametrize("form", [form for form in FORMS if form != "s4net-pickle"])
def test_ids_and_classes_of_digits_come_back(tmp_path: Path, form: str) -> None:
    source, (name, more) = write_scene(tmp_path), FORMS[form]
    content = json.loads(source.read_text())
    content["images"] = [content["images"][0] | {"id": n, "file_name": f"{i}.png"} for n, i in enumerate(NUMBERS)]
    content["annotations"] = [content["annotations"][n] | {"image_id": n} for n in range(3)]
    for category, new in zip(content["categories"], ("000032", "7", "1_2", "x"), strict=True):
        category["name"] = new
    source.write_text(json.dumps(content))
    for image_id in NUMBERS:
        (tmp_path / "pictures" / "train").mkdir(exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "pictures" / f"{image_id}.png")
    run(source, form.split(",")[0], tmp_path / name, images=(tmp_path / "pictures",), **more)
    found = {image_id: [i.name for i in picture.instances] for image_id, picture in read(tmp_path / name).items()}
    assert found == dict(zip(NUMBERS, (["000032"], ["7"], ["1_2"]), strict=True))


def test_masks_with_three_digits_before_a_class_are_instances(tmp_path: Path) -> None:
    for name in ("img1/001_7", "img1/002_3", "2007_000032"):
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros(SIZE, np.uint8)
        mask[1:3, 1:4] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    for image_id in ("img1", "2007_000032"):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "pictures" / f"{image_id}.png")
    run(tmp_path / "masks", "coco", tmp_path / "x.json", images=(tmp_path / "pictures",))
    found = {image_id: [i.name for i in picture.instances] for image_id, picture in read(tmp_path / "x.json").items()}
    assert found == {"img1": ["7", "3"], "2007_000032": ["salient"]}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "s4net-pickle"])
def test_names_that_mean_something_in_an_address_come_back(tmp_path: Path, form: str) -> None:
    source, (name, more) = write_scene(tmp_path), FORMS[form]
    content = json.loads(source.read_text())
    names = ["a+b", "100%25", "a&b", "a#b", "a?b", "a;d=b", "é ü", "c%2Fd", os.fsdecode(b"caf\xe9")]
    content["images"] = [content["images"][0] | {"id": n, "file_name": f"{i}.png"} for n, i in enumerate(names)]
    content["annotations"] = [content["annotations"][0] | {"image_id": n} for n in range(len(names))]
    source.write_text(json.dumps(content))
    for image_id in names:
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "pictures" / f"{image_id}.png")
    run(source, form.split(",")[0], tmp_path / name, images=(tmp_path / "pictures",), **more)
    assert sorted(read(tmp_path / name)) == sorted(names)


def test_maps_of_numbers_are_no_pictures_and_their_names_no_classes(tmp_path: Path) -> None:
    for image_id in NUMBERS:
        path = tmp_path / "maps" / f"{image_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene()["ring"] * np.uint8(1) + scene()["dot"] * np.uint8(2)).save(path)
    found = read(tmp_path / "maps")
    assert {image_id: [i.name for i in picture.instances] for image_id, picture in found.items()} == {
        image_id: ["salient"] * 2 for image_id in NUMBERS
    }
    with pytest.raises(InputError, match=r"2007_000032.jpg: no such picture.*\[image-missing\]"):
        run(tmp_path / "maps", "yolo-seg", tmp_path / "yolo")


@pytest.mark.parametrize("polygons", [False, True])
def test_ids_of_coco_are_kept_and_what_is_not_read_is_counted(tmp_path: Path, polygons: bool) -> None:
    source = write_scene(tmp_path)
    content = json.loads(source.read_text())
    moved = {"images": {1: 139, 2: 7}, "categories": {1: 90, 2: 3, 3: 1, 4: 20}}
    for kind, new in moved.items():
        for item in content[kind]:
            item["id"] = new[item["id"]]
    for item in content["annotations"]:
        item |= {"image_id": 139, "category_id": moved["categories"][item["category_id"]]}
    source.write_text(json.dumps(content))
    result, told = run(source, "coco", tmp_path / "same.json", polygons=polygons)
    same = json.loads((tmp_path / "same.json").read_text())
    assert (result["lost"], same["images"], same["categories"]) == ({}, content["images"], content["categories"])
    pairs = [[(a["image_id"], a["category_id"]) for a in one["annotations"]] for one in (content, same)]
    assert pairs[0] == pairs[1] and "warning" not in told

    content |= {"info": {"year": 2017}, "licenses": []}
    content["categories"][1]["supercategory"] = "thing"
    content["images"][1] |= {"license": 3, "flickr_url": ""}
    content["images"][0]["id"] = "a"
    empty = {"size": list(SIZE), "counts": [SIZE[0] * SIZE[1]]}
    for number, item in enumerate([{"bbox": [0, 0, 2, 2]}, {"segmentation": empty}], start=5):
        content["annotations"].append({"id": number, "image_id": 7, "category_id": 3, **item})
    for item in content["annotations"][:4]:
        item["image_id"] = "a"
    source.write_text(json.dumps(content))
    result, told = run(source, "coco", tmp_path / "less.json", polygons=polygons)
    # The box, and three fields; ids of pictures count from 1, as one of them is no number.
    assert result["lost"] == {"ids": 1, "left-out": 4} | ({"empty": 1} if polygons else {})
    assert "no form has a place for them: 3 (info, images.license, categories.supercategory)" in told
    less = json.loads((tmp_path / "less.json").read_text())
    assert [image["id"] for image in less["images"]] == [1, 2]
    assert len(less["annotations"]) == (4 if polygons else 5) and all(a["segmentation"] for a in less["annotations"])


def test_scores_and_crowds_are_kept_where_the_form_has_a_place_for_them(tmp_path: Path) -> None:
    source, images = write_scene(tmp_path, scores=True), (tmp_path / "pictures",)
    for to, name in {"coco": "c.json", "cvat-coco": "cc", "labelme": "lm"}.items():
        result, _ = run(source, to, tmp_path / name, images=images)
        assert result["lost"] == {}
        instances = {i.name: (i.score, i.crowd) for i in read(tmp_path / name)["sub/a"].instances}
        assert instances == {"ring": (0.25, False), "pair": (0.5, False), "dot": (0.75, False), "edge": (None, True)}
    result, _ = run(source, "label-studio", tmp_path / "l.json", images=images)
    assert result["lost"] == {"crowd": 1}
    assert {i.name: i.score for i in read(tmp_path / "l.json")["sub/a"].instances} == {
        "ring": 0.25, "pair": 0.5, "dot": 0.75,
    }  # fmt: skip
    content = json.loads((tmp_path / "l.json").read_text())
    assert [sorted(set(task) - {"data"}) for task in content] == [["predictions"], ["annotations"]]


@pytest.mark.parametrize("to", ["voc", "cvat-voc", "yolo-seg", "masks"])
def test_what_a_form_cannot_express_is_counted_and_named(tmp_path: Path, to: str) -> None:
    result, told = run(write_scene(tmp_path, scores=True), to, tmp_path / "out", images=(tmp_path / "pictures",))
    assert {kind: result["lost"][kind] for kind in ("scores", "crowd")} == {"scores": 3, "crowd": 1}
    assert f"warning: {to} cannot express scores of instances: 3 (sub/a 1, sub/a 2, sub/a 3)" in told
    assert f"warning: {to} cannot express crowds, which the form does not know: 1 (sub/a 4)" in told
    back = read(tmp_path / "out")["sub/a"]
    assert {i.name for i in back.instances} == {"ring", "pair", "dot"}
    if to == "voc":  # a crowd is neither an object nor background
        assert back.label_map is not None
        np.testing.assert_array_equal(back.label_map == 255, scene()["edge"])


def test_instances_that_others_cover_are_told_and_the_small_one_lies_on_top(tmp_path: Path) -> None:
    source = write_scene(tmp_path)
    content = json.loads(source.read_text())
    whole = {"size": list(SIZE), "counts": [0, SIZE[0] * SIZE[1]]}
    content["annotations"].append({"id": 9, "image_id": 1, "category_id": 1, "segmentation": whole})
    source.write_text(json.dumps(content))
    result, told = run(source, "voc", tmp_path / "voc", images=(tmp_path / "pictures",))
    assert result["lost"] == {"overlaps": 1} and "instances that others cover in part: 1 (sub/a 5)" in told
    back = read(tmp_path / "voc")["sub/a"]
    np.testing.assert_array_equal(next(i.mask for i in back.instances if i.name == "dot"), scene()["dot"])


def test_label_maps_become_an_instance_for_each_region(tmp_path: Path) -> None:
    run(write_scene(tmp_path), "voc", tmp_path / "voc", images=(tmp_path / "pictures",))
    for file in (tmp_path / "voc" / "SegmentationObject").rglob("*.png"):
        file.unlink()
    result, told = run(tmp_path / "voc", "coco", tmp_path / "again.json")
    # The ring and its island are two; the pair touches at a corner and is one, and its row has 20 pixels of the 41
    # that are apart, of which those under the edge's columns touch nothing of their class.
    of_pair = [i.mask for i in read(tmp_path / "again.json")["sub/a"].instances if i.name == "pair"]
    assert len(of_pair) == 21 and max(mask.sum() for mask in of_pair) == 4 * 7 + 4 * 5
    np.testing.assert_array_equal(np.any(of_pair, axis=0), scene()["pair"])
    assert "each connected region of a class is taken for an instance: 2" in told
    assert result["instances"] == 2 + 21 + 1 + 1


def test_yolo_has_the_files_that_ultralytics_trains_on(tmp_path: Path) -> None:
    source = write_scene(tmp_path)
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "pictures" / "b.gif")
    (tmp_path / "pictures" / "b.jpg").unlink()
    content = json.loads(source.read_text().replace("b.jpg", "b.gif"))
    content["categories"][0]["name"] = 'ring, "red": \\ é'
    source.write_text(json.dumps(content))
    result, _ = run(source, "yolo-seg", tmp_path / "yolo", images=(tmp_path / "pictures",))
    assert (result["train"], result["val"]) == (1, 1)
    files = {p.relative_to(tmp_path / "yolo").as_posix() for p in (tmp_path / "yolo").rglob("*") if p.is_file()}
    pictures = sorted(f for f in files if f.startswith("images/"))
    assert {f.split("/", 2)[2] for f in pictures} == {"sub/a.png", "b.png"}  # no GIF: it is not read there
    texts = {f"labels/{f.split('/', 1)[1][:-4]}.txt" for f in pictures}
    assert files == {*pictures, *texts, "data.yaml", ".s4-convert.json"}
    assert (tmp_path / "yolo" / "data.yaml").read_text() == (
        'train: images/train\nval: images/val\nnc: 4\nnames:\n  0: "ring, \\"red\\": \\\\ é"\n  1: "pair"\n  2: "dot"\n'
        '  3: "edge"\n'
    )
    lines = next((tmp_path / "yolo" / "labels").rglob("a.txt")).read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3"]
    # The dot is the diamond round the centre (30.5, 15.5) of its pixel.
    corners = np.array(lines[2].split()[1:], float).reshape(-1, 2) * SIZE[::-1]
    assert {(round(x, 3), round(y, 3)) for x, y in corners} == {(30, 15.5), (31, 15.5), (30.5, 15), (30.5, 16)}
    assert masks_of(read(tmp_path / "yolo")["sub/a"]).keys() == {'ring, "red": \\ é', "pair", "dot", "edge"}


def test_a_folder_called_images_inside_does_not_mislead_ultralytics(tmp_path: Path) -> None:
    source = write_scene(tmp_path)
    (tmp_path / "pictures" / "sub").rename(tmp_path / "pictures" / "images")
    source.write_text(source.read_text().replace("sub/a", "images/a"))
    run(source, "yolo-seg", tmp_path / "yolo", images=(tmp_path / "pictures",), val_share=0)
    assert (tmp_path / "yolo/images/train/images_/a.png").is_file()
    assert (tmp_path / "yolo/labels/train/images_/a.txt").is_file()
    assert "val: images/train\n" in (tmp_path / "yolo/data.yaml").read_text()


def test_a_conversion_into_the_same_folder_leaves_no_file_of_the_last_one(tmp_path: Path) -> None:
    source, out = write_scene(tmp_path), tmp_path / "out"
    run(source, "labelme", out, images=(tmp_path / "pictures",))
    (out / "notes.json").write_text("{}")  # of the user
    content = json.loads(source.read_text())
    content["images"] = content["images"][:1]
    source.write_text(json.dumps(content))
    run(source, "labelme", out, images=(tmp_path / "pictures",))
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert files == {".s4-convert.json", "labels.txt", "notes.json", "sub/a.json", "sub/a.png"}


@pytest.mark.parametrize(("to", "name"), [("voc", "out"), ("yolo-seg", "out"), ("coco", "out.json")])
def test_an_error_leaves_what_was_there(tmp_path: Path, to: str, name: str) -> None:
    source, out, images = write_scene(tmp_path), tmp_path / name, (tmp_path / "pictures",)
    run(source, to, out, images=images)
    before = {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()}
    content = json.loads(source.read_text())
    content["annotations"][2]["score"] = 7
    source.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"score is 7.*\[score-value\]"):
        run(source, to, out, images=images)
    assert {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()} == before
    with pytest.raises(InputError):
        run(source, to, tmp_path / "new" / name, images=images)
    assert not (tmp_path / "new").exists()


def test_foreign_folders_and_the_source_itself_are_refused(tmp_path: Path) -> None:
    source, images = write_scene(tmp_path), (tmp_path / "pictures",)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.odt").write_text("x")
    with pytest.raises(ConfigError, match=r"\[out-foreign\]"):
        run(source, "voc", tmp_path / "mine", images=images)
    for out in (tmp_path, tmp_path / "pictures" / "out"):
        with pytest.raises(ConfigError, match=r"\[out-inside\]"):
            run(source, "voc", out, images=images)
    with pytest.raises(ConfigError, match=r"SOURCE: not given.*\[setting-missing\]"):
        run(None, "voc", tmp_path / "out")  # type: ignore[arg-type]


def test_pictures_that_are_needed_and_not_there_are_an_error(tmp_path: Path) -> None:
    source = write_scene(tmp_path)
    with pytest.raises(InputError, match=r"sub/a.png: no such picture.*--images.*\[image-missing\]"):
        run(source, "labelme", tmp_path / "out")
    run(source, "labelme", tmp_path / "out", copy_images=False)
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*g")) == []
    (tmp_path / "pictures" / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 2 pictures are not in the folders of --images \(b.jpg\)"):
        run(source, "labelme", tmp_path / "out", images=(tmp_path / "pictures",))
