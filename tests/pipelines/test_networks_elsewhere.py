"""Networks at work on addresses: predictions, a training, weights; and what is refused there."""

import io
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines import predict
from pipelines.config import DeepLabTrainConfig, PredictConfig, PseudoLabelConfig
from pipelines.config.outputs import place_faults
from pipelines.data import part_journal
from pipelines.data.classes import ClassList
from pipelines.deeplab_train import deeplab_train
from pipelines.engine.checkpoint import load_checkpoint, save_checkpoint
from pipelines.engine.ray_nodes import Shared, mark
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.file_errors import free_bytes, require_space
from pipelines.networks import load
from pipelines.stores.paths import to_path
from s4cli.main import main
from tests.pipelines.elsewhere import (
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
)
from tests.pipelines.small_deeplab import small_deeplab
from tests.pipelines.stores.store_of_tests import copy_in
from tests.pipelines.weight_files import write_weights

__all__ = ["data", "networks", "stores"]  # fixtures


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS[:2])
def test_a_deeplab_learns_the_same_from_an_address(data: Path, networks: Networks, way: str) -> None:
    label(data, assign="single", cells="off")
    place = store_of(way, data)
    models = []
    for number, root in enumerate((str(data), place)):
        config = small_deeplab(to_path(f"{root}/images"), to_path(f"{root}/labels"), data / f"run{number}", steps=1)
        deeplab_train(config, Events(io.StringIO()))
        models.append(load_checkpoint(config.run / "checkpoints" / "last.pt")["model"])
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert json.loads((data / "run1" / "config.json").read_text())["labels"] == f"{place}/labels"


def test_a_deeplab_takes_the_pictures_that_labels_at_an_address_were_made_from(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    label(place, assign="single", cells="off")
    found = DeepLabTrainConfig(labels=to_path(f"{place}/labels")).located()
    assert found.images == (to_path(f"{place}/images"),)


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
        write_weights(data / f"{kind}.pt", kind=kind)
    return fake


def predicted(
    place: str | Path, out: str = "out", kind: str = "deeplab", images: str = "images", **changes: Any
) -> dict[str, Any]:
    config = PredictConfig(
        images=(to_path(f"{place}/{images}"),),
        weights=to_path(f"{place}/{kind}.pt"),
        out=to_path(f"{place}/{out}"),
        **({"workers": 1} | changes),
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


@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
def test_shards_of_predictions_meet_at_an_address(
    data: Path, networks: Networks, deeplab: FakeDeepLab, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(part_journal, "_MOST", 4)  # so that each shard has several parts
    place = store_of("flaky://data", data)
    predicted(data, kind=kind)
    for number in (1, 3, 2):
        result = predicted(place, kind=kind, shard=f"{number}/3")
        assert result["written"] == (14 if number == 1 else 13)  # of 40 pictures, every third
        names = there(place, "out")
        assert ("records.jsonl" in names) is (number == 2)  # the last shard completes the folder
        assert any("-of-3." in name for name in names) is (number != 2)
    assert there(place, "out") == on_disk(data / "out")


def test_predictions_in_memory_are_made_by_one_process(data: Path, deeplab: FakeDeepLab) -> None:
    place = store_of("memory://data", data)
    assert predicted(place, workers=4)["written"] == N
    assert deeplab.calls == N  # another process would have none of these calls


@pytest.mark.parametrize("flaw", ["a.bin", "sub/a.bin", None, "notes.txt", ".hidden", "settings.json"])
def test_only_a_folder_of_its_own_is_written_to(data: Path, networks: Networks, flaw: str | None) -> None:
    place = store_of("memory://data", data)
    if flaw is not None:
        to_path(f"{place}/labels/{flaw}").put(b"{}")  # type: ignore[attr-defined]
    before = there(place, "")
    config = PseudoLabelConfig(images=(f"{place}/images",), weights=f"{place}/weights.pt", out=f"{place}/labels")
    faults = [(fault.rule, fault.message.split("(")[-1].split(")")[0]) for fault in place_faults(config)]
    # What marks a folder of labels, notes and hidden files are no obstacle, as on disk.
    expected = {"a.bin": [("out-foreign", "a.bin")], "sub/a.bin": [("out-foreign", "sub")]}
    assert faults == expected.get(flaw or "", [])
    assert there(place, "") == before


def test_an_object_is_no_folder_to_write_to(data: Path, networks: Networks) -> None:
    place = store_of("memory://data", data)
    with pytest.raises(ConfigError, match=r"--out memory://data/weights\.pt: a file, a folder expected.*out-unusable"):
        label(place, out="weights.pt")


def test_a_run_leaves_no_lock_at_an_address(data: Path, networks: Networks) -> None:
    place = store_of("flaky://data", data)
    seen: list[str] = []
    networks.before = lambda call: seen.extend(there(place, "labels"))
    label(place, assign="single", cells="off")
    assert "settings.json" in seen and not any("lock" in name for name in seen)


def test_a_store_does_not_tell_its_free_space() -> None:
    assert free_bytes(to_path("memory://b/labels")) is None
    require_space(to_path("memory://b/labels"), 2**80)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("predict memory://b --weights w --engine ray", "--engine ray: memory://b is seen by this process alone"),
        ("pseudo-label p --out memory://b --engine ray", "--engine ray: memory://b is seen by this process alone"),
        ("pseudo-label p --trunk-weights memory://b --engine ray", "memory://b is seen by this process alone"),
        ("deeplab-train --labels memory://b --devices 2", "--devices 2: memory://b is seen by this process alone"),
    ],
)
def test_other_processes_do_not_see_the_memory_of_this_one(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert told in error and "[address-unsupported]" in error


def test_all_machines_ask_the_store_of_an_address(data: Path) -> None:
    place = store_of("flaky://data", data)
    weights, images = to_path(f"{place}/weights.pt"), to_path("flaky://user:s3cret@data/images")
    with mark(to_path(f"{place}/out")) as token:
        shared = pickle.loads(pickle.dumps(Shared.found_here([("--weights", weights), ("--out", token)])))
        assert shared.faults() == [] and [path for _, path, _ in shared.files] == [weights, token]
    assert there(place, "out") == {}
    (fault,) = shared.faults()
    assert fault == f"--out {token}: a file of {len(token.name)} bytes expected, nothing found"
    # A machine needs the password, and no message shows it.
    (kept,) = (path for _, path, _ in pickle.loads(pickle.dumps(Shared.found_here([("--images", images)]))).files)
    assert kept.text == "flaky://user:s3cret@data/images" and "s3cret" not in str(kept)


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


def test_no_line_shows_the_password_of_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s4.toml").write_text('[pseudo-label]\nkeywords = "nonsense://u:s3cret@h/k.csv"\nimages = "none"\n')
    assert main(["pseudo-label"]) != 0
    error = capsys.readouterr().err
    assert "s4.toml gives keywords = nonsense://***@h/k.csv" in error and "s3cret" not in error


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
