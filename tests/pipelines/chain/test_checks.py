"""Faults that a dry run finds, on small data and on data as large as VOC and the paper's part of ImageNet."""

import io
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.checks import check_steps
from pipelines.config import RunConfig, resolve
from pipelines.errors import ConfigError, InputError, MachineError, S4Error
from pipelines.events import Events
from pipelines.networks import trunk_places
from pipelines.run import run
from tests.pipelines.chain.some_step import SomeConfig, SomeStep
from tests.pipelines.chain.tiny_chain import TABLES, Plan, write_chain, write_mask, write_picture
from tests.pipelines.weight_files import write_weights


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path)


FAULTS: dict[str, tuple[Any, list[str]]] = {
    "missing picture": (
        lambda data: (data / "JPEGImages" / "p1.jpg").unlink(),
        ["keywords.csv: picture p1 is not in", "[image-missing]"],
    ),
    "unknown keyword": (
        lambda data: (data / "keywords.csv").write_text("image,keywords\np0,cta\n"),
        ["p0: class 'cta'", "did you mean 'cat'?", "[class-unknown]"],
    ),
    "mask of another size": (
        lambda data: write_mask(data / "SegmentationClass" / "p5.png", (6, 7)),
        ["p5.png: label map is 7x6, expected 8x6", "[label-size]"],
    ),
    "missing mask": (lambda data: (data / "SegmentationClass" / "p5.png").unlink(), ["p5.png", "[image-missing]"]),
    "missing picture of the evaluation": (
        lambda data: (data / "JPEGImages" / "p5.jpg").unlink(),
        ["JPEGImages/p5.jpg: no such picture", "[image-missing]"],
    ),
    "missing salient picture": (lambda data: (data / "salient" / "s0.jpg").unlink(), ["s0.jpg: no such picture"]),
    "salient picture of another size": (
        lambda data: write_picture(data / "salient" / "s0.jpg", (9, 9)),
        ["s0.jpg is listed as 8x6 and is 9x9", "[coco-picture-size]"],
    ),
    "no annotations": (lambda data: (data / "salient.json").unlink(), ["salient.json: no such file"]),
    "no list": (lambda data: (data / "ImageSets/Segmentation/val.txt").unlink(), ["val.txt", "[split-missing]"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(plan: Plan, name: str) -> None:
    plant, words = FAULTS[name]
    plant(plan.data)
    message = plan.fails()
    for word in words:
        assert word in message


TABLE_FAULTS = {
    "voc = ": ("classes = 'animals.txt'\nvoc = ", ["[evaluate] classes", "animals.txt", "[class-list-differs]"]),
    "[deeplab-train]": ("[deeplab-train]\nlist = 'list.txt'", ["list.txt: p4 gets no label", "[label-missing]"]),
    "[deeplab-train]\ntrunk_weights = 'none'": ("[deeplab-train]\ntrunk_weights = 'no.pt'", ["no.pt: no such file"]),
    "[pseudo-label]": ("[pseudo-label]\nweights = 'gone'", ["gone: not found", "[weights-missing]"]),
    "[pseudo-label]\n": ("[pseudo-label]\nsplit = 'train_aug'\n", ["picture px is not in"]),
}


@pytest.mark.parametrize("old", TABLE_FAULTS)
def test_tables_that_do_not_fit_the_data_or_each_other_are_found(
    plan: Plan, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plan.folder)
    Path("animals.txt").write_text("cat\ndog\n")
    Path("list.txt").write_text("p0\np4\n")
    (plan.data / "ImageSets" / "Segmentation" / "train_aug.txt").write_text("p0\npx\n")
    new, words = TABLE_FAULTS[old]
    write_chain(plan.folder, tables=TABLES.replace('"none"', "'none'").replace(old, new))
    message = plan.fails()
    for word in words:
        assert word in message


def test_all_faults_are_told_and_the_first_is_the_error(plan: Plan) -> None:
    rows = "".join(f"p0,wrong{i:02d}\n" for i in range(30))
    (plan.data / "keywords.csv").write_text(f"image,keywords\np1,cat\n{rows}")
    write_mask(plan.data / "SegmentationClass" / "p5.png", (6, 7))
    with pytest.raises(InputError, match=r"pseudo-label: .*'wrong00'.*\[class-unknown\]") as caught:
        plan()
    rules = [error.rule for error in (caught.value, *caught.value.others)]
    assert rules == ["class-unknown"] * 30 + ["label-size"]
    assert caught.value.others[-1].message.startswith("evaluate: ")


def test_before_the_work_a_score_of_faults_is_shown(plan: Plan) -> None:
    rows = "".join(f"p0,wrong{i:02d}\n" for i in range(30))
    (plan.data / "keywords.csv").write_text(f"image,keywords\np1,cat\n{rows}")
    told = io.StringIO()
    config = resolve(RunConfig, plan.file, {"file": plan.file})
    with pytest.raises(InputError, match=r"'wrong00'.*\(30 faults in all\) \[class-unknown\]"):
        run(config, Events(told))
    lines = told.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("warning: pseudo-label:")]) == 19
    assert lines[-1] == "warning: 10 more faults are not shown"


BROKEN = {
    "text": (lambda path: path.write_bytes(b"x"), "image-format"),
    "empty": (lambda path: path.write_bytes(b""), "image-damaged"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "image-damaged"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_pictures_that_labelling_would_leave_out_are_listed_and_counted(plan: Plan, kind: str) -> None:
    write_picture(plan.data / "JPEGImages" / "p1.jpg", (60, 80))
    break_it, rule = BROKEN[kind]
    for name in ("p1", "p2"):
        break_it(plan.data / "JPEGImages" / f"{name}.jpg")
    (plan.data / "JPEGImages" / "p9.jpg").symlink_to("nowhere")
    result = plan.result()
    assert result["failed"] == 2
    faults = [(fault["stage"], fault["rule"]) for fault in result["faults"]]
    assert faults == [("pseudo-label", rule)] * 2 + [("", "left-out")]
    assert "p1.jpg" in result["faults"][0]["message"] and "p2.jpg" in result["faults"][1]["message"]
    assert "p9.jpg (a link that leads nowhere)" in result["faults"][2]["message"]


def test_a_picture_that_was_cut_off_stops_a_training(plan: Plan) -> None:
    write_picture(plan.data / "salient" / "s1.jpg")
    path = plan.data / "salient" / "s0.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    assert "s0.jpg: picture is damaged" in plan.fails()


def test_without_any_usable_picture_labelling_would_stop(plan: Plan) -> None:
    for number in range(4):
        (plan.data / "JPEGImages" / f"p{number}.jpg").write_bytes(b"x")
    message = plan.fails()
    assert "none of 4 pictures with keywords can be read" in message.splitlines()[0]
    assert message.count("[image-format]") == 4


def test_weights_of_every_trunk_are_looked_for(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(trunk_places, "asked_size", lambda name: asked.append(name))
    tables = TABLES.replace('"none"', '"imagenet"').replace("[train]", "[train]\ntrunk = 'resnet50'")
    write_chain(plan.folder, tables=tables.replace("[deeplab-train]", "[deeplab-train]\nnetwork = 'vgg16'"))
    with pytest.raises(MachineError) as caught:
        plan(rounds=2)
    faults = [caught.value, *caught.value.others]
    assert [fault.message.split(":")[0] for fault in faults] == ["train", "deeplab-train-1"]
    assert all("no connection to download them" in fault.message for fault in faults)
    assert asked == ["resnet50.tv_in1k", "vgg16.tv_in1k"]  # each once, in two rounds
    monkeypatch.setattr(trunk_places, "asked_size", lambda name: 98.0)
    weights = {line["network"]: line["weights"] for line in plan.result()["weights"]}
    assert weights["resnet50"] == weights["vgg16"] == "not here, to be downloaded, 98 MB"
    assert weights["efficientnet_lite0"] == "here, in an installed package"


def test_a_disk_without_room_is_told_of(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.chain.dry_run.free_bytes", lambda folder: 1000)
    with pytest.raises(MachineError) as caught:
        plan()
    told = [str(fault) for fault in (caught.value, *caught.value.others)]
    assert [line.split(":")[0] for line in told] == ["train", "pseudo-label", "deeplab-train"]
    assert all("0 MB are free" in line and line.endswith("[disk-full]") for line in told)


def test_rounds_do_not_repeat_a_fault(plan: Plan) -> None:
    write_mask(plan.data / "SegmentationClass" / "p5.png", (6, 7))
    assert plan.fails(rounds=3).count("[label-size]") == 1


def test_folders_without_a_class_are_told_of(plan: Plan) -> None:
    for name in ("cat/a", "dogg/b"):
        write_picture(plan.folder / "pictures" / f"{name}.jpg")
    tables = TABLES.replace("{data}/JPEGImages", f"{plan.folder}/pictures")
    write_chain(plan.folder, tables=tables.replace('keywords = "{data}/keywords.csv"', ""))
    assert "[keywords-unplaced]" in plan.fails()
    write_chain(plan.folder, tables=tables.replace('keywords = "{data}/keywords.csv"', "allow_unplaced = true"))
    assert plan()[1]["pictures"] == 1
    words = "1 of 2 pictures are in folders that name no class of the list (dogg 1, did you mean dog?)"
    assert f"warning: {plan.folder}/pictures: {words}; they are left out" in plan.told


def test_labels_that_were_there_before_are_checked(plan: Plan) -> None:
    given = f"[deeplab-train]\nimages = '{plan.data}/JPEGImages'\nlabels = '{plan.data}/SegmentationClass'\n"
    write_chain(plan.folder, tables=given + "labels_are = 'ground-truth'\n")
    assert plan()[0]["pictures"] == 2
    write_mask(plan.data / "SegmentationClass" / "p5.png", (6, 7))
    assert "[label-size]" in plan.fails()
    write_chain(plan.folder, tables=given)
    assert "[labels-unmarked]" in plan.fails()


def test_a_foreign_run_is_told_of_before_anything_is_done(plan: Plan) -> None:
    (plan.out / "s4net").mkdir(parents=True)
    (plan.out / "s4net" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"\[run-foreign\]"):
        plan()


@dataclass(frozen=True)
class InformingStep(SomeStep):
    informs_later_checks = True


def test_a_step_that_is_not_asked_about_only_informs(tmp_path: Path) -> None:
    informing, other, asked = (
        cls(name, 1, SomeConfig())
        for cls, name in ((InformingStep, "informing"), (SomeStep, "other"), (SomeStep, "asked"))
    )
    found = check_steps([asked], Events(io.StringIO()), [informing, other, asked])
    assert [fault.step for fault in found.faults] == ["asked"]
    assert [found.seen[name].pictures for name in ("informing", "other", "asked")] == [5, None, 5]


class LargeTree:
    """VOC 2012 with SBD's list and ImageNet's part in folders of synsets: true counts, and pictures of 8 x 6 pixels."""

    def __init__(self, folder: Path, n_train: int, n_val: int, n_imagenet: int) -> None:
        self.voc, self.imagenet = folder / "VOC2012", folder / "imagenet"
        write_picture(folder / "picture.jpg")
        write_mask(folder / "mask.png")
        self.jpeg, self.png = (folder / "picture.jpg").read_bytes(), (folder / "mask.png").read_bytes()
        names = [f"2008_{i:06d}" for i in range(n_train + n_val)]
        lists = {"train_aug": names[:n_train], "val": names[n_train:]}
        self.fill(self.voc / "JPEGImages", (f"{name}.jpg" for name in names), self.jpeg)
        self.fill(self.voc / "SegmentationClass", (f"{name}.png" for name in lists["val"]), self.png)
        (self.voc / "ImageSets" / "Segmentation").mkdir(parents=True)
        for split, ids in lists.items():
            (self.voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(ids))
        rows = [f"{name},{('cat', 'dog;person', 'bird')[i % 3]}" for i, name in enumerate(lists["train_aug"])]
        (self.voc / "keywords.csv").write_text("\n".join(["image,keywords", *rows]))
        synsets = [f"n{number:08d}" for number in range(2084071, 2084321)]  # as many as in ImageNet; all dogs
        for number, synset in enumerate(synsets):
            count = len(range(number, n_imagenet, len(synsets)))
            self.fill(self.imagenet / synset, (f"{synset}_{i}.JPEG" for i in range(count)), self.jpeg)

    @staticmethod
    def fill(folder: Path, names: Any, content: bytes) -> None:
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_bytes(content)

    def tables(self, folder: Path) -> str:
        write_weights(folder / "weights.pt")
        return (
            f"[pseudo-label]\nimages = '{self.voc}/JPEGImages'\nkeywords = '{self.voc}/keywords.csv'\n"
            f"split = 'train_aug'\nweights = '{folder}/weights.pt'\n[deeplab-train]\n[evaluate]\nvoc = '{self.voc}'\n"
        )


def check_large_tree(tmp_path: Path, n_train: int, n_val: int, n_imagenet: int, seconds: float) -> None:
    """Plans both labellings, then plants a fault of each kind and sees that it is found."""
    tree, plan = LargeTree(tmp_path, n_train, n_val, n_imagenet), Plan(tmp_path)
    tables = tree.tables(tmp_path)
    write_chain(tmp_path, tables=tables)
    start = time.process_time()
    assert [s["pictures"] for s in plan()] == [n_train, n_train, n_val]
    imagenet = f"[pseudo-label]\nimages = '{tree.imagenet}'\nweights = '{tmp_path}/weights.pt'\n"
    write_chain(tmp_path, tables=imagenet)
    assert [s["pictures"] for s in plan()] == [n_imagenet]
    assert time.process_time() - start < seconds
    write_chain(tmp_path, tables=tables)
    os.remove(tree.voc / "JPEGImages" / "2008_000004.jpg")
    table = tree.voc / "keywords.csv"
    table.write_text(table.read_text().replace("2008_000007,dog;person", "2008_000007,dog;preson"))
    write_mask(tree.voc / "SegmentationClass" / f"2008_{n_train:06d}.png", (7, 8))
    message = plan.fails()
    assert "picture 2008_000004 is not in" in message
    assert "2008_000007: class 'preson': unknown" in message
    assert "did you mean 'person'?" in message
    assert f"2008_{n_train:06d}.png: label map is 8x7, expected 8x6" in message
    assert sum(line.endswith("]") for line in message.splitlines()) == 3


def test_each_planted_fault_is_found_in_a_tree_like_that_of_the_paper(tmp_path: Path) -> None:
    check_large_tree(tmp_path, 60, 20, 300, seconds=60)


@pytest.mark.slow
def test_each_planted_fault_is_found_at_full_size_within_a_minute(tmp_path: Path) -> None:
    check_large_tree(tmp_path, 10_582, 1_449, 24_000, seconds=60)


def test_errors_of_the_plan_are_errors_for_the_user(plan: Plan) -> None:
    plan.file.write_text("[train]\nimages = 'x'\nannotations = 'y'\n[evaluate]\nvoc = 'z'\nforeground = true\n")
    with pytest.raises(S4Error):
        plan()
