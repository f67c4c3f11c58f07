"""What of a label folder counts: the labels that were made, and what people corrected in them with `review`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.data.record_files import Record
from pipelines.data.review import NOTHING, PictureReview, instance_key
from pipelines.data.review_maps import is_labelled

NO_CLASS = "they got no class"


@dataclass(frozen=True)
class ReviewedInstances:
    """Tells which pictures and instances of records count, and what the instances show.

    Attributes:
        names: Names of the classes.
        reviews: image_id -> what people said of the picture; empty if nobody has looked.
    """

    names: Sequence[str]
    reviews: Mapping[str, PictureReview] = field(default_factory=dict)

    def of(self, image_id: str) -> PictureReview:
        """Return what people said of a picture."""
        return self.reviews.get(image_id, PictureReview())

    def picture_fault(self, record: Record) -> str | None:
        """Return why a picture is left out; None if it is not.

        In such a picture every pixel is unknown. Without its label map, it would pass for one that shows nothing.
        """
        review = self.of(record["image_id"])
        if review.state == "rejected":
            return "somebody rejected them"
        is_unknown = _rule(record) is not None and not review.instances and not review.strokes
        return "their labels are unknown everywhere" if is_unknown else None

    def shown(self, record: Record, instance: Record) -> tuple[str | None, str]:
        """Return the class that an instance shows; or None, and why the instance is left out."""
        said = self.of(record["image_id"]).instances
        key = instance_key(instance["segmentation"])
        if key in said:
            shown = said[key]
            if shown == NOTHING:
                return None, "somebody said that they show nothing"
            return (shown, "") if shown in self.names else (None, "somebody said that they are unknown")
        if instance["keyword"] is None:
            return None, NO_CLASS
        is_left_out = _rule(record) is not None or not is_labelled(instance)
        return (None, "the labels leave them out") if is_left_out else (instance["keyword"], "")


def _rule(record: Record) -> str | None:
    """Return the rule by which a picture got no label; None if it got one, or if the review alone decides."""
    rule = record.get("rejected")
    return None if rule in (None, "review") else str(rule)
