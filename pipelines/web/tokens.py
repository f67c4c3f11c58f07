"""Who may talk to the server: only a browser of this machine that knows the address with its secret token.

The token is the first part of every path. The header `Host` must name this machine: a page on the internet can give its
own name the address 127.0.0.1 (DNS rebinding), but its browser then sends that name. `Origin` must be the server itself
where a browser sends it.
"""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_USUAL_PORT = 80  # of http
_REFUSED = b"This address is not valid any more. Take the one that s4 review prints.\n"


def new_token() -> str:
    """Return a random text that nobody guesses, of letters and digits that need no escape in an address."""
    return secrets.token_urlsafe(24)


class Guard:
    """An ASGI application that hands on requests with the token, and refuses all others."""

    def __init__(self, app: App, token: str, port: int) -> None:
        """Guard an application.

        Args:
            app: The application; it sees the paths without the token.
            token: The first part of every path.
            port: The port of the server.
        """
        self._app, self._token = app, token
        # A browser leaves out the port that an address without one means.
        ports = (f":{port}", "") if port == _USUAL_PORT else (f":{port}",)
        self._hosts = {f"{name}{end}" for name in ("127.0.0.1", "localhost") for end in ports}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see `App`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http" or not self._may(scope):
            await _refuse(scope, send)
        else:
            path = scope["path"].removeprefix(f"/{self._token}")
            inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
            await self._app(inner, receive, _with_headers(send))

    def _may(self, scope: Scope) -> bool:
        first, has_more, _ = scope["path"].removeprefix("/").partition("/")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        known = secrets.compare_digest(first.encode(), self._token.encode())
        own_page = headers.get("origin", next(iter(self._origins))) in self._origins
        return known and bool(has_more) and headers.get("host") in self._hosts and own_page


def _with_headers(send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_HEADERS]}
        await send(message)

    return sent


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSED})
