from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.label_records import count_records
from pipelines.errors import ConfigError
from pipelines.labels.assign_in_picture import UNASSIGNED, Assignment, assigned
from pipelines.labels.cells import CellProbe
from pipelines.labels.cues import KeywordMaps, PictureCues
from pipelines.labels.earlier_deeplab import Segmenter
from pipelines.labels.labeller import PictureLabeller, PictureLabels, gather_witnesses
from pipelines.labels.learn import Evidence
from pipelines.labels.plan import LabelPlan
from pipelines.labels.windows import WindowProbe
from pipelines.networks import load

CLASSES = ClassList.from_names(["cat", "dog"])
CAT, DOG = 1, 2
PICTURE = np.zeros((4, 8, 3), np.uint8)


def cues(*columns: slice, maps: np.ndarray | None = None) -> PictureCues:
    """Make an instance for each slice of columns, with scores from 0.9 down to 0.8."""
    masks = np.zeros((len(columns), 4, 8), bool)
    for mask, own in zip(masks, columns, strict=True):
        mask[:, own] = True
    shown = None if maps is None else KeywordMaps(maps, 1.0)
    return PictureCues(masks, np.linspace(0.9, 0.8, len(columns)).astype(np.float32), shown)


@dataclass
class Labelling:
    """Labels picture `a` with these keywords and settings."""

    keywords: tuple[str, ...]
    settings: dict[str, Any]
    windows: WindowProbe | None = None
    witnesses: Sequence[tuple[Any, float]] = ()
    cells: CellProbe | None = None

    def __call__(self, image_id: str, picture: np.ndarray, found: PictureCues, assignment: Assignment) -> PictureLabels:
        config = PseudoLabelConfig(
            images=Path("images"), weights=Path("run"), keywords="k.csv", out=Path("labels"), device="cpu",
            **self.settings,
        )  # fmt: skip
        plan = LabelPlan({"a": Path("images/a.png")}, {"a": CLASSES.keywords(self.keywords)}, CLASSES, (1, 1), "graph")
        evidence = Evidence({image_id: assignment}, self.windows, self.cells)
        segmenter = None if config.segmenter is None else Segmenter(config, CLASSES)
        witnesses = [*gather_witnesses(plan, evidence, segmenter, None), *self.witnesses]
        return PictureLabeller(config, plan, evidence, witnesses)(image_id, picture, found)


def labeller(*keywords: str, **settings: Any) -> Labelling:
    return Labelling(keywords, settings)


def given(*keyword: int, keywords: int = 2) -> Assignment:
    """Make an assignment of instances to keywords, given by position in the class list or `UNASSIGNED`."""
    names = Keywords(("cat", "dog")[:keywords], (CAT, DOG)[:keywords])
    return assigned(np.int64(keyword), np.full((len(keyword), keywords), 0.5, np.float32), names, "graph")


def row(labels: Any) -> list[int]:
    assert (labels.label_map == labels.label_map[:1]).all()
    return labels.label_map[0].tolist()


def test_a_keyword_without_instance_is_missing_and_filled_only_if_asked():
    maps = np.float32([[[1, 1, 0, 0]], [[0, 0, 0, 1]]])  # the dog is on the right
    found = cues(slice(0, 4), maps=maps)
    plain = labeller("cat", "dog")("a", PICTURE, found, given(CAT))
    assert row(plain) == [CAT] * 4 + [0] * 4
    assert (plain.record["missing"], plain.record["filled"]) == (["dog"], [])
    filled = labeller("cat", "dog", fill=True)("a", PICTURE, found, given(CAT))
    # The cells of the map are two pixels wide. The map 0, 0, 0, 1 is above 0.5 beyond the middle between the last two
    # centres.
    assert row(filled) == [CAT] * 4 + [0] * 2 + [DOG] * 2
    assert (filled.record["missing"], filled.record["filled"]) == (["dog"], ["dog"])
    assert filled.confidence is not None and filled.confidence[0].tolist() == [230] * 4 + [255] * 2 + [128] * 2


def test_an_instance_that_shows_two_keywords_is_divided_by_the_maps():
    maps = np.float32([[[2, 2, -2, -2]], [[-2, -2, 2, 2]]])  # cells of two pixels
    found = PictureCues(cues(slice(0, 8)).masks, np.float32([0.9]), KeywordMaps(maps, 3.0))
    labels = labeller("cat", "dog")("a", PICTURE, found, given(CAT))
    assert row(labels) == [CAT] * 4 + [DOG] * 4
    assert [(part["keyword"], part["rule"]) for part in labels.record["instances"]] == [
        ("cat", "graph"),
        ("dog", "split"),
    ]
    assert labels.record["missing"] == []


def test_an_instance_that_comes_with_its_keyword_leaves_the_rule_of_the_others_as_it_is():
    maps = np.float32([[[2, 2, 2, -2]], [[-2, -2, -2, 2]]])  # cells of two pixels; the dog is on the right
    found = replace(cues(slice(0, 2), slice(2, 8), maps=maps), named=np.array([DOG, 0]))
    labels = labeller("cat", "dog")("a", PICTURE, found, given(CAT, CAT))
    assert row(labels) == [DOG] * 2 + [CAT] * 4 + [DOG] * 2
    rules = [(part["keyword"], part["rule"]) for part in labels.record["instances"]]
    assert rules == [("dog", "named"), ("cat", "graph"), ("dog", "split")]


def test_with_cells_a_keyword_without_instance_is_expected_where_attention_shows_it():
    maps = np.float32([[[1, 1, -1, -1]], [[-1, -1, -1, 1]]])  # the dog is on the right
    nothing = np.full((3, 4, 8), 1 / 3, np.float32)
    labelling = labeller("cat", "dog")
    labelling.witnesses = [(lambda *_: nothing, 0.5)]
    found = cues(slice(0, 4), maps=maps)
    assert row(labelling("a", PICTURE, found, given(CAT))) == [CAT] * 4 + [0] * 4
    labelling.cells = CellProbe(np.zeros((2, 3, 1), np.float32), np.zeros((2, 3), np.float32))
    labels = labelling("a", PICTURE, found, given(CAT))
    # The dog's map goes from -1 at 4.5 to 1 at 6.5, so it is above 0.3 from 5.8 on. There the dog has 0.7.
    assert row(labels) == [CAT] * 4 + [0] * 2 + [DOG] * 2
    assert (labels.record["missing"], labels.record["filled"]) == (["dog"], ["dog"])


def test_what_only_unsure_instances_cover_is_open():
    found = cues(slice(0, 3), slice(2, 6))
    found = replace(found, scores=np.float32([0.9, 0.4]))
    labels = labeller("cat")("a", PICTURE, found, given(CAT, CAT, keywords=1))
    assert row(labels) == [CAT] * 3 + [255] * 3 + [0] * 2
    assert [instance["sure"] for instance in labels.record["instances"]] == [True, False]
    assert [instance["doubt"] for instance in labels.record["instances"]] == [None, "low-score"]
    assert [instance["recognised"] for instance in labels.record["instances"]] == [None, None]
    assert count_records([labels.record])["doubted"] == {"low-score": 1}
    assert [instance["keyword"] for instance in labels.record["instances"]] == ["cat", "cat"]
    assert row(labeller("cat", sure_score=0.4)("a", PICTURE, found, given(CAT, CAT, keywords=1))) == [CAT] * 6 + [0] * 2


def test_the_best_instance_of_a_picture_is_painted_however_unsure():
    found = cues(slice(0, 3), slice(2, 6))
    found = replace(found, scores=np.float32([0.4, 0.35]))
    labels = labeller("cat")("a", PICTURE, found, given(CAT, CAT, keywords=1))
    assert row(labels) == [CAT] * 3 + [255] * 3 + [0] * 2


def test_a_strip_around_labels_is_open_and_without_confidence():
    labels = labeller("cat", border=1)("a", PICTURE, cues(slice(0, 4)), given(CAT, keywords=1))
    assert row(labels) == [CAT] * 3 + [255] * 2 + [0] * 3
    assert labels.confidence is not None and labels.confidence[0].tolist() == [230] * 3 + [0] * 2 + [255] * 3


@pytest.mark.parametrize(
    ("settings", "width", "rule"),
    [
        ({}, 0, "nothing-found"),
        ({"least_foreground": 0.2}, 1, "too-little-foreground"),  # an eighth
        ({"least_foreground": 0.1}, 1, None),
        ({"most_foreground": 0.8}, 7, "too-much-foreground"),
        ({"most_foreground": 0.9}, 7, None),
        ({}, 8, None),
    ],
)
def test_pictures_are_rejected_by_rule(settings: dict[str, float], width: int, rule: str | None):
    found = cues(slice(0, width)) if width else cues()
    labels = labeller("cat", **settings)("a", PICTURE, found, given(*[CAT] * bool(width), keywords=1))
    assert labels.record["rejected"] == rule
    assert (labels.label_map == 255).all() == (rule is not None)


@pytest.mark.parametrize(("least", "rule"), [(0.0, None), (0.01, "too-little-foreground")])
def test_where_all_instances_are_without_keyword_the_rest_is_background(least: float, rule: str | None):
    found = cues(slice(0, 3), slice(5, 7))
    labels = labeller("cat", "dog", least_foreground=least)("a", PICTURE, found, given(UNASSIGNED, UNASSIGNED))
    assert labels.record["rejected"] == rule
    assert row(labels) == ([255] * 3 + [0] * 2 + [255] * 2 + [0] if rule is None else [255] * 8)


class Network:
    """A DeepLab that sees a dog on the right half, with probability `sure`, and hardly any cat anywhere."""

    def __init__(self, sure: float, names: tuple[str, ...] = ("cat", "dog")) -> None:
        self.classes, self.sure, self.ignore_presence = ClassList.from_names(names), sure, False

    def probabilities(self, picture: np.ndarray, flip: bool) -> np.ndarray:
        assert flip and self.ignore_presence  # the keywords say what the picture shows
        result = np.full((3, *picture.shape[:2]), 0.01, np.float32)
        result[0] = 0.9
        result[0, :, 4:], result[2, :, 4:] = 0.9 * (1 - self.sure), 0.9 * self.sure
        return result


def use(monkeypatch: pytest.MonkeyPatch, network: Network) -> dict[str, Path]:
    def load_deeplab(weights: Path, *, ignore_presence: bool, **_: str) -> Network:
        network.ignore_presence = ignore_presence
        return network

    monkeypatch.setattr(load, "load_deeplab", load_deeplab)
    return {"segmenter": Path("deeplab")}


def test_an_earlier_network_labels_what_no_instance_shows(monkeypatch: pytest.MonkeyPatch):
    # Outside all instances, the dog has 0.1 against 0.9 for the background. It takes 9 to 1 to outweigh that.
    for sure, expected in ((0.92, DOG), (0.88, 0)):
        labels = labeller("dog", **use(monkeypatch, Network(sure)))("a", PICTURE, cues(), given(keywords=1))
        assert labels.record["rejected"] == (None if expected else "nothing-found")
        assert row(labels)[4:] == ([DOG] * 4 if expected else [255] * 4)


def test_an_earlier_network_takes_part_of_an_instance_away(monkeypatch: pytest.MonkeyPatch):
    settings = use(monkeypatch, Network(0.99))
    labels = labeller("cat", "dog", **settings)("a", PICTURE, cues(slice(2, 7)), given(CAT))
    # Under the cat of 0.905: cat 0.905 x 0.01 against dog 0.0475 x 0.89.
    assert row(labels)[4:7] == [DOG] * 3


def test_a_network_that_would_leave_nothing_of_a_picture_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    found = cues(slice(4, 6))
    labels = labeller("dog", **use(monkeypatch, Network(1e-4)))("a", PICTURE, found, given(DOG, keywords=1))
    assert row(labels) == [0] * 4 + [DOG] * 2 + [0] * 2
    assert labels.record["rejected"] is None


def test_an_earlier_network_decides_about_instances_without_keyword(monkeypatch: pytest.MonkeyPatch):
    found, nothing = cues(slice(4, 8)), given(UNASSIGNED)
    assert row(labeller("cat", "dog")("a", PICTURE, found, nothing)) == [0] * 4 + [255] * 4
    labels = labeller("cat", "dog", **use(monkeypatch, Network(0.9)))("a", PICTURE, found, nothing)
    assert row(labels) == [0] * 4 + [DOG] * 4


def test_an_earlier_network_of_other_classes_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"trained for dog, cat, cat, dog expected.*\[class-list-differs\]"):
        labeller("cat", **use(monkeypatch, Network(0.9, ("dog", "cat"))))("a", PICTURE, cues(), given(keywords=1))


def test_with_a_crf_a_picture_without_instance_is_still_rejected():
    labels = labeller("cat", refine="crf", most_foreground=0.9)("a", PICTURE, cues(), given(keywords=1))
    assert labels.record["rejected"] == "nothing-found"


def test_a_doubtful_instance_survives_a_crf_that_has_nothing_against_it():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, :10] = 250
    masks = np.zeros((1, 20, 20), bool)
    masks[0, :, :10] = True
    labels = labeller("cat", refine="crf")("a", picture, PictureCues(masks, np.float32([0.3])), given(CAT, keywords=1))
    assert labels.label_map is not None and (labels.label_map[:, :10] == CAT).all()


def test_a_crf_moves_outlines_to_where_the_colour_changes():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, :10] = 250
    masks = np.zeros((1, 20, 20), bool)
    masks[0, :, :8] = True  # two columns short
    found = PictureCues(masks, np.float32([0.9]))
    plain = labeller("cat")("a", picture, found, given(CAT, keywords=1))
    refined = labeller("cat", refine="crf")("a", picture, found, given(CAT, keywords=1))
    assert plain.label_map is not None and refined.label_map is not None
    assert (plain.label_map[0] == CAT).sum() == 8
    assert refined.label_map[10].tolist() == [CAT] * 10 + [0] * 10


def test_where_a_crf_changes_a_label_the_confidence_is_what_it_was_worth_before():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, :10] = 250
    masks = np.zeros((1, 20, 20), bool)
    masks[0, :, :8] = True  # two columns short
    refined = labeller("cat", refine="crf")("a", picture, PictureCues(masks, np.float32([0.9])), given(CAT, keywords=1))
    assert refined.confidence is not None
    # Under the instance 0.5 + 0.45 * 0.9 = 0.905; outside 0.1 for the cat, 0.9 for the background.
    assert refined.confidence[10].tolist() == [231] * 8 + [26] * 2 + [230] * 10


def test_an_instance_that_is_not_recognised_is_left_open():
    found = replace(cues(slice(0, 3), slice(5, 8)), recognised=np.float32([0.29, 0.31]))
    labels = labeller("cat")("a", PICTURE, found, given(CAT, CAT, keywords=1))
    assert row(labels) == [255] * 3 + [0] * 2 + [CAT] * 3
    assert [instance["sure"] for instance in labels.record["instances"]] == [False, True]
    assert [instance["doubt"] for instance in labels.record["instances"]] == ["unrecognised", None]
    assert [instance["recognised"] for instance in labels.record["instances"]] == [0.29, 0.31]
    counts = count_records([labels.record])
    assert (counts["assigned"], counts["unassigned"], counts["doubted"]) == (2, 0, {"unrecognised": 1})


def test_a_witness_must_be_surer_where_nothing_like_the_keyword_is_recognised():
    witness = np.full((2, 4, 8), 0.2, np.float32)
    witness[1] = 0.8
    found = replace(cues(slice(0, 3), slice(5, 8)), recognised=np.float32([0.1, 0.9]))
    labelling = labeller("cat")
    labelling.witnesses = [(lambda *_: witness, 1.0)]
    labels = labelling("a", PICTURE, found, given(CAT, CAT, keywords=1))
    # Cat to background is 0.8 to 0.2 for the witness. For the instances it is 0.1 to 0.9 under the first one, which is
    # not recognised, and between the two.
    assert row(labels) == [0] * 5 + [CAT] * 3
    # Roots of 0.9 * 0.2 and 0.1 * 0.8 are as 3 to 2. Under the second instance, of score 0.8, those of 0.86 * 0.8 and
    # 0.14 * 0.2 are as 4.9570 to 1.
    assert labels.confidence is not None and labels.confidence[0].tolist() == [153] * 5 + [212] * 3


def test_windows_tell_what_instances_show_and_nothing_around_them():
    witness = np.full((2, 4, 8), 0.5, np.float32)
    windows = np.float32([[[-8, 8]]])
    labelling = labeller("cat")
    labelling.witnesses = [(lambda *_: witness, 1.0)]
    labelling.windows = WindowProbe(np.float32([0, 1, 0]), np.float32([0, 0, 0]))
    labels = labelling("a", PICTURE, replace(cues(slice(0, 6)), windows=windows), given(CAT, keywords=1))
    # Without windows: roots of 0.905 and 0.095 are as 3.086 to 1, and ln 3.086 = 1.127. The middles of the windows are
    # at 2 and 6. They say -8, -8, -6, -2, 2, 6 to the pixels of the instance, of which half is added. Outside of the
    # instance they would say 8, but do not count.
    assert row(labels) == [0] * 3 + [CAT] * 3 + [0] * 2
    assert labels.confidence is not None
    odds = np.exp(np.abs(1.127 + np.array([-4, -4, -3, -1, 1, 3])))
    assert labels.confidence[0, :6].tolist() == np.rint(255 * odds / (1 + odds)).tolist()
    assert labels.confidence[0, 6:].tolist() == [191, 191]  # roots of 0.9 and 0.1 are as 3 to 1
    without = labelling("a", PICTURE, cues(slice(0, 6)), given(CAT, keywords=1))
    assert row(without) == [CAT] * 6 + [0] * 2


def test_where_windows_leave_nothing_but_what_is_open_they_are_not_believed():
    found = replace(cues(slice(0, 3), slice(5, 8)), windows=np.float32([[[-40, -40]]]))
    labelling = labeller("cat")
    labelling.windows = WindowProbe(np.float32([0, 1, 0]), np.float32([0, 0, 0]))
    labels = labelling("a", PICTURE, found, given(CAT, UNASSIGNED, keywords=1))
    assert row(labels) == [CAT] * 3 + [0] * 2 + [255] * 3


def test_only_what_looks_like_something_else_counts_as_that():
    witness = np.full((2, 4, 8), 0.45, np.float32)
    witness[1] = 0.55
    found = replace(cues(slice(0, 3), slice(5, 8)), recognised=np.float32([0.9, 0.9]))
    found = replace(found, scores=np.float32([0.9, 0.4]))  # the second score is too low for a label
    labelling = labeller("cat")
    labelling.witnesses = [(lambda *_: witness, 1.0)]
    labels = labelling("a", PICTURE, found, given(CAT, CAT, keywords=1))
    assert labels.confidence is not None
    # The second instance is surely an animal, but its low score takes the keyword away. So it says nothing, and the
    # witness alone decides: the roots of 0.55 and 0.45 are as 1.1055 to 1.
    assert row(labels)[5:] == [CAT] * 3 and labels.confidence[0, 5:].tolist() == [134] * 3
