"""The result type of the network: a few instances of one picture."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Instances:
    """Instances found in one picture, best first.

    Attributes:
        boxes: [N, 4] float32, xyxy in pixels of the picture, half-open.
        scores: [N] float32 in 0..1.
        masks: [N, H, W] bool at picture size; a mask may leave its box where the preset allows it.
    """

    boxes: Tensor
    scores: Tensor
    masks: Tensor

    def __post_init__(self) -> None:
        """Check that all fields describe the same N instances."""
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.masks.ndim != 3 or len(self.masks) != n:
            raise ValueError(
                f"Instances need boxes [N, 4], scores [N] and masks [N, H, W], found {tuple(self.boxes.shape)}, "
                f"{tuple(self.scores.shape)} and {tuple(self.masks.shape)}"
            )

    def __len__(self) -> int:
        """Return the number of instances N."""
        return len(self.boxes)

    def above(self, min_score: float) -> "Instances":
        """Return the instances with score >= `min_score`."""
        keep = self.scores >= min_score
        return Instances(self.boxes[keep], self.scores[keep], self.masks[keep])


@dataclass(frozen=True)
class RawDetections:
    """Boxes and coarse masks of one picture before they are pasted at a picture size.

    Attributes:
        boxes: [N, 4] float32, xyxy in network pixels, inside the S x S input.
        scores: [N] float32 in 0..1, descending.
        mask_probabilities: [N, h, w] float32 in 0..1.
        frames: [N, 4] float32, xyxy in network pixels: the area that each coarse mask covers. With RoIMasking it is
            the whole input.
    """

    boxes: Tensor
    scores: Tensor
    mask_probabilities: Tensor
    frames: Tensor

    def first(self, n: int) -> "RawDetections":
        """Return the n best."""
        return RawDetections(self.boxes[:n], self.scores[:n], self.mask_probabilities[:n], self.frames[:n])
