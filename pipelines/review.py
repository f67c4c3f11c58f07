"""Stage `s4 review`: a page on this machine where people correct pseudo labels."""

import getpass
import importlib.util
import socket
import threading
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config import ReviewConfig
from pipelines.data.images import ImageFile
from pipelines.data.label_folder import open_labels
from pipelines.data.notes import Notes, first_names
from pipelines.data.picture_folders import find_pictures
from pipelines.data.review import REVIEW
from pipelines.engine.signals import StopRequest
from pipelines.errors import ConfigError, InputError, MachineError
from pipelines.events import Events
from pipelines.folder_lock import require_free
from pipelines.web.doubt import doubts_of
from pipelines.web.journal import require_writable
from pipelines.web.paging import RecordFile
from pipelines.web.tokens import App, new_token
from pipelines.web.workbench import Workbench

HOST = "127.0.0.1"
_NEEDED = ("fastapi", "uvicorn")
_PAUSE = 0.2  # seconds between looks for a signal
_LAST_ANSWERS = 5.0  # seconds that a stopped server has to finish its answers


def review(config: ReviewConfig, events: Events) -> dict[str, Any]:
    """Serve the page until a signal comes. Every correction is saved when it is made.

    Args:
        config: See `ReviewConfig`.
        events: Told the address of the page.

    Returns:
        labels, journal: The label folder, and the file of the corrections.
        pictures, reviewed, accepted, rejected, corrected: Counts of pictures, corrections of earlier times included.
            `corrected` counts those that are neither accepted nor rejected.
        seconds: Time that the page was open.

    Raises:
        ConfigError: FastAPI or uvicorn is not installed [extra-missing], another command writes into the folder
            [folder-busy], or the port is not free [port-busy].
        InputError: Labels or pictures are missing, or damaged.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        found = f"s4 review: {', '.join(missing)} not installed, FastAPI and uvicorn expected"
        raise ConfigError(f"{found}; install them: pip install 's4-segmentation[web]'", "extra-missing")
    config = config.located(events.info)
    require_free(config.labels)
    require_writable(config.labels)
    bench = open_workbench(config, events)
    start = time.monotonic()
    with _listening(config.port) as listener:
        token, port = new_token(), listener.getsockname()[1]
        from pipelines.web.app import make_app

        _serve(make_app(bench, token, port), listener, f"http://{HOST}:{port}/{token}/", config.open, events)
    counts = bench.overview()["progress"]
    journal = config.labels / REVIEW
    return {"labels": str(config.labels), "journal": str(journal), **counts, "seconds": time.monotonic() - start}


def open_workbench(config: ReviewConfig, events: Events) -> Workbench:
    """Read everything that the page needs.

    Raises:
        InputError: Labels or pictures are missing, or damaged.
    """
    folder = open_labels(config.labels, "pseudo", None)
    records = RecordFile(config.labels)
    notes = Notes(events)
    pictures = find_pictures(config.images, notes)
    notes.tell()
    _require_pictures(records, pictures, config.images)
    doubts = doubts_of(folder, records.all, events)
    return Workbench(folder, records, doubts, pictures, config.reviewer or _user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a number without a name, as in a container
        return "reviewer"


def _require_pictures(records: RecordFile, pictures: Mapping[str, ImageFile], folders: tuple[Path, ...]) -> None:
    """Check that every labelled picture is there.

    Raises:
        InputError: Some are not [image-missing].
    """
    if not len(records):
        message = "no picture with labels among the records, one or more expected"
        raise InputError(f"{message}; look at failures.jsonl", "folder-empty")
    absent = [image_id for image_id in records.keywords if image_id not in pictures]
    if absent:
        where = ", ".join(map(str, folders))
        found = f"{where}: {len(absent)} labelled pictures are not there ({first_names(absent)}), all expected"
        raise InputError(f"{found}; name their folder as --images", "image-missing")


def _listening(port: int) -> socket.socket:
    """Return a socket that listens on this machine alone.

    Raises:
        ConfigError: The port is taken, or only the administrator may use it [port-busy].
        MachineError: There is no network at all [port-failed].
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if port:
            message = f"--port {port}: {error.strerror}, a free port expected"
            raise ConfigError(f"{message}; leave it out to take any free one", "port-busy") from error
        found = f"{HOST}: {error.strerror}, a port of this machine expected"
        raise MachineError(f"{found}; allow connections to this machine itself", "port-failed") from error
    return listener


def _serve(app: App, listener: socket.socket, address: str, open_browser: bool, events: Events) -> None:
    """Serve the page until a signal comes, or the server ends."""
    import uvicorn

    settings = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    with StopRequest() as stop:
        thread.start()
        while thread.is_alive() and not server.started:
            time.sleep(0.01)
        events.info(f"the page is open on this machine: {address}")
        events.info("everything is saved at once; Ctrl-C ends the page")
        if open_browser and not webbrowser.open(address):
            events.warn("--open: no browser was found; open the address by hand")
        while thread.is_alive() and not stop.asked:
            time.sleep(_PAUSE)
        server.should_exit = True
        thread.join(_LAST_ANSWERS)
