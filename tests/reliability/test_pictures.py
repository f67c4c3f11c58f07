"""Damaged and odd pictures: each bad one is listed once, and the good ones give what they give alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.data.images import find_images, open_image
from pipelines.data.shapes import write_instances
from pipelines.errors import InputError
from pipelines.networks import load
from s4cli.main import main
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights
from tests.reliability.corpus import write_bad, write_good, write_tar

LIMIT = 1.5 * 1024  # MiB

_MEASURE = """
import re, sys
from s4cli.main import main
code = main()
status = open("/proc/self/status").read()
print("peak", re.search(r"VmHWM:\\s+(\\d+)", status).group(1), file=sys.stderr)
sys.exit(code)
"""


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def unusable(folder: Path) -> dict[str, str]:
    """Return image_id -> rule of the pictures that cannot be opened."""
    found = {}
    for image_id, place in find_images(folder).items():
        try:
            open_image(place)
        except InputError as error:
            found[image_id] = error.rule
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of the files of pictures below a folder, by name."""
    return {
        os.fsdecode(os.path.relpath(path, folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".png", ".npz") and "cues" not in path.parts
    }


class Brightness:
    """Takes the bright pixels of a picture for its one instance: quick, and different for each picture."""

    def __call__(self, picture: np.ndarray) -> Instances:
        mask = torch.from_numpy(picture.mean(axis=2) > 100)[None]
        return Instances(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([0.9]), mask)


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: Brightness())
    write_weights(tmp_path / "s4net.pt")
    return tmp_path / "s4net.pt"


def test_bad_pictures_are_listed_and_good_ones_are_as_alone(
    tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "mixed"):
        write_good(tmp_path / name)
        write_tar(tmp_path / name / "shard.tar")
    write_bad(tmp_path / "mixed", 2 * 40)
    records = {}
    for name, code in (("good", 4), ("mixed", 4)):  # also among the good ones, one name in the tar is too long
        # In one process: others would not have the network of this test.
        command = ["predict", tmp_path / name, "--weights", network, "--out", tmp_path / f"{name}-out", "--workers", 1]
        assert main([str(word) for word in command]) == code
        found = lines_of(tmp_path / f"{name}-out" / "records.jsonl")
        records[name] = {record["image_id"]: record for record in found}
        assert len(records[name]) == len(found)
    failed = {one["image_id"]: one["rule"] for one in lines_of(tmp_path / "mixed-out" / "failures.jsonl")}
    too_long = f"shard/{'l' * 300}"
    assert failed == unusable(tmp_path / "mixed") | {too_long: "name-too-long"}
    assert len(failed) > 40
    assert {"empty", "text", "bomb"} <= failed.keys()
    assert records["good"] == {image_id: records["mixed"][image_id] for image_id in records["good"]}
    assert "caf\udce9" in records["good"]
    assert records["good"]["caf\udce9"]["instances"]
    said = capfd.readouterr().err
    assert "Traceback" not in said
    bare = [line for line in said.splitlines() if "Warning" in line or line.lower().startswith(("tiff", "lzw", "jpeg"))]
    assert not bare
    assert "fifo.jpg (a FIFO)" in said
    for image_id, rule in failed.items():
        shown = "l" * 10 if rule == "name-too-long" else image_id
        assert any(shown in line and rule in line for line in said.splitlines()), image_id


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        (["predict", "FIFO", "--weights", "net"], (3,)),
        (["predict", "good", "--weights", "FIFO"], (3,)),
        (["predict", "good", "--weights", "net", "--config", "FIFO"], (2, 3)),
        (["pseudo-label", "--images", "FIFO", "--keywords", "words.csv"], (3,)),
        (["pseudo-label", "--images", "good", "--keywords", "FIFO"], (3,)),
        (["pseudo-label", "--images", "good", "--keywords", "words.csv", "--classes", "FIFO"], (2, 3)),
        (["pseudo-label", "--images", "good", "--keywords", "words.csv", "--instances", "FIFO"], (3,)),
        (["pseudo-label", "--images", "good", "--keywords", "words.csv", "--trunk-weights", "FIFO"], (2, 3)),
        (["train", "--images", "good", "--annotations", "FIFO"], (3,)),
        (["run", "FIFO"], (2, 3)),
    ],
)
@pytest.mark.parametrize("kind", ["fifo.jpg", "fifo.json", "null.tar", "null.npy", "fifo.csv", "fifo.toml"])
def test_what_is_no_file_is_refused_where_it_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    codes: tuple[int, ...],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo" + Path(kind).suffix)
    Path("null" + Path(kind).suffix).symlink_to("/dev/zero")
    write_good(Path("good"))
    write_weights(Path("net"))
    Path("words.csv").write_text("image,keywords\none,cat\n")
    assert main([kind if word == "FIFO" else word for word in arguments]) in codes
    said = capsys.readouterr().err
    assert kind in said
    assert "Traceback" not in said
    assert not Path("labels").exists()
    assert not Path("predictions").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    annotations = write_instances(root, 2, "train", seed=0)
    command = ["train", "--images", root / "images", "--annotations", annotations, "--trunk-weights", "none"]
    command += ["--steps", 1, "--batch-size", 1, "--image-size", 128, "--run", root / "run"]
    assert main([str(word) for word in command]) == 0
    return root / "run"


def run(*command: object) -> tuple[int, str, float]:
    """Run a command; return its exit code, what it said, and its peak memory in MiB."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, command)],
        env=environment,
        capture_output=True,
        timeout=1800,
    )
    said = done.stderr.decode(errors="replace")
    json.loads(done.stdout.decode("utf-8"))  # one object in valid UTF-8
    return done.returncode, said, int(said.rsplit("peak ", 1)[1]) / 1024


@pytest.mark.slow
def test_five_hundred_damaged_pictures(tmp_path: Path, trained: Path) -> None:
    for name in ("good", "mixed"):
        write_good(tmp_path / name, seed=7)
        write_tar(tmp_path / name / "shard.tar", seed=7)
    write_bad(tmp_path / "mixed", 500, seed=7)
    for stage in ("predict", "pseudo-label"):
        outputs, records = {}, {}
        for name in ("good", "mixed"):
            out = tmp_path / f"{stage}-{name}"
            command: list[object] = [stage, "--weights", trained, "--out", out, "--json"]
            command += ["--min-score", 0]
            if stage == "predict":
                command += [tmp_path / name]
            else:
                ids = find_images(tmp_path / name)
                table = tmp_path / f"{name}.npy"
                keywords = {image_id: np.eye(20, dtype=np.float32)[7] for image_id in ids}
                np.save(table, np.array(keywords, dtype=object), allow_pickle=True)
                command += ["--images", tmp_path / name, "--keywords", table, "--workers", 1]
                command += ["--assign", "single", "--recognise", "off"]
            code, said, peak = run(*command)
            print(f"{stage} {name}: exit {code}, {peak:.0f} MiB")
            assert code == 4, said[-2000:]
            assert "Traceback" not in said
            assert peak < LIMIT
            outputs[name] = files_of(out)
            records[name] = {one["image_id"]: one for one in lines_of(out / "records.jsonl")}
        failed = lines_of(tmp_path / f"{stage}-mixed" / "failures.jsonl")
        listed = {one["image_id"]: one["rule"] for one in failed}
        assert len(listed) == len(failed)
        assert listed == unusable(tmp_path / "mixed") | {f"shard/{'l' * 300}": "name-too-long"}
        assert outputs["good"].items() <= outputs["mixed"].items()
        assert records["good"].items() <= records["mixed"].items()
