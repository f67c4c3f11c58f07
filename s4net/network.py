"""S4Net: single-shot detector and segmentation branch in one network (paper Fig. 2)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .anchors import AnchorGrid, decode
from .cpu import make_fast
from .detection_head import DetectionHead
from .fpn import FeaturePyramid
from .instances import Instances, RawDetections
from .losses import DetectionLoss, covered_shares, matched_iou, saliency_loss
from .mask_branch import MaskBranch
from .matching import match_anchors
from .postprocess import boxes_to_mask, rank_detections, select_proposals, to_picture
from .trunk import Trunk

MaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
Target = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class S4NetSettings:
    """The numbers of a preset that belong to no single layer.

    Attributes:
        positive_iou, negative_iou, force_best: See `match_anchors`.
        box_jitter: Share of the box by which each side of a ground-truth box moves at most when the mask branch is
            trained (paper: 0). Detected boxes are never exact either.
        box_copies: Jittered copies of each ground-truth box.
        nms_iou, pre_nms, proposals, min_score: See `select_proposals`.
        mask_trust: See `joint_scores`. The paper ranks by objectness alone: 0.
        overlap_decay: Strength of `decay_overlaps`. The paper has no suppression of masks: 0.
        mask_slack: See `RoIMasking`. In the paper no mask leaves its box: 0.
        saliency_weight: Weight of `saliency_loss` in the mask loss. Inference does not compute it.
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


class DenseOutput(NamedTuple):
    """What the network computes once per picture (Fig. 2a).

    Attributes:
        levels: Pyramid levels [B, C, h, w], finest first.
        detail: [B, C4, H / 4, W / 4], the trunk's stride-4 map; None where the mask branch does not read it.
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
    """Finds the few salient instances of a picture.

    Images go through the parts of Fig. 2 in turn: trunk, pyramid and detection head (`dense`), then RoIMasking and the
    layers behind it (`mask_branch`). The masked boxes are proposals in evaluation (`detect`), and the true ones in
    training (`losses`).
    """

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
            fpn: Pyramid over them.
            head: Objectness and boxes, shared by the levels.
            mask_branch: Masks of boxes.
            anchors: The anchor grid of the pyramid.
            detection_loss: L_obj and L_coord.
            mask_loss: L_seg.
            settings: Numbers of the preset.
            mask_level: Index of the stride-8 level, which feeds the mask branch.
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
            targets: In training, B dictionaries {boxes [N, 4] xyxy in pixels, masks [N, S, S] 0 or 1}; N may be 0.

        Returns:
            In training {objectness, boxes, masks, total}, scalars. In evaluation B Instances at S x S.
        """
        if self.training:
            if targets is None:
                raise ValueError("training needs targets: a list of {boxes [N, 4], masks [N, S, S]} per picture")
            return self.losses(images, targets)
        size = (images.shape[-2], images.shape[-1])
        return [to_picture(found, size[0], size, self.settings.mask_slack) for found in self.detect(images)]

    @torch.no_grad()
    def detect(self, images: Tensor, min_score: float | None = None) -> list[RawDetections]:
        """Return boxes and coarse masks of each of B pictures.

        Args:
            images: [B, 3, S, S] float RGB in 0..1.
            min_score: Boxes scored below do not reach the mask branch; None: the setting's.
        """
        dense = self.dense(images)  # Fig. 2a
        size = (images.shape[-2], images.shape[-1])
        proposals, scores = self.propose(dense.logits.sigmoid(), dense.offsets, dense.anchors, size, min_score)
        boxes = boxes_to_mask(proposals, scores)
        logits, covered = self.mask_branch(dense.levels[self.mask_level], boxes, self.stride, dense.detail)  # 2b, 2c
        trust, decay = self.settings.mask_trust, self.settings.overlap_decay
        return rank_detections(boxes, scores, logits.sigmoid(), covered, trust, decay)

    def dense(self, images: Tensor) -> DenseOutput:
        """Compute all that does not depend on boxes for images [B, 3, S, S] float RGB in 0..1."""
        features = self.trunk(images)
        detail = features[0] if self.mask_branch.fineness > 1 else None
        levels = self.fpn(features[-len(self.fpn.laterals) :])
        logits, offsets = self.head(levels)
        anchors = self.anchors([(x.shape[-2], x.shape[-1]) for x in levels], images.device)
        return DenseOutput(levels, detail, logits, offsets, anchors)

    def propose(
        self, scores: Tensor, offsets: Tensor, anchors: Tensor, size: tuple[int, int], min_score: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return boxes [B, P, 4] and scores [B, P] for the mask branch; see `select_proposals`.

        Args:
            scores: [B, A] in 0..1.
            offsets: [B, A, 4].
            anchors: [A, 4] xyxy.
            size: (H, W) of the pictures.
            min_score: Boxes scored below are dropped; None: the setting's.
        """
        settings = self.settings
        gate = settings.min_score if min_score is None else min_score
        boxes = decode(offsets, anchors)
        return select_proposals(scores, boxes, size, settings.nms_iou, settings.proposals, settings.pre_nms, gate)

    @property
    def stride(self) -> int:
        """Network pixels per cell of the mask branch."""
        return self.anchors.strides[self.mask_level]

    def losses(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        """Return {objectness, boxes, masks, total} (Eq. 1); arguments as `forward`. A mean over the pictures."""
        dense = self.dense(images)  # Fig. 2a
        objectness, boxes = self._detection_losses(dense, targets)
        copies = self.settings.box_copies
        true_boxes = [self._jitter(target["boxes"].repeat(copies, 1)) for target in targets]
        true_masks = [target["masks"].repeat(copies, 1, 1) for target in targets]
        masks = self.segmentation_loss(dense, true_boxes, true_masks)  # 2b, 2c
        if self.saliency is not None:
            whole = self.saliency(dense.levels[self.mask_level])[:, 0].float()
            masks = masks + self.settings.saliency_weight * saliency_loss(whole, [t["masks"] for t in targets])
        losses = {"objectness": objectness, "boxes": boxes, "masks": masks}
        return losses | {"total": torch.stack(list(losses.values())).sum()}

    def _detection_losses(self, dense: DenseOutput, targets: list[Target]) -> tuple[Tensor, Tensor]:
        """Return L_obj and L_coord, each a mean over the pictures."""
        settings, device = self.settings, dense.logits.device
        level_of = torch.repeat_interleave(
            torch.arange(len(dense.levels), device=device),
            torch.tensor([x.shape[-2] * x.shape[-1] * self.anchors.per_cell for x in dense.levels], device=device),
        )
        objectness, boxes = [], []
        for i, target in enumerate(targets):
            truth = target["boxes"]
            matches = match_anchors(
                dense.anchors, truth, settings.positive_iou, settings.negative_iou, settings.force_best
            )
            positive = matches >= 0
            anchors, offsets, matched = dense.anchors[positive], dense.offsets[i][positive], truth[matches[positive]]
            ious = matched_iou(offsets, anchors, matched)
            objectness.append(self.detection_loss.objectness(dense.logits[i], matches, ious))
            boxes.append(self.detection_loss.boxes(offsets, anchors, matched, level_of[positive]))
        return torch.stack(objectness).mean(), torch.stack(boxes).mean()

    def segmentation_loss(self, dense: DenseOutput, boxes: list[Tensor], masks: list[Tensor]) -> Tensor:
        """Return L_seg over the boxes of all pictures.

        Args:
            dense: Output of the network for B pictures.
            boxes: B tensors [N_i, 4], xyxy in network pixels.
            masks: B tensors [N_i, S, S] of 0 and 1, the true mask of each box.
        """
        logits, covered = self.mask_branch(dense.levels[self.mask_level], boxes, self.stride, dense.detail)
        cells = (logits.shape[-2], logits.shape[-1])
        frames = torch.split(covered.frames, [len(own) for own in boxes])
        shares = [covered_shares(own, frame, cells) for own, frame in zip(masks, frames, strict=True) if len(frame)]
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

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters above the trunk, for which there are no ImageNet weights."""
        trunk = {id(p) for p in self.trunk.parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in trunk]

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Return the trunk's parameters that learn."""
        return [p for p in self.trunk.parameters() if p.requires_grad]

    def prepare_for_inference(self) -> "S4Net":
        """Make the network fast, in place, once: no more training, no other weights; return itself.

        BatchNorm is folded into the convolutions. Weights are packed for the processor and laid out channels_last.
        Masks and scores differ by rounding alone.
        """
        self.eval()
        # With no score to reach, the example has boxes, so that every layer is run.
        make_fast(self, self.trunk, partial(self.detect, min_score=0.0))
        return self
