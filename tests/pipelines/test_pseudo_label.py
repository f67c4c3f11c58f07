import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import pseudo_label
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import Keywords
from pipelines.data.label_folder import open_labels
from pipelines.data.label_maps import read_palette_map
from pipelines.data.rle import encode_masks
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.labels import picture_work
from pipelines.networks import load
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights

SIZE = (12, 16)
CAT, DOG = 8, 12  # VOC's palette indices


class Killed(BaseException):
    """Ends a run as a signal would, past every handler of errors."""


def columns(start: int, stop: int) -> torch.Tensor:
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[:, start:stop] = True
    return mask


def instances(*found: tuple[int, int, float]) -> Instances:
    """One instance for each (first column, end, score)."""
    boxes = torch.tensor([[start, 0, stop, SIZE[0]] for start, stop, _ in found]).float().reshape(-1, 4)
    masks = [columns(start, stop) for start, stop, _ in found]
    scores = torch.tensor([score for _, _, score in found])
    return Instances(boxes, scores, torch.stack(masks) if masks else torch.zeros(0, *SIZE, dtype=torch.bool))


class FakeS4Net:
    """Reads from the top left pixel which of the prepared answers to give, and can be told to die."""

    def __init__(self, answers: list[Instances]) -> None:
        self.answers, self.calls, self.die_at = answers, 0, -1
        self.before: Callable[[int], None] = lambda call: None

    def __call__(self, picture: np.ndarray) -> Instances:
        self.before(self.calls)
        if self.calls == self.die_at:
            raise Killed
        self.calls += 1
        return self.answers[picture[0, 0, 0]]


class FakeAttention:
    """Evidence for the first keyword on the left half, for the second on the right; two features alike."""

    unit = 10.0

    def look(self, picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        halves = np.array([[[1, 0]], [[0, 1]]], np.float32)
        return halves[: len(keywords)], halves


ANSWERS = [
    instances((0, 8, 0.9), (6, 12, 0.8)),  # two above the threshold
    instances((2, 6, 0.2), (8, 9, 0.15)),  # only a doubtful one
    instances((2, 6, 0.05)),  # nothing worth keeping
    instances(),
    instances((0, 6, 0.9), (10, 16, 0.7)),
]


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> FakeS4Net:
    fake = FakeS4Net(ANSWERS)
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)

    monkeypatch.setattr(picture_work, "open_attention", lambda *_: FakeAttention())
    return fake


def make_pictures(root: Path, answers: list[int], keywords: list[str]) -> None:
    """PNG pictures p0, p1, ... whose first pixel names the answer, the table of keywords, and a file of weights."""
    (root / "images").mkdir()
    rows = ["image,keywords"]
    for number, (answer, words) in enumerate(zip(answers, keywords, strict=True)):
        pixels = np.full((*SIZE, 3), answer, np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"p{number}.png")
        rows.append(f"p{number},{words}")
    (root / "keywords.csv").write_text("\n".join(rows) + "\n")
    write_weights(root / "weights.pt")


def run(root: Path, out: str = "labels", **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "images": root / "images",
        "weights": root / "weights.pt",
        "keywords": str(root / "keywords.csv"),
        "out": root / out,
        "device": "cpu",
        "recognise": "off",
    }
    return pseudo_label.pseudo_label(PseudoLabelConfig(**(settings | changes)), Events())


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of all files but the page, which tells the time and the command."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "report.html"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


MIXED = ([0, 1, 2, 3, 4, 0, 4], ["cat", "cat", "dog", "cat", "cat;dog", "dog", "dog;cat"])


def test_confident_instances_of_a_picture_with_one_keyword_get_it(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    result = run(tmp_path)
    label_map = read_palette_map(tmp_path / "labels/labels/p0.png")
    assert label_map[0].tolist() == [CAT] * 12 + [0] * 4
    counts = {key: value for key, value in result.items() if isinstance(value, dict | int)}
    assert counts == {
        "images": 1,
        "labelled": 1,
        "empty": 0,
        "failed": 0,
        "instances": 2,
        "assigned": 2,
        "unassigned": 0,
        "doubted": {},
        "missing_keywords": 0,
        "filled_keywords": 0,
        "rejected": {},
    }
    assert result["seconds"] > 0 and result["images_per_second"] > 0 and result["out"] == str(tmp_path / "labels")


def test_confidence_is_the_score_of_the_instance_on_top(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    run(tmp_path)
    with Image.open(tmp_path / "labels/confidence/p0.png") as image:
        row = np.asarray(image)[0].tolist()
    assert row == [230] * 8 + [204] * 4 + [255] * 4  # 0.9 * 255 = 229.5, in float32 a little more; 0.8 * 255 = 204


def test_maps_tell_the_keywords_of_a_picture_apart(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [4], ["dog;cat"])
    run(tmp_path)
    # Keywords come in the order of the class list: cat is the first, and so on the left.
    label_map = read_palette_map(tmp_path / "labels/labels/p0.png")
    assert label_map[0].tolist() == [CAT] * 6 + [0] * 4 + [DOG] * 6
    assert [item["rule"] for item in records_of(tmp_path / "labels")[0]["instances"]] == ["attention"] * 2


def test_single_assignment_leaves_pictures_with_several_keywords_unknown(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [4], ["dog;cat"])
    result = run(tmp_path, assign="single")
    label_map = read_palette_map(tmp_path / "labels/labels/p0.png")
    assert label_map[0].tolist() == [255] * 6 + [0] * 4 + [255] * 6
    assert result["unassigned"] == 2 and result["assigned"] == 0


def test_a_picture_without_confident_instance_keeps_its_best_one(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [1], ["cat"])
    result = run(tmp_path, min_score=0.3)
    assert read_palette_map(tmp_path / "labels/labels/p0.png")[0].tolist() == [0] * 2 + [CAT] * 4 + [0] * 10
    assert result["labelled"] == 1 and result["instances"] == 1


def test_a_picture_in_which_nothing_is_found_is_unknown_throughout(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [2, 3], ["cat", "dog"])
    result = run(tmp_path, min_score=0.3)
    for name in ("p0", "p1"):
        assert (read_palette_map(tmp_path / f"labels/labels/{name}.png") == 255).all()
    assert result["empty"] == 2 and result["labelled"] == 0


def test_records_tell_what_was_done_with_each_instance(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    run(tmp_path)
    (record,) = records_of(tmp_path / "labels")
    assert record["image_id"] == "p0" and (record["height"], record["width"]) == SIZE
    first, second = record["instances"]
    assert first["box"] == [0, 0, 8, 12] and second["box"] == [6, 0, 12, 12]
    assert first["score"] == pytest.approx(0.9) and first["keyword"] == "cat"
    assert first["margin"] == 1 and first["rule"] == "single" and first["area"] == 96


def test_instances_json_is_coco_with_run_lengths(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path)
    coco = json.loads((tmp_path / "labels/instances.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [f"p{number}.png" for number in range(7)]
    assert {item["category_id"] for item in coco["annotations"]} == {CAT, DOG}
    first = coco["annotations"][0]
    (expected,) = encode_masks(columns(0, 8)[None].numpy())
    assert first["segmentation"] == expected
    assert first["bbox"] == [0, 0, 8, 12] and first["area"] == 96 and first["image_id"] == 1


def test_the_manifest_makes_the_folder_usable_as_pseudo_labels(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path)
    folder = open_labels(tmp_path / "labels", "pseudo", None)
    assert folder.ids() == [f"p{number}" for number in range(7)]
    assert folder.manifest["counts"]["images"] == 7
    assert folder.manifest["configuration"]["min_score"] == 0.3


@pytest.mark.parametrize("die_at", range(7))
def test_a_killed_run_started_again_gives_the_bytes_of_an_unbroken_one(tmp_path: Path, net: FakeS4Net, die_at: int):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, out="unbroken")
    net.calls, net.die_at = 0, die_at
    with pytest.raises(Killed):
        run(tmp_path, out="broken")
    assert not (tmp_path / "broken/manifest.json").exists()
    net.die_at = -1
    result = run(tmp_path, out="broken")
    assert net.calls == 7  # nothing was done twice
    assert result["images"] == 7
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "unbroken")


def test_a_torn_record_and_a_lost_file_are_made_again(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, out="unbroken")
    net.calls, net.die_at = 0, 5
    with pytest.raises(Killed):
        run(tmp_path, out="broken")
    journal = tmp_path / "broken/records-1-of-1.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])  # the fifth record
    (tmp_path / "broken/labels/p0.png").unlink()
    (tmp_path / "broken/labels/.p6.png.999999999.tmp").write_bytes(b"half")
    net.die_at = -1
    run(tmp_path, out="broken")
    assert net.calls == 5 + 4
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "unbroken")


def test_a_finished_folder_stays_as_it_is(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    first = run(tmp_path)
    before, calls = files_of(tmp_path / "labels"), net.calls
    again = run(tmp_path)
    assert net.calls == calls and files_of(tmp_path / "labels") == before
    assert {**again, "seconds": 0, "images_per_second": 0} == {**first, "seconds": 0, "images_per_second": 0}


def test_a_signal_stops_after_the_picture_and_the_same_command_goes_on(
    tmp_path: Path, net: FakeS4Net, monkeypatch: pytest.MonkeyPatch
):
    import signal

    make_pictures(tmp_path, *MIXED)
    run(tmp_path, out="unbroken")
    net.calls = 0
    net.before = lambda call: signal.raise_signal(signal.SIGTERM) if call == 2 else None
    with pytest.raises(Stopped, match="after 3 of 7"):
        run(tmp_path, out="broken")
    net.before = lambda call: None
    run(tmp_path, out="broken")
    assert net.calls == 7
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "unbroken")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_together_give_the_bytes_of_one_run(tmp_path: Path, net: FakeS4Net, order: tuple[int, ...]):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, out="whole")
    images = 0
    for count, shard in enumerate(order, start=1):
        images += run(tmp_path, out="shards", shard=f"{shard}/3")["images"]
        assert (tmp_path / "shards/manifest.json").exists() == (count == 3)
    assert images == 7
    assert files_of(tmp_path / "shards") == files_of(tmp_path / "whole")


def test_labels_are_not_made_among_the_pictures(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    with pytest.raises(ConfigError, match=r"lies among the pictures.*\[out-inside\]"):
        run(tmp_path, out="images/labels")


def test_settings_without_effect_are_refused_or_not_held_against_the_folder(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    with pytest.raises(ConfigError, match="--flip: given with --instances"):
        run(tmp_path, weights=None, instances=tmp_path / "weights.pt", flip=True)
    with pytest.raises(ConfigError, match="every picture is out of their range"):
        run(tmp_path, least_foreground=0.5, most_foreground=0.4)
    run(tmp_path, assign="auto")
    run(tmp_path, assign="single", margin=0.2)  # what auto took, and a margin that nothing looks at


def test_attention_fills_keywords_of_pictures_without_instance(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [2, 3], ["cat", "cat"])
    result = run(tmp_path, fill=True)
    # The fake attention shows the first keyword on the left: cells of 8 pixels, 1 and 0 at their centres, 3.5 and 11.5.
    # It is above 0.3 up to 9.1.
    assert read_palette_map(tmp_path / "labels/labels/p0.png")[0].tolist() == [CAT] * 10 + [0] * 6
    assert result["labelled"] == 2 and result["filled_keywords"] == 2 and result["missing_keywords"] == 2


def test_labels_of_an_earlier_recipe_are_not_mixed_with_new_ones(
    tmp_path: Path, net: FakeS4Net, monkeypatch: pytest.MonkeyPatch
):
    make_pictures(tmp_path, [0], ["cat"])
    run(tmp_path)
    monkeypatch.setattr("pipelines.labels.plan._RECIPE", 99)
    with pytest.raises(ConfigError, match=r"recipe.*\[labels-differ\]"):
        run(tmp_path)


def test_other_settings_in_the_same_folder_are_refused_by_name(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    run(tmp_path)
    with pytest.raises(ConfigError, match=r"min_score.*0\.5.*0\.3.*\[labels-differ\]"):
        run(tmp_path, min_score=0.5)
    write_weights(tmp_path / "weights.pt", "others")
    with pytest.raises(ConfigError, match=r"weights_sha256.*\[labels-differ\]"):
        run(tmp_path)


def test_a_damaged_picture_fails_alone_and_can_be_retried(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, out="whole")
    path = tmp_path / "images/p2.png"
    content = path.read_bytes()
    path.write_bytes(content[:48])
    result = run(tmp_path)
    assert result["failed"] == 1 and result["images"] == 7 and result["labelled"] == 5
    (failure,) = [json.loads(line) for line in (tmp_path / "labels/failures.jsonl").read_text().splitlines()]
    assert failure["image_id"] == "p2" and failure["rule"] == "image-damaged"
    assert not (tmp_path / "labels/labels/p2.png").exists()

    path.write_bytes(content)
    calls = net.calls
    assert run(tmp_path)["failed"] == 1 and net.calls == calls  # not without being asked
    assert run(tmp_path, retry_failed=True)["failed"] == 0
    assert net.calls == calls + 1
    assert files_of(tmp_path / "labels") == files_of(tmp_path / "whole")


def test_a_dry_run_writes_nothing_and_tells_the_plan(
    tmp_path: Path, net: FakeS4Net, capsys: pytest.CaptureFixture[str]
):
    make_pictures(tmp_path, *MIXED)
    result = run(tmp_path, dry_run=True)
    assert not (tmp_path / "labels").exists() and net.calls == 7  # a few pictures are tried
    assert (result["images"], result["to_label"], result["faults"]) == (7, 7, [])
    told = capsys.readouterr().err
    assert "7 pictures with keywords, 2 of them with several" in told
    assert "cat: 5" in told and "dog: 4" in told and "to label: 7" in told


def test_missing_weights_stop_the_run_before_it_starts(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(InputError, match=r"\[weights-missing\]"):
        run(tmp_path)
    assert not (tmp_path / "labels").exists()


def test_pictures_in_folders_keep_them(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, [0], ["cat"])
    (tmp_path / "images/cat").mkdir()
    (tmp_path / "images/p0.png").rename(tmp_path / "images/cat/p0.png")
    run(tmp_path, keywords="auto")
    assert (tmp_path / "labels/labels/cat/p0.png").is_file()
    assert (tmp_path / "labels/confidence/cat/p0.png").is_file()


def test_recognition_without_weights_of_a_classifier_is_refused_before_anything_is_written(
    tmp_path: Path, net: FakeS4Net
):
    make_pictures(tmp_path, [1], ["cat"])
    with pytest.raises(ConfigError, match="recognise-unusable"):
        run(tmp_path, recognise="imagenet", trunk_weights="none")
    assert not (tmp_path / "labels" / "settings.json").exists()
