"""Hostile requests to the page of `s4 review`."""

import random
from collections.abc import Iterator
from typing import Any

from experiments.hostile_inputs.commands import (
    over_labels,
)
from experiments.hostile_inputs.place import Place, Rest

_IDS = (
    "train_00000",
    "",
    "nobody",
    "../../etc/passwd",
    "%2e%2e%2f",
    "a%00b",
    "train_00000.jpg",
    "%ff%fe",
    "x" * 3000,
    "%F0%9F%90%88",
    "*",
)
_QUERIES = (
    "start=-1",
    "start=99999999999999999999999",
    "count=0",
    "count=-5",
    "count=1e9",
    "start=x",
    "shown=x",
    "shown=",
    "keyword=%00",
    "text=" + "a" * 5000,
    "keyword=%24x%5E%24",
    "shown=accepted&shown=rejected",
    "text=%F0%9F",
    "start=1&start=2",
    "count=nan",
)
_BODIES: tuple[Any, ...] = (
    None,
    b"",
    b"{",
    b"[]",
    b"7",
    b"null",
    b"NaN",
    b'{"id": NaN}',
    b'{"id": 1e999}',
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"\xff\xfe",
    b'{"id": "\\ud83d"}',
    {"id": None},
    {"id": "train_00000"},
    {"id": "train_00000", "do": None},
    {"id": "train_00000", "do": []},
    {"id": "train_00000", "do": {"x": 1}},
    {"id": "train_00000", "do": "accept", "session": 7},
    {"id": "train_00000", "do": "reopen", "session": "\ud83d"},
    {"id": "train_00000", "do": "accept", "session": "s" * 10_000, "reviewer": "\n", "time": 3, "image_id": "x"},
    {"id": "train_00000", "do": "assign", "instance": [], "keyword": "disc"},
    {"id": "train_00000", "do": "assign", "instance": "x", "keyword": {}},
    {"id": "train_00000", "do": "keyword", "keyword": "disc"},
    {"id": "train_00000", "do": "keyword", "keyword": ["disc"], "on": True},
    {"id": "train_00000", "do": "keyword", "keyword": "disc", "on": 1},
    {"id": "train_00000", "do": "keyword", "keyword": "disc", "on": True},
    *(
        {"id": "train_00000", "do": "paint", "keyword": "disc", "points": points, "radius": radius}
        for points, radius in (
            (None, 1),
            ([], 1),
            ([[0, 0]], 0),
            ([[0, 0]], -1),
            ([[0, 0]], 1e308),
            ([[1e308, -1e308]], 0.1),
            ([[0.5, 0.5]] * 100_000, 0.1),
            ([[None, 1]], 1),
            ([["1", "2"]], 0.1),
            ([[1]], 0.1),
            ([[1, 2, 3]], 0.1),
            ("x", 0.1),
            ({"0": [0, 0]}, 0.1),
            ([[0, 0]], "1"),
            ([[0.2, 0.2]], True),
            ([[10**400, 0]], 0.1),
            ([[0.1, 0.1], [0.9, 0.9]], 10**400),
            ([[0.1, 0.1]], 0.05),
            ([[-5, -5]], 0.01),
            ([[float("inf"), 0]], 0.1),
        )
    ),
    {"id": "train_00000", "do": "undo", "of": "x"},
    {"id": ["train_00000"], "do": "accept"},
    {"id": {"train_00000": 1}},
    {"id": "train_00000", "do": "accept" * 9999},
)


def hostile_requests(choose: random.Random) -> Iterator[Rest]:
    """Yield starts of `s4 review` with hostile requests each, stopped by a signal."""
    calls: list[tuple[str, str, Any]] = []
    for path in ("picture", "thumbnail", "large", "labels", "neighbour"):
        calls += [
            ("GET", f"/TOKEN/api/{path}?id={one}&step={choose.choice(['1', '-1', 'x', '9' * 50])}", None)
            for one in _IDS
        ]
    calls += [("GET", f"/TOKEN/api/pictures?{query}", None) for query in _QUERIES]
    calls += [("GET", f"/TOKEN/api/changed?since={value}", None) for value in ("-1", "x", "9" * 40, "", "1.5", "nan")]
    for path in ("act", "undo"):
        calls += [("POST", f"/TOKEN/api/{path}", body) for body in _BODIES]
    calls += [
        ("POST", "/TOKEN/api/undo", {"id": one, "session": two})
        for one in ("", "train_00000", 7, None)
        for two in ("s", 7, None, [])
    ]
    calls += [
        (method, path, None)
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "X" * 50)
        for path in (
            "/",
            "/TOKEN",
            "/TOKEN/",
            "/TOKEN/../x",
            "/TOKEN//etc/passwd",
            "/wrong/api/overview",
            "/TOKEN/review.js",
            "/TOKEN/%2e%2e/pyproject.toml",
            "/TOKEN/docs",
            "/TOKEN/openapi.json",
            "/%00",
            "/TOKEN%2Fapi%2Foverview",
            "/" + "x" * 60_000,
            "http://example.org/TOKEN/",
            "/TOKEN/api/act",
        )
    ]
    heads = (
        {"host": "example.org"},
        {"origin": "http://example.org"},
        {"host": ""},
        {"content-type": "text/plain"},
        {"content-length": "5"},
        {"transfer-encoding": "chunked"},
        {"content-type": "multipart/form-data; boundary=" + "x" * 5000},
        {"cookie": "x" * 60_000},
        {"content-type": "application/json; charset=utf-7"},
        {"range": "bytes=0-99999999999"},
        {"upgrade": "websocket", "connection": "upgrade"},
    )
    calls += [
        ("POST", "/TOKEN/api/act", (b'{"id": "train_00000", "do": "accept"}\r\n\r\n', head))
        for head in heads
        if "content-length" not in head
    ]
    choose.shuffle(calls)
    size = 12
    for number in range(0, len(calls), size):
        yield f"requests {number}", _review, calls[number : number + size], None, "given/labels"


def _review(place: Place) -> list[str]:
    return over_labels("review", place, place.copied("labels"))
