"""What a form of files cannot express: counted, named and told."""

from collections import Counter

from pipelines.data.classes import IGNORE
from pipelines.data.notes import Notes
from pipelines.formats.annotated import AnnotatedPicture

_WORDS = {
    "scores": "scores of instances",
    "crowd": "crowds, which the form does not know",
    "overlaps": "instances that others cover in part",
    "hidden": "instances that others cover wholly",
    "too-many": "instances beyond the 254 that a picture can have",
    "unknown": "pictures with unknown pixels (255)",
    "confidence": "maps of confidence",
    "strokes": "brush strokes of a review, which belong to no instance",
    "classes": "names of classes",
    "names": "names of pictures",
    "pictures": "pictures themselves, which lie in the source alone",
    "no-instance": "pictures without an instance",
    "empty": "instances without a pixel",
    "ids": "ids of pictures or classes, which it counts from 1",
}
_LEFT_OUT = "left-out"  # what the source holds and its reader gave to nobody
_NO_SCORES = {"voc", "cvat-voc", "yolo-seg", "masks", "s4net-pickle"}
_NO_PICTURES = {"coco", "cvat-coco", "label-studio", "masks"}


class Losses:
    """Counts what is lost, by kind."""

    def __init__(self, form: str, notes: Notes) -> None:
        """Start with nothing lost.

        Args:
            form: The form that is written, for messages.
            notes: Told of every case.
        """
        self._notes = notes
        self._form, self._words = form, f"{form} cannot express "
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, case: str) -> None:
        """Count a loss.

        Args:
            kind: A key of the table above.
            case: Name of the picture or instance, different for each case.
        """
        self._counts[kind] += 1
        self._notes.left_out(f"{self._words}{_WORDS[kind]}", case)

    def look_at(self, picture: AnnotatedPicture) -> None:
        """Count what the form cannot express of any picture; what depends on its way to write is left to the writer."""
        image_id = picture.image_id
        if picture.confidence:
            self.add("confidence", image_id)
        for number in range(1, picture.strokes + 1):
            self.add("strokes", f"{image_id} {number}")
        if self._form != "voc" and picture.label_map is not None and (picture.label_map == IGNORE).any():
            self.add("unknown", image_id)
        if self._form in _NO_PICTURES and picture.pixels is not None:
            self.add("pictures", image_id)
        for number, instance in enumerate(picture.instances, start=1):
            if self._form in _NO_SCORES and instance.score is not None:
                self.add("scores", f"{image_id} {number}")

    @property
    def counts(self) -> dict[str, int]:
        """The number of cases of each kind; with those that the reader of the source noted, as long as they wait."""
        left_out = self._notes.count_left_out(self._words)
        return dict(sorted({**self._counts, **({_LEFT_OUT: left_out} if left_out else {})}.items()))
