"""`s4 init`: what it finds in a folder, and that the chain accepts the file that it writes."""

import io
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import InitConfig, RunConfig, resolve, usual_places
from pipelines.data.label_maps import write_palette_map
from pipelines.data.rle import encode_masks
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.init import init
from pipelines.run import run
from s4cli.main import main
from tests.pipelines.weight_files import write_weights

SIZE = (6, 8)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and an installation with a network."""
    monkeypatch.chdir(tmp_path)
    shipped = tmp_path.parent / f"{tmp_path.name}-shipped.pt"
    write_weights(shipped)
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)


def pictures(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)


def masks(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_palette_map(Path(name), np.zeros(SIZE, np.uint8))


def coco(path: str, names: list[str], category: str = "thing", **changes: Any) -> None:
    """A COCO file with an instance in each picture."""
    (rle,) = encode_masks(np.ones((1, *SIZE), np.uint8))
    numbers = range(len(names))
    content = {
        "images": [{"id": i, "file_name": names[i], "height": SIZE[0], "width": SIZE[1]} for i in numbers],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "segmentation": rle, **changes} for i in numbers],
        "categories": [{"id": 1, "name": category}],
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))


def text(path: str, content: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)


def started(folder: str = ".", **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result of `s4 init`, and the file that it writes."""
    result = init(InitConfig(folder=Path(folder), **changes), Events(io.StringIO()))
    return result, tomllib.loads(Path(result["out"]).read_text())


def planned() -> dict[str, int]:
    """The stages that `s4 run --dry-run` accepts, and the pictures of each."""
    file = Path("s4.toml")
    plan = run(resolve(RunConfig, file, {"file": file, "dry_run": True}), Events(io.StringIO()), paces={})
    return {stage["stage"]: stage["pictures"] for stage in plan["stages"]}


def places(result: dict[str, Any]) -> list[tuple[str, int | None, str | None]]:
    return [(line["place"], line["pictures"], line["for"]) for line in result["found"]]


def test_folders_of_class_names_and_what_lies_beside_them() -> None:
    pictures("pictures/dog/a.jpg", "pictures/dog/in/b.jpg", "pictures/cat/c.png", "pictures/zebra/d.jpg")
    pictures(*(f"pictures/cat/more{number}.jpg" for number in range(6)))
    pictures("pictures/e.jpg", "elsewhere/f.jpg")  # a tenth of the pictures may be without a keyword
    for name in ("pictures/cat/g.CR2", "pictures/cat/h.cr2", "notes.docx", "README.md"):
        Path(name).touch()
    result, file = started()
    assert places(result) == [("pictures", 10, "pseudo-label")]
    assert result["classes"] == Path("classes.txt").read_text().split() == ["cat", "dog", "zebra"]
    assert result["unplaced"] == {
        "pictures without a keyword in pictures": 1,
        "pictures in elsewhere, about which nothing says what they show": 1,
        "files with the suffix .docx": 1,
        "files with the suffix .cr2": 2,
    }
    assert file["pseudo-label"] == {"images": "pictures", "keywords": "auto", "out": "labels"}
    assert (file["classes"], file["run"]) == ("classes.txt", {"out": "runs"})
    assert planned() == {"pseudo-label": 10, "deeplab-train": 10}


def test_runs_of_other_commands_keep_their_folder() -> None:
    pictures("pictures/dog/a.jpg", "pictures/cat/b.jpg")
    assert started()[1]["run"] == {"out": "runs"}
    for folder in ("runs/deeplab", "runs-2/s4net"):
        Path(folder).mkdir(parents=True)
        Path(folder, "config.json").write_text("{}")
    assert main(["init", "--force"]) == 0
    assert tomllib.loads(Path("s4.toml").read_text())["run"] == {"out": "runs-3"}
    assert planned() == {"pseudo-label": 2, "deeplab-train": 2}
    Path("runs-2/state.json").write_text('{"version": 1, "steps": {}}')  # of a chain, which goes on there
    assert main(["init", "--force"]) == 0
    assert tomllib.loads(Path("s4.toml").read_text())["run"] == {"out": "runs-2"}


def test_folders_of_synsets_and_splits() -> None:
    pictures("imagenet/train/n02084071/a.jpg", "imagenet/val/n02121808/b.jpg", "imagenet/train/n00000001/c.jpg")
    result, _ = started()
    assert places(result) == [("imagenet", 2, "pseudo-label")]
    assert result["classes"] == ["cat", "dog"]
    why = "pictures without a keyword in imagenet/train/n00000001, a synset of no VOC class"
    assert result["unplaced"] == {why: 1}
    assert planned() == {"pseudo-label": 2, "deeplab-train": 2}


UNPLACED: dict[str, tuple[str, ...]] = {
    "classes": ("pictures/cat/a.jpg", "pictures/dog/b.jpg", "pictures/MISC/c.jpg", "pictures/d.jpg"),
    "own classes": ("pictures/apple/a.jpg", "pictures/pear/b.jpg", "pictures/other/c.jpg"),
    "synsets": ("pictures/n02121808/a.jpg", "pictures/n02084071/b.jpg", "pictures/other/c.jpg"),
}


@pytest.mark.parametrize("kind", UNPLACED)
def test_where_many_pictures_are_in_no_class_the_file_says_that_they_are_left_out(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(*UNPLACED[kind])
    assert main(["init"]) == 0
    assert "they are left out, because s4.toml says allow_unplaced = true" in capsys.readouterr().err
    labelling = tomllib.loads(Path("s4.toml").read_text())["pseudo-label"]
    assert labelling["allow_unplaced"] is True
    assert planned() == {"pseudo-label": 2, "deeplab-train": 2}
    Path("s4.toml").write_text(Path("s4.toml").read_text().replace("allow_unplaced = true", ""))
    with pytest.raises(InputError, match=r"\[keywords-unplaced\]"):
        planned()


def test_trains_are_a_class_beside_other_classes() -> None:
    pictures("pictures/bus/a.jpg", "pictures/train/b.jpg")
    assert started()[0]["classes"] == ["bus", "train"]


def test_folders_of_own_class_names_need_a_neighbour() -> None:
    pictures("fruit/apple/a.jpg", "fruit/pear/b.jpg", "fruit/pear/c.jpg", "trip/d.jpg")
    result, _ = started()
    assert places(result) == [("fruit", 3, "pseudo-label")]
    assert result["classes"] == ["apple", "pear"]
    assert list(result["unplaced"].values()) == [1]
    assert planned() == {"pseudo-label": 3, "deeplab-train": 3}


def test_a_coco_file_with_masks_is_trained_on_and_its_folder_is_no_class() -> None:
    pictures("salient/images/a.jpg", "salient/images/b.jpg", "salient/other/c.jpg", "pictures/cat/d.jpg")
    coco("salient/train.json", ["a.jpg"])
    coco("salient/val.json", ["b.jpg"])
    coco("salient/test.json", ["b.jpg"])
    text("salient/notes.json", "{}")
    result, file = started()
    assert file["train"] == {
        "images": "salient/images",
        "annotations": "salient/train.json",
        "val_annotations": "salient/val.json",
    }
    assert places(result)[:3] == [
        ("salient/test.json", 1, None), ("salient/train.json", 1, "train"), ("salient/val.json", 1, "train"),
    ]  # fmt: skip
    assert result["unplaced"]["JSON files that are no COCO files"] == 1
    assert result["classes"] == ["cat"]
    assert planned() == {"train": 1, "pseudo-label": 1, "deeplab-train": 1}


def test_a_coco_file_that_cannot_be_used_is_said_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    pictures("images/a.jpg", "pictures/cat/d.jpg")
    coco("all.json", ["a.jpg"], image_id=7)
    assert main(["init"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("warning: all.json: the image_id of all 1 annotations is that of no picture")
    assert "train" not in tomllib.loads(Path("s4.toml").read_text())


def test_a_coco_file_without_masks_gives_keywords() -> None:
    pictures("images/a.jpg", "images/b.jpg")
    coco("boxes.json", ["a.jpg", "b.jpg"], "cat", segmentation=[])
    _, file = started()
    assert (file["pseudo-label"]["images"], file["pseudo-label"]["keywords"]) == ("images", "boxes.json")
    assert planned() == {"pseudo-label": 2, "deeplab-train": 2}


def voc(folder: str, names: dict[str, str], val: list[str]) -> None:
    """A VOC folder whose lists in `Main` give the pictures of `train` a class each, with masks of `val`."""
    pictures(*(f"{folder}/JPEGImages/{name}.jpg" for name in (*names, *val)))
    masks(*(f"{folder}/SegmentationClass/{name}.png" for name in val))
    text(f"{folder}/ImageSets/Segmentation/train.txt", "\n".join(names))
    text(f"{folder}/ImageSets/Segmentation/val.txt", "\n".join(val))
    for word in set(names.values()):
        lines = [f"{name} {1 if names[name] == word else -1}\n" for name in names]
        text(f"{folder}/ImageSets/Main/{word}_train.txt", "".join(lines))


def test_a_voc_folder_is_labelled_and_evaluated_on() -> None:
    voc("VOC2012", {"a": "cat", "b": "dog", "c": "dog"}, ["d", "e"])
    result, file = started()
    assert places(result) == [("VOC2012/JPEGImages", 3, "pseudo-label"), ("VOC2012", 2, "evaluate")]
    assert file["pseudo-label"] == {
        "images": "VOC2012/JPEGImages", "keywords": "auto", "split": "train", "out": "labels",
    }  # fmt: skip
    assert file["evaluate"] == {"voc": "VOC2012", "split": "val"}
    assert result["unplaced"] == {}
    assert planned() == {"pseudo-label": 3, "deeplab-train": 3, "evaluate": 2}


@pytest.mark.slow
def test_all_classes_of_voc_need_no_list() -> None:
    from pipelines.data.classes import VOC_CLASSES

    voc("VOC2012", {f"p{number:02}": name for number, name in enumerate(VOC_CLASSES)}, ["x"])
    _, file = started()
    assert "classes" not in file and not Path("classes.txt").exists()
    assert planned() == {"pseudo-label": 20, "deeplab-train": 20, "evaluate": 1}


def test_a_table_gives_keywords_and_a_class_list_that_is_there_is_taken() -> None:
    voc("own", {"a": "", "b": ""}, ["c"])
    for path in Path("own/ImageSets/Main").iterdir():
        path.unlink()
    text("own/keywords.csv", "image,keywords\na,pear;apple\nb,apple\n")
    text("own/classes.txt", "pear\nfig\napple\n")
    _, file = started()
    assert (file["classes"], file["pseudo-label"]["keywords"]) == ("own/classes.txt", "own/keywords.csv")
    assert file["evaluate"] == {"voc": "own", "split": "val"}  # in the order of the list
    assert planned() == {"pseudo-label": 2, "deeplab-train": 2, "evaluate": 1}


def test_own_classes_without_a_list_are_not_evaluated() -> None:
    voc("own", {"a": "pear", "b": "fig"}, ["c"])
    result, file = started()
    assert "evaluate" not in file
    assert places(result)[-1] == ("own", 1, None)
    assert '# voc = "own"' in Path("s4.toml").read_text()


def test_tables_of_another_form_are_faults(capsys: pytest.CaptureFixture[str]) -> None:
    pictures("pictures/cat/a.jpg")
    text("other.csv", "file;label\na;cat\n")
    text("gone.csv", "image,keywords\nnot_here,cat\n")
    assert main(["init"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [
        "warning: gone.csv: none of its pictures is here",
        "warning: other.csv: first line is 'file;label', expected image,keywords; correct the file [keywords-file]",
    ]


def write_tar(path: str, members: dict[str, bytes]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "members", "classes"),
    [
        ("n02084071.tar", {"x.jpg": b""}, ["dog"]),
        ("shard-0.tar", {"x.jpg": b"", "x.cls": b"n02121808", "y.jpg": b"", "y.cls": b"dog"}, ["cat", "dog"]),
        ("shard-0.tar", {"x.jpg": b"", "x.txt": b"pear; fig"}, ["fig", "pear"]),
    ],
)
def test_tar_shards_are_read_in_place(name: str, members: dict[str, bytes], classes: list[str]) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(picture, "JPEG")
    content = {member: picture.getvalue() if member.endswith(".jpg") else text for member, text in members.items()}
    write_tar(f"shards/{name}", content)
    result, file = started()
    assert (result["classes"], file["pseudo-label"]["images"]) == (classes, "shards")
    count = sum(member.endswith(".jpg") for member in members)
    assert planned() == {"pseudo-label": count, "deeplab-train": count}


def test_label_maps_are_no_pictures_and_are_offered_as_instances() -> None:
    pictures("pictures/cat/a.jpg", "pictures/cat/b.jpg")
    masks("masks/a.png", "masks/b.png")
    result, _ = started()
    assert places(result) == [("pictures", 2, "pseudo-label"), ("masks", 2, None)]
    assert result["unplaced"] == {}
    assert '# instances = "masks"' in Path("s4.toml").read_text()


def test_what_s4_has_made_is_left_out() -> None:
    pictures("pictures/cat/a.jpg", "labels/labels/a.png", "runs/s4net/overlays/b.png")
    for name in (
        "labels/settings.json",
        "labels/records.jsonl",
        "runs/s4net/config.json",
        "runs/s4net/environment.json",
    ):
        Path(name).touch()
    result, _ = started()
    assert [(place, use) for place, _, use in places(result)] == [
        ("pictures", "pseudo-label"), ("labels", None), ("runs/s4net", None),
    ]  # fmt: skip
    assert result["unplaced"] == {}


@pytest.mark.parametrize("target", ["..", "/", "/proc"])
def test_links_that_lead_away_are_not_followed(target: str) -> None:
    pictures("all/cat/a.jpg", "all/dog/b.jpg", "beside/cow/c.jpg")
    Path("all/cat/up").symlink_to(Path.cwd() if target == ".." else target)
    result, _ = started("all")
    assert result["classes"] == ["cat", "dog"]
    assert result["unplaced"] == {"links that lead away, to a folder above or of the system": 1}


def test_where_the_file_lies_among_the_pictures_all_else_is_made_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures("pets/cat/a.jpg", "pets/dog/b.jpg")
    monkeypatch.chdir("pets")
    _, file = started()
    assert file["run"] == {"out": "../pets-s4"}
    assert file["pseudo-label"] == {"images": ".", "keywords": "auto", "out": "../pets-s4/labels"}
    assert file["deeplab-train"] == {"labels": "../pets-s4/labels", "run": "../pets-s4/deeplab"}
    assert planned() == {"pseudo-label": 2, "deeplab-train": 2}


def test_paths_lead_from_the_folder_of_the_file() -> None:
    pictures('my "pets"/cat/ä.jpg', 'my "pets"/dog/b.jpg')
    _, file = started('my "pets"', out=Path("work/own.toml"))
    assert file["pseudo-label"]["images"] == '../my "pets"'
    assert Path("work/classes.txt").is_file()


def test_salient_instances_alone_are_trained_and_scored() -> None:
    pictures("salient/images/a.jpg")
    coco("salient/train.json", ["a.jpg"])
    voc("VOC2012", {}, ["d"])
    result, file = started()
    assert result["tables"] == ["train", "evaluate"]
    assert file["evaluate"] == {"voc": "VOC2012", "split": "val", "foreground": True}
    assert planned() == {"train": 1, "evaluate": 1}


@pytest.mark.parametrize("name", ["s4.toml", "classes.txt"])
def test_nothing_is_overwritten_without_force(name: str) -> None:
    pictures("pictures/cat/a.jpg")
    Path(name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"^{name}: exists already.*--force.*\[file-exists\]"):
        started()
    assert Path(name).read_text() == "mine"
    assert len(list(Path().iterdir())) == 2
    started(force=True)
    assert Path(name).read_text() != "mine"


def test_the_same_class_list_may_be_there() -> None:
    pictures("pictures/cat/a.jpg")
    started()
    Path("s4.toml").unlink()
    assert started()[1]["classes"] == "classes.txt"


@pytest.mark.parametrize(("name", "found"), [("a.docx", "1 files with the suffix .docx"), (".hidden", "no picture")])
def test_a_folder_with_nothing_to_use_is_an_error(name: str, found: str) -> None:
    Path(name).touch()
    with pytest.raises(InputError, match=rf"^\.: {found}, expected folders named after classes.*\[init-nothing\]"):
        started()
    assert not Path("s4.toml").exists()


def test_the_command_takes_a_folder_and_no_settings_file(capsys: pytest.CaptureFixture[str]) -> None:
    pictures("pictures/cat/a.jpg")
    Path("s4.toml").write_text("damaged")
    assert main(["init", "pictures"]) == 2
    assert "[file-exists]" in capsys.readouterr().err
    assert main(["init", "pictures", "--force", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["tables"] == ["pseudo-label", "deeplab-train"]
    assert err == "the settings are in s4.toml; next: s4 run --dry-run\n"
    assert main(["init", "nowhere"]) == 3
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert main(["init", "--config", "s4.toml"]) == 2
