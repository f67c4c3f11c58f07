"""The files in examples/ are valid, and fit the layouts that their comments describe."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from s4cli.main import main
from tests.pipelines.chain.tiny_chain import write_data, write_mask, write_picture

EXAMPLES = Path(__file__).parent.parent / "examples"


def write_salient() -> None:
    """salient/images, salient/train.json and salient/val.json."""
    write_data(Path("other"))
    Path("salient").mkdir()
    shutil.move("other/salient", "salient/images")
    for split in ("train", "val"):
        shutil.copy("other/salient.json", f"salient/{split}.json")


def write_voc(folder: Path, train: str, keywords: dict[str, str], val: Iterable[str]) -> None:
    """Pictures, lists with keywords from `Main`, and masks of `val`."""
    for name in (*keywords, *val):
        write_picture(folder / "JPEGImages" / f"{name}.jpg")
    for name in val:
        write_mask(folder / "SegmentationClass" / f"{name}.png")
    for kind in ("Main", "Segmentation"):
        (folder / "ImageSets" / kind).mkdir(parents=True)
    (folder / "ImageSets" / "Segmentation" / f"{train}.txt").write_text("\n".join(keywords))
    (folder / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(val))
    for word in set(keywords.values()):
        lines = [f"{name} {1 if keywords[name] == word else -1}\n" for name in keywords]
        (folder / "ImageSets" / "Main" / f"{word}_train.txt").write_text("".join(lines))


def planned(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """The stages of an example's plan, and the pictures of each."""
    shutil.copy(EXAMPLES / f"{name}.toml", ".")
    code = main(["run", f"{name}.toml", "--dry-run", "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return {stage["stage"]: stage["pictures"] for stage in json.loads(captured.out)["stages"]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.run._own_paces", dict)
    monkeypatch.setattr("pipelines.networks.trunk_places.asked_size", lambda name: 98.0)
    write_salient()


def test_own_pictures_in_a_folder_for_each_class(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("apple/a", "apple/b", "pear/c"):
        write_picture(Path("pictures") / f"{name}.jpg")
    assert planned("own-pictures", capsys) == {"train": 2, "pseudo-label": 3, "deeplab-train": 3}


def test_animals_in_two_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    write_voc(Path("animals"), "train", {"a": "cat", "b": "dog"}, ["c"])
    Path("animals/classes.txt").write_text("bird\ncat\ndog\nhorse\nperson\nsheep\n")
    one_round = {"pseudo-label": 2, "deeplab-train": 2, "evaluate": 1}
    expected = {f"{stage}-{number}": count for number in (1, 2) for stage, count in one_round.items()}
    assert planned("animals", capsys) == {"train": 2, **expected}


def test_voc_and_imagenet_are_two_folders(capsys: pytest.CaptureFixture[str]) -> None:
    write_voc(Path("VOCdevkit/VOC2012"), "train_aug", {"2008_1": "cat", "2008_2": "dog"}, ["2008_3"])
    for name in ("n02084071/x", "n00000000/no_class_of_voc"):
        write_picture(Path("imagenet") / f"{name}.JPEG")
    assert planned("voc-imagenet", capsys) == {"train": 2, "pseudo-label": 3, "deeplab-train": 3, "evaluate": 1}
