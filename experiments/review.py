"""What correcting the most doubtful labels is worth, beside correcting as many at random: docs/experiments/review.md.

python experiments/review.py VOC LABELS OUT [--split train_aug] [--learn 5] [--reviewer keywords|masks] [--pictures N]

VOC is a folder with true masks, LABELS a label folder of its list. The reviewer is simulated from the true masks:

- `keywords` gives every instance of a picture the class that more than half of the instance shows, or background; an
  instance without such a class becomes unknown. That is what a person does with one key for each instance.
- `masks` paints the true masks.

The direct effect is measured for both, at every share of the pictures. `--learn` names shares for which all pictures
are then labelled anew by `s4 pseudo-label --reviewed`. OUT gets review.json, which a later call completes, and
review.png.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import IGNORE, ClassList
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.label_maps import read_label_map
from pipelines.data.record_files import RECORDS, Record
from pipelines.data.review import NOTHING, REVIEW, PictureReview, Shown, instance_key
from pipelines.data.review_maps import OriginalMaps, corrected_maps
from pipelines.data.rle import decode_masks, encode_masks
from pipelines.data.voc import read_split, truth_path
from pipelines.events import Events
from pipelines.files import read_json, write_json
from pipelines.journal import Journal
from pipelines.metrics.confusion import ConfusionMatrix, confusion
from pipelines.pseudo_label import pseudo_label
from pipelines.web.doubt import doubts_of

SHARES = (0, 1, 2, 5, 10, 20)  # percent
_DRAWS = 50  # random choices that the direct effect is averaged over
_COPIED = ("labels", "confidence", "manifest.json", "settings.json", "pictures.json", "instances.json", RECORDS)

Truths = Callable[[str], NDArray[np.uint8]]


def by_keywords(record: Record, truth: NDArray[np.uint8], classes: ClassList) -> PictureReview:
    """Review a picture with keys alone: one keyword for each instance."""
    said: dict[str, Shown] = {}
    for instance in record["instances"]:
        mask = decode_masks([instance["segmentation"]], *truth.shape)[0].astype(bool)
        shares = np.bincount(truth[mask], minlength=IGNORE + 1) / max(1, mask.sum())
        shown = int(shares.argmax())
        name = NOTHING if shown == 0 else None if shown == IGNORE else classes.name_of(shown)
        said[instance_key(instance["segmentation"])] = name if shares[shown] > 0.5 else None
    return PictureReview("accepted", {}, said)


def by_masks(record: Record, truth: NDArray[np.uint8], classes: ClassList) -> PictureReview:
    """Review a picture with the brush: paint what the true mask shows."""
    strokes: list[tuple[Shown, Any]] = []
    for value in np.unique(truth).tolist():
        name = NOTHING if value == 0 else None if value == IGNORE else classes.name_of(value)
        strokes.append((name, encode_masks((truth == value)[None])[0]))
    return PictureReview("accepted", {}, {}, strokes)


REVIEWERS = {"keywords": by_keywords, "masks": by_masks}


def actions(image_id: str, review: PictureReview) -> list[Record]:
    """Write a review as lines of the journal."""
    facts = {"time": "simulated", "reviewer": "truth", "session": "", "image_id": image_id}
    lines: list[Record] = [
        {"do": "assign", "instance": key, "keyword": shown} for key, shown in review.instances.items()
    ]
    lines += [{"do": "paint", "keyword": shown, "segmentation": mask} for shown, mask in review.strokes]
    lines.append({"do": "accept"})
    return [{"id": f"{image_id}-{number}", **facts, **line} for number, line in enumerate(lines)]


def miou(counts: NDArray[np.int64]) -> float:
    """Return mIoU of a confusion matrix [n, n + 1], in percent."""
    matrix = ConfusionMatrix(len(counts))
    matrix.add(counts)
    return 100 * matrix.miou()


def chosen(order: Sequence[str], share: float) -> list[str]:
    """Return the first pictures of an order, a share in percent of all."""
    return list(order[: round(len(order) * share / 100)])


def direct(order: list[str], before: dict[str, NDArray[np.int64]], after: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the mIoU of all labels by reviewer, choice and share, if nothing learns from the corrections."""

    def score(counts: dict[str, Any], picked: Sequence[str]) -> float:
        own = set(picked)
        return miou(sum(counts[one] if one in own else before[one] for one in order))

    generator = np.random.default_rng(0)
    draws = [[order[i] for i in generator.permutation(len(order))] for _ in range(_DRAWS)]
    result: dict[str, Any] = {}
    for name, counts in after.items():
        at_random = [[score(counts, chosen(draw, share)) for share in SHARES] for draw in draws]
        result[name] = {
            "doubt": [score(counts, chosen(order, share)) for share in SHARES],
            "random": np.mean(at_random, axis=0).tolist(),
            "random_deviation": np.std(at_random, axis=0).tolist(),
        }
    return result


def learned(
    args: argparse.Namespace, picked: Sequence[str], reviews: dict[str, PictureReview], truths: Truths, events: Events
) -> dict[str, Any]:
    """Label all pictures anew from corrections, and return the mIoU of all labels and of those not corrected."""
    work = args.out / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in _COPIED:
        if (args.labels / name).exists():
            copy = shutil.copytree if (args.labels / name).is_dir() else shutil.copy2
            copy(args.labels / name, work / name)
    reviewed = open_labels(work, "pseudo", None)
    records = {record["image_id"]: record for record in Journal(work / RECORDS).read()}
    journal = Journal(work / REVIEW)
    for image_id in picked:
        for action in actions(image_id, reviews[image_id]):
            journal.append(action)
        OriginalMaps(reviewed).correct(records[image_id], reviews[image_id])
    new = args.out / "labels-again"
    shutil.rmtree(new, ignore_errors=True)
    config = PseudoLabelConfig(
        images=args.voc / "JPEGImages", keywords=args.keywords, classes=args.classes, out=new, reviewed=work,
        cues_of=args.labels, workers=args.workers,
    )  # fmt: skip
    pseudo_label(config, events)
    folder = LabelFolder(new, reviewed.classes)
    counts = {one: _counts(folder.read_label(one), truths(one), folder.classes) for one in records}
    own = set(picked)
    rest = [one for one in records if one not in own]
    return {
        "all": miou(sum(counts.values())),
        "rest": miou(sum(counts[one] for one in rest)),
        "rest_before": miou(
            sum(_counts(OriginalMaps(reviewed).read(one)[0], truths(one), folder.classes) for one in rest)
        ),
    }


def _counts(label_map: NDArray[np.uint8], truth: NDArray[np.uint8], classes: ClassList) -> Any:
    return confusion(truth, label_map, classes.n_outputs)


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw both curves for each reviewer, and what was learned."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (name, curves) in zip(figure.subplots(1, 2, sharey=True), result["direct"].items(), strict=True):
        axes.plot(SHARES, curves["doubt"], "o-", color="#0b57d0", label="most doubtful")
        axes.plot(SHARES, curves["random"], "s--", color="#8a5200", label="at random")
        for choice, colour in (("doubt", "#0b57d0"), ("random", "#8a5200")):
            points = [
                (float(key.split("-")[2]), scores["all"])
                for key, scores in result["learned"].items()
                if key.startswith(f"{name}-{choice}-")
            ]
            if points:
                axes.plot(
                    *zip(*sorted(points), strict=True), "*", ms=11, color=colour, label=f"{choice}, learned again"
                )
        axes.set(xlabel="pictures corrected (%)", title=f"reviewer: {name}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("label mIoU (%)")
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train_aug")
    parser.add_argument("--keywords", default="auto")
    parser.add_argument("--classes")
    parser.add_argument("--learn", type=float, nargs="*", default=[])
    parser.add_argument("--reviewer", choices=REVIEWERS, default="keywords")
    parser.add_argument("--choices", nargs="*", choices=("doubt", "random"), default=("doubt", "random"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pictures", type=int, help="take the first N pictures alone, to try the script")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    events = Events()
    folder = open_labels(args.labels, "pseudo", None)
    wanted = set(read_split(args.voc, args.split)[: args.pictures])
    records = {r["image_id"]: r for r in Journal(args.labels / RECORDS).read() if r["image_id"] in wanted}
    doubts = doubts_of(folder, lambda: [r for r in Journal(args.labels / RECORDS).read() if "failed" not in r], events)
    order = sorted(records, key=lambda one: (-doubts[one].total, one))

    def truths(image_id: str) -> NDArray[np.uint8]:
        return read_label_map(truth_path(args.voc, image_id), folder.classes)

    original = {one: OriginalMaps(folder).read(one) for one in order}
    before = {one: _counts(original[one][0], truths(one), folder.classes) for one in order}
    reviews = {
        name: {one: review(records[one], truths(one), folder.classes) for one in order}
        for name, review in REVIEWERS.items()
    }

    def corrected(name: str, one: str) -> Any:
        label_map = corrected_maps(original[one], records[one], reviews[name][one], folder.classes)[0]
        return _counts(label_map, truths(one), folder.classes)

    after = {name: {one: corrected(name, one) for one in order} for name in REVIEWERS}
    path = args.out / "review.json"
    result = read_json(path) if path.is_file() else {"learned": {}}
    result |= {"shares": SHARES, "pictures": len(order), "direct": direct(order, before, after)}
    again = partial(learned, args, reviews=reviews[args.reviewer], truths=truths, events=events)
    shuffled = [order[i] for i in np.random.default_rng(1).permutation(len(order))]
    orders = {"doubt": order, "random": shuffled}
    for share in args.learn:
        for choice in args.choices:
            key = f"{args.reviewer}-{choice}-{share:g}"
            if key not in result["learned"]:
                result["learned"][key] = again(chosen(orders[choice], share))
                write_json(path, result)
    write_json(path, result)
    draw(result, args.out / "review.png")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
