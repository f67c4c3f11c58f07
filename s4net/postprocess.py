"""From dense predictions to proposals, and from coarse masks back to the picture."""

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, nms

from .instances import Instances, RawDetections
from .roi_masking import MaskFrames, expand_boxes

_FIRST_LOOK = 16  # candidates for each proposal
# Boxes that are no proposals all go to one spot outside of the picture, so that suppression leaves one of them at most.
_NOWHERE = (-2.0, -2.0, -1.0, -1.0)


def select_proposals(
    scores: Tensor, boxes: Tensor, size: tuple[int, int], nms_iou: float, proposals: int, pre_nms: int, min_score: float
) -> tuple[Tensor, Tensor]:
    """Pick the boxes of each picture for the mask branch, for all pictures at once.

    All shapes are known beforehand but that of the suppression's result, so that a GPU is waited for once.

    Args:
        scores: [B, A] objectness in 0..1.
        boxes: [B, A, 4] xyxy, may leave the picture.
        size: (H, W) of the network's input; boxes are clipped to it.
        nms_iou: IoU with a better box above which class-agnostic non-maximum suppression drops a box.
        proposals: Most boxes to keep, P.
        pre_nms: How many of the best boxes enter the suppression.
        min_score: Score below which boxes are dropped.

    Returns:
        Boxes [B, P, 4] and scores [B, P], best first; a score of 0 marks a slot without proposal.
    """
    scores, order = scores.topk(min(pre_nms, scores.shape[1]))
    candidates = clip_boxes_to_image(boxes.gather(1, order[..., None].expand(-1, -1, 4)), size)
    # A box without area (clipped away) can hold no mask.
    valid = (scores >= min_score) & ((candidates[..., 2:] - candidates[..., :2]).amin(dim=-1) >= 1)
    scores = scores * valid
    for side, value in enumerate(_NOWHERE):
        candidates[..., side].masked_fill_(~valid, value)
    # Whether a box survives depends on better boxes alone, so that the first few hundred nearly always settle it. The
    # cost of suppression is quadratic. A GPU does all boxes in less time than it takes to ask whether it is done.
    looked_at = scores.shape[1] if scores.is_cuda else min(_FIRST_LOOK * proposals, scores.shape[1])
    while True:
        kept = _suppress(candidates[:, :looked_at], scores[:, :looked_at], max(size), nms_iou, proposals)
        if looked_at == scores.shape[1]:
            return kept
        nothing_left = ~(scores[:, looked_at:] > 0).any(dim=1)
        if bool(((kept[1][:, -1] > 0) | nothing_left).all()):
            return kept
        looked_at = min(4 * looked_at, scores.shape[1])


def _suppress(candidates: Tensor, scores: Tensor, side: int, nms_iou: float, proposals: int) -> tuple[Tensor, Tensor]:
    """Return the first P boxes [B, P, 4] and scores [B, P] of [B, K, 4] and [B, K] that no better box overlaps."""
    # Boxes of different pictures are moved apart, so that one call suppresses within each picture alone.
    pictures, per_picture = scores.shape
    apart = torch.arange(pictures, device=scores.device) * (2 * side + 8)
    keep = nms((candidates + apart[:, None, None]).flatten(0, 1), scores.flatten(), nms_iou)
    owner = keep // per_picture
    rank = torch.nn.functional.one_hot(owner, pictures).cumsum(dim=0).gather(1, owner[:, None])[:, 0] - 1
    slot = torch.where(rank < proposals, owner * proposals + rank, pictures * proposals)  # the last one is waste
    kept_boxes = candidates.new_zeros(pictures * proposals + 1, 4)
    kept_scores = scores.new_zeros(pictures * proposals + 1)
    kept_boxes[slot] = candidates.flatten(0, 1)[keep]
    kept_scores[slot] = scores.flatten()[keep]
    return kept_boxes[:-1].view(pictures, proposals, 4), kept_scores[:-1].view(pictures, proposals)


def boxes_to_mask(boxes: Tensor, scores: Tensor) -> list[Tensor]:
    """Return the boxes [N_i, 4] of each picture that go to the mask branch.

    A GPU computes the empty slots along rather than wait until their number is known; `rank_detections` drops them.

    Args:
        boxes: [B, P, 4], see `select_proposals`.
        scores: [B, P], likewise.
    """
    if boxes.is_cuda:
        return list(boxes)
    return [own[:count] for own, count in zip(boxes, _proposals_found(scores), strict=True)]


def _proposals_found(scores: Tensor) -> list[int]:
    """Return how many slots of each picture [B, P] hold a proposal; waits for a GPU."""
    counts: list[int] = (scores > 0).sum(dim=1).tolist()
    return counts


def rank_detections(
    boxes: list[Tensor],
    scores: Tensor,
    probabilities: Tensor,
    covered: MaskFrames,
    mask_trust: float,
    overlap_decay: float,
) -> list[RawDetections]:
    """Score boxes by their masks too, and sort them.

    Args:
        boxes: B tensors [N_i, 4] in the order of their scores.
        scores: [B, P] objectness in 0..1 of the P >= N_i proposals of each picture, 0 for a slot without proposal.
        probabilities: [N, h, w] in 0..1, the masks of all boxes.
        covered: Where these masks lie.
        mask_trust: See `joint_scores`.
        overlap_decay: See `decay_overlaps`.

    Returns:
        The detections of each picture, best first; slots without proposal are dropped.
    """
    quality = mask_quality(probabilities, covered.region)
    counts = [len(own) for own in boxes]
    of_masks = (torch.split(x, counts) for x in (probabilities, covered.frames, covered.region, quality))
    ranked = []
    for own, objectness, masks, frames, region, sureness in zip(boxes, scores, *of_masks, strict=True):
        joint = joint_scores(objectness[: len(own)], sureness, mask_trust)
        joint = decay_overlaps(joint, (masks > 0.5) & (region > 0), overlap_decay)
        order = joint.argsort(descending=True, stable=True)
        ranked.append(RawDetections(own[order], joint[order], masks[order], frames[order]))
    return [found.first(count) for found, count in zip(ranked, _proposals_found(scores), strict=True)]


def mask_quality(probabilities: Tensor, inside: Tensor) -> Tensor:
    """Return [N], the mean probability of the cells of [N, h, w] with p > 0.5 inside the box; 0 without such cells."""
    held = (probabilities > 0.5) * inside
    return (probabilities * held).sum(dim=(1, 2)) / held.sum(dim=(1, 2)).clamp(min=1)


def joint_scores(objectness: Tensor, quality: Tensor, mask_trust: float) -> Tensor:
    """Score a detection by its box and by its mask.

    Args:
        objectness: [N] in 0..1.
        quality: [N] in 0..1, see `mask_quality`.
        mask_trust: Weight of the mask against the box. 0: the box alone; 1: the product of the two.

    Returns:
        [N], the weighted geometric mean of the two, squared: so scores stay on the scale of the product.
    """
    if not mask_trust:
        return objectness
    share = 2 / (1 + mask_trust)
    return objectness.pow(share) * quality.pow(mask_trust * share)


def least_objectness(score: float, mask_trust: float) -> float:
    """Return the objectness that a box needs at least to reach a joint score, with a mask of quality 1.

    Args:
        score: In 0..1.
        mask_trust: See `joint_scores`.
    """
    return score ** ((1 + mask_trust) / 2) if mask_trust else score


def decay_overlaps(scores: Tensor, masks: Tensor, strength: float) -> Tensor:
    """Lower the scores of masks that a surer mask covers already (Gaussian matrix NMS, Wang et al., SOLOv2, 2020).

    The boxes of two people side by side overlap more than their masks do. So masks tell a second instance from a
    second detection of the first. Unlike a removal, a lower score loses no recall.

    Args:
        scores: [N] in 0..1, in any order.
        masks: [N, h, w] bool.
        strength: How much scores fall; 0: not at all. A mask of IoU x with a surer one, which repeats no other mask,
            keeps exp(-strength * x^2) of its score.

    Returns:
        [N] scores.
    """
    if not strength or len(scores) < 2:
        return scores
    order = scores.argsort(descending=True, stable=True)
    result = torch.empty_like(scores)
    result[order] = scores[order] * overlap_factors(masks[order], strength)
    return result


def overlap_factors(masks: Tensor, strength: float) -> Tensor:
    """Return by how much scores fall, [N] in 0..1, of masks [N, h, w] in the order of their scores.

    See `decay_overlaps`. N is 1 or more.
    """
    flat = masks.flatten(1).float()
    shared = flat @ flat.T
    area = flat.sum(dim=1)
    iou = (shared / (area[:, None] + area[None] - shared).clamp(min=1)).triu(diagonal=1)
    # [i, j]: how much mask i lowers the score of mask j, which is less where mask i itself repeats a surer one.
    disputed = iou.amax(dim=0)
    return torch.exp(-strength * (iou.square() - disputed[:, None].square())).amin(dim=0).clamp(max=1)


def _interpolation(start: Tensor, end: Tensor, cells: int, pixels: int) -> Tensor:
    """Return the weights [pixels, cells] of linear interpolation from cells that divide [start, end) to pixels.

    They do along one axis what `F.interpolate` does with `align_corners=False`, for cells that begin and end anywhere.
    """
    centre = torch.arange(pixels, device=start.device, dtype=torch.float32) + 0.5
    position = ((centre - start) / (end - start) * cells - 0.5).clamp(0, cells - 1)
    grid = torch.arange(cells, device=start.device, dtype=torch.float32)
    return (1 - (position[:, None] - grid).abs()).clamp(min=0)


def paste_masks(
    probabilities: Tensor, frames: Tensor, boxes: Tensor, size: tuple[int, int], slack: float = 0.0
) -> Tensor:
    """Bring coarse masks to a picture: interpolate bilinearly, cut at 0.5, and leave out what lies outside of the box.

    Only the pixels under each box are computed, which `F.interpolate` cannot do.

    Args:
        probabilities: [N, h, w] in 0..1.
        frames: [N, 4] xyxy in picture pixels: the area that each coarse mask covers.
        boxes: [N, 4] xyxy in picture pixels.
        size: (H, W) of the picture.
        slack: Share of the box side by which a mask may leave its box on each side.

    Returns:
        [N, H, W] bool.
    """
    n, h, w = probabilities.shape
    masks = torch.zeros(n, *size, dtype=torch.bool, device=probabilities.device)
    limits = expand_boxes(boxes, slack)
    low = limits[:, :2].floor().clamp(min=0).int().tolist()
    high = limits[:, 2:].ceil().int().tolist()
    # Behind RoIMasking every mask covers the whole picture.
    shared = n > 1 and bool((frames == frames[0]).all())
    for i in range(n):
        (x0, y0), (x1, y1) = low[i], high[i]
        if i == 0 or not shared:
            rows = _interpolation(frames[i, 1], frames[i, 3], h, size[0])
            columns = _interpolation(frames[i, 0], frames[i, 2], w, size[1])
        masks[i, y0:y1, x0:x1] = rows[y0:y1] @ probabilities[i] @ columns[x0:x1].T > 0.5
    return masks


def to_picture(raw: RawDetections, network_size: int, size: tuple[int, int], slack: float) -> Instances:
    """Bring the detections of one picture from the square network input to picture size.

    Args:
        raw: Boxes and coarse masks in network pixels.
        network_size: Side S of the network's input, to which the picture was squashed.
        size: (H, W) of the picture.
        slack: See `paste_masks`.
    """
    height, width = size
    scale = torch.tensor([width, height, width, height], dtype=torch.float32, device=raw.boxes.device) / network_size
    boxes = clip_boxes_to_image(raw.boxes * scale, size)
    masks = paste_masks(raw.mask_probabilities, raw.frames * scale, boxes, size, slack)
    return Instances(boxes, raw.scores, masks)
