"""Damaged weights files."""

import contextlib
import json
import os
import pickle
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from experiments.hostile_inputs.commands import OVER_WEIGHTS, over_weights
from experiments.hostile_inputs.made import Damage, cut, noise, rewritten
from experiments.hostile_inputs.place import Build, Place, Rest
from pipelines.engine.checkpoint import save_checkpoint


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch escaped",)


def _changed_state(change: Callable[[dict[str, Any], random.Random], Any], rehash: bool = True) -> Damage:
    def damage(path: Path, choose: random.Random) -> None:
        state = torch.load(path, weights_only=False)
        state = change(state, choose) or state
        if rehash and isinstance(state, dict) and choose.random() < 0.7:  # with the hash that belongs to it
            with contextlib.suppress(Exception):
                return save_checkpoint(path, state)
        torch.save(state, path)

    return damage


def _some(state: dict[str, Any], choose: random.Random) -> str:
    return choose.choice(sorted(state["model"]))


def _tensor(value: Callable[[torch.Tensor], Any], rehash: bool = True) -> Damage:
    def change(state: dict[str, Any], choose: random.Random) -> None:
        name = _some(state, choose)
        state["model"][name] = value(state["model"][name])

    return _changed_state(change, rehash)


def _entry(state: dict[str, Any], choose: random.Random) -> None:
    of = choose.choice([state, *(one for one in state.values() if isinstance(one, dict) and one)])
    of[choose.choice(sorted(of, key=str))] = choose.choice(
        [
            None,
            -1,
            10**30,
            float("nan"),
            "x",
            [],
            {},
            b"\0",
            True,
            torch.zeros(3),
            ("a",),
            [[[]]],
            -(2**63),
            "\ud83d",
            {1: {2: 3}},
        ]
    )


def _safetensors(header: Callable[[random.Random], bytes], body: bytes = bytes(64)) -> Damage:
    def damage(path: Path, choose: random.Random) -> None:
        content = header(choose)
        path.write_bytes(struct.pack("<Q", len(content)) + content + body)

    return damage


def _one_tensor(**changes: object) -> bytes:
    return json.dumps({"a": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]} | changes}).encode()


WEIGHTS: dict[str, tuple[str, Damage]] = {
    "cut": (".pt", rewritten(cut)),
    "noise": (".pt", rewritten(noise)),
    "noise again": (".pt", rewritten(noise)),
    "tail": (".pt", rewritten(lambda content, choose: content + choose.randbytes(999))),
    "entry": (".pt", _changed_state(_entry)),
    "entry 2": (".pt", _changed_state(_entry)),
    "entry 3": (".pth", _changed_state(_entry)),
    "shape": (".pt", _tensor(lambda one: one.reshape(-1)[:1])),
    "scalar": (".pt", _tensor(lambda one: torch.tensor(3.0))),
    "complex": (".pt", _tensor(lambda one: one.to(torch.complex64) if one.is_floating_point() else one.bool())),
    "integers": (".pt", _tensor(lambda one: one.long())),
    "sparse": (".pt", _tensor(lambda one: one.to_sparse())),
    "expanded": (".pt", _tensor(lambda one: torch.zeros(1).expand(10**9), rehash=False)),
    "meta": (".pt", _tensor(lambda one: one.to("meta"))),
    "quantized": (".pt", _tensor(lambda one: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8))),
    "a parameter": (".pt", _tensor(lambda one: torch.nn.Parameter(one.float()))),
    "nan": (".pt", _tensor(lambda one: one * float("nan"))),
    "huge numbers": (".pt", _tensor(lambda one: one.double() + 1e300)),
    "a state alone": (".pth", _changed_state(lambda state, choose: state["model"])),
    "a list": (".pt", _changed_state(lambda state, choose: [state])),
    "a module": (".pt", _changed_state(lambda state, choose: torch.nn.Linear(2, 2))),
    "prefixed": (".pth", _changed_state(lambda state, choose: {f"module.{k}": v for k, v in state["model"].items()})),
    "in state_dict": (".pth", _changed_state(lambda state, choose: {"state_dict": state["model"], "epoch": 3})),
    "numbers for names": (
        ".pt",
        _changed_state(lambda state, choose: {n: v for n, v in enumerate(state["model"].values())}),
    ),
    "a payload": (".pt", lambda path, choose: path.write_bytes(pickle.dumps(_Payload()))),
    "a payload in a zip": (".pt", lambda path, choose: torch.save({"model": _Payload(), "kind": "s4net"}, path)),
    "a script": (".pt", lambda path, choose: torch.jit.script(torch.nn.Linear(2, 2)).save(os.fspath(path))),
    "ONNX": (".onnx", lambda path, choose: path.write_bytes(b"\x08\x08\x12\x07pytorch")),
    "offsets": (
        ".safetensors",
        _safetensors(
            lambda choose: _one_tensor(
                data_offsets=choose.choice([[0, 2**62], [64, 0], [-1, 63], [0, 63], [1, 65], [0.5, 64], "x"])
            )
        ),
    ),
    "shapes": (
        ".safetensors",
        _safetensors(
            lambda choose: _one_tensor(
                shape=choose.choice([[2**40, 2**40], [-4, -4], [0], [4.0, 4], None, [[4]], [1] * 5000])
            )
        ),
    ),
    "dtype": (
        ".safetensors",
        _safetensors(lambda choose: _one_tensor(dtype=choose.choice(["F8_E8M0", "F4", "BOOL", "C64", "x", None, 7]))),
    ),
    "doubled names": (".safetensors", _safetensors(lambda choose: _one_tensor()[:-1] + b", " + _one_tensor()[1:])),
    "deep header": (".safetensors", _safetensors(lambda choose: b"[" * 50_000)),
    "metadata": (
        ".safetensors",
        _safetensors(
            lambda choose: json.dumps(
                {
                    "__metadata__": choose.choice(
                        [
                            {"s4": "[" * 3000},
                            {"s4": "{}"},
                            {"s4": '{"kind": "s4net", "config": 3}'},
                            {"s4": '{"kind": []}'},
                            {"s4": 3},
                            [],
                        ]
                    ),
                    **json.loads(_one_tensor()),
                }
            ).encode()
        ),
    ),
    "strangers": (".safetensors", _safetensors(lambda choose: _one_tensor())),
    "zeros": (".safetensors", lambda path, choose: path.write_bytes(bytes(4096))),
    "a huge file": (
        ".pt",
        lambda path, choose: (path.unlink(), os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 3 << 30)),
    ),
    "a huge file, packed": (
        ".safetensors",
        lambda path, choose: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 3 << 30),
    ),
    "a pipe": (".pt", lambda path, choose: (path.unlink(), os.mkfifo(path))),
    "a device": (".pt", lambda path, choose: (path.unlink(), path.symlink_to("/dev/zero"))),
}


def damaged_weights(choose: random.Random) -> Iterator[Rest]:
    """Yield damaged weights files, each for two commands."""
    for name in WEIGHTS:
        for command in choose.sample(list(OVER_WEIGHTS), 3):
            yield f"{name}, {command}", _weights(name, command)


def _weights(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        suffix, damage = WEIGHTS[name]
        source = place.choose.choice(["net.pt", "runs/deeplab/checkpoints/last.pt"])
        file = place.copied(source, f"weights{suffix}")
        if suffix == ".safetensors":
            file.unlink()
        damage(file, place.choose)
        return over_weights(command, place, file)

    return build
