import gzip
import hashlib
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import ConvertConfig
from pipelines.convert import convert
from pipelines.data.classes import load_classes
from pipelines.data.images import find_images
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.keywords_files import read_keywords
from pipelines.data.label_maps import write_palette_map
from pipelines.data.notes import Notes
from pipelines.data.palette import voc_palette
from pipelines.errors import InputError
from pipelines.events import Events
from s4cli.main import main

SIZE = (5, 7)
IDS = ["2008_000006", "2008_000001", "2012_004331"]
# The first colours as the VOC development kit documents them: background, aeroplane, bicycle, bird, boat, bottle.
DOCUMENTED = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]


def label(first: int = 8) -> np.ndarray:
    values = np.zeros(SIZE, np.uint8)
    values[1, :3] = first
    values[2, 2] = 20
    return values


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A VOC folder whose test list has three pictures, and a label map for each."""
    lists = tmp_path / "voc" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "test.txt").write_text("\n".join(IDS) + "\n")
    (tmp_path / "voc" / "JPEGImages").mkdir()
    for image_id in IDS:
        Image.new("RGB", (SIZE[1], SIZE[0])).save(tmp_path / "voc" / "JPEGImages" / f"{image_id}.jpg")
        write_palette_map(tmp_path / "predictions" / f"{image_id}.png", label())
    return tmp_path


def pack(root: Path, **changes: Any) -> dict[str, Any]:
    settings = {"to": "voc-server", "predictions": root / "predictions", "voc": root / "voc"}
    return convert(ConvertConfig(**{**settings, "out": root / "results.tar.gz", **changes}), Events())


def members(path: Path) -> dict[str, Image.Image]:
    with tarfile.open(path, "r:gz") as archive:
        return {m.name: Image.open(io.BytesIO(archive.extractfile(m).read())) for m in archive}  # type: ignore[union-attr]


def refusal(root: Path, **changes: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        pack(root, **changes)
    assert not (root / "results.tar.gz").exists()
    assert not list(root.glob(".*.tmp"))
    return caught.value


def test_the_archive_has_the_tree_and_the_pictures_that_the_server_takes(root: Path) -> None:
    result = pack(root)
    found = members(root / "results.tar.gz")
    assert list(found) == [f"results/VOC2012/Segmentation/comp6_test_cls/{image_id}.png" for image_id in sorted(IDS)]
    for image in found.values():
        assert image.format == "PNG" and image.mode == "P" and image.size == (SIZE[1], SIZE[0])
        palette = image.getpalette()
        assert palette == voc_palette()
        assert [tuple(palette[3 * i : 3 * i + 3]) for i in range(6)] == DOCUMENTED
        np.testing.assert_array_equal(np.asarray(image), label())
    assert {key: result[key] for key in ("images", "extra", "reencoded", "competition", "split")} == {
        "images": 3, "extra": 0, "reencoded": 0, "competition": "comp6", "split": "test",
    }  # fmt: skip
    assert result["sha256"] == hashlib.sha256((root / "results.tar.gz").read_bytes()).hexdigest()


def test_the_palette_lies_in_the_bytes_of_each_png(root: Path) -> None:
    pack(root)
    with tarfile.open(root / "results.tar.gz") as archive:
        content = archive.extractfile(archive.getmembers()[0]).read()  # type: ignore[union-attr]
    assert content[12:16] == b"IHDR" and content[24:26] == b"\x08\x03"  # 8 bits, colours from a palette
    start = content.index(b"PLTE") + 4
    assert content[start : start + 18] == bytes(channel for colour in DOCUMENTED for channel in colour)


def test_comp5_has_a_folder_of_its_own(root: Path) -> None:
    pack(root, competition="comp5")
    assert all("/comp5_test_cls/" in name for name in members(root / "results.tar.gz"))


def test_bytes_depend_on_the_label_maps_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(root)
    first = (root / "results.tar.gz").read_bytes()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90_000)
    (root / "voc" / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(reversed(IDS)))
    pack(root, out=root / "other name.tgz", workers=0)
    assert (root / "other name.tgz").read_bytes() == first
    assert first[4:8] == bytes(4)  # the time in gzip's header
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(first))) as archive:
        for info in archive:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) == (0, 0, 0, "", "", 0o644)


def test_missing_predictions_are_counted_and_named(root: Path) -> None:
    for image_id in IDS[:2]:
        (root / "predictions" / f"{image_id}.png").unlink()
    error = refusal(root)
    assert error.rule == "predictions-missing"
    assert "2 of 3" in str(error) and "(2008_000006.png, 2008_000001.png)" in str(error)


def test_files_outside_of_the_list_are_left_out_and_counted(root: Path) -> None:
    write_palette_map(root / "predictions" / "2007_000027.png", label())
    write_palette_map(root / "predictions" / "sub" / f"{IDS[0]}.png", label())
    assert pack(root)["extra"] == 2
    assert len(members(root / "results.tar.gz")) == 3


@pytest.mark.parametrize("form", ["L", "RGB", "grey palette", "short palette"])
def test_other_forms_of_the_same_indices_are_encoded_anew(form: str, root: Path) -> None:
    pack(root, out=root / "expected.tar.gz")
    image = Image.fromarray(label())
    if form == "RGB":
        image = Image.fromarray(np.array(voc_palette(), np.uint8).reshape(256, 3)[label()])
    elif form == "grey palette":
        image.putpalette([index for index in range(256) for _ in range(3)])
    elif form == "short palette":
        image.putpalette([9, 9, 9] * 21)  # as many colours as classes
    image.save(root / "predictions" / f"{IDS[0]}.png")
    assert pack(root)["reencoded"] == 1
    assert (root / "results.tar.gz").read_bytes() == (root / "expected.tar.gz").read_bytes()


def test_an_adaptive_palette_that_contradicts_its_indices_is_refused(root: Path) -> None:
    colours = Image.fromarray(np.array(voc_palette(), np.uint8).reshape(256, 3)[label()])
    adaptive = colours.convert("P", palette=Image.Palette.ADAPTIVE)
    assert sorted(np.unique(np.asarray(adaptive))) == [0, 1, 2]  # class 8 and 20 are no longer
    adaptive.save(root / "predictions" / f"{IDS[0]}.png")
    error = refusal(root)
    assert error.rule == "label-palette"
    assert f"{IDS[0]}.png" in str(error)


@pytest.mark.parametrize(("value", "hint"), [(255, "255"), (21, "21")])
def test_values_that_are_no_class_are_refused(value: int, hint: str, root: Path) -> None:
    write_palette_map(root / "predictions" / f"{IDS[1]}.png", label(value))
    error = refusal(root)
    assert error.rule == "label-value"
    assert f"{IDS[1]}.png: holds the values {hint}, expected 0 to 20" in str(error)


def test_another_size_than_the_picture_is_refused(root: Path) -> None:
    write_palette_map(root / "predictions" / f"{IDS[2]}.png", label()[:, :-1])
    error = refusal(root)
    assert error.rule == "label-size"
    assert "6x5" in str(error) and "7x5" in str(error)


def test_missing_pictures_and_lists_are_told(root: Path) -> None:
    (root / "voc" / "JPEGImages" / f"{IDS[0]}.jpg").unlink()
    assert refusal(root).rule == "image-missing"
    assert refusal(root, split="val").rule == "split-missing"
    assert refusal(root, predictions=root / "none").rule == "folder-missing"


def test_an_error_leaves_the_old_archive_as_it_was(root: Path) -> None:
    (root / "results.tar.gz").write_bytes(b"old")
    write_palette_map(root / "predictions" / f"{IDS[2]}.png", label(255))
    with pytest.raises(InputError):
        pack(root)
    assert (root / "results.tar.gz").read_bytes() == b"old"


# --- csv


def test_a_keyword_table_is_written_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "JPEGImages"
    names = ["cat/a, b.png", 'dog/it\'s "c".png', "fish/d.png", "cat/a.v2.png"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(folder / name)
    out = tmp_path / "k.csv"
    with pytest.raises(InputError, match=r"1 of 4 pictures.*fish 1.*--allow-unplaced.*keywords-unplaced"):
        convert(ConvertConfig(to="csv", images=folder, out=out), Events())
    result = convert(ConvertConfig(to="csv", images=folder, out=out, allow_unplaced=True), Events())
    assert result == {"images": 3, "out": str(out)}
    assert out.read_text().splitlines()[0] == "image,keywords"
    tables = [read_keywords(source, find_images(folder), folder, load_classes("voc")) for source in ("auto", str(out))]
    assert tables[0] == tables[1] == {"cat/a, b": ("cat",), "cat/a.v2": ("cat",), 'dog/it\'s "c"': ("dog",)}


def test_several_keywords_share_a_cell_and_a_split_chooses(tmp_path: Path) -> None:
    folder = tmp_path / "JPEGImages"
    folder.mkdir()
    main_lists = tmp_path / "ImageSets" / "Main"
    main_lists.mkdir(parents=True)
    for name in ("x", "y"):
        Image.new("RGB", (2, 2)).save(folder / f"{name}.png")
    for word, lines in (("dog", "x 1\ny -1\n"), ("cat", "x 1\ny 1\n")):
        (main_lists / f"{word}_train.txt").write_text(lines)
    (tmp_path / "ImageSets" / "Segmentation").mkdir()
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("y\n")
    convert(ConvertConfig(to="csv", images=folder, out=tmp_path / "k.csv"), Events())
    assert (tmp_path / "k.csv").read_text() == "image,keywords\nx,cat;dog\ny,cat\n"
    convert(ConvertConfig(to="csv", images=folder, split="val", out=tmp_path / "k.csv"), Events())
    assert (tmp_path / "k.csv").read_text() == "image,keywords\ny,cat\n"


def test_names_of_classes_with_signs_that_part_keywords_come_back(tmp_path: Path) -> None:
    folder, names = tmp_path / "pictures", ("cup", "pot | pan", 'salt, "pepper"', "tea; mint")
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", SIZE).save(folder / name / f"{number}.png")
    out = tmp_path / "k.csv"
    convert(ConvertConfig(to="csv", images=folder, out=out, classes="auto"), Events())
    classes, table = KeywordedPictures([folder], [str(out)], None, Notes()).read("auto")
    assert classes.names == tuple(sorted(names))
    assert table == {f"{name}/{number}": (name,) for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "voc-server", "--out", "r.tar.gz", "--voc", "v"], "--predictions: not given with --to voc-server"),
        (["--to", "voc-server", "--out", "r.tar.gz", "--predictions", "p"], "--voc: not given"),
        (["--to", "voc-server", "--out", "r.zip", "--predictions", "p", "--voc", "v"], ".tar.gz or .tgz expected"),
        (["--to", "csv", "--out", "k.csv"], "--images: not given with --to csv"),
        (["--to", "csv", "--out", "k.csv", "--images", "i", "--voc", "v"], "--voc: given with --to csv"),
        (["--to", "csv", "--out", "k.txt", "--images", "i"], ".csv expected"),
        (["--to", "coco", "--out", "k.json"], "SOURCE: not given with --to coco"),
        (["--to", "coco", "--out", "k.csv", "a"], ".json expected"),
        (["--to", "coco", "--out", "k.json", "a", "--voc", "v"], "--voc: given with --to coco"),
        (["--to", "tar", "--out", "k.csv"], "voc-server"),
    ],
)
def test_flags_that_do_not_fit_the_form_are_refused(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_the_command_prints_one_json_object(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--to", "voc-server", "--predictions", root / "predictions", "--voc", root / "voc", "--json"]
    assert main(["convert", *map(str, arguments), "--out", str(root / "r.tgz")]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 3


@pytest.mark.parametrize(
    ("link", "target", "told"),
    [
        ("self.jpg", "self.jpg", "self.jpg (a link to itself)"),
        ("cat/self", "self", "self (a link to itself)"),
        ("cat/first.png", "second.png", "first.png (a link that leads nowhere)"),
        ("above", ".", ""),
        ("cat/above", "../../images", ""),
    ],
)
def test_a_link_that_leads_to_itself_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], link: str, target: str, told: str
) -> None:
    images, table = tmp_path / "images", tmp_path / "table.csv"
    for name in ("cat/a", "cat/b", "dog/c"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(images / f"{name}.png")
    (images / link).symlink_to(target)
    assert main(["convert", "--to", "csv", "--images", str(images), "--out", str(table)]) == 0
    assert table.read_text() == "image,keywords\ncat/a,cat\ncat/b,cat\ndog/c,dog\n"
    error = capsys.readouterr().err
    assert (f"left out, because they are no files: 1 ({told})" in error) if told else ("left out" not in error)


@pytest.mark.parametrize("flag", ["--images", "--keywords", "--classes"])
def test_an_input_that_is_a_link_to_itself_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    loop, images = tmp_path / "loop", tmp_path / "images"
    images.mkdir()
    loop.symlink_to(loop)
    line = ["convert", "--to", "csv", "--images", str(images), "--out", str(tmp_path / "table.csv")]
    assert main([*line, flag, str(loop)]) == 3
    (error,) = (one for one in capsys.readouterr().err.splitlines() if flag in one)
    assert "a link that leads nowhere" in error and "did you mean" not in error
    assert not (tmp_path / "table.csv").exists()
