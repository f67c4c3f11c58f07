"""Pages of results: whole in themselves, with escaped names and right counts, and never the end of a command."""

import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import ReportConfig
from pipelines.config.usual_places import record_pictures
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_records import LabelRecords
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.pages import predictions
from pipelines.pages.comparison import differing, short_names
from pipelines.pages.evaluations import evaluation_result
from pipelines.pages.labels import certainty, labels_result
from pipelines.pages.leave import leave_page
from pipelines.pages.page import MOST_PICTURES, chosen, figure, write_page
from pipelines.pages.read import read_result
from pipelines.pages.result import Result, Sheet, Shot
from pipelines.report import overlays
from pipelines.report.html import Link, add_link, read_facts
from pipelines.report_command import report
from pipelines.studies import demo_report
from pipelines.views import drawing

EVIL = '<b onload="x">&amp;'


class Tags(HTMLParser):
    """Collects the attributes of each tag and the text of the page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def instance(score: float, keyword: str | None, margin: float | None = 1.0, doubt: str | None = None) -> dict[str, Any]:
    mask = np.zeros((8, 12), np.uint8)
    mask[2:6, 2:6] = 1
    (rle,) = encode_masks(mask[None])
    box = [2.0, 2.0, 6.0, 6.0]
    return {
        "box": box,
        "score": score,
        "keyword": keyword,
        "margin": margin,
        "doubt": doubt,
        "area": 16,
        "segmentation": rle,
    }


def record(image_id: str, instances: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    usual = {"file_name": f"{image_id}.png", "height": 8, "width": 12, "keywords": [EVIL], "missing": [], "filled": []}
    return {"image_id": image_id, **usual, "rejected": None, "instances": instances, **more}


def make_labels(root: Path, name: str = "labels", score: float = 0.9) -> Path:
    """A label folder of three pictures: sure, doubtful and failed."""
    (root / "images").mkdir(exist_ok=True)
    folder = LabelFolder(root / name, ClassList.from_names([EVIL, "pear"]))
    records = LabelRecords(folder)
    settings = {"classes": [EVIL, "pear"], "configuration": {"min_score": score}}
    records.claim(settings)
    for image_id, own in (("sure", [instance(score, EVIL)]), ("less", [instance(0.5, "pear", 0.5)])):
        Image.fromarray(np.full((8, 12, 3), 90, np.uint8)).save(root / "images" / f"{image_id}.png")
        label_map = np.zeros((8, 12), np.uint8)
        label_map[2:6, 2:6] = 1
        folder.write_label(image_id, label_map)
        folder.write_confidence(image_id, label_map)
        records.add(record(image_id, own))
    records.add({"image_id": "gone", "failed": {"rule": "image-damaged", "message": "damaged"}})
    assert records.merge(["sure", "less", "gone"], settings)
    record_pictures(root / name, [root / "images"])
    return root / name


def make_run(root: Path, name: str, loss: float, **settings: Any) -> Path:
    run = root / name
    (run / "overlays").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"steps": 20, "seed": 0, **settings}))
    (run / "environment.json").write_text(json.dumps({"s4": "0.1.0"}))
    (run / "status.json").write_text(json.dumps({"state": "done", "step": 20, "seconds": 3.0}))
    lines = [{"step": step, "lr": 0.1, "total": loss + 1 / step, "val_ap50": step / 40} for step in (10, 20)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Image.new("RGB", (8, 8)).save(run / "overlays" / "first-batch.jpg")
    return run


def test_page_of_labels_shows_the_doubtful_picture_first_and_counts_what_was_left_out(tmp_path: Path) -> None:
    labels = make_labels(tmp_path)
    assert write_page(labels / "report.html", labels_result(labels)) == 2
    page = Tags(labels / "report.html")
    alts = [image["alt"] for image in page.of("img")]
    assert [str(alt).split(".")[0] for alt in alts] == ["less", "sure"]  # 0.5 x 0.5 before 0.9
    assert EVIL in str(alts[1]) and "0.90" in str(alts[1])
    assert "image-damaged" in page.text
    assert re.search(r"images\s*3", re.sub(r"\s+", " ", page.text))


def test_page_needs_nothing_outside_of_itself_and_names_are_no_markup(tmp_path: Path) -> None:
    labels = make_labels(tmp_path)
    write_page(labels / "report.html", labels_result(labels))
    text, page = (labels / "report.html").read_text(), Tags(labels / "report.html")
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert (
        EVIL not in text
        and html.escape(EVIL) not in ("", text)
        and "onload" not in {k for _, a in page.tags for k in a}
    )
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in page.of("img"))
    assert "prefers-color-scheme: dark" in text and "@media print" in text and 'name="viewport"' in text
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2")][:2] == ["h1", "h2"]


@pytest.mark.parametrize(
    ("instances", "more", "expected"),
    [
        ([instance(0.9, "a"), instance(0.8, "a", 0.5)], {}, 0.4),
        ([instance(0.9, "a"), instance(0.2, "a", 1.0, "low-score")], {}, 0.9),
        ([instance(0.6, "a", None)], {}, 0.6),
        ([instance(0.9, "a")], {"missing": ["b"]}, 0.09),
        ([instance(0.9, None)], {}, 0.0),
        ([instance(0.9, "a")], {"rejected": "too-little"}, 0.0),
    ],
)
def test_a_picture_is_as_certain_as_its_most_doubtful_labelled_instance(
    instances: list[dict[str, Any]], more: dict[str, Any], expected: float
) -> None:
    assert certainty(record("x", instances, **more)) == pytest.approx(expected)


def test_many_pictures_are_the_most_doubtful_and_an_even_sample_of_the_others() -> None:
    shots = [Shot(f"{n:03}", n / 200, "", lambda: np.zeros((1, 1, 3), np.uint8)) for n in range(200)]
    doubtful, others = chosen(shots[::-1]).values()
    assert [shot.image_id for shot in doubtful] == [f"{n:03}" for n in range(48)]
    assert [others[0].image_id, others[-1].image_id] == ["048", "199"]
    assert len(doubtful) + len(others) == MOST_PICTURES


def test_a_page_that_fails_is_a_warning_and_a_damaged_picture_leaves_the_others(tmp_path: Path) -> None:
    stream = io.StringIO()

    def broken() -> Result:
        raise KeyError("no such thing")

    leave_page(tmp_path / "report.html", broken, 1.0, Events(stream))
    assert "warning:" in stream.getvalue() and "[report-failed]" in stream.getvalue()
    assert not (tmp_path / "report.html").exists()
    labels = make_labels(tmp_path)
    (tmp_path / "images" / "less.png").write_bytes(b"no picture")
    assert write_page(labels / "report.html", labels_result(labels)) == 1
    assert "1 more could not be shown" in Tags(labels / "report.html").text


def test_only_the_first_process_of_a_training_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    leave_page(tmp_path / "report.html", lambda: Result(kind="train", name="x"), 1.0, Events(io.StringIO()))
    assert not (tmp_path / "report.html").exists()


def test_pages_link_to_the_stage_before_and_after_once_and_keep_the_link(tmp_path: Path) -> None:
    labels = make_labels(tmp_path)
    write_page(labels / "report.html", labels_result(labels))
    run = make_run(tmp_path, "my #run", 0.5, labels=str(labels))
    for _ in range(2):
        write_page(run / "report.html", read_result(run))
    assert {"class": "before", "href": "./../labels/report.html"} in Tags(run / "report.html").of("a")
    after = {"class": "after", "href": "./../my%20%23run/report.html"}
    assert Tags(labels / "report.html").of("a").count(after) == 1
    write_page(labels / "report.html", labels_result(labels))
    assert Tags(labels / "report.html").of("a").count(after) == 1
    add_link(labels / "report.html", Link(EVIL, "javascript:x", "after"))
    assert "./javascript%3Ax" in {a["href"] for a in Tags(labels / "report.html").of("a")}
    assert EVIL not in (labels / "report.html").read_text()


def test_comparison_tells_settings_figures_and_the_same_pictures(tmp_path: Path) -> None:
    first, second = make_labels(tmp_path, "labels"), make_labels(tmp_path, "other", score=0.8)
    result = report(ReportConfig(results=(first, second), out=tmp_path / "both.html"), Events(io.StringIO()))
    assert result["results"] == 2 and result["pictures"] == 2 and result["settings"] == 1
    page = Tags(tmp_path / "both.html")
    assert len(page.of("img")) == 4
    assert re.search(r"min_score\s*0\.9\s*0\.8", page.text)
    runs = make_run(tmp_path, "a", 0.5), make_run(tmp_path, "b", 0.25, seed=7)
    result = report(ReportConfig(results=runs, out=tmp_path / "runs.html"), Events(io.StringIO()))
    text = Tags(tmp_path / "runs.html").text
    assert re.search(r"seed\s*0\s*7", text) and re.search(r"best ap50\s*50\.0 %\s*50\.0 %\s*\+0\.0 points", text)
    assert re.search(r"last total loss\s*0\.55\s*0\.3\s*-0\.25", text)


def test_evaluation_is_read_from_its_json_and_from_its_page(tmp_path: Path) -> None:
    scores = {
        "miou": 0.5,
        "per_class": {"background": 0.75, "cat": 0.25, "dog": None},
        "images": 4,
        "missing": 1,
        "confusion": {"classes": ["background", "cat"], "pixels": [[6, 2, 0], [1, 2, 1]]},
        "reliability": [{"confidence": [0.9, 1.0], "pixels": 10, "precision": 0.8}],
        "warnings": [{"rule": "class-lost", "message": "cat is lost"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(scores))
    result = report(ReportConfig(results=(tmp_path / "a.json",)), Events(io.StringIO()))
    assert result["report"] == str(tmp_path / "a.html")
    text = Tags(tmp_path / "a.html").text
    assert re.search(r"cat\s*25\.0 %", text) and "dog" not in text
    assert re.search(r"background\s*cat\s*25\.0 %", text)  # 2 of its 8 pixels
    assert re.search(r"cat\s*unknown\s*25\.0 %", text)  # 1 of 4
    assert "cat is lost [class-lost]" in text and "no prediction" in text
    again = read_result(tmp_path / "a.html")
    assert again.figures["miou"] == 0.5 and again.confusion == scores["confusion"]
    assert evaluation_result(scores, "x").left_out == [("picture of the list", "no prediction", 1)]


ROWS = [[6, 2, 0], [1, 2, 1]]
LEVEL = {"confidence": [0.9, 1.0], "pixels": 10, "precision": 0.8}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("per_class", {"cat": "0.5"}),
        ("per_class", {"cat": [0.5]}),
        ("per_class", {"cat": True}),
        ("per_class", {"cat": 10**30}),
        ("per_class", {"cat": -0.5}),
        ("confusion", {"classes": ["background", "cat"], "pixels": [[6, 2, 0], [1, 10**30, 1]]}),
        ("reliability", [{**LEVEL, "pixels": -1}]),
        ("reliability", [{**LEVEL, "precision": 10**30}]),
        ("confusion", {"classes": ["background", "cat"], "pixels": [[6, 2, 0], [1, "2", 1]]}),
        ("confusion", {"classes": ["background", "cat"], "pixels": [[6, 2], [1, 2]]}),
        ("confusion", {"classes": ["background"], "pixels": ROWS}),
        ("confusion", {"classes": ["background", 3], "pixels": ROWS}),
        ("confusion", {"classes": "ab", "pixels": ROWS}),
        ("confusion", {"classes": ["background", "cat"], "pixels": 8}),
        ("reliability", [{**LEVEL, "confidence": [0.9]}]),
        ("reliability", [{**LEVEL, "confidence": "high"}]),
        ("reliability", [{**LEVEL, "pixels": "10"}]),
        ("reliability", [{**LEVEL, "precision": "good"}]),
        ("reliability", ["0.8"]),
    ],
)
def test_scores_that_cannot_be_drawn_are_damaged_and_in_a_page_left_out(tmp_path: Path, part: str, value: Any) -> None:
    scores = {"miou": 0.5, part: value}
    (tmp_path / "a.json").write_text(json.dumps(scores))
    with pytest.raises(InputError, match=r"a\.json: its files are not as s4 writes them .*cannot be shown") as caught:
        read_result(tmp_path / "a.json")
    assert caught.value.rule == "report-damaged"
    write_page(tmp_path / "a.html", evaluation_result({"miou": 0.5}, "a"))
    facts = {**read_facts(tmp_path / "a.html")[0]}
    facts |= {"precision": {"foreground": value}} if part == "reliability" else {part: value}
    shown = Result.from_facts(facts)
    assert shown.figures == {"miou": 0.5} and not (shown.per_class or shown.confusion or shown.precision)


@pytest.mark.parametrize(
    "part", [{"warnings": [1]}, {"before": {"labels": 3}}, {"left_out": [["a", "b"]]}, {"before": 7}]
)
def test_facts_of_a_page_that_cannot_be_shown_are_left_out(part: dict[str, Any], tmp_path: Path) -> None:
    result = Result.from_facts({"kind": "evaluate", "name": "a", "figures": {"miou": 0.5}, **part})
    assert result.figures == {"miou": 0.5} and write_page(tmp_path / "b.html", result) == 0


def test_what_is_no_result_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<h1>other</h1>")
    (tmp_path / "list.json").write_text("[1]")
    for path, rule in ((tmp_path, "report-unknown"), (tmp_path / "page.html", "report-page")):
        with pytest.raises(InputError, match=re.escape(str(path))) as caught:
            read_result(path)
        assert caught.value.rule == rule
    with pytest.raises(InputError) as caught:
        read_result(tmp_path / "list.json")
    assert caught.value.rule == "report-unknown"
    labels = make_labels(tmp_path)
    (labels / "manifest.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        read_result(labels)
    assert caught.value.rule == "report-damaged"


def test_page_of_labels_made_again_keeps_what_only_the_command_knew(tmp_path: Path) -> None:
    labels = make_labels(tmp_path)
    told = labels_result(labels, environment={"s4": "0.0.9"}, settings={"images": "there"}, warnings=["look"])
    write_page(labels / "report.html", told)
    again = read_result(labels)
    assert again.environment == {"s4": "0.0.9"} and again.warnings == ["look"]
    assert again.settings == {"images": "there", "min_score": 0.9}
    assert read_facts(labels / "report.html")[0]["kind"] == "pseudo-label"


def test_numbers_are_shown_as_people_read_them() -> None:
    assert figure("miou", 0.5) == "50.0 %" and figure("best ap50", 1.0) == "100.0 %"
    assert figure("images", 1234) == "1,234" and figure("last loss", 0.12345) == "0.1235" and figure("x", None) == "-"
    assert differing([{"a": 1, "b": 2}, {"a": 1, "c": 3}]) == {"b": ["2", "-"], "c": ["-", "3"]}
    results = [Result(kind="", name=name) for name in ("x/run", "y/run")]
    assert short_names(results) == ["x/run", "y/run"]


def test_the_legend_has_the_classes_that_are_shown() -> None:
    names = ("cat", "dog", "cow")
    every = [name for name, _ in Sheet((), names).legend()]
    some = Sheet((), names, shown={"dog"}).legend()
    assert every == ["cat", "dog", "cow", "unknown"]
    assert some == [Sheet((), names).legend()[1], ("unknown", "")]  # its colour stays
    assert Sheet(()).legend() == []


def test_all_that_draws_instances_leaves_out_the_same_ones() -> None:
    assert all(module.FAINT is overlays.FAINT for module in (predictions, drawing, demo_report))
