"""Damaged things that s4 has made itself: label folders, run folders, and parts of shards."""

import json
import os
import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from experiments.hostile_inputs.commands import OVER_LABELS, OVER_WEIGHTS, over_labels
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest, quietly
from experiments.hostile_inputs.values import VALUES, changed_json

Damage = Callable[[Path, random.Random], object]


def rewritten(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    """Return a damage that changes the content of a file."""

    def damage(path: Path, choose: random.Random) -> None:
        path.write_bytes(change(path.read_bytes() if path.exists() else b"", choose))

    return damage


def cut(content: bytes, choose: random.Random) -> bytes:
    """Keep the beginning of a content."""
    return content[: choose.randrange(len(content) + 1)]


def noise(content: bytes, choose: random.Random) -> bytes:
    """Change some bytes."""
    data = bytearray(content)
    for _ in range(8 if data else 0):
        data[choose.randrange(len(data))] = choose.randrange(256)
    return bytes(data)


def _json_changed(content: bytes, choose: random.Random) -> bytes:
    """Put values of another kind into one line of JSON, or into the whole file."""
    lines = content.splitlines(keepends=True)
    try:
        json.loads(content)
        lines = [content]
    except ValueError:
        pass
    if not lines:
        return content
    number = choose.randrange(len(lines))
    try:
        lines[number] = changed_json(lines[number], choose) + b"\n"
    except ValueError:
        lines[number] = choose.choice(VALUES) + b"\n"
    return b"".join(lines)


def _replaced(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, choose: random.Random) -> None:
        if path.is_file():
            path.unlink()
        if not path.exists():
            make(path)

    return damage


FILE_DAMAGES: dict[str, Damage] = {
    "cut": rewritten(cut),
    "noise": rewritten(noise),
    "empty": rewritten(lambda content, choose: b""),
    "zeros": rewritten(lambda content, choose: bytes(len(content) or 99)),
    "JSON changed": rewritten(_json_changed),
    "JSON changed more": rewritten(lambda content, choose: _json_changed(_json_changed(content, choose), choose)),
    "other JSON": rewritten(lambda content, choose: choose.choice(VALUES)),
    "deep": rewritten(lambda content, choose: b"[" * 100_000),
    "doubled": rewritten(lambda content, choose: content + content),
    "BOM": rewritten(lambda content, choose: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")),
    "UTF-16": rewritten(lambda content, choose: content.decode("utf-8", "replace").encode("utf-16")),
    "away": lambda path, choose: path.unlink(missing_ok=True),
    "a folder": _replaced(lambda path: path.mkdir()),
    "a pipe": _replaced(os.mkfifo),
    "a loop": _replaced(lambda path: path.symlink_to(path.name)),
    "a device": _replaced(lambda path: path.symlink_to("/dev/zero")),
}
LABEL_FILES = (
    "records.jsonl",
    "manifest.json",
    "pictures.json",
    "instances.json",
    "failures.jsonl",
    "review.jsonl",
    "settings.json",
    "report.html",
    "labels/*",
    "confidence/*",
    "*",
)
RUN_FILES = (
    "config.json",
    "status.json",
    "metrics.jsonl",
    "environment.json",
    "log.txt",
    "checkpoints/last.pt",
    "checkpoints/best.pt",
    "*",
)
_ACTION = {"id": "1", "time": "2026-01-01T00:00:00+00:00", "reviewer": "a", "session": "s", "do": "accept"}


def _file(folder: Path, name: str, choose: random.Random) -> Path:
    found = sorted(path for path in folder.glob(name) if path.is_file())
    return choose.choice(found) if found else folder / name.replace("*", "x.json")


def damaged_labels(choose: random.Random) -> Iterator[Rest]:
    """Yield label folders with one damaged file, each for a command."""
    commands = [name for name in OVER_LABELS if name != "review"]
    for file, damage in product(LABEL_FILES, FILE_DAMAGES):
        for command in choose.sample(commands, 1):
            build = _labels(file, damage, command)
            yield f"{file} {damage}, {command}", build, None, None, "given/labels" if command == "again" else None
    for file, damage in choose.sample(list(product(LABEL_FILES, FILE_DAMAGES)), 30):
        calls = [("GET", f"/TOKEN{path}", None) for path in ("/api/overview", "/api/pictures", "/api/changed?since=0")]
        yield f"{file} {damage}, review", _labels(file, damage, "review"), calls, None, "given/labels"


def _labels(file: str, damage: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        labels = place.copied("labels")
        first = json.loads((labels / "records.jsonl").read_text().splitlines()[0])["image_id"]
        (labels / "review.jsonl").write_text(json.dumps(_ACTION | {"image_id": first}) + "\n")
        FILE_DAMAGES[damage](_file(labels, file, place.choose), place.choose)
        return over_labels(command, place, labels)

    return build


RESUME = {
    "s4net": "train DRAWN --run {given} S4NET --steps 2 --resume",
    "deeplab": "deeplab-train TRUE CLASSES --run {given} DEEPLAB --steps 2 --resume",
}
OVER_RUN = {
    "report": "report {given} --out {out}/page.html",
    "compare": "report {given} {world}/runs/s4net {world}/labels --out {out}/page.html",
    "check": "check {given} --json",
}


def damaged_runs(choose: random.Random) -> Iterator[Rest]:
    """Yield run folders with one damaged file, each for a command."""
    for file, damage in product(RUN_FILES, FILE_DAMAGES):
        kind = choose.choice(["s4net", "deeplab"])
        first = choose.choice(["resume", "report", "compare", "check"])
        for command in (
            (first, choose.choice(list(OVER_WEIGHTS))) if file.startswith("ch") or file[0] == "*" else (first,)
        ):
            build = _run(kind, file, damage, command)
            yield f"{kind}, {file} {damage}, {command}", build, None, None, "given" if command == "resume" else None


def _run(kind: str, file: str, damage: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        run = place.copied(f"runs/{kind}")
        FILE_DAMAGES[damage](_file(run, file, place.choose), place.choose)
        lines = OVER_WEIGHTS | OVER_RUN | {"resume": RESUME[kind]}
        return filled(lines[command], place, given=run)

    return build


SHARDED = {
    "predict": "predict {voc}/JPEGImages --weights {net} --out {given} PLAIN",
    "pseudo-label": "pseudo-label KEYWORDS --weights {net} --out {given} LABEL",
}


def damaged_shards(choose: random.Random) -> Iterator[Rest]:
    """Yield label folders of which one part is done and then damaged, and the other part is started."""
    for damage in FILE_DAMAGES:
        for command in SHARDED:
            yield f"part {damage}, {command}", _sharded(damage, command), None, None, "given/parts"


def _sharded(damage: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        parts = place.given / "parts"
        line = filled(SHARDED[command], place, given=parts)
        quietly([*line, "-q", "--shard", "1/2"])
        files = sorted(path for path in parts.rglob("*") if path.is_file())
        FILE_DAMAGES[damage](place.choose.choice(files), place.choose)
        return [*line, "--shard", place.choose.choice(["2/2", "2/2", "1/2", "2/3"])]

    return build


RESULTS = {"scores.json": "", "chain": "results.json", "predictions": "*", "found": "*", "runs/deeplab": "report.html"}
"""What `s4 report` shows, and the file in it that is damaged."""


def damaged_results(choose: random.Random) -> Iterator[Rest]:
    """Yield results for `s4 report` with a damaged file, alone and beside another one."""
    for source, file in RESULTS.items():
        for damage in (*FILE_DAMAGES, "JSON changed 2", "JSON changed 3", "JSON changed 4"):
            yield f"{source} {file} {damage}", _result(source, file, damage)


def _result(source: str, file: str, damage: str) -> Build:
    def build(place: Place) -> list[str]:
        given = place.copied(source)
        FILE_DAMAGES[damage.rstrip(" 234")](_file(given, file, place.choose) if file else given, place.choose)
        more = ["{world}/chain", "{world}/scores.json", "{world}/runs/s4net"]
        beside = place.choose.sample(more, place.choose.choice([0, 0, 1, 2]))
        return filled(" ".join(["report {given}", *beside, "--out {out}/page.html"]), place, given=given)

    return build
