"""What the page can ask and do: pictures in pages, one picture with its instances, actions that are saved at once."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile
from pipelines.data.label_crops import reduced_size
from pipelines.data.label_folder import LabelFolder
from pipelines.data.record_files import Record
from pipelines.data.review import PictureReview, Shown, check_action, instance_key, merged
from pipelines.data.review_maps import OriginalMaps, is_labelled
from pipelines.data.rle import Rle, decode_masks
from pipelines.web.colours import class_colour, css
from pipelines.web.doubt import Doubt
from pipelines.web.journal import SharedJournal
from pipelines.web.paging import Ranking, RecordFile, Wanted
from pipelines.web.strokes import stroke_mask
from pipelines.web.thumbnails import LARGE, THUMBNAIL, Kept, overlay, reduced_picture

_MOST_ON_PAGE = 200
_LOOKED_AFTER = 64  # last actions whose label maps are written again at the start: a kill came between, or not


class Refused(ValueError):
    """The page asked for something that cannot be done; the text says why."""


class Workbench:
    """A label folder under review. All methods may be called from several threads.

    Attributes:
        classes: The class list.
        reviewer: Who corrects.
    """

    def __init__(
        self,
        folder: LabelFolder,
        records: RecordFile,
        doubts: Mapping[str, Doubt],
        pictures: Mapping[str, ImageFile],
        reviewer: str,
    ) -> None:
        """Read the corrections that are there, and write those label maps that a killed server left behind.

        Args:
            folder: The label folder.
            records: Its records.
            doubts: image_id -> doubt, of all pictures in `records`.
            pictures: image_id -> picture file, of all pictures in `records`.
            reviewer: Who corrects.

        Raises:
            InputError: The journal or a label map is damaged.
        """
        self.classes: ClassList = folder.classes
        self.reviewer = reviewer
        self._folder, self._records, self._pictures = folder, records, pictures
        self._ranking = Ranking(doubts)
        self._maps = OriginalMaps(folder)
        self._journal = SharedJournal(folder.path)
        self._reviews: dict[str, PictureReview] = {}
        self._states: dict[str, str] = {}
        self._merged_to = 0
        self._keywords: dict[str, tuple[str, ...]] = dict(records.keywords)
        self._kept = Kept()
        self._look()
        self._write_again()

    def _look(self) -> int:
        """Take over what this server or another one has added to the journal, and return the number of its actions."""
        with self._journal.lock:
            self._journal.refresh()
            order = self._journal.order
            changed = set(order[self._merged_to :]) if self._merged_to <= len(order) else set(self._journal.pictures())
            self._merged_to = len(order)
            for image_id in changed & self._keywords.keys():
                self._reviews[image_id] = merged(self._journal.about(image_id))
                self._keywords[image_id] = tuple(self._keywords_of(image_id))
                self._states.pop(image_id, None)
                if self._reviews[image_id]:
                    self._states[image_id] = self._reviews[image_id].state or "corrected"
            return self._merged_to

    def _keywords_of(self, image_id: str) -> list[str]:
        record = {"keywords": self._records.keywords[image_id]}
        return self._reviews[image_id].keywords_of(record, self.classes)

    def _write_again(self) -> None:
        with self._journal.turn():
            for image_id in dict.fromkeys(self._journal.order[-_LOOKED_AFTER:]):
                if image_id in self._records:
                    self._maps.correct(self._records.read(image_id), self._review(image_id))

    def _review(self, image_id: str) -> PictureReview:
        return self._reviews.get(image_id, PictureReview())

    def overview(self) -> dict[str, Any]:
        """Return the classes, the progress and who corrects."""
        self._look()
        return {
            "folder": str(self._folder.path),
            "reviewer": self.reviewer,
            "classes": [
                {"name": name, "colour": css(class_colour(number))}
                for number, name in enumerate(self.classes.names, start=1)
            ],
            "failed": self._records.failed,
            "progress": self._progress(),
        }

    def _progress(self) -> dict[str, int]:
        states = list(self._states.values())
        counted = {name: states.count(name) for name in ("accepted", "rejected", "corrected")}
        return {"pictures": len(self._records), "reviewed": len(states), **counted}

    def page(self, wanted: Wanted, start: int, count: int) -> dict[str, Any]:
        """Return some pictures of the grid.

        Args:
            wanted: Which pictures.
            start: Number of the first one, from 0.
            count: How many, at most 200.
        """
        self._look()
        states = self._states
        found = self._ranking.matching(wanted, states, self._keywords)
        start = max(0, min(start, max(0, len(found) - 1)))
        chosen = found[start : start + max(1, min(count, _MOST_ON_PAGE))]
        return {
            "total": len(found),
            "start": start,
            "pictures": [self._card(image_id, states.get(image_id)) for image_id in chosen],
            "progress": self._progress(),
        }

    def _card(self, image_id: str, state: str | None) -> dict[str, Any]:
        doubt = self._ranking.doubts[image_id]
        return {
            "id": image_id,
            "state": state,
            "keywords": self._keywords[image_id],
            "doubt": round(doubt.total, 3),
            "reason": doubt.reason,
            "version": len(self._journal.about(image_id)),
        }

    def changed(self, since: int) -> dict[str, Any]:
        """Return the cards of the pictures that anybody changed since action number `since`, and the number now."""
        now = self._look()  # an action that comes after this is new at the next time
        states = self._states
        new = dict.fromkeys(self._journal.order[max(0, since) : now]) if since >= 0 else {}
        recent = [one for one in new if one in self._records][-_MOST_ON_PAGE:]
        return {
            "now": now,
            "pictures": [self._card(one, states.get(one)) for one in recent],
            "progress": self._progress(),
        }

    def neighbour(self, image_id: str, step: int, wanted: Wanted) -> str | None:
        """Return the picture before (-1) or after (1) another one in the grid; None if there is none."""
        self._require(image_id)
        self._look()
        return self._ranking.neighbour(image_id, step, wanted, self._states, self._keywords)

    def picture(self, image_id: str) -> dict[str, Any]:
        """Return one picture with its instances; masks are run lengths, column by column, at the shown size."""
        self._require(image_id)
        self._look()
        record, review = self._records.read(image_id), self._review(image_id)
        size = reduced_size(record["height"], record["width"], LARGE)
        return {
            **self._card(image_id, self._states.get(image_id)),
            "doubts": {name: round(value, 3) for name, value in asdict(self._ranking.doubts[image_id]).items()},
            "height": size[0],
            "width": size[1],
            "missing": record["missing"],
            "rule": record["rejected"],
            "strokes": len(review.strokes),
            "instances": [_instance(one, review.instances, size) for one in record["instances"]],
        }

    def thumbnail(self, image_id: str) -> bytes:
        """Return a small picture as JPEG."""
        return self._picture_file(image_id, THUMBNAIL)

    def large(self, image_id: str) -> bytes:
        """Return a large picture as JPEG."""
        return self._picture_file(image_id, LARGE)

    def _picture_file(self, image_id: str, longest: int) -> bytes:
        self._require(image_id)
        name = (image_id, longest)
        return self._kept.get(name) or self._kept.put(name, reduced_picture(self._pictures[image_id], longest))

    def labels(self, image_id: str, small: bool) -> bytes:
        """Return the label map of a picture as transparent PNG."""
        self._require(image_id)
        return overlay(self._folder.read_label(image_id), THUMBNAIL if small else LARGE)

    def act(self, image_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Save an action, correct the label map, and return the picture as it is then.

        Args:
            image_id: The picture.
            asked: `do`, `session` and what belongs to it, see `pipelines.data.review`. A stroke comes as `points`
                [[x, y], ...] and `radius`, in shares of the picture's width and height.

        Raises:
            Refused: The action cannot be used.
        """
        self._require(image_id)
        record = self._records.read(image_id)
        session = str(asked.get("session") or "")[:64]
        action = {"reviewer": self.reviewer, "session": session, "image_id": image_id, **self._meant(asked, record)}
        fault = check_action({"id": "-", "time": "-", **action})
        if fault is not None:
            raise Refused(fault)
        with self._journal.turn():
            self._journal.add(action)
            self._look()
            self._maps.correct(record, self._review(image_id))
        return {**self.picture(image_id), "progress": self._progress()}

    def undo(self, image_id: str, session: str) -> dict[str, Any] | None:
        """Take back the last action of a page, and return its picture; None if there is nothing to take back.

        Args:
            image_id: The picture that the page shows; empty if it shows the grid.
            session: The page.
        """
        with self._journal.turn():
            self._look()
            last = self._journal.last(session, self.reviewer, image_id)
            if last is None or last["image_id"] not in self._records:
                return None
            own = last["image_id"]
            undo = {"reviewer": self.reviewer, "session": session, "image_id": own, "do": "undo", "of": last["id"]}
            self._journal.add(undo)
            self._look()
            self._maps.correct(self._records.read(own), self._review(own))
        return {**self.picture(own), "undone": last["do"], "progress": self._progress()}

    def _meant(self, asked: Mapping[str, Any], record: Record) -> dict[str, Any]:
        """Return the fields of an action that a page asked for."""
        do = asked.get("do")
        if do in ("accept", "reject", "reopen"):
            return {"do": do}
        if do == "assign":
            if asked.get("instance") not in [instance_key(one["segmentation"]) for one in record["instances"]]:
                raise Refused("the picture has no such instance")
            return {"do": do, "instance": asked["instance"], "keyword": self._shown(asked)}
        if do == "keyword":
            if asked.get("keyword") not in self.classes.names:
                raise Refused("no such class")
            return {"do": do, "keyword": asked["keyword"], "on": asked.get("on")}
        if do == "paint":
            mask = stroke_mask(asked.get("points"), asked.get("radius"), record["height"], record["width"])
            if mask is None:
                raise Refused("a stroke needs points and a radius")
            return {"do": do, "keyword": self._shown(asked), "segmentation": mask}
        raise Refused("no such action")

    def _shown(self, asked: Mapping[str, Any]) -> Shown:
        shown: Any = asked.get("keyword", 0)
        if shown not in (None, "", *self.classes.names):
            raise Refused("no such class")
        return None if shown is None else str(shown)

    def _require(self, image_id: str) -> None:
        if image_id not in self._records:
            raise Refused("no such picture in this label folder")


def _instance(instance: Record, said: Mapping[str, Shown], size: tuple[int, int]) -> dict[str, Any]:
    """Describe an instance for the page: what it shows now, and why it was left out."""
    key = instance_key(instance["segmentation"])
    labelled = is_labelled(instance)
    return {
        "key": key,
        "keyword": said[key] if key in said else instance["keyword"] if labelled else "",
        "proposed": instance["keyword"],
        "corrected": key in said,
        "left_out": not labelled,
        "score": round(instance["score"], 3),
        "margin": round(instance["margin"], 3),
        "recognised": instance.get("recognised"),
        "rule": instance["rule"],
        "doubt": instance.get("doubt"),
        "runs": _runs(instance["segmentation"], size),
    }


def _runs(rle: Rle, size: tuple[int, int]) -> list[int]:
    """Return the run lengths of a mask at another size, zeros first, column by column."""
    height, width = rle["size"]
    mask: NDArray[np.uint8] = decode_masks([rle], height, width)[0]
    rows, columns = np.arange(size[0]) * height // size[0], np.arange(size[1]) * width // size[1]
    flat = mask[rows[:, None], columns[None]].T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs: list[int] = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return runs if not flat[0] else [0, *runs]
