"""What people corrected in a label folder: `review.jsonl`, a journal with one action a line.

Every action has `id`, `time`, `reviewer`, `session`, `image_id` and `do`. The rest depends on `do`:

- `accept`, `reject`, `reopen`: the state of the picture. A rejected picture teaches nothing.
- `assign` with `instance` and `keyword`: what an instance shows, see `Shown`.
- `keyword` with `keyword` and `on`: whether the picture has this keyword.
- `paint` with `segmentation` (run lengths) and `keyword`: what these pixels show, see `Shown`.
- `undo` with `of`: the id of the action that does not count any more. An `undo` may be undone too.

Actions count in the order of the file. For the same thing the last action counts, and strokes lie over each other. So
several people may add to one journal: what they say of different things all counts.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipelines.data.classes import ClassList
from pipelines.data.record_files import Record
from pipelines.data.rle import Rle, read_rle
from pipelines.errors import InputError
from pipelines.files import sha256_lines
from pipelines.journal import Journal

REVIEW = "review.jsonl"
NOTHING = ""
"""The keyword of pixels that show nothing of the class list."""

Shown = str | None
"""What an instance or a stroke shows: the name of a class, `NOTHING` for background, None for unknown."""

_TEXTS = ("id", "time", "reviewer", "image_id")
_STATES = {"accept": "accepted", "reject": "rejected", "reopen": None}


@dataclass(frozen=True)
class PictureReview:
    """What people said of one picture.

    Attributes:
        state: `accepted`, `rejected`, or None if nobody has decided.
        keywords: Whether the picture has a keyword, for each keyword that somebody added or took away.
        instances: Key of an instance, see `instance_key` -> what it shows.
        strokes: What was painted, the oldest stroke first.
    """

    state: str | None = None
    keywords: Mapping[str, bool] = field(default_factory=dict)
    instances: Mapping[str, Shown] = field(default_factory=dict)
    strokes: Sequence[tuple[Shown, Rle]] = ()

    def __bool__(self) -> bool:
        """Tell whether anything was said that counts."""
        return bool(self.state or self.keywords or self.instances or self.strokes)

    def keywords_of(self, record: Record, classes: ClassList) -> list[str]:
        """Return the keywords of the picture, in the order of the class list.

        A class that somebody gave to an instance or a stroke is a keyword too.

        Args:
            record: Record of the picture, see `pipelines.data.label_records`.
            classes: The class list. Other names are left out.
        """
        names = {*record["keywords"], *(name for name, on in self.keywords.items() if on)}
        names -= {name for name, on in self.keywords.items() if not on}
        names |= {shown for shown in [*self.instances.values(), *(shown for shown, _ in self.strokes)] if shown}
        return [name for name in classes.names if name in names]


def instance_key(segmentation: Rle) -> str:
    """Return the name that an instance has in the journal: a hash of its mask, so that it outlives a new numbering."""
    height, width = segmentation["size"]
    return hashlib.sha256(f"{height}x{width}:{segmentation['counts']}".encode()).hexdigest()[:16]


def live_actions(actions: Sequence[Record]) -> list[Record]:
    """Return the actions that no undo has taken back, without the undos themselves."""
    undone: set[str] = set()
    live = []
    for action in reversed(actions):
        if action["id"] in undone:
            continue
        if action["do"] == "undo":
            undone.add(action["of"])
        else:
            live.append(action)
    return live[::-1]


def merged(actions: Sequence[Record]) -> PictureReview:
    """Merge all actions about one picture, the oldest first."""
    state: str | None = None
    keywords: dict[str, bool] = {}
    instances: dict[str, Shown] = {}
    strokes: list[tuple[Shown, Rle]] = []
    for action in live_actions(actions):
        do = action["do"]
        if do in _STATES:
            state = _STATES[do]
        elif do == "assign":
            instances[action["instance"]] = action["keyword"]
        elif do == "keyword":
            keywords[action["keyword"]] = action["on"]
        else:
            strokes.append((action["keyword"], action["segmentation"]))
    return PictureReview(state, keywords, instances, tuple(strokes))


def check_action(action: Record) -> str | None:
    """Return in words what is wrong with an action; None if it can be used."""
    for name in _TEXTS:
        if not isinstance(action.get(name), str) or not action[name]:
            return f"no text under {name}"
    if not isinstance(action.get("session", ""), str):
        return "no text under session"
    do = action.get("do")
    if not isinstance(do, str):
        return "no known word under do"
    if do in _STATES:
        return None
    checks = {"undo": _undo_fault, "assign": _assign_fault, "keyword": _keyword_fault, "paint": _paint_fault}
    return checks[do](action) if do in checks else "no known word under do"


def _undo_fault(action: Record) -> str | None:
    return None if isinstance(action.get("of"), str) else "no id of an action under of"


def _assign_fault(action: Record) -> str | None:
    if not isinstance(action.get("instance"), str):
        return "no key of an instance under instance"
    return _shown_fault(action)


def _keyword_fault(action: Record) -> str | None:
    if not isinstance(action.get("keyword"), str) or not action["keyword"]:
        return "no name under keyword"
    return None if isinstance(action.get("on"), bool) else "neither true nor false under on"


def _paint_fault(action: Record) -> str | None:
    mask = action.get("segmentation")
    size = mask.get("size") if isinstance(mask, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        return "no run lengths under segmentation"
    try:
        read_rle(mask, *size)
    except ValueError as error:
        return str(error)
    return _shown_fault(action)


def _shown_fault(action: Record) -> str | None:
    known = "keyword" in action and isinstance(action["keyword"], str | None)
    return None if known else "neither a name nor null under keyword"


def actions_by_picture(actions: Iterable[Record], source: Path) -> dict[str, list[Record]]:
    """Sort actions by the picture that they are about.

    Args:
        actions: The actions, the oldest first.
        source: The journal, for messages.

    Raises:
        InputError: An action cannot be used [review-damaged].
    """
    found: dict[str, list[Record]] = defaultdict(list)
    for number, action in enumerate(actions, start=1):
        fault = check_action(action)
        if fault is not None:
            message = f"{source}: action {number}: {fault}, an action of s4 review expected"
            raise InputError(f"{message}; take the line out, or update s4", "review-damaged")
        found[action["image_id"]].append(action)
    return dict(found)


def read_reviews(labels: Path) -> dict[str, PictureReview]:
    """Return what people said of the pictures of a label folder, by image id; pictures without a word are left out.

    Raises:
        InputError: The journal is damaged [journal-damaged] [review-damaged].
    """
    path = labels / REVIEW
    pictures = actions_by_picture(Journal(path).read(), path)
    reviews = {image_id: merged(actions) for image_id, actions in pictures.items()}
    return {image_id: review for image_id, review in reviews.items() if review}


def review_sha256(labels: Path) -> str | None:
    """Return a hash of what people said of the pictures of a label folder; None where nothing holds.

    Corrections change label maps and confidence maps, but neither the manifest nor the records. So who has to know
    whether labels are still the same asks for this hash too. What was taken back does not count.

    Raises:
        InputError: The journal is damaged [journal-damaged] [review-damaged].
    """
    said = read_reviews(labels)
    lines = (json.dumps([image_id, asdict(said[image_id])], sort_keys=True) for image_id in sorted(said))
    return sha256_lines(lines) if said else None
