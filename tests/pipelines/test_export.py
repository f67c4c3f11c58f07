"""The exported files against the networks themselves, on pictures of any size."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeplab import build_deeplab
from pipelines.config import ExportConfig, TrainConfig, to_json
from pipelines.data.classes import ClassList
from pipelines.data.transforms import to_network
from pipelines.engine.checkpoint import load_checkpoint, save_checkpoint
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.export import export
from pipelines.networks.load import DeepLabPredictor, load_deeplab, load_s4net
from pipelines.networks.picture_graphs import LabelGraph, SalientGraph, squashed
from s4cli.main import main
from s4net import build_s4net
from s4net.postprocess import to_picture

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "onnx_without_torch.py"
SIZES = [(97, 130), (66, 41), (40, 40), (150, 35)]


def picture_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).copy()


def tensor_of(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()


@pytest.mark.parametrize("size", [*SIZES, (1, 1), (700, 3)])
@pytest.mark.parametrize("side", [32, 64])
def test_a_picture_is_resized_to_the_same_bytes(size: tuple[int, int], side: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert torch.equal(squashed(tensor_of(picture), side)[0].to(torch.uint8), to_network(picture, side))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", ["paper", "release", "modern"])
def test_the_salient_graph_finds_the_same_instances(preset: str, size: tuple[int, int]) -> None:
    torch.manual_seed(3)
    net = build_s4net(preset, "efficientnet_lite0", proposals=6).eval()  # type: ignore[arg-type]
    picture = picture_of(*size)
    with torch.no_grad():
        raw = net.detect(to_network(picture, 64)[None].float() / 255)[0]
        expected = to_picture(raw, 64, size, net.settings.mask_slack)
        boxes, scores, masks = SalientGraph(net, 64)(tensor_of(picture))
    n = len(expected)
    assert 0 < n <= 6 and len(boxes) == 6 and not scores[n:].any()
    torch.testing.assert_close(scores[:n], expected.scores, atol=1e-5, rtol=0)
    torch.testing.assert_close(boxes[:n], expected.boxes, atol=1e-3, rtol=0)
    assert ((masks[:n] > 0.5) != expected.masks).float().mean() < 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_the_label_graph_gives_the_same_probabilities(size: tuple[int, int]) -> None:
    torch.manual_seed(4)
    classes = ClassList.from_names(["cat", "dog"])
    nets = [build_deeplab("efficientnet_lite0", 3) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    predictor = DeepLabPredictor(nets[0], classes, 90, "cpu", "fp32")
    picture = picture_of(*size)
    with torch.no_grad():
        probabilities, label_map = LabelGraph(nets[1], classes.indices, 90)(tensor_of(picture))
    expected = predictor.probabilities(picture)
    np.testing.assert_allclose(probabilities.numpy(), expected, atol=1e-5)
    assert (label_map.numpy() == predictor(picture)).mean() > 0.999


needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="needs onnx, onnxruntime and onnxscript, of the extra export",
)


@pytest.fixture(scope="module")
def salient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an S4Net at 64 pixels."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("salient") / "s4net.pt"
    config = TrainConfig(images=path, annotations=path, image_size=64, proposals=3)
    net = build_s4net("modern", "efficientnet_lite0", proposals=3)
    save_checkpoint(path, {"kind": "s4net", "config": to_json(config), "model": net.state_dict()})
    return path


@pytest.fixture(scope="module")
def semantic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a DeepLab of cats and dogs that is sure to see no dog."""
    torch.manual_seed(6)
    path = tmp_path_factory.mktemp("semantic") / "deeplab.pt"
    net = build_deeplab("efficientnet_lite0", 3)
    assert net.presence is not None
    net.presence.bias.data[1] = -200  # no dog for sure: the sigmoid of that is 0 in float32
    content = {"network": "efficientnet_lite0", "classes": {"names": ["cat", "dog"], "indices": [8, 12]}}
    content |= {"longest_side": 90, "multi_scale": False}
    save_checkpoint(path, {"kind": "deeplab", **content, "model": net.state_dict()})
    return path


@needs_onnx
@pytest.mark.parametrize("kind", [pytest.param("salient", marks=pytest.mark.slow), "semantic"])
def test_the_file_equals_the_network_and_runs_without_torch(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import onnxruntime

    weights, out = request.getfixturevalue(kind), tmp_path / "network.onnx"
    result = export(ExportConfig(weights=weights, out=out), Events(None))
    assert result["kind"] == ("s4net" if kind == "salient" else "deeplab") and result["bytes"] == out.stat().st_size
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    names = ["salient"] if kind == "salient" else ["background", "cat", "dog"]
    assert json.loads(about["classes"]) == names and about["weights_sha256"] == result["weights_sha256"]
    for size in SIZES:
        picture = picture_of(*size, seed=7)
        found = session.run(None, {"picture": tensor_of(picture).numpy()})
        if kind == "salient":
            expected = load_s4net(weights, device="cpu", precision="fp32")(picture)
            n = len(expected)
            assert 0 < n <= 3 and found[2].shape == (3, *size)
            np.testing.assert_allclose(found[0][:n], expected.boxes.numpy(), atol=1e-3 * max(size))
            np.testing.assert_allclose(found[1][:n], expected.scores.numpy(), atol=1e-3)
            assert ((found[2][:n] > 0.5) != expected.masks.numpy()).mean() < 1e-3
        else:
            network = load_deeplab(weights, device="cpu", precision="fp32")
            np.testing.assert_allclose(found[0], network.probabilities(picture), atol=1e-3)
            assert found[1].dtype == np.uint8 and set(np.unique(found[1])) <= {0, 8, 12}
    shown, target = tmp_path / "picture.png", tmp_path / "result.png"
    Image.fromarray(picture_of(30, 50)).save(shown)
    # A torch that cannot be imported shows that the example needs none.
    code = "import sys, runpy; sys.modules['torch'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    subprocess.run([sys.executable, "-c", code, str(EXAMPLE), str(out), str(shown), str(target)], check=True)
    with Image.open(target) as shown_result:
        assert shown_result.size == (50, 30)


@needs_onnx
def test_a_network_of_several_scales_is_refused(semantic: Path, tmp_path: Path) -> None:
    path = tmp_path / "scales.pt"
    save_checkpoint(path, {**load_checkpoint(semantic), "multi_scale": True})
    with pytest.raises(InputError, match="several scales") as caught:
        export(ExportConfig(weights=path, out=tmp_path / "x.onnx"), Events(None))
    assert caught.value.rule == "export-scales" and not (tmp_path / "x.onnx").exists()


@needs_onnx
def test_a_network_that_crops_boxes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cropping.pt"
    config = TrainConfig(images=path, annotations=path, image_size=64, roi="roialign")
    net = build_s4net("modern", "efficientnet_lite0", roi="roialign")
    save_checkpoint(path, {"kind": "s4net", "config": to_json(config), "model": net.state_dict()})
    with pytest.raises(InputError, match="roialign") as caught:
        export(ExportConfig(weights=path, out=tmp_path / "x.onnx"), Events(None))
    assert caught.value.rule == "export-roi" and not (tmp_path / "x.onnx").exists()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="onnx and onnxscript not installed") as caught:
        export(ExportConfig(weights=tmp_path, out=tmp_path / "x.onnx"), Events(None))
    assert caught.value.rule == "extra-missing"


def test_another_suffix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w.pt").write_bytes(b"x")
    assert main(["export", str(tmp_path / "w.pt"), "--out", str(tmp_path / "x.pt")]) == 2
    assert ".onnx expected" in capsys.readouterr().err
