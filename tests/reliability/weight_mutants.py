"""Damaged and foreign files of weights: more than a hundred, drawn from one seed, each with a name."""

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipelines.engine.checkpoint import pack_checkpoint, save_checkpoint

Content = dict[str, Any]
Write = Callable[[Path, Content], None]
"""(where to, sound content) -> a file or folder is there."""

SEED = 25
MARK = "payload-ran"
"""Name of the folder that a payload would leave in the current one."""


class Payload:
    """A pickle that would leave a folder behind if it were run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (MARK,)


def foreign(change: Callable[[Content], Any]) -> Write:
    """A file that torch wrote, without hashes, of changed content."""

    def write(path: Path, content: Content) -> None:
        own = {**content, "model": dict(content["model"])}
        if isinstance(own.get("config"), dict):
            own["config"] = dict(own["config"])
        torch.save(change(own), path)

    return write


def setting(name: Any, value: Any) -> Write:
    return foreign(lambda content: {**content, "config": {**content["config"], name: value}})


def entry(name: str, value: Any) -> Write:
    return foreign(lambda content: {**content, name: value})


def without(name: str) -> Write:
    return foreign(lambda content: {key: part for key, part in content.items() if key != name})


def tensor(change: Callable[[torch.Tensor], Any], number: int = 0) -> Write:
    """A file with another tensor in the place of one of the floating-point matrices."""

    def changed(content: Content) -> Content:
        names = [key for key, one in content["model"].items() if one.ndim > 1]
        content["model"][names[number]] = change(content["model"][names[number]].clone())
        return content

    return foreign(changed)


def model(change: Callable[[Content], Any]) -> Write:
    return foreign(lambda content: {**content, "model": change(content["model"])})


def data(change: Callable[[bytes], bytes], packed: bool = False) -> Write:
    """A sound file, with hashes, whose bytes are changed."""

    def write(path: Path, content: Content) -> None:
        (pack_checkpoint(content, path) if packed else save_checkpoint(path, content))  # type: ignore[func-returns-value]
        path.write_bytes(change(path.read_bytes()))

    return write


def flipped(seed: int, share: float | None = None) -> Callable[[bytes], bytes]:
    """Turn one bit, anywhere or at a share of the file."""

    def change(content: bytes) -> bytes:
        place = random.Random(seed).randrange(len(content)) if share is None else int(share * len(content))
        return content[:place] + bytes([content[place] ^ 1 << seed % 8]) + content[place + 1 :]

    return change


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(share * len(content))]


def poked(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(one: torch.Tensor) -> torch.Tensor:
        one.view(-1)[-1] = value
        return one

    return change


def put(write: Callable[[Path], object]) -> Write:
    return lambda path, content: write(path) and None  # type: ignore[return-value]


def folder(path: Path, content: Content) -> None:
    path.mkdir()


def run_folder(path: Path, content: Content) -> None:
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "best.pt").write_bytes(b"")


def compressed(path: Path, content: Content) -> None:
    """An archive whose parts are squeezed: a few bytes that would become many."""
    buffer = io.BytesIO()
    torch.save({**content, "model": {"w": torch.zeros(4_000_000)}}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))


def cyclic(content: Content) -> Content:
    content["config"]["trunk"] = content
    return content


def deep(content: Content) -> Content:
    nested: list[Any] = []
    for _ in range(400):
        nested = [nested]
    return {**content, "config": {**content["config"], "trunk": nested}}


def header(text: bytes, length: int | None = None) -> Write:
    """A safetensors file of a header alone."""
    size = len(text) if length is None else length
    return put(lambda path: path.write_bytes(struct.pack("<Q", size) + text))


# Of any file that torch reads.
FILES: dict[str, Write] = {
    "empty": put(lambda path: path.write_bytes(b"")),
    "text": put(lambda path: path.write_text("weights")),
    "JSON": put(lambda path: path.write_text(json.dumps({"kind": "s4net"}))),
    "zeros": put(lambda path: path.write_bytes(bytes(5000))),
    "noise": put(lambda path: path.write_bytes(random.Random(SEED).randbytes(5000))),
    "empty archive": put(lambda path: zipfile.ZipFile(path, "w").close()),
    "plain pickle of a payload": put(lambda path: path.write_bytes(pickle.dumps({"model": Payload()}))),
    "old pickle of a payload": put(lambda path: path.write_bytes(pickle.dumps(Payload(), protocol=0))),
    "payload for a network": put(lambda path: torch.save(Payload(), path) or True),
    "payload for a tensor": tensor(lambda one: Payload()),
    "payload among settings": setting("trunk", Payload()),
    "a whole module": foreign(lambda content: torch.nn.Linear(2, 2)),
    "a folder": folder,
    "a run with an empty checkpoint": run_folder,
    "a FIFO": put(lambda path: os.mkfifo(path) or True),  # type: ignore[func-returns-value]
    "compressed": compressed,
    "a list": foreign(lambda content: [content]),
    "a tensor": foreign(lambda content: torch.zeros(3)),
    "numbers for names": foreign(lambda content: dict(enumerate(content.values()))),
    "tensors of another program": foreign(lambda content: content["model"]),
    **{f"cut at {share}": data(cut(share)) for share in (0.02, 0.3, 0.6, 0.9, 0.999)},
    **{f"bit {seed} turned": data(flipped(seed)) for seed in range(12)},
    **{f"bit at {share} turned": data(flipped(SEED, share)) for share in (0.2, 0.4, 0.5, 0.6, 0.8)},
}
# Of the content that both networks have.
CONTENTS: dict[str, Write] = {
    **{f"without {name}": without(name) for name in ("kind", "model")},
    **{f"kind {value!r}": entry("kind", value) for value in (None, 7, "", "s5net", ["s4net"], {"a": 1})},
    **{f"model {value!r}": entry("model", value) for value in (None, 7, "m", [], {}, {"a": 1}, {1: 2})},
    "a tensor for all": entry("model", torch.zeros(4)),
    "a tensor too few": model(lambda own: dict(list(own.items())[1:])),
    "a tensor too many": model(lambda own: {**own, "more": torch.zeros(2)}),
    "another name": model(lambda own: {f"x{name}": one for name, one in own.items()}),
    "another shape": tensor(lambda one: one[..., :0]),
    "turned": tensor(lambda one: one.flatten()),
    "a single number": tensor(lambda one: one.sum()),
    "a text": tensor(lambda one: "tensor"),
    "whole numbers": tensor(lambda one: one.long()),
    "truth values": tensor(lambda one: one > 0),
    "complex numbers": tensor(lambda one: one.cfloat()),
    "sparse": tensor(lambda one: one.to_sparse()),
    "without memory": tensor(lambda one: one.to("meta")),
    "one number without end": tensor(lambda one: torch.zeros(1).expand(one.numel(), 100_000, 1000)),
    "a number that is none": tensor(poked(float("nan"))),
    "a number without end": tensor(poked(float("inf")), 3),
    "another number without end": tensor(poked(float("-inf")), 5),
    "numbers that are too large": tensor(lambda one: one.double() + 1e300),
}
S4NET: dict[str, Write] = {
    "without config": without("config"),
    **{f"config {value!r}": entry("config", value) for value in (None, 7, "c", [], {1: 2})},
    **{f"size {value!r}": setting("image_size", value) for value in (10**9, 1, -64, 100, "64", 64.0, True, 10**30)},
    **{f"trunk {value!r}": setting("trunk", value) for value in ("x", "timm/x", 7, "vgg16", "", ["resnet50"])},
    "a trunk of a billion": setting("trunk", "timm/convnext_xxlarge"),
    **{f"preset {value!r}": setting("preset", value) for value in ("x", 1, "release")},
    **{f"roi {value!r}": setting("roi", value) for value in ("x", 2)},
    **{f"alpha {value!r}": setting("alpha", value) for value in (2, -1, float("nan"), "a")},
    **{f"proposals {value!r}": setting("proposals", value) for value in (0, 10**6, "20")},
    **{f"seed {value!r}": setting("seed", value) for value in (-1, 10**30)},
    "slack 5": setting("mask_slack", 5),
    "an unknown setting": setting("colour", 1),
    "a number for a setting": setting(7, 1),
    "a tensor for a setting": setting("alpha", torch.tensor(0.3)),
    "a circle": foreign(cyclic),
    "a deep list": foreign(deep),
}
DEEPLAB: dict[str, Write] = {
    **{f"without {name}": without(name) for name in ("network", "classes", "longest_side")},
    **{f"network {value!r}": entry("network", value) for value in (None, 7, "x", "vgg16", ["vgg16"])},
    **{f"side {value!r}": entry("longest_side", value) for value in (None, 0, -5, 10**9, "96", 9.5, True)},
    **{f"scales {value!r}": entry("multi_scale", value) for value in (True, "yes", None)},
    **{f"classes {value!r}": entry("classes", value) for value in (None, [], {}, {"names": ["a"]})},
    **{
        f"names {names!r} and {indices!r}": entry("classes", {"names": names, "indices": indices})
        for names, indices in (
            ([], []), (["cat"], [1]), (["cat", "cat"], [1, 2]), (["cat", "dog"], [1, 1]), (["cat", "dog"], [0, 1]),
            (["cat", "dog"], [1, 300]), (["cat", 7], [1, 2]), (["cat", "dog"], ["1", "2"]), ("cat", [1, 2, 3]),
        )
    },
}  # fmt: skip
PACKED: dict[str, Write] = {
    "empty": put(lambda path: path.write_bytes(b"")),
    "text": put(lambda path: path.write_text("weights of a network")),
    "a folder": folder,
    "a pickle": put(lambda path: path.write_bytes(pickle.dumps(Payload()))),
    "a long header": header(b"{}", 2**60),
    "no header": header(b""),
    "no JSON": header(b"{oh}"),
    "a list for a header": header(b"[]"),
    "no tensors": header(b"{}"),
    "settings that are none": header(json.dumps({"__metadata__": {"s4": "7"}}).encode()),
    "settings without tensors": header(json.dumps({"__metadata__": {"s4": '{"kind": "s4net"}'}}).encode()),
    **{f"cut at {share}": data(cut(share), packed=True) for share in (0.001, 0.1, 0.5, 0.999)},
    **{f"bit {seed} turned": data(flipped(seed), packed=True) for seed in range(8)},
    **{f"bit at {share} turned": data(flipped(SEED, share), packed=True) for share in (0.0, 0.001, 0.4, 0.8)},
}
