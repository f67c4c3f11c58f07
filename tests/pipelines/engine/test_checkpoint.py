import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.config import DemoConfig
from pipelines.engine import checkpoint
from pipelines.engine.checkpoint import (
    load_checkpoint,
    named_tensors,
    pack_checkpoint,
    require_fit,
    save_checkpoint,
    stored_bytes,
    tensors_sha256,
    weights_file,
    weights_sha256,
)
from pipelines.engine.run_dir import RunDir
from pipelines.errors import ConfigError, InputError


class Payload:
    """A pickle that would leave a file behind if it were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_what_is_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"model": {"w": torch.arange(3.0)}, "step": 7, "names": ["cat"]})
    content = load_checkpoint(tmp_path / "a.pt")
    assert content["step"] == 7 and content["names"] == ["cat"]
    assert torch.equal(content["model"]["w"], torch.arange(3.0))


def test_code_in_a_weights_file_never_runs(tmp_path):
    torch.save({"model": Payload(tmp_path / "owned")}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="weights-unsafe"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"text"])
def test_damaged_files_are_named(tmp_path, damage):
    save_checkpoint(tmp_path / "a.pt", {"model": {"w": torch.zeros(1000)}})
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(damage(data))
    with pytest.raises(InputError, match=r"a\.pt.*weights-(damaged|unsafe)"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_run_means_its_best_checkpoint(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match="weights-missing"):
        weights_file(tmp_path)
    (tmp_path / "checkpoints" / "last.pt").touch()
    assert weights_file(tmp_path).name == "last.pt"
    (tmp_path / "checkpoints" / "best.pt").touch()
    assert weights_file(tmp_path).name == "best.pt"
    with pytest.raises(InputError, match="weights-missing"):
        weights_file(tmp_path / "nothing.pt")


def test_a_new_run_does_not_go_on_from_a_checkpoint_that_is_not_its_own(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").write_bytes(b"of another run, whose folder was removed while it was saved")
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"last\.pt but no config\.json.*\[run-exists\]"):
            RunDir.open(tmp_path, DemoConfig(), resume)


def test_a_packed_network_comes_back_in_half_precision_with_its_facts(tmp_path: Path) -> None:
    model = {
        "conv.weight": torch.tensor([[1.0, 2.0 / 3, 1e-3]]),
        "norm.running_var": torch.tensor([123456.0]),  # beyond half precision
        "norm.num_batches_tracked": torch.tensor(7),
    }
    content = {"kind": "s4net", "config": {"preset": "modern"}, "model": model, "optimizer": {"state": [1]}, "step": 9}
    pack_checkpoint(content, tmp_path / "net.safetensors")
    loaded = load_checkpoint(tmp_path / "net.safetensors")
    assert set(loaded) == {"kind", "config", "model"}
    assert (loaded["kind"], loaded["config"]) == ("s4net", {"preset": "modern"})
    assert loaded["model"]["conv.weight"].dtype == torch.float32
    # Half precision has 11 significant bits: within 2^-11 of the number.
    torch.testing.assert_close(loaded["model"]["conv.weight"], model["conv.weight"], rtol=2**-11, atol=0)
    assert loaded["model"]["norm.running_var"].item() == 123456
    assert loaded["model"]["norm.num_batches_tracked"].item() == 7


@pytest.mark.parametrize(("content", "rule"), [(None, "weights-missing"), (b"\x08damaged", "weights-damaged")])
def test_a_packed_network_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, rule: str) -> None:
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    assert caught.value.rule == rule and str(path) in caught.value.message


PATH = Path("a.pt")
NET = {"w": torch.zeros(2, 3), "n": torch.tensor(7)}


def test_the_room_of_a_checkpoint_is_that_of_its_tensors_and_a_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    # 65,536 bytes in any case, 1,024 for each tensor, and the 4 * 6 and 8 * 1 bytes of the numbers.
    assert stored_bytes({"model": NET, "step": 3}) == 65536 + 2 * 1024 + 24 + 8
    asked: list[tuple[Path, int]] = []
    monkeypatch.setattr(checkpoint, "require_space", lambda path, needed: asked.append((path, needed)))
    monkeypatch.setattr(checkpoint, "atomic_write", lambda path, write: None)
    save_checkpoint(PATH, {"model": NET})
    assert asked == [(PATH, 65536 + 2 * 1024 + 32)]


def test_hashes_are_as_older_files_have_them(tmp_path: Path) -> None:
    """Names of keys, and what is hashed: another hash would refuse every file that was written before."""
    save_checkpoint(tmp_path / "a.pt", {"model": {"w": torch.tensor([1.0])}, "step": 3})
    written = torch.load(tmp_path / "a.pt", weights_only=True)["s4_sha256"]
    model = hashlib.sha256(b"w torch.float32 (1,)\n" + b"\0\0\x80\x3f").hexdigest()  # 1.0, least byte first
    assert written == {"model": model, "rest": hashlib.sha256(b"step 3\n").hexdigest()}
    assert tensors_sha256({"w": torch.tensor([1.0])}) == weights_sha256(tmp_path / "a.pt") == model
    nested = {"b": {"d": [2, "x"]}, "a": ()}
    save_checkpoint(tmp_path / "b.pt", nested)
    rest = hashlib.sha256(b'a []\nb.d.0 2\nb.d.1 "x"\n').hexdigest()
    assert torch.load(tmp_path / "b.pt", weights_only=True)["s4_sha256"] == {"rest": rest}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda content: content["model"].update(w=torch.ones(2, 3)), "model"),
        (lambda content: content.update(step=4), "rest"),
        (lambda content: content.update(more={"w": torch.zeros(1)}), "more"),
        (lambda content: content.pop("model"), "model"),
        (lambda content: content.update(s4_sha256=3), "s4_sha256"),
    ],
)
def test_what_differs_from_its_hash_is_named(tmp_path: Path, change: Callable[[Any], Any], named: str) -> None:
    save_checkpoint(tmp_path / "a.pt", {"model": NET, "step": 3})
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    change(content)
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError) as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert f"a.pt: {named} is not what was saved (its SHA-256 differs)" in str(caught.value)
    assert caught.value.rule == "weights-damaged"


def test_files_without_hashes_are_compared_with_the_checksums_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"model": {"w": torch.full((64,), 3.0)}}, path)
    assert load_checkpoint(path)["model"]["w"].sum() == 192
    data = bytearray(path.read_bytes())
    data[data.index(torch.full((64,), 3.0).numpy().tobytes()) + 40] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"the checksum of .*data/0 differs.*\[weights-damaged\]"):
        load_checkpoint(path)


def test_files_of_torchs_older_format_are_read(tmp_path: Path) -> None:
    torch.save({"model": NET}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(load_checkpoint(tmp_path / "a.pt")["model"]["w"], NET["w"])


def test_an_archive_that_is_compressed_or_says_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(100_000)}}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as whole, zipfile.ZipFile(tmp_path / "b.pt", "w", 8) as packed:
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=r"it is compressed.*\[weights-damaged\]"):
        load_checkpoint(tmp_path / "b.pt")
    data = (tmp_path / "a.pt").read_bytes()
    size = (400_000).to_bytes(4, "little")
    assert data.count(size) >= 2
    (tmp_path / "a.pt").write_bytes(data.replace(size, (4_000_000).to_bytes(4, "little")))
    with pytest.raises(InputError, match=r"its parts are larger than the file.*\[weights-damaged\]"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1], "holds a list without names"),
        ({1: 2}, "holds a dict without names"),
        ({"w": torch.zeros(1).expand(1000)}, "w is no plain tensor"),
        ({"a": [{"w": torch.zeros(3, 1).expand(3, 2)}]}, "a.0.w is no plain tensor"),
    ],
)
def test_what_is_not_named_and_plain_is_refused(tmp_path: Path, content: Any, told: str) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError) as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert told in caught.value.message and caught.value.rule == "weights-damaged"


def test_what_is_missing_or_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pt: no such file, a checkpoint expected.*weights-missing"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(InputError, match=r"folder\.pt: is a folder, a FIFO or a device.*weights-missing"):
        load_checkpoint(tmp_path / "folder.pt")
    (tmp_path / "empty.pt").touch()
    with pytest.raises(InputError, match=r"empty\.pt: cannot be read as a checkpoint .*\[weights-damaged\]$"):
        load_checkpoint(tmp_path / "empty.pt")


@pytest.mark.parametrize("part", [None, {}, [], 3])
def test_a_part_without_tensors_is_refused(part: Any) -> None:
    with pytest.raises(InputError, match=r"tensors are missing.*weights-damaged"):
        named_tensors(PATH, part)


@pytest.mark.parametrize("part", [{"w": 1}, {1: torch.zeros(1)}, {"w": torch.zeros(1), "v": None}])
def test_a_part_with_more_than_named_tensors_is_refused(part: Any) -> None:
    with pytest.raises(InputError, match=r"not all of its tensors are named tensors.*weights-damaged"):
        named_tensors(PATH, part)


def test_tensors_that_fit_are_taken() -> None:
    require_fit(PATH, {"w": torch.ones(2, 3, dtype=torch.float64), "n": torch.tensor(3, dtype=torch.int32)}, NET)
    assert named_tensors(PATH, NET) == NET


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n": None}, "does not fit the network it names (n is missing)"),
        ({"w": torch.zeros(3, 2)}, "does not fit the network it names (w has shape (3, 2), not (2, 3))"),
        ({"w": torch.zeros(2, 3, dtype=torch.int64)}, "w holds numbers of type torch.int64, not torch.float32"),
        ({"w": torch.zeros(2, 3, dtype=torch.complex64)}, "w holds numbers of type torch.complex64, not torch.float32"),
        ({"n": torch.tensor(1j)}, "n holds numbers of type torch.complex64, not torch.int64"),
        ({"v": torch.zeros(1)}, "does not fit the network it names (v is no part of it)"),
        ({"w": torch.full((2, 3), float("nan"))}, "w holds numbers that are not finite as float32"),
        ({"w": torch.tensor([[0, 0, 0], [0, 0, float("inf")]])}, "w holds numbers that are not finite as float32"),
        ({"w": torch.full((2, 3), 1e39, dtype=torch.float64)}, "w holds numbers that are not finite as float32"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: dict[str, Any], told: str) -> None:
    part = {name: tensor for name, tensor in {**NET, **change}.items() if tensor is not None}
    with pytest.raises(InputError) as caught:
        require_fit(PATH, part, NET)
    assert caught.value.message.startswith(f"a.pt: {told}, ")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    facts = {"kind": "deeplab", "config": {}, "network": "n", "multi_scale": True, "classes": {"names": []}}
    pack_checkpoint(
        {**facts, "longest_side": 9, "model": {"w": torch.ones(2, 2), "b": torch.ones(2)}}, tmp_path / "n.safetensors"
    )
    return tmp_path / "n.safetensors"


def test_a_packed_network_has_all_facts_and_its_hash(packed: Path) -> None:
    content = load_checkpoint(packed)
    assert content.pop("model").keys() == {"w", "b"}
    assert content == {
        "kind": "deeplab", "config": {}, "network": "n", "multi_scale": True, "classes": {"names": []},
        "longest_side": 9,
    }  # fmt: skip
    data = packed.read_bytes()
    packed.write_bytes(data.replace(b'\\"network\\": \\"n\\"', b'\\"network\\": \\"m\\"'))
    assert packed.read_bytes() != data
    with pytest.raises(InputError, match=r"rest is not what was saved"):
        load_checkpoint(packed)


def test_numbers_of_one_dimension_stay_in_full(tmp_path: Path) -> None:
    pack_checkpoint({"model": {"m": torch.ones(2, 2), "v": torch.ones(2)}}, tmp_path / "n.safetensors")
    with checkpoint.safe_open(tmp_path / "n.safetensors", framework="pt") as opened:
        assert {name: opened.get_tensor(name).dtype for name in ("m", "v")} == {"m": torch.half, "v": torch.float}
        assert set(opened.metadata()) == {"s4"}


def test_a_packed_network_is_compared_with_the_record_beside_it(packed: Path) -> None:
    record = packed.with_suffix(".json")
    for content in (
        "[1]",
        "{",
        '{"sha256": 3}',
        json.dumps({"sha256": hashlib.sha256(packed.read_bytes()).hexdigest()}),
    ):
        record.write_text(content)
        assert load_checkpoint(packed)["network"] == "n"
    record.write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(InputError, match=r"is not the file that n\.json describes .*\[weights-damaged\]"):
        load_checkpoint(packed)


def test_safetensors_of_other_programs_hold_a_model_alone(tmp_path: Path) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "n.safetensors")
    assert load_checkpoint(tmp_path / "n.safetensors").keys() == {"model"}
    save_file({"w": torch.ones(1)}, tmp_path / "n.safetensors", metadata={"s4": "[1]"})
    with pytest.raises(InputError, match=r"its header holds no settings"):
        load_checkpoint(tmp_path / "n.safetensors")


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    text = "".join(["na", "me"])
    shared = torch.arange(8.0)
    one = {"model": {"w": shared[2:4]}, "a": text, "b": text, "c": (1, [2])}
    two = {"model": {"w": shared[2:4].clone()}, "a": "name", "b": "".join(["n", "ame"]), "c": (1, [2])}
    for name, content in (("a.pt", one), ("b.pt", two)):
        (tmp_path / name).mkdir()
        save_checkpoint(tmp_path / name / "x.pt", content)
    assert (tmp_path / "a.pt/x.pt").read_bytes() == (tmp_path / "b.pt/x.pt").read_bytes()
    assert load_checkpoint(tmp_path / "a.pt/x.pt")["c"] == (1, [2])


def _sparse() -> torch.Tensor:
    return torch.eye(3).to_sparse()


def _quantized() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.parametrize("make", [_sparse, _quantized])
def test_tensors_of_which_torch_warns_are_refused_without_its_warning(
    tmp_path: Path, make: Callable[[], torch.Tensor]
) -> None:
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"kind": "s4net", "model": {"a": make()}}, path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(InputError) as caught:
            load_checkpoint(path)
    assert told == []
    assert caught.value.rule == "weights-damaged" and str(path) in caught.value.message


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_damaged_byte_is_an_error_or_leaves_the_tensors_as_they_were(tmp_path, name):
    content, path, dice = {"kind": "s4net", "model": {"w": torch.arange(6.0).reshape(2, 3)}}, tmp_path / name, Random(0)
    pack_checkpoint(content, path) if path.suffix == ".safetensors" else save_checkpoint(path, content)
    whole = path.read_bytes()
    for place in dice.sample(range(len(whole)), 150):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ dice.randrange(1, 256)]) + whole[place + 1 :])
        try:
            model = load_checkpoint(path).get("model", {})  # without tensors, every user of the file refuses it
            assert not model or torch.equal(model["w"], content["model"]["w"]), place
        except InputError as error:
            assert error.rule in ("weights-damaged", "weights-unsafe"), place
