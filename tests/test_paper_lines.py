"""The README's lines for the paper's Tables 3 and 5: which rows they are, and that each of them works."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import AblateConfig
from pipelines.config.setting import settings_of
from pipelines.data.label_maps import write_palette_map
from pipelines.data.rle import encode_masks
from pipelines.labels import attention as attention_maps
from s4cli.main import main
from tests.docs.checks import command_lines

README = (Path(__file__).parent.parent / "README.md").read_text()
SECTION = README.split("\n## The paper's set-ups\n")[1].split("\n## ")[0]
LINES = [line.arguments for line in command_lines("README.md", SECTION) if line.complete]

HEIGHT, WIDTH = 48, 64
KEYWORDS = {"2008_1": ("cat",), "2008_2": ("dog",), "2008_3": ("cat", "dog"), "2008_4": ("cat",)}
VOC = Path("VOC2012")
COLOURS = {"cat": (220, 40, 30), "dog": (30, 200, 60)}
INDICES = {"cat": 8, "dog": 12}

# Smaller trainings and pictures than a line asks for, and no download.
SMALLER = {
    "train": "--steps 1 --batch-size 1 --image-size 64",
    "ablate": "--steps 1 --batch-size 1 --image-size 64 --crop 33 --seeds 0",
    "pseudo-label": "",
    "deeplab-train": "--steps 1 --batch-size 1 --crop 33",
    "evaluate": "",
}
STARTS_FROM_WEIGHTS = {"train", "ablate", "pseudo-label", "deeplab-train"}


def value(arguments: tuple[str, ...], flag: str) -> str | None:
    return arguments[arguments.index(flag) + 1] if flag in arguments else None


def lines_of(command: str) -> list[tuple[str, ...]]:
    return [arguments for arguments in LINES if arguments[0] == command]


def things(keywords: tuple[str, ...]) -> list[tuple[str, NDArray[np.bool_]]]:
    """A keyword and a mask [HEIGHT, WIDTH] for each thing: beside each other, of a quarter of the picture's width."""
    masks = np.zeros((len(keywords), HEIGHT, WIDTH), bool)
    for number, mask in enumerate(masks):
        mask[10:40, 6 + 30 * number : 22 + 30 * number] = True
    return list(zip(keywords, masks, strict=True))


def write_picture(path: Path, keywords: tuple[str, ...]) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), (90, 110, 160), np.uint8)
    for word, mask in things(keywords):
        pixels[mask] = COLOURS[word]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_salient() -> None:
    """salient/images, and the same two pictures with instances in train.json and test.json."""
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "salient"}]}
    for number, keywords in enumerate([("cat",), ("dog", "cat")]):
        write_picture(Path(f"salient/images/{number}.jpg"), keywords)
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "height": HEIGHT, "width": WIDTH})
        for rle in encode_masks(np.stack([mask for _, mask in things(keywords)]).astype(np.uint8)):
            annotation = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": 1}
            content["annotations"].append({**annotation, "segmentation": rle})
    for split in ("train", "test"):
        Path(f"salient/{split}.json").write_text(json.dumps(content))


def write_voc() -> None:
    """VOC2012 with four pictures to label and one to measure on; drfi and dss with saliency maps of the four."""
    for name, keywords in {**KEYWORDS, "2008_5": ("cat",)}.items():
        write_picture(VOC / "JPEGImages" / f"{name}.jpg", keywords)
        found = np.any([mask for _, mask in things(keywords)], axis=0)
        for folder in ("drfi", "dss") if name in KEYWORDS else ():
            Path(folder).mkdir(exist_ok=True)
            Image.fromarray(np.where(found, 200, 17).astype(np.uint8)).save(Path(folder, f"{name}.png"))
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    for word, mask in things(("cat",)):
        truth[mask] = INDICES[word]
    write_palette_map(VOC / "SegmentationClass" / "2008_5.png", truth)
    lists = VOC / "ImageSets"
    for folder in ("Main", "Segmentation"):
        (lists / folder).mkdir(parents=True)
    (lists / "Segmentation" / "train_aug.txt").write_text("\n".join(KEYWORDS))
    (lists / "Segmentation" / "val.txt").write_text("2008_5\n")
    for word in INDICES:
        signs = [f"{name} {1 if word in keywords else -1}\n" for name, keywords in KEYWORDS.items()]
        (lists / "Main" / f"{word}_train.txt").write_text("".join(signs))


def test_the_lines_are_the_rows_of_table_3() -> None:
    trunks = settings_of(AblateConfig)["trunks"].default.split(",")
    trained = lines_of("train")
    assert [value(line, "--trunk") for line in trained] == trunks
    ablated = lines_of("ablate")
    assert all(value(line, "--preset") == "paper" for line in [*trained, ablated[0]])
    scored = [value(line, "--weights") for line in lines_of("evaluate") if "--annotations" in line]
    assert scored == [value(line, "--run") for line in trained]
    assert [value(line, "--table") for line in ablated] == ["3", "5"]


def test_the_lines_are_the_rows_of_table_5() -> None:
    # Model and heuristic cue of each row of the paper: Sal maps [31] (DRFI), Sal maps [26] (DSS), Att [59] + Sal [26],
    # Salient Instances, Salient Instances.
    made = {value(line, "--out"): line for line in lines_of("pseudo-label")}
    trained = lines_of("deeplab-train")
    cues = [made[value(line, "--labels")] for line in trained]
    rows = [
        (value(line, "--network"), value(cue, "--instances"), value(cue, "--assign"))
        for line, cue in zip(trained, cues, strict=True)
    ]
    assert rows == [
        ("vgg16", "drfi", "single"),
        ("vgg16", "dss", "single"),
        ("vgg16", "dss", "attention"),
        ("vgg16", None, "graph"),
        ("resnet101", None, "graph"),
    ]
    assert value(cues[-1], "--weights") in [value(line, "--run") for line in lines_of("train")]
    scored = [value(line, "--weights") for line in lines_of("evaluate") if "--annotations" not in line]
    assert scored == [value(line, "--run") for line in trained]


@pytest.mark.slow
def test_every_line_works(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(attention_maps, "_SIZE", 64)
    write_salient()
    write_voc()
    told = {}
    for arguments in LINES:
        smaller = [*SMALLER[arguments[0]].split(), "--device", "cpu", "--precision", "fp32", "--workers", "0"]
        if arguments[0] in STARTS_FROM_WEIGHTS:
            smaller += ["--trunk-weights", "none"]
        if "--weights" in arguments and arguments[0] in ("pseudo-label", "ablate"):
            smaller += ["--min-score", "0"]  # a network of one step is sure of nothing
        if value(arguments, "--table") == "5":  # other lines train vgg16
            smaller += ["--network", "efficientnet_lite0", "--assign", "graph"]
        code = main([*arguments, *smaller, "--json"])
        captured = capsys.readouterr()
        assert code == 0, f"{' '.join(arguments)}\n{captured.err}"
        told[arguments] = json.loads(captured.out)
    for arguments, result in told.items():
        if arguments[0] == "pseudo-label":
            assert (result["images"], result["failed"]) == (4, 0)
        elif arguments[0] == "evaluate":
            assert result["images"] == (2 if "--annotations" in arguments else 1)
        elif arguments[0] == "ablate":
            # Three rows from the network's saliency and attention, two from each other program, and one strategy.
            rows = 4 if value(arguments, "--table") == "3" else 3 + 2 * 2 + 1
            assert [row["trainings"] for row in result["rows"]] == [1] * rows
        else:
            assert result["steps"] == 1
    # One of the four pictures has two keywords: a saliency map alone says nothing there, with attention it does.
    assert [told[line]["assigned"] for line in lines_of("pseudo-label") if "--instances" in line][:2] == [3, 3]
