"""`s4 pseudo-label --reviewed`: corrected pictures keep their labels, and the others learn from them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import IGNORE, Keywords
from pipelines.data.label_folder import open_labels
from pipelines.data.review import REVIEW, PictureReview, instance_key, read_reviews
from pipelines.data.review_maps import OriginalMaps
from pipelines.errors import ConfigError, InputError
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import InstanceLooks, PictureCues
from pipelines.labels.learn import Evidence, certain_instances
from pipelines.labels.picture_work import PictureWork
from tests.pipelines.test_pseudo_label_graph import (  # the fixture `networks` is used by its name
    SEVERAL,
    SINGLE,
    Killed,
    Networks,
    files_of,
    networks,
    run,
    settings_of,
)

__all__ = ["networks"]
FIRST = SINGLE  # pictures from p24 on have both keywords


def records_of(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "records.jsonl").read_text().splitlines()
    return {record["image_id"]: record for record in map(json.loads, lines)}


def say(folder: Path, image_id: str, do: str, **more: Any) -> None:
    """Add an action as `s4 review` does, and correct the label map."""
    with (folder / REVIEW).open("a") as file:
        who = {"id": f"{image_id}-{do}", "time": "now", "reviewer": "ann", "session": ""}
        file.write(json.dumps({**who, "image_id": image_id, "do": do, **more}) + "\n")
    review = read_reviews(folder).get(image_id, PictureReview())
    OriginalMaps(open_labels(folder, "pseudo", None)).correct(records_of(folder)[image_id], review)


def rename(folder: Path, image_id: str, keyword: str | None) -> None:
    key = instance_key(records_of(folder)[image_id]["instances"][0]["segmentation"])
    say(folder, image_id, "assign", instance=key, keyword=keyword)


def test_corrected_pictures_keep_their_labels_and_are_taken_as_certain(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    rename(tmp_path / "labels", f"p{FIRST}", "dog")  # the graph said cat
    say(tmp_path / "labels", "p00", "reject")
    networks.calls = 0
    result = run(tmp_path, out="next", reviewed=tmp_path / "labels", cues_of=tmp_path / "labels")
    assert networks.calls == 0  # no keyword changed, so no picture was looked at again
    labels = open_labels(tmp_path / "next", "pseudo", None)
    dog = labels.classes.position("dog")
    assert (labels.read_label(f"p{FIRST}")[:, 8:] == dog).all()
    assert (labels.read_confidence(f"p{FIRST}")[:, 8:] == 255).all()
    assert (labels.read_label("p00") == IGNORE).all()
    assert result["rejected"] == {"review": 1} and result["labelled"] == SINGLE + SEVERAL - 1
    # The review goes on in the new folder, and can be undone there.
    assert (tmp_path / "next" / REVIEW).read_bytes() == (tmp_path / "labels" / REVIEW).read_bytes()
    undone = OriginalMaps(labels).read(f"p{FIRST}")[0]
    assert (undone[:, 8:] == labels.classes.position("cat")).all()


def test_what_people_say_of_some_pictures_changes_the_labels_of_others(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    before = records_of(tmp_path / "labels")
    both = [f"p{number:02d}" for number in range(SINGLE, SINGLE + SEVERAL)]
    # Whoever reviewed found that every red picture shows a cat after all, and every dark one a dog.
    for number in range(SINGLE):
        say(tmp_path / "labels", f"p{number:02d}", "keyword", keyword="cat" if number % 4 >= 2 else "dog", on=True)
        rename(tmp_path / "labels", f"p{number:02d}", "cat" if number % 4 >= 2 else "dog")
    run(tmp_path, out="next", reviewed=tmp_path / "labels")
    after = records_of(tmp_path / "next")
    swapped = {"cat": "dog", "dog": "cat"}
    found = [after[one]["instances"][0]["keyword"] for one in both]
    assert found == [swapped[before[one]["instances"][0]["keyword"]] for one in both]


def test_a_changed_keyword_is_looked_for_anew(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    say(tmp_path / "labels", "p00", "keyword", keyword="dog", on=True)
    networks.calls = 0
    run(tmp_path, out="next", reviewed=tmp_path / "labels", cues_of=tmp_path / "labels")
    assert networks.calls == 1
    cues = CueStore(tmp_path / "next").load("p00")
    assert cues.looks is not None and cues.looks.log_odds.shape == (1, 2)


def test_cues_of_other_corrections_are_refused(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    say(tmp_path / "labels", "p00", "accept")
    run(tmp_path, out="next", reviewed=tmp_path / "labels", cues_of=tmp_path / "labels")
    say(tmp_path / "labels", "p01", "accept")
    with pytest.raises(ConfigError, match="cues-differ"):
        run(tmp_path, out="third", reviewed=tmp_path / "labels", cues_of=tmp_path / "next")
    with pytest.raises(ConfigError, match="labels-differ"):
        run(tmp_path, out="next", reviewed=tmp_path / "labels", cues_of=tmp_path / "labels")


def test_the_same_command_again_overwrites_no_correction(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    rename(tmp_path / "labels", "p00", "dog")
    corrected = (tmp_path / "labels/labels/p00.png").read_bytes()
    run(tmp_path)
    assert (tmp_path / "labels/labels/p00.png").read_bytes() == corrected
    (tmp_path / "labels/labels/p00.png").unlink()  # labelled again, and corrected again
    run(tmp_path)
    assert (tmp_path / "labels/labels/p00.png").read_bytes() == corrected


@pytest.mark.slow
@pytest.mark.parametrize("assign", ["graph", "single"])
def test_corrections_return_to_labels_that_several_runs_make_anew(
    tmp_path: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch, assign: str
) -> None:
    names = ["p00", "p01", "p05"]
    run(tmp_path, assign=assign)
    for name in names:
        rename(tmp_path / "labels", name, "dog" if name != "p05" else "cat")
    corrected = files_of(tmp_path / "labels")
    for name in names:
        (tmp_path / f"labels/labels/{name}.png").unlink()
    label = PictureWork.label

    def die(work: PictureWork, image_id: str, evidence: Evidence) -> Any:
        if image_id == "p05":
            raise Killed
        return label(work, image_id, evidence)

    with monkeypatch.context() as patch:
        patch.setattr(PictureWork, "label", die)
        with pytest.raises(Killed):
            run(tmp_path, assign=assign)
    run(tmp_path, assign=assign, shard="1/2")
    run(tmp_path, assign=assign, shard="2/2")
    assert files_of(tmp_path / "labels") == corrected


@pytest.mark.slow
def test_what_people_say_in_the_next_folder_too_returns_to_its_labels(
    tmp_path: Path, networks: Networks, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path)
    rename(tmp_path / "labels", "p00", "dog")
    rename(tmp_path / "labels", "p01", "dog")
    run(tmp_path, out="next", reviewed=tmp_path / "labels")
    assert "corrected again" not in capsys.readouterr().err
    say(tmp_path / "next", "p01", "undo", of="p01-assign")
    say(tmp_path / "next", "p02", "reject")
    corrected = files_of(tmp_path / "next")
    for name in ("p00", "p01", "p02"):
        (tmp_path / f"next/labels/{name}.png").unlink()
    run(tmp_path, out="next", reviewed=tmp_path / "labels")
    assert files_of(tmp_path / "next") == corrected
    assert "made anew, and corrected again as in review.jsonl: 1" in capsys.readouterr().err


def test_a_folder_cannot_learn_from_itself_or_from_nothing(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    with pytest.raises(ConfigError, match="setting-value"):
        PseudoLabelConfig(**settings_of(tmp_path, reviewed=tmp_path / "labels"))
    with pytest.raises(InputError, match="review-missing"):
        run(tmp_path, out="next", reviewed=tmp_path / "labels")


def test_a_picture_that_was_replaced_fails_alone(tmp_path: Path, networks: Networks) -> None:
    run(tmp_path)
    say(tmp_path / "labels", "p00", "accept")
    Image.new("RGB", (30, 40)).save(tmp_path / "images" / "p00.png")
    assert run(tmp_path, out="next", reviewed=tmp_path / "labels")["failed"] == 1
    assert records_of(tmp_path / "next")["p00"]["failed"]["rule"] == "label-size"


def test_instances_are_certain_by_the_label_of_most_of_their_pixels() -> None:
    label_map = np.zeros((4, 4), np.uint8)
    label_map[:2], label_map[3] = 1, IGNORE
    masks = np.zeros((4, 4, 4), bool)
    masks[0, :3], masks[1, 1:3], masks[2, 2:], masks[3, :2, :2] = True, True, True, True
    looks = InstanceLooks(np.arange(8, dtype=np.float32).reshape(4, 2), np.zeros((4, 1), np.float32))
    cues = PictureCues(masks, np.array([0.9, 0.8, 0.7, 0.6], np.float32), looks=looks)
    certain = certain_instances(cues, label_map, Keywords(("cat",), (1,)))
    # Two thirds, a half, nothing and all of the four instances are cat.
    assert certain.scores.tolist() == pytest.approx([0.9, 0.6])
    assert certain.named is not None and certain.named.tolist() == [1, 1]
    assert certain.looks is not None and certain.looks.features.tolist() == [[0, 1], [6, 7]]
    none = certain_instances(cues, np.full((4, 4), 2, np.uint8), Keywords(("cat",), (1,)))
    assert len(none.masks) == 0 and none.looks is None and none.named is None
