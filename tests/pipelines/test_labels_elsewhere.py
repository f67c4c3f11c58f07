"""Labels of pictures at addresses, written to addresses: the same bytes as from disk and to disk."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data import part_journal
from pipelines.data.images import find_images
from pipelines.data.keyword_voc import xml_files
from pipelines.data.part_journal import PartJournal
from pipelines.data.rle import encode_masks
from pipelines.errors import MachineError
from pipelines.events import Events
from pipelines.pseudo_label import pseudo_label
from pipelines.stores.paths import to_path
from tests.pipelines.elsewhere import (
    SIZE,
    WAYS,
    Killed,
    N,
    Networks,
    data,
    label,
    networks,
    on_disk,
    store_of,
    stores,
    there,
    without_places,
)
from tests.pipelines.stores.store_of_tests import FlakyStore

_flush = PartJournal.flush


__all__ = ["data", "networks", "stores"]  # fixtures


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_labels_of_two_passes_are_the_same_bytes_elsewhere(data: Path, networks: Networks, way: str) -> None:
    place = store_of(way, data)
    result = label(data)
    assert (result["labelled"], result["failed"]) == (N, 0)
    result = label(place)
    assert (result["labelled"], result["failed"], result["out"]) == (N, 0, f"{place}/labels")
    here = on_disk(data / "labels")
    assert {"manifest.json", "records.jsonl", "cues/cat/p00.npz", "labels/dog/p39.png"} <= here.keys()
    assert without_places(there(place, "labels")) == without_places(here)
    assert json.loads(there(place, "labels")["pictures.json"]) == {"images": f"{place}/images"}
    calls = networks.calls
    assert label(place)["labelled"] == N and networks.calls == calls  # all was there


def test_keywords_of_folders_are_found_elsewhere(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    changes: dict[str, Any] = {"keywords": "auto", "classes": None, "assign": "single", "cells": "off"}
    label(data, **changes)
    label(place, **changes)
    assert without_places(there(place, "labels")) == without_places(on_disk(data / "labels"))


def test_a_file_address_is_a_path_of_this_machine(data: Path, networks: Networks) -> None:
    label(data)
    label(f"file://{data}", out="again")
    assert on_disk(data / "again") == on_disk(data / "labels")


@pytest.mark.parametrize("die_at", [0, 5, 17, N - 1])
def test_after_a_kill_at_most_the_records_that_waited_are_made_again(
    data: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch, die_at: int
) -> None:
    monkeypatch.setattr(part_journal, "_MOST", 4)
    place = store_of("flaky://data", data)
    label(data, assign="single", cells="off")
    networks.calls = 0

    def kill(call: int) -> None:
        if call == die_at:
            networks.before = lambda call: None
            raise Killed

    networks.before = kill
    with monkeypatch.context() as patch:
        # A kill leaves no time to write what waits.
        patch.setattr(PartJournal, "flush", lambda self: None if networks.calls == die_at else _flush(self))
        with pytest.raises(Killed):
            label(place, assign="single", cells="off")
    label(place, assign="single", cells="off")
    # Up to three records wait for a part, and up to five pictures for the thread that writes.
    assert N <= networks.calls <= N + 3 + 5
    assert without_places(there(place, "labels")) == without_places(on_disk(data / "labels"))


@pytest.mark.slow
def test_a_store_that_fails_ends_the_run_which_goes_on_later(data: Path, networks: Networks) -> None:
    place = store_of("flaky://data", data)
    label(data)
    left = [100]

    def fails(question: str, key: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionResetError("network gone")

    FlakyStore.before = staticmethod(fails)
    for more in (60, 120, 240, 480, 10_000, 0):
        try:
            label(place)
            break
        except MachineError as error:
            # The network is at fault, and no picture: none is taken for a failed one.
            assert "network gone" in str(error) and error.rule == "address-failed" and "flaky://data" in error.message
            left[0] = more
            assert not any("failed" in name for name in there(place, "labels"))
    assert without_places(there(place, "labels")) == without_places(on_disk(data / "labels"))
    assert left[0] > 0 and not any(".tmp" in name for name in there(place, "labels"))


def test_which_cues_are_there_is_asked_of_no_single_picture(data: Path, networks: Networks) -> None:
    place, asked = store_of("flaky://data", data), []
    FlakyStore.before = staticmethod(lambda question, key: asked.append((question, "/cues/" in key)))
    assert label(place)["labelled"] == N
    # Cues are read for the lessons of keywords and cells, and for the labels. Each reading asks twice what the file is.
    assert (asked.count(("cat_file", True)), asked.count(("info", True))) == (3 * N, 2 * 3 * N)


def test_a_damaged_picture_elsewhere_is_one_failure(data: Path, networks: Networks) -> None:
    (data / "images" / "cat" / "p00.png").write_bytes(b"no picture")
    place = store_of("memory://data", data)
    result = label(place)
    assert (result["labelled"], result["failed"]) == (N - 1, 1)
    failure = json.loads(there(place, "labels")["failures.jsonl"])
    assert failure["rule"] == "image-format" and failure["message"].startswith("memory://data/images/cat/p00.png: ")


def test_pictures_in_memory_are_for_one_process(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    stream = io.StringIO()
    settings = {"weights": f"{place}/weights.pt", "out": f"{place}/labels", "device": "cpu", "workers": 4}
    config = PseudoLabelConfig(images=(to_path(f"{place}/images"),), assign="single", cells="off", **settings)
    assert pseudo_label(config, Events(stream))["labelled"] == N
    assert "memory:// is seen by this process alone" in stream.getvalue() and "4 processes" not in stream.getvalue()


@pytest.mark.slow
def test_processes_read_and_write_where_an_address_leads(data: Path) -> None:
    mask = np.zeros((1, *SIZE), bool)
    mask[:, :, 8:] = True
    (rle,) = encode_masks(mask)
    names = sorted(path.relative_to(data / "images").as_posix() for path in (data / "images").rglob("*.png"))
    coco = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "segmentation": rle} for n in range(len(names))],
    }
    (data / "found.json").write_text(json.dumps(coco))
    place = store_of(WAYS[2], data)
    for root, workers in ((str(data), 1), (place, 2)):
        label(root, weights=None, instances=f"{root}/found.json", assign="single", cells="off", workers=workers)
    assert without_places(there(place, "labels")) == without_places(on_disk(data / "labels"))


def test_shards_of_pictures_are_read_where_they_lie(data: Path, networks: Networks) -> None:
    (data / "shards").mkdir()
    with tarfile.open(data / "shards" / "s-000.tar", "w") as archive:
        for path in sorted((data / "images").rglob("*.png")):
            archive.add(path, path.relative_to(data / "images").as_posix())
    place = store_of("flaky://data", data)
    changes: dict[str, Any] = {"keywords": "auto", "assign": "single", "cells": "off"}
    for images in ("shards", "shards/s-000.tar"):
        label(data, **changes, images=f"{data}/{images}", out=f"{images}-labels")
        label(place, **changes, images=f"{place}/{images}", out=f"{images}-labels")
        found = without_places(there(place, f"{images}-labels"))
        assert found == without_places(on_disk(data / f"{images}-labels"))
        assert "labels/s-000/dog/p01.png" in found


@pytest.mark.slow
def test_shards_of_a_run_meet_at_an_address(data: Path, networks: Networks) -> None:
    place = store_of("flaky://data", data)
    label(data)
    found = [label(place, shard=f"{number}/3") for number in (1, 2, 3)]  # the first ones wait for the cues of others
    assert "manifest.json" not in there(place, "labels") and found[0]["labelled"] == 0
    for number in (1, 2):
        label(place, shard=f"{number}/3")
    assert without_places(there(place, "labels")) == without_places(on_disk(data / "labels"))


@pytest.mark.slow
def test_cues_of_an_earlier_round_are_taken_from_an_address(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    label(place)
    calls = networks.calls
    for out in (f"{data}/second", f"{place}/second"):
        label(place, out=out, cues_of=f"{place}/labels", border=1)
    assert networks.calls == calls
    assert without_places(there(place, "second")) == without_places(on_disk(data / "second"))


def test_masks_of_other_programs_are_read_from_an_address(data: Path) -> None:
    for path in sorted((data / "images").rglob("*.png")):
        mask = np.zeros(SIZE, np.uint8)
        mask[2:9, 3:11] = 255
        target = data / "masks" / path.relative_to(data / "images")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)
    place = store_of("memory://data", data)
    for root in (str(data), place):
        label(root, weights=None, instances=f"{root}/masks", assign="single", cells="off")
    assert without_places(there(place, "labels")) == without_places(on_disk(data / "labels"))


def test_voc_xml_is_found_by_one_listing(data: Path, networks: Networks) -> None:
    voc = data / "voc"
    voc.mkdir()
    (data / "images" / "cat").rename(voc / "JPEGImages")
    for path in (voc / "JPEGImages").iterdir():
        xml = voc / "Annotations" / f"{path.stem}.xml"
        xml.parent.mkdir(exist_ok=True)
        xml.write_text("<annotation><object><name>cat</name></object></annotation>")
    place = store_of("flaky://data", data)
    FlakyStore.asked.clear()
    images = find_images(to_path(f"{place}/voc/JPEGImages"))
    files = dict(xml_files(images, to_path(f"{place}/voc/JPEGImages")))
    assert len(files) == N // 2 and str(files["p00"]) == f"{place}/voc/Annotations/p00.xml"
    assert FlakyStore.asked["info"] <= 2 and FlakyStore.asked["find"] == 3


def test_a_dry_run_elsewhere_counts_and_writes_nothing(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    before = there(place, "")
    result = label(place, dry_run=True, assign="single", cells="off", weights="builtin")
    assert (result["images"], result["to_label"], result["disk"]["free_bytes"]) == (N, N, None)
    assert there(place, "") == before
