"""A fingerprint stays what it was, or chains that were done before would be done again."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.fingerprints import fingerprint
from pipelines.chain.stages.evaluate import EvaluateStep
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.config import EvaluateConfig, PseudoLabelConfig
from tests.pipelines.chain.tiny_chain import write_data, write_mask
from tests.pipelines.weight_files import write_weights

SETTINGS = {
    "classes": "voc",
    "crf_preset": "deeplab",
    "min_score": 0.5,
    "precision": "auto",
    "scales": "1.0",
    "split": "val",
}
"""Settings of an evaluation without paths, device, threads, and what is unset or false."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = write_data(tmp_path)
    write_mask(data / "maps" / "p4.png")
    return data


def evaluation(data: Path, **settings: Any) -> EvaluateStep:
    return EvaluateStep("evaluate", 1, EvaluateConfig(voc=data, predictions=data / "maps", **settings))


def expected(step: EvaluateStep, **settings: Any) -> str:
    content = {"command": "evaluate", "inputs": step.inputs(), "settings": {**SETTINGS, **settings}}
    return hashlib.sha256((json.dumps(content, sort_keys=True) + "\n").encode()).hexdigest()


def test_it_is_the_hash_of_command_settings_and_inputs(data: Path) -> None:
    step = evaluation(data)
    assert fingerprint(step) == expected(step)
    assert fingerprint(evaluation(data, flip=True)) == expected(step, flip=True)


def test_device_threads_and_places_do_not_count(data: Path) -> None:
    first = fingerprint(evaluation(data))
    assert fingerprint(evaluation(data, device="cuda:3", workers=7, save_predictions=data / "saved")) == first
    (data / "maps").rename(data / "elsewhere")
    config = EvaluateConfig(voc=data, predictions=data / "elsewhere")
    assert fingerprint(EvaluateStep("evaluate-2", 2, config)) == first


def test_of_a_class_file_the_content_counts(data: Path) -> None:
    content = b"cat\ndog\n"
    (data / "animals.txt").write_bytes(content)
    step = evaluation(data, classes=str(data / "animals.txt"))
    assert fingerprint(step) == expected(step, classes=hashlib.sha256(content).hexdigest())


def test_of_keywords_the_words_count_and_not_their_file(data: Path) -> None:
    (data / "copy.csv").write_bytes((data / "keywords.csv").read_bytes())
    write_weights(data / "w.pt")

    def labelling(name: str, **settings: Any) -> str:
        config = PseudoLabelConfig(
            images=data / "JPEGImages", weights=data / "w.pt", out=data / "o", keywords=str(data / name), **settings
        )
        return fingerprint(PseudoLabelStep("pseudo-label", 1, config))

    assert labelling("keywords.csv") == labelling("copy.csv") == labelling("copy.csv", retry_failed=True)
    (data / "copy.csv").write_text("image,keywords\np0,dog\n")
    assert labelling("keywords.csv") != labelling("copy.csv")
