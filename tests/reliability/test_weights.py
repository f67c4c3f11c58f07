"""Weights that are damaged, foreign or hostile: refused before use, by name, and no code from them ever runs."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines.config import TrainConfig, usual_places
from pipelines.config.setting import without_places
from pipelines.data.classes import ClassList
from pipelines.data.shapes import write_instances
from pipelines.engine.checkpoint import (
    load_checkpoint,
    pack_checkpoint,
    save_checkpoint,
    tensors_sha256,
    weights_sha256,
)
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.networks.build import new_s4net
from pipelines.networks.load import load_deeplab, load_s4net
from pipelines.networks.start import read_start
from pipelines.networks.trunk_weights import trunk_state
from pipelines.train import train
from s4cli.main import main
from tests.reliability.weight_mutants import CONTENTS, DEEPLAB, FILES, MARK, PACKED, S4NET, Content, Write

from deeplab import build_deeplab  # isort: skip

TRUNK = "timm/mobilenetv3_small_050"
TIMM = "mobilenetv3_small_050"
RULES = {"weights-missing", "weights-damaged", "weights-unsafe", "weights-kind", "not-regular"}
EVERY_KIND = [
    ("s4net", ".pt", {**FILES, **CONTENTS, **S4NET}),
    ("deeplab", ".pt", {**CONTENTS, **DEEPLAB}),
    ("s4net", ".safetensors", PACKED),
]
FAST = 9  # of so many files, the fast tests take one
NAMED = [(kind, suffix, name) for kind, suffix, writes in EVERY_KIND for name in writes]
CASES = [
    pytest.param(
        kind,
        suffix,
        next(writes[name] for one, end, writes in EVERY_KIND if (one, end) == (kind, suffix)),
        id=f"{kind}{suffix} {name}",
        marks=[pytest.mark.slow] if number % FAST else [],
    )
    for number, (kind, suffix, name) in enumerate(NAMED)
]


def settings(**values: Any) -> TrainConfig:
    given = {"trunk": TRUNK, "trunk_weights": "none", "image_size": 64, "preset": "modern", **values}
    return TrainConfig(images=Path("images"), annotations=Path("a.json"), **given)


@pytest.fixture(scope="module")
def sound() -> dict[str, Content]:
    """The contents of sound checkpoints by kind."""
    config = settings()
    net = new_s4net(config)
    classes = ClassList.from_names(["cat", "dog"])
    deeplab = build_deeplab("efficientnet_lite0", classes.n_outputs)
    return {
        "s4net": {"kind": "s4net", "config": without_places(config), "step": 4, "model": net.state_dict()},
        "deeplab": {
            "kind": "deeplab", "network": "efficientnet_lite0", "multi_scale": False, "longest_side": 96,
            "classes": classes.described(), "config": {}, "step": 4, "model": deeplab.state_dict(),
        },
    }  # fmt: skip


def refused(use: Callable[[], object], path: Path) -> InputError | None:
    """Return the error that a file ends with; None if it is used."""
    try:
        use()
    except InputError as error:
        assert error.rule in RULES and error.exit_code == 3
        assert str(path) in error.message and "\n" not in error.message and "Traceback" not in error.message
        assert "expected; " in error.message or "expected" in error.message
        return error
    return None


LOADERS: dict[str, Callable[..., object]] = {"s4net": load_s4net, "deeplab": load_deeplab}


def test_there_are_more_than_a_hundred() -> None:
    assert len(CASES) >= 150 and len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("kind", "suffix", "write"), CASES)
def test_each_is_refused_or_holds_the_same_network(
    kind: str, suffix: str, write: Write, sound: dict[str, Content], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"weights{suffix}"
    write(path, sound[kind])
    error = refused(lambda: LOADERS[kind](path, device="cpu", precision="fp32"), path)
    assert not (tmp_path / MARK).exists()
    if error is None:  # a bit of no meaning, such as one of a time or of padding
        whole = tmp_path / f"whole{suffix}"
        (pack_checkpoint(sound[kind], whole) if suffix == ".safetensors" else save_checkpoint(whole, sound[kind]))
        assert weights_sha256(path) == weights_sha256(whole)
        assert load_checkpoint(path).keys() == load_checkpoint(whole).keys()


@pytest.mark.slow
def test_sound_files_are_loaded_with_and_without_hashes(sound: dict[str, Content], tmp_path: Path) -> None:
    for kind, load in LOADERS.items():
        save_checkpoint(tmp_path / "new.pt", sound[kind])
        old = {name: part for name, part in sound[kind].items() if name != "multi_scale"}
        torch.save(old, tmp_path / "old.pt")
        torch.save(old, tmp_path / "older.pt", _use_new_zipfile_serialization=False)
        for name in ("new.pt", "old.pt", "older.pt"):
            load(tmp_path / name, device="cpu")
            assert weights_sha256(tmp_path / name) == tensors_sha256(sound[kind]["model"])
    torch.save({**sound["s4net"], "config": {**sound["s4net"]["config"], "images": "x", "run": "y"}}, tmp_path / "p.pt")
    load_s4net(tmp_path / "p.pt", device="cpu")


def test_what_was_changed_after_it_was_saved_is_named(sound: dict[str, Content], tmp_path: Path) -> None:
    content = {**sound["s4net"], "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}}}
    save_checkpoint(tmp_path / "a.pt", content)
    whole = torch.load(tmp_path / "a.pt", weights_only=True)
    assert set(whole["s4_sha256"]) == {"model", "optimizer", "rest"}
    assert whole["s4_sha256"]["model"] == tensors_sha256(content["model"])
    other = dict(whole["model"])
    name = next(key for key, one in other.items() if one.ndim > 1)
    other[name] = other[name] + 1
    state = {"state": {0: {"momentum_buffer": torch.ones(3) * 2}}}
    changes: list[tuple[str, Any, str]] = [
        ("step", 5, "rest"), ("model", other, "model"), ("optimizer", state, "optimizer"), ("more", 1, "rest"),
        ("s4_sha256", "x", "s4_sha256"), ("s4_sha256", {}, "model"),
    ]  # fmt: skip
    for key, value, named in changes:
        torch.save({**whole, key: value}, tmp_path / "b.pt")
        with pytest.raises(InputError, match=rf"b\.pt: {named} is not what was saved.*\[weights-damaged\]"):
            load_checkpoint(tmp_path / "b.pt")


def test_the_network_that_ships_is_compared_with_its_record(
    sound: dict[str, Content], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, record = tmp_path / "s4net.safetensors", tmp_path / "s4net.json"
    pack_checkpoint(sound["s4net"], shipped)
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)
    for text in ("[]", "no JSON", "{}"):
        record.write_text(text)
        load_s4net("builtin", device="cpu")
    record.write_text(json.dumps({"sha256": "00"}))
    with pytest.raises(InputError, match=r"is not the file that s4net\.json describes.*\[weights-damaged\]"):
        load_s4net("builtin", device="cpu")


def sound_trunk() -> Content:
    import timm

    return dict(timm.create_model(TIMM, pretrained=False).state_dict())


def changed_trunk(name: str, value: Any) -> Content:
    return {**sound_trunk(), name: value}


TRUNKS: dict[str, Callable[[], Any]] = {
    "a tensor too few": lambda: dict(list(sound_trunk().items())[1:]),
    "another shape": lambda: changed_trunk("conv_stem.weight", torch.zeros(1)),
    "whole numbers": lambda: changed_trunk("conv_stem.weight", sound_trunk()["conv_stem.weight"].long()),
    "not finite": lambda: changed_trunk("conv_stem.weight", sound_trunk()["conv_stem.weight"] / 0),
    "a text": lambda: changed_trunk("conv_stem.weight", "x"),
    "state that is none": lambda: {"state_dict": 7},
    "nothing": dict,
    "a list": list,
    "another network": lambda: {"layer1.weight": torch.zeros(3)},
}


@pytest.mark.parametrize("name", TRUNKS)
def test_weights_of_a_trunk_are_checked_whole(name: str, tmp_path: Path) -> None:
    torch.save(TRUNKS[name](), tmp_path / "trunk.pt")
    with pytest.raises(InputError, match=r"trunk\.pt: .*\[weights-(damaged|empty)\]"):
        trunk_state(TIMM, str(tmp_path / "trunk.pt"))


@pytest.mark.parametrize("name", [name for name in PACKED if "bit" not in name and name != "a folder"])
def test_packed_weights_of_a_trunk_are_checked(name: str, sound: dict[str, Content], tmp_path: Path) -> None:
    PACKED[name](tmp_path / "trunk.safetensors", sound["s4net"])
    with pytest.raises(InputError, match=r"trunk\.safetensors: .*\[weights-(damaged|empty|missing)\]"):
        trunk_state(TIMM, str(tmp_path / "trunk.safetensors"))


@pytest.mark.slow
def test_sound_weights_of_a_trunk_are_taken(tmp_path: Path) -> None:
    own = sound_trunk()
    torch.save({"state_dict": own, "epoch": 3}, tmp_path / "trunk.pth")
    save_file(own, tmp_path / "trunk.safetensors")
    torch.save({name: one for name, one in own.items() if not name.startswith("classifier")}, tmp_path / "bare.pt")
    torch.save({**own, "classifier.weight": torch.zeros(10, 1024)}, tmp_path / "ten.pt")  # of ten classes
    for name in ("trunk.pth", "trunk.safetensors", "bare.pt", "ten.pt"):
        state = trunk_state(TIMM, str(tmp_path / name))
        assert state is not None and torch.equal(state["conv_stem.weight"], own["conv_stem.weight"])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run of two steps, of which the first is done."""
    folder = tmp_path_factory.mktemp("scenes")
    write_instances(folder, 4, "train", seed=0, side=64)
    config = replace(
        settings(steps=1, batch_size=2, precision="fp32", workers=0),
        images=folder / "images",
        annotations=folder / "train.json",
        run=folder / "run",
    )
    train(config, Events())
    return replace(config, resume=True)


def changed_state(content: Content, *keys: Any, value: Any) -> Content:
    """Return the content with a value in nested containers."""
    key, *rest = keys
    if not rest:
        return {**content, key: value}
    if isinstance(content[key], list):
        parts = list(content[key])
        parts[rest[0]] = changed_state(parts[rest[0]], *rest[1:], value=value)
        return {**content, key: parts}
    return {**content, key: changed_state(content[key], *rest, value=value)}


GROUPS = ("optimizer", "param_groups", 0)
STATES: dict[str, tuple[tuple[Any, ...], Any]] = {
    **{f"{name} {value!r}": ((name,), value) for name in ("step", "window_steps") for value in (-1, "1", 1.5, None)},
    **{f"{name} {value!r}": ((name,), value) for name in ("window", "losses") for value in (None, 3, {"a": "b"})},
    **{f"best {value!r}": (("best",), value) for value in (None, {}, {"metric": "m", "value": "x", "step": 1})},
    **{f"average {value!r}": (("average",), value) for value in (None, {}, 7)},
    **{f"optimizer {value!r}": (("optimizer",), value) for value in (None, {}, {"state": {}, "param_groups": []})},
    "other parameters": ((*GROUPS, "params"), [0]),
    "a rate that is none": ((*GROUPS, "lr"), "fast"),
    "state of none": (("optimizer", "state"), {10**6: {}}),
    "state that is none": (("optimizer", "state"), {0: 7}),
    "state of another shape": (("optimizer", "state"), {0: {"exp_avg": torch.zeros(2, 2, 2)}}),
    "state that is not finite": (("optimizer", "state"), {0: {"step": torch.tensor(float("nan"))}}),
    "no tensors": (("model",), {}),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if number % 5 else []) for number, name in enumerate(STATES)]
)
def test_a_run_goes_on_from_no_damaged_checkpoint_and_stays_as_it_is(
    name: str, stopped: TrainConfig, tmp_path: Path
) -> None:
    keys, value = STATES[name]
    run = tmp_path / "run"
    shutil.copytree(stopped.run, run)
    last = run / "checkpoints" / "last.pt"
    torch.save(changed_state(load_checkpoint(last), *keys, value=value), last)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    error = refused(lambda: train(replace(stopped, run=run), Events()), last)
    assert error is not None
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "suffix", "write"), CASES)
def test_commands_end_with_3_and_leave_no_trace(
    kind: str,
    suffix: str,
    write: Write,
    sound: dict[str, Content],
    stopped: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path, picture = tmp_path / f"weights{suffix}", tmp_path / "a.png"
    write(path, sound[kind])
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(picture)
    given = ["train", "--images", stopped.images, "--annotations", stopped.annotations, "--run", "out"]
    commands: list[list[Any]] = [["predict", picture, "--weights", path, "--out", "out"]]
    if kind == "s4net":
        commands.append([*given, "--start-from", path, "--steps", 1, "--batch-size", 1, "--workers", 0])
    for command in commands:
        code = main([str(one) for one in command])
        message = capsys.readouterr().err
        if code == 0:  # a bit of no meaning
            assert refused(lambda: LOADERS[kind](path, device="cpu"), path) is None
            shutil.rmtree(tmp_path / "out")
            continue
        assert code == 3, message
        assert any(f"[{rule}]" in message for rule in RULES) and "Traceback" not in message
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["a.png", path.name])


def test_a_network_to_start_from_is_checked_whole(sound: dict[str, Content], tmp_path: Path) -> None:
    S4NET["a trunk of a billion"](tmp_path / "a.pt", sound["s4net"])
    config = TrainConfig(images=Path("images"), annotations=Path("a.json"), start_from=tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a\.pt: does not fit the network it names.*\[weights-damaged\]"):
        read_start(config)
