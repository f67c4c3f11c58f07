"""The stage that labels pictures."""

import hashlib
import json
from pathlib import Path

import pytest

from pipelines.chain.findings import Seen
from pipelines.chain.stages.pseudo_label import PseudoLabelStep, label_bytes
from pipelines.config import PseudoLabelConfig
from pipelines.data.review import review_sha256
from pipelines.files import write_text
from tests.pipelines.chain.some_step import checked
from tests.pipelines.chain.tiny_chain import write_data, write_mask
from tests.pipelines.review_folder import CLASSES, action, make_folder
from tests.pipelines.weight_files import hash_of_weights, write_weights


def step_of(data: Path, **settings: object) -> PseudoLabelStep:
    given = {
        "images": data / "JPEGImages",
        "keywords": str(data / "keywords.csv"),
        "weights": data / "w.pt",
        "out": data / "out",
        **settings,
    }
    return PseudoLabelStep("pseudo-label", 1, PseudoLabelConfig(**given))  # type: ignore[arg-type]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


LABEL_BYTES = 2 * 4096 + 4096 + 800 + round(2 * 433.01)
"""500 x 375: side 433; a label of 4.2 KB and a confidence map of 3.6 KB take two blocks and one; 1.7 KB of records."""


def test_the_disk_space_of_labels_is_estimated_from_sizes(tmp_path: Path) -> None:
    assert label_bytes([(375, 500)]) == LABEL_BYTES
    assert label_bytes([]) == 0
    step = step_of(tmp_path)
    assert step.disk_bytes(Seen(sizes=[(375, 500)])) == LABEL_BYTES
    assert step.disk_bytes(Seen()) is None


def test_inputs_are_keywords_networks_and_the_pictures_with_keywords(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    write_weights(data / "w.pt")
    write_weights(data / "deeplab.pt", "deeplab")
    sizes = {name: (data / "JPEGImages" / f"{name}.jpg").stat().st_size for name in ("p0", "p1", "p2", "p3")}
    assert step_of(data).inputs()["segmenter"] is None
    assert step_of(data, segmenter=data / "deeplab.pt").inputs() == {
        "weights": hash_of_weights(),
        "segmenter": hash_of_weights("deeplab"),
        "keywords": sha256("p0,cat\np1,dog\np2,cat;dog\np3,person\n"),
        "pictures": sha256("".join(f"{name} {size}\n" for name, size in sizes.items())),
    }


def test_instances_from_elsewhere_are_an_input(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    (data / "masks.json").write_text("{}")
    write_mask(data / "masks" / "p0.png")
    size = (data / "masks" / "p0.png").stat().st_size
    file, folder = (step_of(data, weights=None, instances=data / name) for name in ("masks.json", "masks"))
    assert file.inputs()["instances"] == sha256("{}")
    assert folder.inputs()["instances"] == sha256(f"p0.png {size}\n")


def test_corrected_labels_are_an_input(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    write_weights(data / "w.pt")
    labels = make_folder(tmp_path / "before").path
    made = [sha256((labels / name).read_text()) for name in ("manifest.json", "records.jsonl")]
    assert "reviewed" not in step_of(data).inputs()
    assert step_of(data, reviewed=labels).inputs()["reviewed"] == made
    (labels / "review.jsonl").write_text(json.dumps(action("reject")) + "\n")
    corrected = review_sha256(labels)
    assert corrected and step_of(data, reviewed=labels).inputs()["reviewed"] == [*made, corrected]


def test_earlier_labels_are_looked_at_before_the_work(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    write_weights(data / "w.pt")
    (data / "keywords.csv").write_text("image,keywords\np0,cat\np1,dog\n")
    (data / "own.txt").write_text("\n".join(CLASSES.names))
    own = {"classes": str(data / "own.txt")}

    def told(**settings: object) -> list[str]:
        return [str(fault.error) for fault in checked(step_of(data, trunk_weights="none", **settings)).faults]

    labels = make_folder(tmp_path / "before").path
    (strange,) = told(reviewed=labels)
    assert strange.endswith("[labels-classes]")  # cat, dog and cow are not VOC's twenty
    (unreviewed,) = told(reviewed=labels, **own)
    assert unreviewed.startswith(f"{labels}: no correction in it") and unreviewed.endswith("[review-missing]")
    (labels / "review.jsonl").write_text(json.dumps(action("accept")) + "\n")
    assert told(reviewed=labels, **own) == []
    (gone,) = told(reviewed=data / "gone", **own)
    assert gone.startswith(f"{data / 'gone'}: no such folder")
    (gone,) = told(cues_of=data / "gone", **own)
    assert gone.startswith(f"{data / 'gone'}: no such folder, earlier labels expected")


def test_labels_are_complete_when_no_label_map_is_missing(tmp_path: Path) -> None:
    step, out = step_of(tmp_path), tmp_path / "out"
    for name in ("a", "b/c"):
        write_text(out / "labels" / f"{name}.png", "")
    assert not step.is_complete({})  # a manifest is written last
    write_text(out / "manifest.json", json.dumps({"counts": {"labelled": 1, "empty": 1, "failed": 4}}))
    assert step.is_complete({})
    (out / "labels" / "b" / "c.png").unlink()
    assert not step.is_complete({})


@pytest.mark.parametrize(("retry", "failed", "complete"), [(True, 2, False), (True, 0, True), (False, 2, True)])
def test_failed_pictures_are_tried_again_on_request(tmp_path: Path, retry: bool, failed: int, complete: bool) -> None:
    write_text(tmp_path / "out" / "manifest.json", "{}")
    step = step_of(tmp_path, retry_failed=retry)
    assert step.is_complete({"failed": failed}) == complete
    assert step.failures({"failed": failed}) == failed


def test_a_label_folder_of_someone_else_is_left_to_the_stage(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "config.json", "{}")
    step = step_of(tmp_path)
    step.refuse_foreign()
    assert step.ready_config() is step.config


def test_the_report_shows_counts_but_for_zeros(tmp_path: Path) -> None:
    result = {"images": 5, "labelled": 4, "empty": 0, "failed": 1, "instances": 9, "out": "o"}
    assert list(step_of(tmp_path).figures(result).items()) == [("images", 5), ("labelled", 4), ("failed", 1)]
