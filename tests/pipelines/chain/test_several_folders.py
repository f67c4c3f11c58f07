"""A chain on several folders of pictures, and one whose classes the keywords name."""

import io
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import RunConfig, resolve
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import read_json
from pipelines.run import run
from tests.pipelines.chain.tiny_chain import TABLES, FakeStages, write_chain, write_picture

ONE = 'images = "{data}/JPEGImages"'
TWO = 'images = ["{data}/JPEGImages", "{data}/more"]'
LABELLED = [f"p{number}" for number in range(4)]


class Chain:
    """A chain of fake stages whose pictures `p2` and `p3` lie in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.stages = FakeStages()
        self.write(ONE)

    def write(self, images: str, *changes: tuple[str, str]) -> None:
        tables = TABLES.replace(ONE, images)
        for old, new in changes:
            tables = tables.replace(old, new)
        self.file = write_chain(self.folder, tables=tables)

    def part(self) -> None:
        (self.data / "more").mkdir()
        for name in ("p2", "p3"):
            (self.data / "JPEGImages" / f"{name}.jpg").rename(self.data / "more" / f"{name}.jpg")

    def result(self, **flags: Any) -> dict[str, Any]:
        config = resolve(RunConfig, self.file, {"file": self.file, **flags})
        return run(config, Events(io.StringIO()), self.stages.functions(), paces={})

    def __call__(self, **flags: Any) -> list[dict[str, Any]]:
        stages: list[dict[str, Any]] = self.result(**flags)["stages"]
        return stages


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_labels_and_training_take_all_folders(chain: Chain) -> None:
    chain.part()
    chain.write(TWO)
    assert [stage["pictures"] for stage in chain(dry_run=True)] == [2, 4, 4, 2]
    assert [stage["action"] for stage in chain()] == ["ran"] * 4
    labels, deeplab = chain.stages.calls[1:3]
    assert labels.images == deeplab.images == (chain.data / "JPEGImages", chain.data / "more")
    assert [stage["action"] for stage in chain()] == ["skipped"] * 4


def test_pictures_that_moved_to_a_second_folder_are_the_same_pictures(chain: Chain) -> None:
    chain()
    chain.part()
    chain.write(TWO)
    assert [stage["action"] for stage in chain()] == ["skipped"] * 4
    write_picture(chain.data / "more" / "p3.jpg", (60, 80))  # another size in bytes
    assert [stage["action"] for stage in chain()] == [
        "skipped",
        "ran",
        "ran",
        "skipped",
    ]  # the fake network is the same


def test_faults_of_every_folder_are_found(chain: Chain) -> None:
    chain.part()
    chain.write(TWO)
    (chain.data / "more" / "p3.jpg").write_bytes(b"no picture")
    (fault,) = chain.result(dry_run=True)["faults"]  # labelling leaves the picture out
    assert (fault["stage"], fault["rule"]) == ("pseudo-label", "image-format")
    assert str(Path("more", "p3.jpg")) in fault["message"]
    write_picture(chain.data / "more" / "p0.jpg")
    with pytest.raises(InputError, match=r"JPEGImages/p0\.jpg and .*more/p0\.jpg.*\[image-id-twice\]"):
        chain(dry_run=True)
    chain.write(TWO, ("[deeplab-train]", '[deeplab-train]\nrun = "{data}/more/run"'))
    with pytest.raises(ConfigError, match=r"inside the pictures .*more.*\[chain-place\]"):
        chain(dry_run=True)


@pytest.mark.parametrize("classes", ["", 'classes = "auto"'])
def test_classes_named_by_keywords_go_through_the_chain(classes: str, chain: Chain) -> None:
    (chain.data / "keywords.csv").write_text("image,keywords\np0,pear\np1,apple\np2,apple;pear\np3,pear\n")
    chain.write(ONE, ("[pseudo-label]", f"[pseudo-label]\n{classes}"))
    assert [stage["pictures"] for stage in chain(dry_run=True)] == [2, 4, 4, 2]
    chain()
    assert read_json(chain.folder / "chain" / "labels" / "manifest.json")["classes"] == ["apple", "pear"]
    assert chain.stages.calls[3].classes == ("auto" if classes else None)
    assert [stage["action"] for stage in chain()] == ["skipped"] * 4
    (chain.data / "keywords.csv").write_text("image,keywords\np0,pear\np1,apple\np2,apple;kiwi\np3,pear\n")
    assert [stage["action"] for stage in chain()] == ["skipped", "ran", "ran", "ran"]
