"""`s4 pseudo-label` on several folders, in shards, and with classes that the keywords name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.label_folder import open_labels
from pipelines.errors import ConfigError, InputError
from tests.pipelines.test_pseudo_label import MIXED, FakeS4Net, files_of, make_pictures, net, records_of, run

__all__ = ["net"]  # a fixture


def move_half(root: Path, number: int) -> dict[str, Any]:
    """Move the pictures from this number on into a second folder; returns the settings for both folders."""
    (root / "more").mkdir()
    for path in sorted((root / "images").iterdir())[number:]:
        path.rename(root / "more" / path.name)
    return {"images": [root / "images", root / "more"]}


def test_two_folders_give_the_bytes_of_one(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, "whole")
    both = move_half(tmp_path, 4)
    run(tmp_path, **both)
    whole, parts = files_of(tmp_path / "whole"), files_of(tmp_path / "labels")
    notes = [json.loads(files.pop("pictures.json")) for files in (whole, parts)]
    assert parts == whole
    folders = [str(tmp_path / name) for name in ("images", "more")]
    assert notes == [{"images": folders[0]}, {"images": folders}]
    for shard in (1, 2, 1, 2):  # graph needs each shard twice
        run(tmp_path, "shards", shard=f"{shard}/2", **both)
    shards = files_of(tmp_path / "shards")
    del shards["pictures.json"]
    assert shards == whole
    turned = {"images": both["images"][::-1]}
    assert run(tmp_path, **turned)["images"] == 7  # the order of the folders makes no other labels


def test_each_folder_may_have_its_keywords_and_none_may_hold_the_labels(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0, 1], ["cat", "dog"])
    both = move_half(tmp_path, 1)
    tables = []
    for name, line in (("images", "p0,cat"), ("more", "p1,dog")):
        (tmp_path / f"{name}.csv").write_text(f"image,keywords\n{line}\n")
        tables.append(str(tmp_path / f"{name}.csv"))
    run(tmp_path, keywords=tables, **both)
    assert [(one["file_name"], one["keywords"]) for one in records_of(tmp_path / "labels")] == [
        ("p0.png", ["cat"]),
        ("p1.png", ["dog"]),
    ]
    with pytest.raises(ConfigError, match=r"--keywords: 2 given with 1 --images, one for each or one for all.*value\]"):
        run(tmp_path, keywords=tables)
    with pytest.raises(ConfigError, match=r"lies among the pictures of .*more.*\[out-inside\]"):
        run(tmp_path, "more/labels", **both)


def test_names_of_folders_become_the_classes_of_the_manifest(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0, 1], ["-", "-"])
    for number, name in ((0, "pear"), (1, "Apple")):
        (tmp_path / "images" / name).mkdir()
        (tmp_path / "images" / f"p{number}.png").rename(tmp_path / "images" / name / f"p{number}.png")
    for out, classes in (("labels", "auto"), ("unset", None)):
        run(tmp_path, out, keywords="auto", classes=classes)
        folder = open_labels(tmp_path / out, "pseudo", None)
        assert (folder.classes.names, folder.classes.indices) == (("Apple", "pear"), (1, 2))
        assert folder.manifest["classes"] == ["Apple", "pear"]
        assert set(np.unique(folder.read_label("pear/p0"))) <= {0, 2, 255}
    assert files_of(tmp_path / "labels") == files_of(tmp_path / "unset")


@pytest.mark.parametrize(("asked", "warns"), [("imagenet", True), ("auto", False)])
def test_own_classes_are_not_recognised_and_that_is_told(
    asked: str, warns: bool, tmp_path: Path, net: FakeS4Net, capsys: pytest.CaptureFixture[str]
):
    make_pictures(tmp_path, [0, 1], ["apple", "pear"])
    run(tmp_path, classes="auto", recognise=asked, dry_run=True)
    unknown = "ImageNet's classifier does not know apple, pear"
    lines = capsys.readouterr().err.splitlines()
    line = f"warning: --recognise imagenet: {unknown}; their instances are not checked"
    assert (line in lines) == warns
    assert (f"--recognise: off, because {unknown}" in lines) != warns


def test_labelling_again_says_so_and_one_file_alone_says_where_the_pictures_lie(tmp_path: Path, net, capsys):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path), run(tmp_path)
    assert capsys.readouterr().err.count(f"{tmp_path / 'labels'}: all 7 pictures were labelled before\n") == 1
    texts = {path.name: path.read_text() for path in (tmp_path / "labels").glob("*.json*")}
    placed = {name: json.loads(text) for name, text in texts.items() if str(tmp_path) in text}
    assert placed == {"pictures.json": {"images": str(tmp_path / "images")}}


@pytest.mark.parametrize("lost", ["file_name", "instances", "rejected", "missing"])
def test_a_damaged_record_of_a_shard_is_told_and_nothing_is_merged(tmp_path: Path, net: FakeS4Net, lost: str):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, out="shards", shard="1/2")
    journal = tmp_path / "shards/records-1-of-2.jsonl"
    first, *others = map(json.loads, journal.read_text().splitlines())
    del first[lost]
    journal.write_text("".join(f"{json.dumps(record)}\n" for record in (first, *others)))
    with pytest.raises(InputError, match=rf"records\.jsonl: KeyError .*{lost}.*\[records-damaged\]"):
        run(tmp_path, out="shards", shard="2/2")
    assert not any((tmp_path / "shards" / name).exists() for name in ("manifest.json", "records.jsonl"))
