"""Values that a text file may hold where another kind of value is expected."""

import json
import random
from typing import Any

NUMBERS: list[Any] = [
    0,
    -1,
    1e308,
    -1e308,
    10**30,
    -(10**30),
    2**31,
    2**63,
    2**64,
    1.5,
    -0.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
]
THINGS: list[Any] = [
    None,
    "",
    "x",
    "\0",
    "\ud83d",
    "../../x",
    "/etc/passwd",
    "a" * 5000,
    [],
    {},
    [None],
    [[]],
    {"": {}},
    "NaN",
    "1",
    "-1",
    "1e999",
    "\n",
    "<b>",
    [1, "2", None],
    {"size": [4, 4], "counts": "x"},
    "9" * 400,
    "memory://x",
    "~",
    "$HOME",
    "%s",
]
VALUES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[[]]",
    b'"x"',
    b"7",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"{" * 3000,
    b'{"a": 1, "a": 2}',
    b"[1, 2",
    b"{'a': 1}",
    b"\xff\xfe",
    b"\0",
    b'"\\ud83d"',
    b"true",
    b"[" + b"1," * 3 + b"]",
    b'{"images": 3, "annotations": [], "categories": {}}',
    b'{"version": "5", "shapes": {}, "imagePath": 3}',
]
"""Contents of JSON files, and of lines of them."""


def places_of(content: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """Return every container of a JSON value with each of its keys."""
    found = [] if found is None else found
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    for key in keys:
        found.append((content, key))
        places_of(content[key], found)
    return found


def changed_json(text: bytes, choose: random.Random) -> bytes:
    """Return a JSON text with one value changed, taken out, doubled, or under another name."""
    content = json.loads(text)
    found = places_of(content)
    if not found:
        return choose.choice(VALUES)
    container, key = choose.choice(found)
    match choose.randrange(5):
        case 0:
            del container[key]
        case 1 if isinstance(container, list):
            container.append(container[key])
        case 2 if isinstance(container, dict):
            container[choose.choice(["", "x", "id", "\n", "0"])] = container.pop(key)
        case _:
            container[key] = choose.choice(NUMBERS if choose.random() < 0.5 else THINGS)
    return json.dumps(content).encode()
