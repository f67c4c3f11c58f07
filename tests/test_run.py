"""`s4 run` with its real stages, small, through the command line."""

import json
from pathlib import Path

import pytest

from pipelines.chain.stages.pseudo_label import label_bytes
from pipelines.data.shapes import write_instances, write_voc
from s4cli.main import main

FILE = """
trunk_weights = "none"
device = "cpu"

[run]
rounds = 2
first_round = "single"

[train]
images = "data/instances/images"
annotations = "data/instances/train.json"
trunk = "timm/mobilenetv3_small_050"
image_size = 64
steps = 2
batch_size = 1

[pseudo-label]
images = "data/voc/JPEGImages"
keywords = "data/voc/keywords_train.csv"
classes = "data/voc/classes.txt"
split = "train"
min_score = 0.0  # after two steps no score is high
assign = "single"

[deeplab-train]
network = "efficientnet_lite0"
steps = 2
batch_size = 2
crop = 65

[evaluate]
voc = "data/voc"
"""


def run(capsys: pytest.CaptureFixture[str], *flags: str) -> dict:
    code = main(["run", "scenes.toml", "--json", *flags])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def actions(result: dict) -> dict[str, str]:
    return {stage["stage"]: stage["action"] for stage in result["stages"]}


@pytest.mark.slow
def test_the_chain_runs_once_is_skipped_and_redoes_what_is_behind_a_changed_keyword(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage", reason="the scenes come with scikit-image")
    monkeypatch.chdir(tmp_path)
    write_instances(Path("data/instances"), 4, "train", seed=0, side=64)
    write_voc(Path("data/voc"), 8, 2, seed=1, side=64)
    Path("scenes.toml").write_text(FILE)

    plan = run(capsys, "--dry-run")
    assert set(actions(plan).values()) == {"planned"}
    assert not Path("scenes").exists()

    first = run(capsys)
    assert set(actions(first).values()) == {"ran"}
    assert first["miou"] == first["rounds"][1]["miou"]
    assert first["rounds"][1]["gain"] == pytest.approx(first["rounds"][1]["miou"] - first["rounds"][0]["miou"])
    out = Path("scenes")
    assert json.loads((out / "results.json").read_text())["miou"] == first["miou"]
    assert (out / "report.html").read_text().count("<img") == 4  # bars, and the curves of three trainings
    singles = (out / "round-1.txt").read_text().split()
    table = Path("data/voc/keywords_train.csv")
    assert set(singles) == {row.split(",")[0] for row in table.read_text().split()[1:] if ";" not in row}
    # The estimate counts whole blocks of the disk, so it is no less than the bytes of the maps.
    maps = sum(path.stat().st_size for path in (out / "labels-1").rglob("*.png"))
    assert maps <= label_bytes([(64, 64)] * 8) <= 8 * 12_000

    again = run(capsys)
    assert set(actions(again).values()) == {"skipped"}
    assert again["rounds"] == first["rounds"]

    row = next(row for row in table.read_text().split()[1:] if ";" not in row)
    name, word = row.split(",")
    table.write_text(table.read_text().replace(row, f"{name},{'heart' if word != 'heart' else 'star'}"))
    changed = actions(run(capsys))
    assert changed.pop("train") == "skipped"
    assert set(changed.values()) == {"ran"}
    assert {path.name for path in out.glob("*.old-*")} == {
        f"{folder}-{number}.old-1" for folder in ("labels", "deeplab") for number in (1, 2)
    }


@pytest.mark.slow
def test_mistakes_in_the_file_end_with_code_2_and_in_the_data_with_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("scenes.toml")
    for text, code in (("[train", 2), ("[trian]\n", 2), (FILE.replace("rounds = 2", "rounds = 0"), 2), (FILE, 3)):
        path.write_text(text)
        assert main(["run", "scenes.toml"]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines()[-1].startswith("error: ")
