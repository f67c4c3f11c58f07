"""Pictures of cats and dogs, stores that hold them, and networks that know them, for tests of addresses."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import Keywords
from pipelines.engine.checkpoint import save_checkpoint
from pipelines.events import Events
from pipelines.labels import picture_work
from pipelines.networks import load
from pipelines.pseudo_label import pseudo_label
from pipelines.stores import address
from s4net.instances import Instances
from tests.pipelines.stores.store_of_tests import copy_in, empty_stores, files_in

SIZE = (12, 16)
N = 40
WAYS = ["memory://data", "flaky://data", "local://{root}/elsewhere"]


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


def make_data(parent: Path) -> Path:
    """Pictures of dark cats and red dogs, with both keywords in the last ones, in folders and with a table."""
    root = parent / "data"
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
    save_checkpoint(root / "weights.pt", {"kind": "s4net", "model": {"w": torch.ones(2)}})
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
    found = files_in(protocol, f"/{key}/{inside}")
    return {name: content for name, content in found.items() if name != "report.html"}  # as in `on_disk`


def on_disk(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "report.html"]  # it tells the time
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def label(place: str | Path, out: str = "labels", **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "images": f"{place}/images", "weights": f"{place}/weights.pt", "keywords": f"{place}/keywords.csv",
        "classes": f"{place}/classes.txt", "out": f"{place}/{out}", "device": "cpu", "assign": "graph",
        "recognise": "off", "workers": 1,
    }  # fmt: skip
    return pseudo_label(PseudoLabelConfig(**(settings | changes)), Events(io.StringIO()))


def without_places(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the note of where the pictures lie."""
    return {name: content for name, content in files.items() if name != "pictures.json"}


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
    return make_data(tmp_path)
