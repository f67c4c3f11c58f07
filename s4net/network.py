"""S4Net: single-shot detector and segmentation branch in one network (paper Fig. 2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from .anchors import AnchorGrid, decode
from .cpu import make_fast
from .detection_head import DetectionHead
from .fpn import FeaturePyramid
from .instances import Instances, RawDetections
from .losses import DetectionLoss, matched_iou, saliency_loss
from .mask_branch import MaskBranch
from .matching import match_anchors
from .mirror import mirrored_boxes, unmirrored, unmirrored_offsets
from .postprocess import decay_overlaps, joint_scores, mask_quality, select_proposals, to_picture
from .roi_masking import MaskFrames
from .trunk import Trunk

MaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
Target = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class S4NetSettings:
    """The numbers of a preset that belong to no single layer.

    Attributes:
        positive_iou, negative_iou, force_best: see `match_anchors`.
        box_jitter: the mask branch is trained on ground-truth boxes whose sides moved by up to this share of the
            box (paper: 0); detected boxes are never exact either.
        box_copies: jittered copies of each ground-truth box.
        nms_iou, pre_nms, proposals, min_score: see `select_proposals`.
        mask_trust: see `joint_scores`; sure masks rank first. The paper ranks by objectness alone: 0.
        overlap_decay: strength of `decay_overlaps`; the paper has no suppression of masks.
        mask_slack: see `RoIMasking`; 0: nothing outside the box.
        saliency_weight: of `saliency_loss`, a part of the mask loss in training; inference does not compute it.
        flip: inference reads the mirror image too and averages scores, boxes and masks, for twice the time.
    """

    positive_iou: float = 0.5
    negative_iou: float | None = None
    force_best: bool = False
    box_jitter: float = 0.0
    box_copies: int = 1
    nms_iou: float = 0.4
    pre_nms: int = 5000
    proposals: int = 20
    min_score: float = 0.0
    mask_trust: float = 0.0
    overlap_decay: float = 0.0
    mask_slack: float = 0.0
    saliency_weight: float = 0.0
    flip: bool = False


class DenseOutput(NamedTuple):
    """What the network computes once per picture.

    Attributes:
        levels: pyramid levels [B, C, h, w], finest first.
        detail: [B, C4, H / 4, W / 4], the trunk's stride-4 map, where the mask branch takes it.
        logits: [B, A] objectness.
        offsets: [B, A, 4] box offsets.
        anchors: [A, 4] xyxy.
    """

    levels: list[Tensor]
    detail: Tensor | None
    logits: Tensor
    offsets: Tensor
    anchors: Tensor


class S4Net(nn.Module):
    """Finds the few salient instances of a picture."""

    def __init__(
        self,
        trunk: Trunk,
        fpn: FeaturePyramid,
        head: DetectionHead,
        mask_branch: MaskBranch,
        anchors: AnchorGrid,
        detection_loss: DetectionLoss,
        mask_loss: MaskLoss,
        settings: S4NetSettings,
        mask_level: int = 0,
    ) -> None:
        """Join the parts.

        Args:
            trunk: ImageNet features.
            fpn: pyramid over them.
            head: objectness and boxes, shared by the levels.
            mask_branch: masks of boxes.
            anchors: the anchor grid of the pyramid.
            detection_loss: L_obj and L_coord.
            mask_loss: L_seg.
            settings: numbers of the preset.
            mask_level: index of the stride-8 level, which feeds the mask branch.
        """
        super().__init__()
        self.trunk, self.fpn, self.head, self.mask_branch = trunk, fpn, head, mask_branch
        self.anchors, self.detection_loss, self.mask_loss = anchors, detection_loss, mask_loss
        self.settings, self.mask_level = settings, mask_level
        self.saliency = nn.Conv2d(fpn.channels, 1, 1) if settings.saliency_weight else None

    def forward(self, images: Tensor, targets: list[Target] | None = None) -> dict[str, Tensor] | list[Instances]:
        """Compute losses in training, instances in evaluation.

        Args:
            images: [B, 3, S, S] float RGB in 0..1 (normalisation is inside).
            targets: in training, B dictionaries {boxes [N, 4] xyxy in pixels, masks [N, S, S] 0 or 1}; N may be 0.

        Returns:
            In training {objectness, boxes, masks, total}, scalars. In evaluation B Instances at S x S.
        """
        if self.training:
            if targets is None:
                raise ValueError("training needs targets: a list of {boxes [N, 4], masks [N, S, S]} per picture")
            return self.losses(images, targets)
        size = (images.shape[-2], images.shape[-1])
        return [to_picture(raw, size[0], size, self.settings.mask_slack) for raw in self.detect(images)]

    def dense(self, images: Tensor) -> DenseOutput:
        """Compute all that does not depend on boxes for images [B, 3, S, S] float RGB in 0..1."""
        features = self.trunk(images)
        detail = features[0] if self.mask_branch.fineness > 1 else None
        levels = self.fpn(features[-len(self.fpn.laterals) :])
        logits, offsets = self.head(levels)
        anchors = self.anchors([(x.shape[-2], x.shape[-1]) for x in levels], images.device)
        return DenseOutput(levels, detail, logits, offsets, anchors)

    def losses(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        """Return {objectness, boxes, masks, total} (Eq. 1); arguments as `forward`. A mean over the pictures."""
        dense = self.dense(images)
        levels, logits, offsets, anchors = dense.levels, dense.logits, dense.offsets, dense.anchors
        level_of = torch.repeat_interleave(
            torch.arange(len(levels), device=images.device),
            torch.tensor([x.shape[-2] * x.shape[-1] * self.anchors.per_cell for x in levels], device=images.device),
        )
        objectness, boxes = [], []
        for i, target in enumerate(targets):
            truth = target["boxes"]
            settings = self.settings
            matches = match_anchors(anchors, truth, settings.positive_iou, settings.negative_iou, settings.force_best)
            positive = matches >= 0
            matched, own = truth[matches[positive]], offsets[i][positive]
            ious = matched_iou(own, anchors[positive], matched)
            objectness.append(self.detection_loss.objectness(logits[i], matches, ious))
            boxes.append(self.detection_loss.boxes(own, anchors[positive], matched, level_of[positive]))
        masks = self.segmentation_loss(dense, targets)
        if self.saliency is not None:
            whole = self.saliency(levels[self.mask_level])[:, 0].float()
            masks = masks + self.settings.saliency_weight * saliency_loss(whole, [t["masks"] for t in targets])
        losses = {
            "objectness": torch.stack(objectness).mean(),
            "boxes": torch.stack(boxes).mean(),
            "masks": masks,
        }
        return losses | {"total": torch.stack(list(losses.values())).sum()}

    def segmentation_loss(self, dense: DenseOutput, targets: list[Target]) -> Tensor:
        """Return L_seg over the ground-truth boxes of all pictures (jittered where the preset says so)."""
        copies = self.settings.box_copies
        boxes = [self._jitter(t["boxes"].repeat(copies, 1)) for t in targets]
        logits, covered = self.masks(dense, boxes)
        shares = [
            # One mask per box: [n, 1, S, S] with box k on mask k; averages the mask over each cell of the frame.
            roi_align(
                target["masks"].repeat(copies, 1, 1)[:, None].float(),
                [frame[None] for frame in frames],
                (logits.shape[-2], logits.shape[-1]),
                sampling_ratio=-1,
                aligned=True,
            )[:, 0]
            for target, frames in zip(targets, torch.split(covered.frames, [len(b) for b in boxes]), strict=True)
            if len(frames)
        ]
        if not shares:
            # Keeps the branch in the graph: distributed training waits for its gradients.
            none: Tensor = logits.sum() * 0
            return none
        return self.mask_loss(logits, torch.cat(shares), covered.region)

    def _jitter(self, boxes: Tensor) -> Tensor:
        """Return boxes [N, 4] with every side moved by up to `box_jitter` of the box's width or height."""
        if not self.settings.box_jitter:
            return boxes
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        return boxes + (torch.rand_like(boxes) * 2 - 1) * self.settings.box_jitter * sides

    @property
    def stride(self) -> int:
        """Network pixels per cell of the mask branch."""
        return self.anchors.strides[self.mask_level]

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[RawDetections]:
        """Return boxes and coarse masks of each of B pictures.

        Args:
            images: [B, 3, S, S] float RGB in 0..1.
        """
        dense, settings = self.dense(images), self.settings
        twin = self._mirror(images) if settings.flip else None
        boxes, scores = self.propose(dense, (images.shape[-2], images.shape[-1]), twin)
        # A GPU computes the empty slots along rather than wait until it is known how many there are.
        counts = None if images.is_cuda else _proposals_found(scores)
        own = list(boxes) if counts is None else [b[:n] for b, n in zip(boxes, counts, strict=True)]
        mask_logits, covered = self.masks(dense, own)
        probabilities = mask_logits.sigmoid()
        if twin is not None:
            seen_mirrored, _ = self.masks(twin, [mirrored_boxes(b, images.shape[-1]) for b in own])
            probabilities = (probabilities + seen_mirrored.sigmoid().flip(2)) / 2
        quality = mask_quality(probabilities, covered.region)
        parts = [
            torch.split(x, [len(b) for b in own]) for x in (probabilities, covered.frames, covered.region, quality)
        ]
        results = []
        for b, s, p, f, r, q in zip(own, scores, *parts, strict=True):
            final = joint_scores(s[: len(b)], q, settings.mask_trust)
            final = decay_overlaps(final, (p > 0.5) & (r > 0), settings.overlap_decay)
            order = final.argsort(descending=True, stable=True)
            results.append(RawDetections(b[order], final[order], p[order], f[order]))
        if counts is None:
            results = [raw.first(n) for raw, n in zip(results, _proposals_found(scores), strict=True)]
        return results

    def _mirror(self, images: Tensor) -> DenseOutput:
        """Compute the mirror images of [B, 3, S, S]; their anchors are those of the pictures, turned round."""
        if not self.can_flip(images.shape[-1]):
            raise ValueError(
                f"a picture of {images.shape[-1]} pixels and its mirror image have other anchors; flip needs a preset "
                f"with anchors at the centres of cells, and a side that is a multiple of {self.anchors.strides[-1]}"
            )
        return self.dense(images.flip(3).contiguous(memory_format=torch.channels_last))

    def can_flip(self, size: int) -> bool:
        """Return whether pictures of side `size` and their mirror images have the same anchors, turned round."""
        return not self.anchors.released and size % self.anchors.strides[-1] == 0

    def propose(
        self, dense: DenseOutput, size: tuple[int, int], twin: DenseOutput | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return boxes [B, P, 4] and scores [B, P] for the mask branch; see `select_proposals`.

        Args:
            dense: of the pictures.
            size: (H, W) of the pictures.
            twin: of their mirror images, whose scores and offsets are averaged in.
        """
        s, scores, offsets = self.settings, dense.logits.sigmoid(), dense.offsets
        if twin is not None:
            cells, per_cell = [(x.shape[-2], x.shape[-1]) for x in dense.levels], self.anchors.per_cell
            scores = (scores + unmirrored(twin.logits.sigmoid(), cells, per_cell)) / 2
            offsets = (offsets + unmirrored_offsets(twin.offsets, cells, per_cell)) / 2
        boxes = decode(offsets, dense.anchors)
        return select_proposals(scores, boxes, size, s.nms_iou, s.proposals, s.pre_nms, s.min_score)

    def masks(self, dense: DenseOutput, boxes: list[Tensor]) -> tuple[Tensor, MaskFrames]:
        """Return mask logits [N, h, w] of B lists of boxes [N_i, 4], and what they cover; see `MaskBranch`."""
        result: tuple[Tensor, MaskFrames] = self.mask_branch(
            dense.levels[self.mask_level], boxes, self.stride, dense.detail
        )
        return result

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that no ImageNet weights exist for: everything above the trunk."""
        trunk = {id(p) for p in self.trunk.parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in trunk]

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Return the trunk's parameters that learn."""
        return [p for p in self.trunk.parameters() if p.requires_grad]

    def with_min_score(self, min_score: float) -> "S4Net":
        """Set the score that a box needs to reach the mask branch; returns itself."""
        self.settings = replace(self.settings, min_score=min_score)
        return self

    def with_flip(self, flip: bool) -> "S4Net":
        """Set whether inference reads the mirror image too; returns itself."""
        self.settings = replace(self.settings, flip=flip)
        return self

    def prepare_for_inference(self) -> "S4Net":
        """Make the network fast, in place, once: no more training, no other weights; returns itself.

        BatchNorm is folded into the convolutions, their weights are packed for the processor, and all is laid out
        channels_last. Masks and scores differ by rounding alone.
        """
        self.eval()
        make_fast(self, self.trunk, self.detect)
        return self


def _proposals_found(scores: Tensor) -> list[int]:
    """Return how many slots of each picture [B, P] hold a proposal; waits for a GPU."""
    counts: list[int] = (scores > 0).sum(dim=1).tolist()
    return counts
