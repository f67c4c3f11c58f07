"""FIFOs and devices under the names of s4's own files: told or passed over, and never waited for."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from pipelines import folder_lock
from pipelines.data.classes import ClassList
from pipelines.errors import InputError, S4Error
from pipelines.events import Events
from pipelines.folder_lock import sole_writer
from pipelines.journal import Journal
from pipelines.labels.attention import load_attention
from pipelines.labels.cues import load_cues
from pipelines.web.journal import SharedJournal
from pipelines.web.paging import RecordFile

LONGEST = 20  # seconds; what waits for a FIFO waits for ever


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise AssertionError(f"more than {LONGEST} s")


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["FIFO", "FIFO behind a link", "device"])
def put(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        if request.param == "FIFO":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(path.with_name("elsewhere"))
            path.symlink_to("elsewhere")
        return path

    return make


def _turn(path: Path) -> None:
    with SharedJournal(path.parent).turn():
        pass


def _log(path: Path) -> None:
    events = Events()
    events.attach(path)
    events.info("said")


USES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a journal is read": ("failures.jsonl", lambda path: Journal(path).read()),
    "a journal is read on": ("failures.jsonl", lambda path: Journal(path).read_from(7)),
    "a journal grows": ("failures.jsonl", lambda path: Journal(path).append({"a": 1})),
    "a journal is flushed": ("failures.jsonl", lambda path: Journal(path).sync()),
    "the records of a page": ("records.jsonl", lambda path: RecordFile(path.parent)),
    "the corrections of a page": ("review.jsonl", _turn),
    "a log": ("log.txt", _log),
}


@pytest.mark.parametrize("use", USES)
def test_the_file_is_refused(tmp_path: Path, put: Callable[[Path], Path], use: str) -> None:
    name, call = USES[use]
    path = put(tmp_path / name)
    with pytest.raises(InputError) as caught:
        call(path)
    assert caught.value.rule == "not-regular" and str(path) in caught.value.message


def test_found_instances_are_found_anew(tmp_path: Path, put: Callable[[Path], Path]) -> None:
    assert load_cues(put(tmp_path / "x.npz")) is None


def test_an_attention_network_is_trained_anew(tmp_path: Path, put: Callable[[Path], Path]) -> None:
    path = put(tmp_path / "attention.safetensors")
    classes = ClassList.from_names(["cat", "dog"])
    assert load_attention(path, "print", classes, "none", None, 0, torch.device("cpu")) is None


def test_a_lock_names_nobody(tmp_path: Path, put: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "_PAUSE", 0.0)
    put(tmp_path / ".s4-lock")
    with pytest.raises(S4Error) as caught, sole_writer(tmp_path, "train", print):
        pass
    assert caught.value.rule == "folder-busy"


def test_a_link_to_a_file_that_is_to_be_made_grows(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.symlink_to("elsewhere")
    Journal(path).append({"a": 1})
    assert (tmp_path / "elsewhere").read_text() == '{"a": 1}\n'
