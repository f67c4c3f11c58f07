"""The web application of `s4 review`: addresses, and what each of them answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response

from pipelines.errors import InputError, S4Error
from pipelines.web.paging import SHOWN, Wanted
from pipelines.web.tokens import App, Guard
from pipelines.web.workbench import Refused, Workbench

STATIC = Path(__file__).parent / "static"
_FILES = {"review.css": "text/css", "review.js": "text/javascript", "canvas.js": "text/javascript"}
_KEPT = {"cache-control": "private, max-age=86400"}
_FRESH = {"cache-control": "no-store"}


def make_app(bench: Workbench, token: str, port: int) -> App:
    """Return the application.

    Args:
        bench: The label folder under review.
        token: The secret part of the address.
        port: The port of the server.
    """
    app = FastAPI(title="s4 review", docs_url=None, redoc_url=None, openapi_url=None)
    _add_files(app)
    _add_questions(app, bench)
    _add_pictures(app, bench)
    _add_actions(app, bench)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(S4Error, _failed)
    return Guard(cast(App, app), token, port)


def _add_files(app: FastAPI) -> None:
    def page() -> Response:
        return FileResponse(STATIC / "index.html", headers=_FRESH)

    app.add_api_route("/", page)
    for name, kind in _FILES.items():
        app.add_api_route(f"/{name}", _file_route(name, kind))


def _file_route(name: str, kind: str) -> Callable[[], Response]:
    def file() -> Response:
        return FileResponse(STATIC / name, media_type=kind, headers=_FRESH)

    return file


def _add_questions(app: FastAPI, bench: Workbench) -> None:
    def overview() -> Response:
        return JSONResponse(bench.overview(), headers=_FRESH)

    def pictures(start: int = 0, count: int = 60, shown: str = "all", keyword: str = "", text: str = "") -> Response:
        return JSONResponse(bench.page(_wanted(shown, keyword, text), start, count), headers=_FRESH)

    def changed(since: int) -> Response:
        return JSONResponse(bench.changed(since), headers=_FRESH)

    def picture(id: str) -> Response:
        return JSONResponse(bench.picture(id), headers=_FRESH)

    def neighbour(id: str, step: int, shown: str = "all", keyword: str = "", text: str = "") -> Response:
        found = bench.neighbour(id, 1 if step > 0 else -1, _wanted(shown, keyword, text))
        return JSONResponse({"id": found}, headers=_FRESH)

    for route in (overview, pictures, changed, picture, neighbour):
        app.add_api_route(f"/api/{route.__name__}", route)


def _add_pictures(app: FastAPI, bench: Workbench) -> None:
    def thumbnail(id: str) -> Response:
        return Response(bench.thumbnail(id), media_type="image/jpeg", headers=_KEPT)

    def large(id: str) -> Response:
        return Response(bench.large(id), media_type="image/jpeg", headers=_KEPT)

    def labels(id: str, small: bool = False) -> Response:
        return Response(bench.labels(id, small), media_type="image/png", headers=_FRESH)

    for route in (thumbnail, large, labels):
        app.add_api_route(f"/api/{route.__name__}", route)


def _add_actions(app: FastAPI, bench: Workbench) -> None:
    def act(asked: dict[str, Any] = Body(...)) -> Response:  # noqa: B008
        return JSONResponse(bench.act(str(asked.get("id")), asked), headers=_FRESH)

    def undo(asked: dict[str, Any] = Body(...)) -> Response:  # noqa: B008
        found = bench.undo(str(asked.get("id") or ""), str(asked.get("session") or "")[:64])
        return JSONResponse(found, headers=_FRESH)

    for route in (act, undo):
        app.add_api_route(f"/api/{route.__name__}", route, methods=["POST"])


def _wanted(shown: str, keyword: str, text: str) -> Wanted:
    if shown not in SHOWN:
        raise Refused(f"{shown}: one of {', '.join(SHOWN)} expected")
    return Wanted(shown, keyword, text)


def _answer(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status, headers=_FRESH)


async def _refused(request: Request, error: Exception) -> Response:
    return _answer(422, str(error))


async def _not_understood(request: Request, error: Exception) -> Response:
    """Answer without what was asked: not everything that JSON takes can be sent back."""
    assert isinstance(error, RequestValidationError)
    places = {".".join(map(str, one["loc"]))[:200] for one in error.errors()}
    return _answer(422, f"not understood: {', '.join(sorted(places)) or 'the request'}")


async def _failed(request: Request, error: Exception) -> Response:
    return _answer(404 if isinstance(error, InputError) else 507, str(error))
