"""What a newcomer met: each situation through the command line, and what it prints.

Other modules test what else came up: errors before torch is imported (tests/s4cli/test_habits.py), damaged pictures
(tests/test_bad_input.py), tables, masks and folders as people bring them (tests/test_brought_inputs.py), and dry runs
(tests/pipelines/chain).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.config import usual_places
from pipelines.data.palette import voc_palette
from pipelines.engine.rehearsal import Pace
from pipelines.networks import trunk_places
from s4cli.main import main
from tests.pipelines.chain.tiny_chain import write_data
from tests.pipelines.weight_files import write_weights

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and an installation with a network whose file holds no network."""
    monkeypatch.chdir(tmp_path)
    shipped = tmp_path.parent / f"{tmp_path.name}-shipped.pt"
    write_weights(shipped)
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)
    monkeypatch.setattr("pipelines.run._own_paces", dict)


def pictures(*names: str, size: tuple[int, int] = (60, 80)) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
        Image.fromarray(noise).save(name)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    return code, *capsys.readouterr()


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk_places, "asked_size", lambda name: None)


def test_a_training_whose_weights_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offline(monkeypatch)
    write_data(Path("data"))
    arguments = ["train", "--images", "data/salient", "--annotations", "data/salient.json", "--trunk", "resnet50"]
    code, _, err = said(capsys, *arguments)
    assert code == 6
    assert "resnet50.tv_in1k are not here, and no connection to download them, 102 MB" in err
    assert "or take the trunk efficientnet_lite0, whose weights are installed" in err
    assert not Path("runs").exists()


MIXED = ("pictures/Cats/a.jpg", "pictures/CAT/b.jpg", "pictures/zebra/c.jpg", "pictures/d.jpg")
UNPLACED = "2 of 4 pictures are in folders that name no class of the list (no folder 1; zebra 1)"


def test_folders_that_name_no_class_are_told_in_the_same_words_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    pictures(*MIXED)
    Path("s4.toml").write_text("[pseudo-label]\nimages = 'pictures'\nrecognise = 'off'\n")
    table = ["convert", "--to", "csv", "--images", "pictures", "--out", "k.csv"]
    stopping = [["pseudo-label"], ["pseudo-label", "--dry-run"], ["run"], ["run", "--dry-run"], table]
    for arguments in stopping:
        code, _, err = said(capsys, *arguments)
        assert (code, UNPLACED in err, "[keywords-unplaced]" in err) == (3, True, True), (arguments, err)
    Path("s4.toml").write_text(Path("s4.toml").read_text() + "allow_unplaced = true\n")
    for arguments in (["run", "--dry-run"], [*table, "--allow-unplaced"]):
        code, _, err = said(capsys, *arguments)
        assert code == 0, err
        assert f"warning: pictures: {UNPLACED}; they are left out" in err


@pytest.mark.slow
def test_init_finds_the_same_classes_and_its_file_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pictures(*MIXED[:3], "pictures/other/d.jpg")
    code, out, err = said(capsys, "init", "--json")
    assert (code, json.loads(out)["classes"]) == (0, ["cat", "zebra"]), err
    code, out, err = said(capsys, "run", "--dry-run", "--json")
    assert (code, json.loads(out)["stages"][0]["pictures"]) == (0, 3), err


@pytest.mark.parametrize(
    ("command", "more"),
    [("predict", ["pictures"]), ("pseudo-label", ["pictures", "--dry-run"]), ("convert", ["--images", "pictures"])],
)
def test_files_that_are_not_read_are_counted_by_suffix(
    command: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures("pictures/cat/a.jpg")
    for name in ("b.NEF", "c.nef", "d.docx", ".DS_Store", "Thumbs.db"):
        Path("pictures/cat", name).touch()
    given = ["--to", "csv", "--out", "k.csv"] if command == "convert" else []
    _, _, err = said(capsys, command, *more, *given)  # the empty network ends the first two
    line = "pictures: 3 files ignored: 1 .NEF (convert to JPEG or PNG), 1 .nef (convert to JPEG or PNG), 1 .docx"
    assert line in err


OWN = """
[train]
images = "data/salient"
annotations = "data/salient.json"
trunk = "resnet50"
[pseudo-label]
images = "data/JPEGImages"
keywords = "data/keywords.csv"
recognise = "off"
[deeplab-train]
network = "vgg16"
"""


def test_a_dry_run_tells_weights_that_cannot_be_had_and_times_of_days(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(Path("data"))
    Path("s4.toml").write_text(OWN)
    offline(monkeypatch)
    code, out, err = said(capsys, "run", "--dry-run", "--json")
    assert code == 6
    assert [fault["rule"] for fault in json.loads(out)["faults"]] == ["weights-download"] * 2
    for word in ("error: train: ", "resnet50.tv_in1k", "error: deeplab-train: ", "vgg16.tv_in1k"):
        assert word in err
    monkeypatch.setattr(trunk_places, "asked_size", lambda name: 98.0)
    slow = Pace(6.0, "step", 10, "a slow one")
    monkeypatch.setattr("pipelines.run._own_paces", lambda: {"deeplab-train": lambda config, seen: slow})
    code, out, err = said(capsys, "run", "--dry-run")
    assert code == 0, err
    assert "warning: deeplab-train: estimated to take 33.3 h (20,000 steps of 6 s, measured now on a slow one)" in err
    assert "resnet50            not here, to be downloaded, 98 MB" in out


def break_pictures() -> None:
    """A link that leads nowhere, a text, a picture that was cut off, and an empty file, beside a whole one."""
    pictures("pictures/cat/a.jpg", "pictures/cat/cut.jpg")
    folder = Path("pictures/cat")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-300])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.jpg").touch()
    (folder / "link.jpg").symlink_to("nowhere")


def test_dry_runs_list_every_damaged_picture_and_end_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_pictures()
    monkeypatch.setattr("pipelines.pseudo_label.labelling_pace", lambda config, seen: None)
    Path("s4.toml").write_text("[pseudo-label]\nimages = 'pictures'\nrecognise = 'off'\n")
    found = []
    for command in ("pseudo-label", "run"):
        code, out, err = said(capsys, command, "--dry-run", "--json")
        result = json.loads(out)
        assert (code, result["failed"], result["error"]["exit_code"]) == (4, 3, 4), err
        assert "dry run: 3 faults in the inputs" in err
        found.append(result["faults"])
    assert found[0] == found[1]
    rules = {Path(fault["message"].split(":")[0]).name: fault["rule"] for fault in found[0][:3]}
    assert rules == {"cut.jpg": "image-damaged", "empty.jpg": "image-damaged", "text.jpg": "image-format"}
    assert "link.jpg (a link that leads nowhere)" in found[0][3]["message"]


def test_true_masks_in_colours_are_read_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    pictures("voc/JPEGImages/a.jpg", size=(6, 8))
    for folder, mode in (("voc/SegmentationClass", "RGB"), ("seen", "P")):
        Path(folder).mkdir()
        image = Image.new("P", (8, 6), 8)
        image.putpalette(voc_palette())
        image.convert(mode).save(f"{folder}/a.png")
    Path("voc/ImageSets/Segmentation").mkdir(parents=True)
    Path("voc/ImageSets/Segmentation/val.txt").write_text("a\n")
    code, out, err = said(capsys, "evaluate", "voc", "--predictions", "seen", "--json")
    assert (code, json.loads(out)["per_class"]["cat"]) == (0, 1.0)
    assert "colours" in err


@pytest.mark.parametrize("place", ["file", "flag"])
def test_the_home_folder_may_be_a_tilde(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    offline(monkeypatch)
    write_data(tmp_path / "home")
    if place == "file":
        lines = ["[train]", "images = '~/salient'", "annotations = '~/salient.json'", "trunk_weights = 'none'"]
        Path("s4.toml").write_text("\n".join(lines))
        arguments = ["run", "--dry-run", "--json"]
    else:
        flags = ["--images=~/salient", "--annotations=~/salient.json", "--trunk=resnet50", "--dry-run"]
        arguments = ["train", *flags]
    code, out, err = said(capsys, *arguments)
    assert "no such" not in err
    assert (code == 0 and json.loads(out)["stages"][0]["pictures"] == 2) or (code == 6 and "weights-download" in err)


def test_paths_of_a_chain_lead_from_its_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_data(tmp_path / "deep" / "data")
    file = tmp_path / "deep" / "chain.toml"
    lines = ["[train]", "images = 'data/salient'", "annotations = 'data/salient.json'", "trunk_weights = 'none'"]
    file.write_text("\n".join(lines))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert said(capsys, "run", str(file), "--dry-run")[0] == 0
    file.write_text(file.read_text().replace("data/", "gone/"))
    code, _, err = said(capsys, "run", str(file), "--dry-run")
    assert code == 3
    for name, what in (("salient", "folder"), ("salient.json", "file")):  # both, with their whole paths
        assert f"error: {tmp_path / 'deep' / 'gone' / name}: no such {what}" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "pictures/cat 0.jpg"], "did you mean pictures/cat_0.jpg?"),
        (["predict", "--images", "pictured"], "no such picture or folder, expected one; did you mean pictures?"),
        (["deeplab-train", "labels"], "unexpected extra argument (labels); flags name the inputs: --images, --labels"),
        (["train", "pictures"], "flags name the inputs: --images, --annotations"),
        (["evaluate", "--voc", "pictures"], "pictures: not a VOC folder"),
        (["config", "show"], "error: s4 config show: no command given, one of train, "),
        (["completion"], "error: s4 completion: no shell given, one of bash, zsh, fish expected"),
        (["train", "--images", "a", "--annotations", "b", "--trunk", "resnet34"], "did you mean resnet50?"),
    ],
)
def test_slips_are_answered_with_what_would_work(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures("pictures/cat_0.jpg")
    code, out, err = said(capsys, *arguments, "--json")
    assert code in (2, 3)
    assert words in err
    assert words.removeprefix("error: ") in json.loads(out)["error"]["message"]


def test_the_usage_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "config", "show")
    assert (code, out, err.count("\n"), err.count("pseudo-label")) == (2, "", 1, 1)


def test_a_single_picture_is_taken_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    pictures("pictures/cat 0.jpg")
    for given in (["pictures/cat 0.jpg"], ["--images", "pictures/cat 0.jpg"]):
        code, _, err = said(capsys, "predict", *given, "--out", "seen")
        assert "no such" not in err
        assert (code, "shipped.pt" in err) == (3, True)  # it goes on to the network, whose file holds no network


def test_help_names_every_form_of_instances(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "pseudo-label", "--help")
    text = " ".join(out.split())
    for word in ("COCO JSON", "list of results", "saliency maps", "Segment Anything", "YOLO-seg", "labelmap.txt"):
        assert word in text


def test_folders_named_like_packages_do_not_stand_in_the_way(tmp_path: Path) -> None:
    for name in ("s4net", "pipelines", "deeplab", "click"):
        Path(name).mkdir()
        Path(name, "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "s4cli", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.startswith("s4 ")) == (0, True), done.stderr
