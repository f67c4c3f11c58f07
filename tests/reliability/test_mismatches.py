"""What does not belong together is refused: exit code 2 or 3, both values in the message, and nothing is changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.shapes import write_instances, write_voc
from s4cli.main import main

pytestmark = pytest.mark.slow

SMALL = ("--trunk-weights", "none", "--steps", "1", "--batch-size", "2", "--device", "cpu", "--precision", "fp32")
TRAIN = [
    "train", "--images", "instances/images", "--annotations", "instances/train.json", "--run", "s4net", "--trunk",
    "timm/mobilenetv3_small_050", "--image-size", "64", *SMALL,
]  # fmt: skip
DEEPLAB = [
    "deeplab-train", "--images", "voc/JPEGImages", "--labels", "voc/SegmentationClass", "--labels-are", "ground-truth",
    "--classes", "voc/classes.txt", "--list", "train.txt", "--run", "deeplab", "--crop", "65", *SMALL,
]  # fmt: skip
LABEL = [
    "pseudo-label", "--images", "voc/JPEGImages", "--keywords", "voc/keywords_train.csv", "--classes",
    "voc/classes.txt", "--weights", "s4net", "--out", "labels", "--assign", "single", "--min-score", "0",
    "--sure-score", "0", "--recognise", "off", "--device", "cpu", "--precision", "fp32",
]  # fmt: skip
PREDICT = ["predict", "voc/JPEGImages", "--weights", "deeplab", "--out", "predictions", "--device", "cpu"]
EVALUATE = ["evaluate", "--voc", "voc", "--classes", "voc/classes.txt", "--device", "cpu"]
ON_LABELS = ["deeplab-train", "--labels", "labels", "--run", "new", "--crop", "65", *SMALL]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, two networks of each kind, labels and predictions, all of one step."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_instances(Path("instances"), 4, "train", seed=0, side=64)
        write_voc(Path("voc"), 4, 2, seed=1, side=64)
        shutil.copy("voc/ImageSets/Segmentation/train.txt", "train.txt")
        for line in (
            TRAIN, other(TRAIN, run="s4net-b", seed="5"), DEEPLAB, other(DEEPLAB, run="deeplab-b", seed="5"),
            LABEL, PREDICT,
        ):  # fmt: skip
            assert main(line) == 0
    return folder


def other(line: list[str], **values: str) -> list[str]:
    """The same command line with other values."""
    changed = list(line)
    for name, value in values.items():
        flag = f"--{name.replace('_', '-')}"
        if flag in changed:
            changed[changed.index(flag) + 1] = value
        else:
            changed += [flag, value]
    return changed


def lines(path: str, *content: str) -> str:
    Path(path).write_text("".join(f"{line}\n" for line in content))
    return path


def classes() -> list[str]:
    return Path("voc/classes.txt").read_text().split()


def zebra() -> str:
    return lines("other.txt", "zebra", *classes()[1:])


def resized(folder: str, size: tuple[int, int] = (20, 30)) -> None:
    for path in Path(folder).rglob("*.png"):
        with Image.open(path) as image:
            image.resize(size, Image.Resampling.NEAREST).save(path)


def altered(path: str, change: Callable[[Any], Any]) -> str:
    """Write a JSON file anew."""
    content = json.loads(Path(path).read_text())
    change(content)
    Path(path).write_text(json.dumps(content))
    return path


def without_last(path: str) -> None:
    lines(path, *Path(path).read_text().split()[:-1])


def forget(folder: str) -> str:
    """Remove the first file of a folder, and return its name."""
    path = min(Path(folder).iterdir())
    path.unlink()
    return path.name


def listed_size(content: Any) -> None:
    content["images"][0].update(width=128, height=40)


def drop_annotation(content: Any) -> None:
    content["annotations"].pop()


def of_other_classes(content: Any) -> None:
    content["classes"] = ["zebra", *content["classes"][1:]]


def of_pictures_that_are_gone(content: Any) -> None:
    content["images"].append({"id": 99, "file_name": "gone.jpg", "width": 64, "height": 64})


# Each makes one thing of the folder wrong, and returns a command line. Then the exit code, and what has to be told.
CASES: dict[str, tuple[Callable[[], list[str]], int, tuple[str, ...]]] = {
    "network and class list": (
        lambda: other([*EVALUATE, "--weights", "deeplab"], classes=zebra()), 2, ("disc", "zebra", "class-list-differs"),
    ),
    "network and the order of the class list": (
        lambda: other([*EVALUATE, "--weights", "deeplab"], classes=lines("other.txt", *classes()[::-1])), 2,
        ("(disc, ring", "(heart, crescent", "class-list-differs"),
    ),
    "labels and class list, to train": (
        lambda: other(ON_LABELS, classes=zebra()), 3, ("disc", "zebra", "labels-classes"),
    ),
    "labels and class list, to evaluate": (
        lambda: other([*EVALUATE, "--split", "train", "--labels", "labels"], classes=zebra()), 3,
        ("disc", "zebra", "labels-classes"),
    ),
    "labels and number of classes": (
        lambda: other(ON_LABELS, classes=lines("other.txt", *classes()[:-1])), 3, ("8 classes", "7 classes"),
    ),
    "keywords and class list": (lambda: other(LABEL, classes=zebra()), 3, ("disc", "zebra", "class-unknown")),
    "true masks and pictures of another size, to train": (
        lambda: (resized("voc/SegmentationClass"), other(DEEPLAB, run="new"))[1], 3, ("20x30", "64x64", "label-size"),
    ),
    "true masks and pictures of another size, to evaluate": (
        lambda: (resized("voc/SegmentationClass"), [*EVALUATE, "--weights", "deeplab"])[1], 3,
        ("20x30", "64x64", "label-size"),
    ),
    "masks beside pictures of another size": (
        lambda: (resized("voc/SegmentationClass"), [
            "evaluate", "--images", "voc/JPEGImages", "--masks", "voc/SegmentationClass", "--weights", "deeplab",
        ])[1], 3, ("20x30", "64x64", "label-size"),
    ),
    "labels and pictures of another size, to train": (
        lambda: (resized("labels/labels"), ON_LABELS)[1], 3, ("20x30", "64x64", "label-size"),
    ),
    "labels and true masks of another size": (
        lambda: (resized("labels/labels"), [*EVALUATE, "--split", "train", "--labels", "labels"])[1], 3,
        ("20x30", "64x64", "label-size"),
    ),
    "S4Net to resume and the run of a DeepLab": (
        lambda: [*other(TRAIN, run="deeplab"), "--resume"], 2,
        ("deeplab: begun by `s4 deeplab-train`", "a run of `s4 train` expected", "resume-differs"),
    ),
    "DeepLab to resume and the run of an S4Net": (
        lambda: [*other(DEEPLAB, run="s4net"), "--resume"], 2,
        ("s4net: begun by `s4 train`", "a run of `s4 deeplab-train` expected", "resume-differs"),
    ),
    "predictions and class list": (
        lambda: other([*EVALUATE, "--predictions", "predictions"], classes=zebra()), 2,
        ("predictions: made for", "disc", "zebra", "class-list-differs"),
    ),
    "predictions and the order of the class list": (
        lambda: other([*EVALUATE, "--predictions", "predictions"], classes=lines("other.txt", *classes()[::-1])), 2,
        ("(disc, ring", "(heart, crescent", "class-list-differs"),
    ),
    "predictions to compare with of other classes": (
        lambda: (altered("predictions/settings.json", of_other_classes),
                 [*EVALUATE, "--weights", "deeplab", "--versus", "predictions"])[1], 2,
        ("predictions: made for", "zebra", "class-list-differs"),
    ),
    "predictions and true masks of another size": (
        lambda: (resized("predictions"), [*EVALUATE, "--predictions", "predictions"])[1], 3,
        ("20x30", "64x64", "label-size"),
    ),
    "annotations and pictures of another size": (
        lambda: other(TRAIN, annotations=altered("instances/train.json", listed_size), run="new"), 3,
        ("128x40", "64x64", "coco-picture-size"),
    ),
    "annotations and pictures that are not there": (
        lambda: other(TRAIN, annotations=altered("instances/train.json", of_pictures_that_are_gone), run="new"), 3,
        ("1 of 5", "gone.jpg", "coco-picture-missing"),
    ),
    "a label map of the list that is missing": (
        lambda: (forget("voc/SegmentationClass"), other(DEEPLAB, run="new"))[1], 3, ("train_00000", "label-missing"),
    ),
    "a label map of the labels that is missing": (
        lambda: (forget("labels/labels"), ON_LABELS)[1], 3, ("3 label maps", "4 expected", "label-missing"),
    ),
    "labels to evaluate, one of which is missing": (
        lambda: (forget("labels/labels"), [*EVALUATE, "--split", "train", "--labels", "labels"])[1], 3,
        ("1 of 4", "train_00000", "predictions-missing"),
    ),
    "a true mask to evaluate with that is missing": (
        lambda: (Path("voc/SegmentationClass/val_00001.png").unlink(), [*EVALUATE, "--weights", "deeplab"])[1], 3,
        ("1 of 2", "val_00001", "truth-missing"),
    ),
    "keywords of a picture that is not there": (
        lambda: (forget("voc/JPEGImages"), LABEL)[1], 3, ("1 of 4", "train_00000", "keywords-picture-missing"),
    ),
    "S4Net where DeepLab belongs": (
        lambda: [*EVALUATE, "--weights", "s4net"], 3, ("holds s4net", "kind deeplab", "weights-kind"),
    ),
    "DeepLab where S4Net belongs, to label": (
        lambda: other(LABEL, weights="deeplab", out="new"), 3, ("holds deeplab", "kind s4net", "weights-kind"),
    ),
    "DeepLab where S4Net belongs, to evaluate": (
        lambda: [
            "evaluate", "--images", "instances/images", "--annotations", "instances/train.json", "--weights", "deeplab",
        ], 3, ("holds deeplab", "kind s4net", "weights-kind"),
    ),
    "labels of other weights": (
        lambda: other(LABEL, weights="s4net-b"), 2, ("weights_sha256", "(there ", "labels-differ"),
    ),
    "labels of other settings": (
        lambda: other(LABEL, min_score="0.4"), 2, ("min_score 0.4 (there 0.0)", "labels-differ"),
    ),
    "predictions of other weights": (
        lambda: other(PREDICT, weights="deeplab-b"), 2, ("weights_sha256", "(there ", "predictions-differ"),
    ),
    "predictions of other settings": (
        lambda: other(PREDICT, scales="1,2"), 2, ('scales "1,2" (there "1.0")', "predictions-differ"),
    ),
    "predictions of other pictures of the same names": (
        lambda: (resized_pictures(), PREDICT)[1], 2,
        ("another train_00000, of ", "bytes expected", "predictions-differ"),
    ),
    "a run and another seed": (
        lambda: [*other(TRAIN, seed="3"), "--resume"], 2, ("3 given, 0 expected", "resume-differs"),
    ),
    "a run and other annotations": (
        lambda: [*other(TRAIN, annotations="voc/classes.txt"), "--resume"], 2,
        ("voc/classes.txt given, instances/train.json expected", "resume-differs"),
    ),
    "a run and annotations that were changed": (
        lambda: (altered("instances/train.json", drop_annotation), [*TRAIN, "--resume"])[1], 2,
        ("4 pictures with the hash", "expected", "last.pt", "resume-differs"),
    ),
    "a run and a list that was changed": (
        lambda: (without_last("train.txt"), [*DEEPLAB, "--resume"])[1], 2,
        ("3 pictures with the hash", "4 pictures with the hash", "last.pt", "resume-differs"),
    ),
}  # fmt: skip


def resized_pictures() -> None:
    for path in Path("voc/JPEGImages").iterdir():
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)


def quick_copy(source: str, target: str) -> None:
    """Link a checkpoint, which is only ever replaced, and copy everything else."""
    (os.link if source.endswith(".pt") else shutil.copy2)(source, target)


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files of results; a log may say what was tried, and the versions of the machine are noted anew."""
    kept = ("log.txt", "environment.json", "LOCK")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in kept)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_belong_together_is_refused_with_both_values(
    case: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line, code, words = CASES[case]
    shutil.copytree(made, tmp_path / "here", copy_function=quick_copy)
    monkeypatch.chdir(tmp_path / "here")
    arguments = line()
    before = snapshot(Path())
    assert main(arguments) == code
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    for word in words:
        assert word in errors, errors
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    "line",
    [[*TRAIN, "--resume"], [*DEEPLAB, "--resume"], LABEL, PREDICT],
    ids=["train", "deeplab-train", "pseudo-label", "predict"],
)
def test_what_belongs_together_goes_on(
    line: list[str], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "here", copy_function=quick_copy)
    monkeypatch.chdir(tmp_path / "here")
    assert main(line) == 0
