"""Requests to the page of `s4 review`, from a thread of the same process, and the signal that ends it."""

import http.client
import json
import os
import re
import signal
import time
from typing import Any

from experiments.hostile_inputs.place import Place

_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)/([^/\s]+)/")
_LONGEST = 10.0  # seconds


def converse(place: Place, calls: list[tuple[str, str, Any]]) -> None:
    """Wait for the page, make all calls, note each answer that breaks a promise, and stop the command."""
    found = _wait(place)
    lines = []
    if found is not None:
        port, token = int(found[1]), found[2].decode()
        for method, path, body in calls:
            fault = _fault(port, method, path.replace("TOKEN", token), body)
            lines.append(fault or f"# {method} {path[:80]}")
    (place.logs / "talk").write_text("".join(line.replace("\n", " ") + "\n" for line in lines), errors="replace")
    os.kill(os.getpid(), signal.SIGTERM if len(calls) % 2 else signal.SIGINT)


def _wait(place: Place) -> "re.Match[bytes] | None":
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        found = _ADDRESS.search((place.logs / "stderr").read_bytes())
        if found:
            return found
        time.sleep(0.02)
    return None


def _fault(port: int, method: str, path: str, body: Any) -> str | None:
    """Make a call; return what is wrong with the answer."""
    begin = time.monotonic()
    try:
        status, content = _answer(port, method, path, body)
    except (OSError, http.client.HTTPException) as error:
        return f"request {method} {path[:200]}: {type(error).__name__}: {error}"
    except (ValueError, UnicodeError):  # the client does not send it
        return None
    seconds = time.monotonic() - begin
    if status >= 500 and status != 507:
        return f"request {method} {path[:200]} {str(body)[:300]}: status {status} {content[:300]!r}"
    return f"request {method} {path[:200]}: {seconds:.1f} s" if seconds > _LONGEST else None


def _answer(port: int, method: str, path: str, body: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST + 5)
    try:
        content, headers = body, {"content-type": "application/json"}
        if isinstance(body, tuple):
            content, more = body
            headers = headers | more
        elif body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
