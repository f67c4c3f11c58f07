"""Pictures, keywords, weights and results at addresses: the same bytes as from disk and to disk."""

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import predict, pseudo_label
from pipelines.config import PredictConfig, PseudoLabelConfig
from pipelines.data import part_journal
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.part_journal import PartJournal
from pipelines.data.rle import encode_masks
from pipelines.engine.checkpoint import load_checkpoint, save_checkpoint
from pipelines.errors import InputError, MachineError
from pipelines.events import Events
from pipelines.labels import picture_work
from pipelines.networks import load
from pipelines.stores import address
from pipelines.stores.paths import to_path
from s4cli.main import main
from s4net.instances import Instances
from tests.pipelines.stores.store_of_tests import FlakyStore, copy_in, empty_stores, files_in

SIZE = (12, 16)
N = 40
WAYS = ["memory://data", "flaky://data", "local://{root}/elsewhere"]

_flush = PartJournal.flush


class Killed(BaseException):
    """Ends a run as a kill would, past every handler of errors."""


class Networks:
    """S4Net that finds the right half of every picture, and attention whose first feature is the picture's red."""

    unit = 1.0

    def __init__(self) -> None:
        self.calls = 0
        self.before: Callable[[int], None] = lambda call: None

    def __call__(self, picture: np.ndarray) -> Instances:
        self.before(self.calls)
        self.calls += 1
        mask = torch.zeros(1, *SIZE, dtype=torch.bool)
        mask[:, :, 8:] = True
        return Instances(torch.tensor([[8.0, 0, 16, 12]]), torch.tensor([0.9]), mask)

    def look(self, picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        features = np.zeros((4, 1, 1), np.float32)
        features[0] = picture[0, 0, 0] / 255
        return np.zeros((len(keywords), 1, 1), np.float32), features


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(address, "_PAUSE", 0.0)
    with empty_stores():
        yield


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    fake = Networks()
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)
    monkeypatch.setattr(picture_work, "open_attention", lambda *_: fake)
    return fake


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures of dark cats and red dogs, with both keywords in the last ones, in folders and with a table."""
    root = tmp_path / "data"
    rows = ["image,keywords"]
    for number in range(N):
        several, dog = number >= 30, number % 2 == 1
        pixels = np.full((*SIZE, 3), (200 if dog else 40, number * 6, 0), np.uint8)
        name = f"{'dog' if dog else 'cat'}/p{number:02d}"
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        rows.append(f"{name},{'cat;dog' if several else name[:3]}")
    (root / "keywords.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.txt").write_text("cat\ndog\n")
    (root / "weights.pt").write_bytes(b"weights")
    return root


def store_of(way: str, data: Path) -> str:
    """Copy the data to where an address leads; return the address of their folder."""
    place = way.format(root=data.parent)
    if place.startswith("local://"):
        key = place.removeprefix("local://")
        fsspec.filesystem("file").put(str(data) + "/", key + "/", recursive=True)
    else:
        copy_in(data, place.partition(":")[0], "/data")
    return place


def there(place: str, inside: str) -> dict[str, bytes]:
    """Return the files that lie below an address."""
    protocol, _, key = place.partition("://")
    if protocol == "local":
        return on_disk(Path(key, inside))
    return files_in(protocol, f"/{key}/{inside}")


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def label(place: str | Path, out: str = "labels", **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "images": f"{place}/images", "weights": f"{place}/weights.pt", "keywords": f"{place}/keywords.csv",
        "classes": f"{place}/classes.txt", "out": f"{place}/{out}", "device": "cpu", "assign": "graph",
        "recognise": "off", "workers": 1,
    }  # fmt: skip
    return pseudo_label.pseudo_label(PseudoLabelConfig(**(settings | changes)), Events(io.StringIO()))


def without_places(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the note of where the pictures lie."""
    return {name: content for name, content in files.items() if name != "pictures.json"}


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
    assert pseudo_label.pseudo_label(config, Events(stream))["labelled"] == N
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


def test_a_dry_run_elsewhere_counts_and_writes_nothing(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    before = there(place, "")
    result = label(place, dry_run=True, assign="single", cells="off", weights="builtin")
    assert (result["images"], result["to_label"], result["disk"]["free_bytes"]) == (N, N, None)
    assert there(place, "") == before


class FakeDeepLab:
    """Says dog on the right half of a picture, and cat elsewhere."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.classes, self.calls, self.die_at = ClassList.from_names(["cat", "dog"]), 0, -1

    def probabilities(self, picture: np.ndarray, scales: tuple[float, ...], flip: bool) -> np.ndarray:
        if self.calls == self.die_at:
            raise Killed
        self.calls += 1
        result = np.zeros((3, *picture.shape[:2]), np.float32)
        result[1, :, :8] = result[2, :, 8:] = 1
        return result


@pytest.fixture
def deeplab(monkeypatch: pytest.MonkeyPatch, data: Path) -> FakeDeepLab:
    fake = FakeDeepLab()
    monkeypatch.setattr(load, "load_deeplab", lambda weights, **_: fake)
    for kind in ("deeplab", "s4net"):
        save_checkpoint(data / f"{kind}.pt", {"kind": kind})
    return fake


def predicted(place: str | Path, out: str = "out", kind: str = "deeplab", images: str = "images") -> dict[str, Any]:
    config = PredictConfig(
        images=(to_path(f"{place}/{images}"),), weights=to_path(f"{place}/{kind}.pt"), out=to_path(f"{place}/{out}")
    )
    return predict.predict(config, Events(io.StringIO()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
@pytest.mark.parametrize("images", ["images", "images/dog/*1.png"])
def test_predictions_are_the_same_bytes_elsewhere(
    data: Path, networks: Networks, deeplab: FakeDeepLab, way: str, kind: str, images: str
) -> None:
    place = store_of(way, data)
    here, result = predicted(data, kind=kind, images=images), predicted(place, kind=kind, images=images)
    assert here["written"] == result["written"] == (N if images == "images" else 4)
    assert there(place, "out") == on_disk(data / "out")
    calls = deeplab.calls + networks.calls
    predicted(place, kind=kind, images=images)
    assert deeplab.calls + networks.calls == calls


def test_predictions_go_on_after_a_kill(data: Path, deeplab: FakeDeepLab) -> None:
    place = store_of("flaky://data", data)
    predicted(data)
    deeplab.calls, deeplab.die_at = 0, 7
    with pytest.raises(Killed):
        predicted(place)
    deeplab.die_at = -1
    predicted(place)
    assert deeplab.calls == N and there(place, "out") == on_disk(data / "out")


def test_weights_are_read_from_an_address(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt", {"kind": "deeplab", "model": {"w": torch.ones(2)}})
    copy_in(tmp_path, "memory", "/b")
    content = load_checkpoint(to_path("memory://b/run/checkpoints/best.pt"))
    assert content["model"]["w"].tolist() == [1, 1]
    with pytest.raises(InputError, match=r"memory://b/none\.pt: no such file.*\[weights-missing\]"):
        load_checkpoint(to_path("memory://b/none.pt"))


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("pseudo-label memory://b/pics --weights builtin", 3, r"--images memory://b/pics: no such folder"),
        ("predict memory://b/x.png --weights builtin", 3, r"--images memory://b/x\.png: no such picture"),
        ("predict nonsense://b/x.png --weights builtin", 2, r"\[address-protocol\]"),
        ("predict p --weights builtin --out simplecache::memory://b", 2, r"\[address-cached\]"),
        ("train --images memory://b --annotations a", 2, r"--images: the address memory://b given.*unsupported\]"),
        ("deeplab-train --run memory://b", 2, r"--run: the address memory://b given.*\[address-unsupported\]"),
        ("evaluate --voc memory://b --weights w", 2, r"--voc: the address memory://b given.*\[address-unsupported\]"),
        ("train --images ftp://u:s3cret@h/x --annotations a", 2, r"the address ftp://\*\*\*@h/x given"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    line: str, code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    assert main(line.split()) == code
    error = capsys.readouterr().err
    assert re.search(told, error) and "s3cret" not in error and "Traceback" not in error


def test_a_chain_refuses_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('[pseudo-label]\nimages = "memory://b/pics"\n')
    assert main(["run", str(tmp_path / "c.toml")]) == 2
    assert "[pseudo-label] images: the address memory://b/pics given" in capsys.readouterr().err


def test_addresses_in_a_settings_file_do_not_lead_from_its_folder(
    data: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = store_of("memory://data", data)
    monkeypatch.chdir(data)
    (data / "s4.toml").write_text(
        f'[pseudo-label]\nimages = ["{place}/images"]\nkeywords = "{place}/keywords.csv"\nout = "{place}/labels"\n'
        f'classes = "{place}/classes.txt"\nweights = "weights.pt"\n'
        'assign = "single"\ncells = "off"\nrecognise = "off"\n'
    )
    assert main(["pseudo-label", "--device", "cpu"]) == 0
    assert "manifest.json" in there(place, "labels")
