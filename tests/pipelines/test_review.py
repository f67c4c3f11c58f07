"""The command `s4 review`: what it refuses, what it prints, how it ends."""

import importlib.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipelines.config import ReviewConfig
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.folder_lock import sole_writer
from pipelines.review import open_workbench, review
from tests.pipelines.review_folder import make_folder

ROOT = Path(__file__).parent.parent.parent


def rule_of(config: ReviewConfig) -> str:
    with pytest.raises((ConfigError, InputError)) as caught:
        review(config, Events(io.StringIO()))
    return caught.value.rule


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        review(ReviewConfig(labels=tmp_path), Events(io.StringIO()))
    assert caught.value.rule == "extra-missing" and "s4-segmentation[web]" in caught.value.message
    assert caught.value.exit_code == 2


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    return make_folder(tmp_path).path


def test_labels_and_pictures_have_to_be_there(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "images" / "p1.jpg").unlink()
    assert rule_of(ReviewConfig(labels=labels)) == "image-missing"
    shutil.rmtree(tmp_path / "images")
    assert rule_of(ReviewConfig(labels=labels)) == "setting-missing"
    (labels / "pictures.json").unlink()
    assert rule_of(ReviewConfig(labels=labels)) == "setting-missing"
    (tmp_path / "empty").mkdir()
    assert rule_of(ReviewConfig(labels=tmp_path / "empty", images=(tmp_path / "empty",))) == "labels-unmarked"


def test_labels_that_are_being_made_and_damaged_records_are_refused(labels: Path) -> None:
    with sole_writer(labels, "s4 pseudo-label", lambda line: None):
        pid = os.getpid()
        assert rule_of(ReviewConfig(labels=labels)) == "folder-busy", pid
    records = (labels / "records.jsonl").read_text()
    (labels / "records.jsonl").write_text(records + "nonsense\n")
    assert rule_of(ReviewConfig(labels=labels)) == "journal-damaged"
    (labels / "records.jsonl").write_text(json.dumps({"image_id": "x", "failed": {}}) + "\n")
    assert rule_of(ReviewConfig(labels=labels)) == "folder-empty"
    (labels / "records.jsonl").unlink()
    assert rule_of(ReviewConfig(labels=labels)) == "file-missing"


def test_a_port_that_is_taken_is_named(labels: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert rule_of(ReviewConfig(labels=labels, port=taken.getsockname()[1])) == "port-busy"


def test_the_reviewer_is_the_user_unless_named(labels: Path) -> None:
    assert (
        open_workbench(ReviewConfig(labels=labels, reviewer="ann").located(), Events(io.StringIO())).reviewer == "ann"
    )
    assert open_workbench(ReviewConfig(labels=labels).located(), Events(io.StringIO())).reviewer


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="the extra web is not installed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_the_address_serves_this_machine_alone_and_ends_with_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    labels = make_folder(tmp_path).path
    command = [sys.executable, "-m", "s4cli", "--", "review", str(labels), "--json"]
    command.remove("--")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "http://" in line)
        address = line[line.index("http://") :].strip()
        assert address.startswith("http://127.0.0.1:") and len(address) > 50
        with urllib.request.urlopen(address) as answer:
            assert b"Review labels" in answer.read()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address[: address.rindex("/", 0, -1)] + "/")
        assert refused.value.code == 403
        refused.value.close()
        server.send_signal(number)
        out, _ = server.communicate(timeout=30)
    finally:
        server.kill()
        server.communicate()
    assert server.returncode == 0
    assert json.loads(out)["pictures"] == 3 and json.loads(out)["reviewed"] == 0
