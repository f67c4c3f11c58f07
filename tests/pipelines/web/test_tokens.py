import asyncio
from typing import Any

import pytest

from pipelines.web.tokens import Guard, new_token

TOKEN = "secret"


def ask(path: str, kind: str = "http", port: int = 81, **headers: str) -> tuple[int, str | None, dict[str, str]]:
    """The status of an answer, the path that the application saw, and the headers of the answer."""
    seen: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": f"127.0.0.1:{port}", **headers}
    pairs = [(name.encode(), value.encode()) for name, value in given.items()]
    asyncio.run(Guard(app, TOKEN, port)({"type": kind, "path": path, "headers": pairs}, receive, send))
    names = {name.decode(): value.decode() for name, value in sent[0].get("headers", [])}
    return sent[0].get("status", sent[0].get("code")), seen[0] if seen else None, names


def test_the_token_opens_and_is_taken_off_the_path() -> None:
    assert ask("/secret/api/act")[:2] == (200, "/api/act")
    assert ask("/secret/", host="localhost:81")[:2] == (200, "/")


@pytest.mark.parametrize(
    "path", ["/", "/secret", "/secre/", "/secret2/", "/SECRET/", "//secret/", "/api/act", "/s\u00e9/"]
)
def test_other_paths_stay_closed(path: str) -> None:
    status, seen, headers = ask(path)
    assert (status, seen) == (403, None)
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example:81", "127.0.0.1", "127.0.0.1:82", "127.0.0.1:81.evil.example", ""])
def test_a_page_that_pretends_to_be_this_machine_is_refused(host: str) -> None:
    assert ask("/secret/", host=host)[:2] == (403, None)


@pytest.mark.parametrize(
    ("origin", "status"), [("http://127.0.0.1:81", 200), ("http://evil.example", 403), ("null", 403)]
)
def test_another_page_cannot_send(origin: str, status: int) -> None:
    assert ask("/secret/api/act", origin=origin)[0] == status


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.0.0.1:80"])
def test_a_browser_leaves_out_port_80(name: str) -> None:
    assert ask("/secret/api/act", port=80, host=name, origin=f"http://{name}")[:2] == (200, "/api/act")
    assert ask("/secret/", port=80, host=f"{name}.evil.example")[0] == 403
    assert ask("/secret/", port=80, host=name, origin="http://evil.example")[0] == 403


def test_web_sockets_are_closed_and_answers_carry_the_policy() -> None:
    assert ask("/secret/", kind="websocket")[:2] == (1008, None)
    assert "default-src 'self'" in ask("/secret/")[2]["content-security-policy"]


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50 and min(map(len, tokens)) >= 32
