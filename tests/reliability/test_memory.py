"""Peak memory of whole commands on the largest pictures that are taken, measured by the kernel.

The figures of docs/reliability.md come from here: `pytest -m slow -s tests/reliability/test_memory.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeplab import build_deeplab
from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.label_maps import write_palette_map
from pipelines.data.shapes import write_instances
from pipelines.engine.checkpoint import save_checkpoint

pytestmark = pytest.mark.stress

LIMIT = 1.5 * 1024  # MiB
SHAPES = {"square": (6928, 6928), "flat": (1, 40_000_000), "tall": (40_000_000, 1)}  # height, width

# The peak of this program alone: `ru_maxrss` counts also what the parent had when it was forked.
_MEASURE = """
import re, sys
from s4cli.main import main
code = main()
status = open("/proc/self/status").read()
print("peak", re.search(r"VmHWM:\\s+(\\d+)", status).group(1), file=sys.stderr)
sys.exit(code)
"""


def measure(where: Path, *arguments: object) -> float:
    """Run a command, and return its peak memory in MiB."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, arguments)],
        cwd=where,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak = int(done.stderr.rsplit("peak ", 1)[1]) / 1024
    print(f"{' '.join(map(str, arguments))[:90]}: {peak:.0f} MiB")
    return peak


def colourful(size: tuple[int, int]) -> Image.Image:
    """A picture with smooth areas and some noise, made a row of blocks at a time."""
    rows, columns = (np.arange(side, dtype=np.uint32) for side in size)
    pixels = np.empty((*size, 3), np.uint8)
    for channel, step in enumerate((37, 91, 53)):
        pixels[..., channel] = ((rows[:, None] * step >> 10) + (columns[None] * step >> 9)) & 255
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with one picture each, and its truth in VOC's layout."""
    root = tmp_path_factory.mktemp("large")
    for name, size in SHAPES.items():
        voc = root / name
        (voc / "JPEGImages").mkdir(parents=True)
        image = colourful(size)
        if name == "square":
            image.save(voc / "JPEGImages" / "a.jpg")
        else:  # JPEG goes to 65535 pixels a side; readers of VOC look for .jpg, and the content decides
            image.save(voc / "JPEGImages" / "a.jpg", format="PNG", compress_level=1)
        truth = np.zeros(size, np.uint8)
        truth[: max(1, size[0] // 2), : max(1, size[1] // 2)] = 8
        write_palette_map(voc / "SegmentationClass" / "a.png", truth)
        (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
        (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("a\n")
        (voc / "keywords.csv").write_text("image,keywords\na,cat;dog;person\n")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained networks of the sizes in use; S4Net by a training of one step."""
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    classes = ClassList.from_names(VOC_CLASSES)
    net = build_deeplab("efficientnet_lite0", classes.n_outputs)
    content = {
        "kind": "deeplab",
        "network": "efficientnet_lite0",
        "model": net.state_dict(),
        "classes": classes.described(),
        "longest_side": 513,
    }
    save_checkpoint(root / "deeplab.pt", content)
    annotations = write_instances(root / "shapes", 2, "train", seed=0)
    train = [
        "train",
        "--images",
        annotations.parent / "images",
        "--annotations",
        annotations,
        "--trunk-weights",
        "none",
    ]
    measure(root, *train, "--steps", 1, "--batch-size", 1, "--run", root / "s4net")
    return {"deeplab": root / "deeplab.pt", "s4net": root / "s4net"}


@pytest.mark.parametrize("shape", SHAPES)
class TestPeak:
    def test_of_pseudo_label(self, pictures: Path, weights: dict[str, Path], shape: str, tmp_path: Path) -> None:
        voc = pictures / shape
        command = ["pseudo-label", "--images", voc / "JPEGImages", "--keywords", voc / "keywords.csv"]
        command += ["--weights", weights["s4net"], "--min-score", 0, "--trunk-weights", "none", "--recognise", "off"]
        assert measure(tmp_path, *command, "--out", tmp_path / "labels", "--refine", "crf") < LIMIT

    def test_of_predict_with_s4net(self, pictures: Path, weights: dict[str, Path], shape: str, tmp_path: Path) -> None:
        command = ["predict", pictures / shape / "JPEGImages", "--weights", weights["s4net"], "--min-score", 0]
        assert measure(tmp_path, *command, "--out", tmp_path / "found") < LIMIT
        (record,) = map(json.loads, (tmp_path / "found" / "records.jsonl").read_text().splitlines())
        assert (record["height"], record["width"]) == SHAPES[shape]

    @pytest.mark.parametrize("options", [(), ("--crf", "--flip", "--scales", "0.75,1,1.5")], ids=["plain", "refined"])
    def test_of_predict_with_deeplab(
        self, pictures: Path, weights: dict[str, Path], shape: str, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        command = ["predict", pictures / shape / "JPEGImages", "--weights", weights["deeplab"]]
        assert measure(tmp_path, *command, *options, "--out", tmp_path / "found") < LIMIT
        with Image.open(tmp_path / "found" / "a.png") as found:
            assert found.size == SHAPES[shape][::-1]

    def test_of_evaluate(self, pictures: Path, weights: dict[str, Path], shape: str, tmp_path: Path) -> None:
        command = ["evaluate", "--voc", pictures / shape, "--split", "val", "--weights"]
        assert measure(tmp_path, *command, weights["deeplab"]) < LIMIT
