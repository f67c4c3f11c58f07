"""The network that ships: it is there, it is what its record says, and it finds the object of a real photograph."""

import hashlib
import json

import pytest

from pipelines.config.usual_places import BUILTIN, builtin_file
from pipelines.networks.load import load_s4net


def test_the_file_is_the_one_of_its_record_and_small() -> None:
    path = builtin_file()
    assert path is not None
    record = json.loads(path.with_suffix(".json").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]
    assert path.stat().st_size == record["bytes"] < 12_000_000


def test_it_finds_the_cat_of_a_photograph() -> None:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image, of the extra demo")
    picture = data.chelsea()  # [300, 451, 3], the head of a cat that fills most of the picture
    found = load_s4net(BUILTIN, min_score=0.3, device="cpu", precision="fp32")(picture)
    assert len(found) and found.scores[0] > 0.5
    mask = found.masks[0].numpy()
    assert mask.shape == (300, 451)
    # Between the eyes, which lie at about (185, 95) and (185, 240): the middle of the head.
    assert mask[120, 160] and mask[180, 200]
    assert not mask[20, 440] and 0.3 < mask.mean() < 0.95
