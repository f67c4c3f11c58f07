"""The chain on pictures that lie in tar shards."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data.images import find_images
from pipelines.data.label_crops import LabelledPictures
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_palette_map
from pipelines.data.rle import encode_masks
from pipelines.events import Events
from pipelines.pseudo_label import pseudo_label

SIZE = (12, 16)
NAMES = ["n02123045/a", "n02123045/b", "n02085620/c"]  # a tabby, another one, and a Chihuahua
CAT, DOG = 8, 12


def encoded(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (SIZE[1], SIZE[0]), (value, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A shard with three pictures, and a COCO file with an instance on the left half of each."""
    (tmp_path / "images").mkdir()
    with tarfile.open(tmp_path / "images" / "shard-000000.tar", "w") as archive:
        for number, name in enumerate(NAMES):
            content = encoded(10 * number + 10)
            info = tarfile.TarInfo(f"{name}.png")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    mask = np.zeros((1, *SIZE), bool)
    mask[:, :, :8] = True
    (rle,) = encode_masks(mask)
    content = {
        "images": [{"id": number, "file_name": f"shard-000000/{name}.png"} for number, name in enumerate(NAMES)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "segmentation": rle} for n in range(len(NAMES))],
    }
    (tmp_path / "found.json").write_text(json.dumps(content))
    return tmp_path


def label(root: Path) -> dict[str, Any]:
    config = PseudoLabelConfig(
        images=root / "images",
        instances=root / "found.json",
        out=root / "labels",
        recognise="off",
        device="cpu",
        precision="fp32",
    )
    return pseudo_label(config, Events())


def test_pictures_of_a_shard_are_labelled_and_trained_on(scenes: Path) -> None:
    result = label(scenes)
    assert (result["labelled"], result["failed"]) == (3, 0)
    for name, value in zip(NAMES, (CAT, CAT, DOG), strict=True):
        label_map = read_palette_map(scenes / "labels" / "labels" / "shard-000000" / f"{name}.png")
        assert label_map[0].tolist() == [value] * 8 + [0] * 8
    coco = json.loads((scenes / "labels" / "instances.json").read_text())
    assert coco["images"][2]["file_name"] == "shard-000000/n02123045/b.png"
    labels = open_labels(scenes / "labels", "pseudo", None)
    pictures = LabelledPictures(labels.ids(), find_images(scenes / "images"), labels, longest_side=100)
    pictures.check()
    seen = [int(pictures[index][0][0, 0, 0]) for index in range(3)]
    assert dict(zip(labels.ids(), seen, strict=True)) == {
        "shard-000000/n02085620/c": 30, "shard-000000/n02123045/a": 10, "shard-000000/n02123045/b": 20
    }  # fmt: skip
    assert not [path for path in (scenes / "images").rglob("*") if path.suffix != ".tar"]


def test_a_damaged_member_fails_alone_and_is_named_with_its_tar(scenes: Path) -> None:
    tar = scenes / "images" / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    content[1024 + 512 + 60 : 1024 + 1024] = bytes(452)  # the second picture, behind its header
    tar.write_bytes(content)
    result = label(scenes)
    assert (result["labelled"], result["failed"]) == (2, 1)
    (failure,) = [json.loads(line) for line in (scenes / "labels" / "failures.jsonl").read_text().splitlines()]
    assert failure["image_id"] == "shard-000000/n02123045/b"
    assert f"{tar}:n02123045/b.png: picture is damaged" in failure["message"]
