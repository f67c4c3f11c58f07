"""Networks from a picture of any size to results of its size, in operations that every ONNX runtime has.

The graphs do what `load_s4net` and `load_deeplab` do. No shape depends on what is found: slots without an instance have
a score of 0. Resizing is written as products with matrices of weights, whose sizes may be unknown when the graph is
made. Nothing here is fast for a processor of its own: a runtime does that.
"""

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from deeplab import DeepLab
from s4net import S4Net
from s4net.anchors import decode
from s4net.postprocess import joint_scores, mask_quality, overlap_factors
from s4net.roi_masking import RoIMasking, expand_boxes

# Pillow and torch resize bytes with whole numbers: weights are scaled by a power of 2 that keeps them below 2^15.
_LARGEST_WEIGHT = 2**15 - 0.5
_MOST_BITS = 22
_GRID = 16  # of `predict_probabilities`
_FILL = 127 / 255  # likewise


class SalientGraph(nn.Module):
    """An S4Net from picture to instances, the work of `load_s4net`."""

    def __init__(self, net: S4Net, image_size: int) -> None:
        """Take a network as it was trained, not one that is prepared for a processor.

        Args:
            net: The network; it is set to evaluation. Its RoI layer has to be RoIMasking.
            image_size: Side S of the network's input.
        """
        super().__init__()
        assert isinstance(net.mask_branch.roi_layer, RoIMasking)
        self.net, self.image_size = net.eval(), image_size
        net.mask_branch.windowed = False
        with torch.no_grad():
            net.dense(torch.zeros(1, 3, image_size, image_size))  # makes the anchors, which are constants of the graph

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the instances of one picture.

        Args:
            picture: [1, 3, H, W] uint8 RGB.

        Returns:
            Of P proposals, best first: boxes [P, 4] float32 xyxy in pixels of the picture, half-open; scores [P]
            float32 in 0..1, 0 for a slot without instance; masks [P, H, W] float32 in 0..1, the instance is above 0.5.
        """
        net, side = self.net, self.image_size
        image = squashed(picture, side) / 255
        dense = net.dense(image)
        objectness, proposals = self._proposals(dense.logits[0].sigmoid(), decode(dense.offsets[0], dense.anchors))
        logits, covered = net.mask_branch(dense.levels[net.mask_level], [proposals], net.stride, dense.detail)
        cells = logits.sigmoid()
        joint = joint_scores(objectness, mask_quality(cells, covered.region), net.settings.mask_trust)
        joint, order = joint.topk(len(joint))
        masks = (cells > 0.5) & (covered.region > 0)
        scores, ranks = (joint * overlap_factors(masks[order], net.settings.overlap_decay)).topk(len(joint))
        order = order[ranks]
        return self._at_picture(picture, proposals[order], scores, cells[order])

    def _proposals(self, scores: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores [P] and boxes [P, 4] as `select_proposals` does; a score of 0 marks a slot without proposal.

        Greedy suppression is written out, one step a proposal, so that no shape depends on the picture.
        """
        settings, side = self.net.settings, self.image_size
        scores, order = scores.topk(min(settings.pre_nms, len(scores)))
        boxes = clip_boxes_to_image(boxes[order], (side, side))
        large = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= 1
        left = scores * (large & (scores >= settings.min_score))
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        best_scores, best_boxes = [], []
        for _ in range(settings.proposals):
            best = left.argmax(dim=0, keepdim=True)
            score, box = left[best], boxes[best]
            sides = (torch.minimum(boxes[:, 2:], box[:, 2:]) - torch.maximum(boxes[:, :2], box[:, :2])).clamp(min=0)
            shared = sides[:, 0] * sides[:, 1]
            left = left * (shared <= settings.nms_iou * (areas + areas[best] - shared)) * (left < score)
            best_scores.append(score)
            best_boxes.append(box)
        return torch.cat(best_scores), torch.cat(best_boxes)

    def _at_picture(
        self, picture: Tensor, proposals: Tensor, scores: Tensor, cells: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Bring boxes [P, 4] and masks [P, h, w] of the network's input to the picture, as `to_picture` does."""
        rows, columns = positions(picture, 2), positions(picture, 3)
        height, width = _count(rows), _count(columns)
        limit = torch.stack([width, height, width, height])
        boxes = (proposals * (limit / self.image_size)).clamp(min=0).minimum(limit)
        reach = expand_boxes(boxes, self.net.settings.mask_slack)
        low, high = reach[:, :2].floor(), reach[:, 2:].ceil()
        inside_rows = (rows >= low[:, 1:]) & (rows < high[:, 1:])
        inside_columns = (columns >= low[:, :1]) & (columns < high[:, :1])
        masks = _between(rows, height, cells.shape[1]) @ cells @ _between(columns, width, cells.shape[2]).T
        return boxes, scores, masks * inside_rows[:, :, None] * inside_columns[:, None, :]


class LabelGraph(nn.Module):
    """A DeepLab from picture to probabilities and label map, the work of `load_deeplab`."""

    def __init__(self, net: DeepLab, palette_indices: tuple[int, ...], longest_side: int) -> None:
        """Take a trained network.

        Args:
            net: The network; it is set to evaluation, and its padding becomes constant.
            palette_indices: The number of each class in a label map, without the background.
            longest_side: A picture with a longer side is reduced to it first.
        """
        super().__init__()
        _pad_alike(net)
        self.net, self.longest_side = net.eval(), longest_side
        self.register_buffer("numbers", torch.tensor([0, *palette_indices], dtype=torch.uint8))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Label one picture.

        Args:
            picture: [1, 3, H, W] uint8 RGB.

        Returns:
            Probabilities [n, H, W] float32, background first, and the label map [H, W] uint8.
        """
        height, width = (_count(positions(picture, axis)) for axis in (2, 3))
        longest = torch.maximum(height, width)
        inner_height = _share(height, longest.clamp(max=self.longest_side) / longest)
        inner_width = _share(width, inner_height / height)
        down, across = _Side(height, inner_height), _Side(width, inner_width)
        image = down.to_network() @ (picture.float() / 255 - _FILL) @ across.to_network().T + _FILL
        logits = self._logits(image).float()
        logits = (down.to_picture(logits, 2) @ logits @ across.to_picture(logits, 3).T)[0]
        numbers: Tensor = self.numbers  # type: ignore[assignment]
        return logits.softmax(dim=0), numbers[logits.argmax(dim=0)]

    def _logits(self, image: Tensor) -> Tensor:
        """Return the logits of the network, with a logarithm that stays finite.

        ONNX has no log-sigmoid. The exporter writes the logarithm of a sigmoid instead, which is minus infinity for a
        class that the picture surely does not show.
        """
        features = self.net.trunk(image)
        logits: Tensor = self.net.head(features)
        if self.net.presence is None:
            return logits
        shown = -F.softplus(-self.net.presence(features[-1].mean(dim=(2, 3))))
        return torch.cat([logits[:, :1], logits[:, 1:] + shown[:, :, None, None]], dim=1)


def _pad_alike(net: nn.Module) -> None:
    """Give convolutions with TensorFlow's padding a constant one, in place.

    For maps whose sides are a multiple of the stride and one more, both are the same. The pictures here are padded to
    such sides.
    """
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Conv2dSame):
                padding = tuple(d * (k - 1) // 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
                strides, has_bias = layer.stride, layer.bias is not None
                same = nn.Conv2d(
                    layer.in_channels,
                    layer.out_channels,
                    layer.kernel_size,  # type: ignore[arg-type]
                    strides,  # type: ignore[arg-type]
                    padding,  # type: ignore[arg-type]
                    layer.dilation,  # type: ignore[arg-type]
                    layer.groups,
                    has_bias,
                )
                same.weight, same.bias = layer.weight, layer.bias
                setattr(parent, name, same)


class _Side:
    """One side of a picture: how long it is, how long when reduced, and how long when padded as for `DeepLab`."""

    def __init__(self, shown: Tensor, reduced: Tensor) -> None:
        """Take the length in pixels of the picture and of the reduced picture, float32 scalars."""
        self.shown, self.reduced = shown, reduced
        self.padded = ((reduced + (_GRID - 2)) / _GRID).floor() * _GRID + 1
        self.before = ((self.padded - reduced) / 2).floor()

    def to_network(self) -> Tensor:
        """Return the weights [padded, shown] of a reduction; rows of the padding are 0."""
        row = _numbers(self.padded) - self.before
        weights = _triangles(row, _numbers(self.shown), self.shown / self.reduced)
        return weights * ((row >= 0) & (row < self.reduced))[:, None]

    def to_picture(self, logits: Tensor, axis: int) -> Tensor:
        """Return the weights [shown, cells] from logits, whose first and last belong to the outermost padded pixels."""
        cells = positions(logits, axis)
        position = (_numbers(self.reduced) + self.before) * (cells[-1] / (self.padded - 1))
        centre = (_numbers(self.shown) + 0.5) * (self.reduced / self.shown) - 0.5
        centre = centre.clamp(min=0).minimum(self.reduced - 1)
        return _linear(centre, _numbers(self.reduced)) @ _linear(position, cells)


def squashed(picture: Tensor, side: int) -> Tensor:
    """Return bytes [1, 3, H, W] as float32 whole numbers [1, 3, side, side], resized as `to_network` does.

    That is antialiased bilinear interpolation with whole numbers, first along rows and rounded, then along columns.
    """
    columns, rows = (_whole_weights(positions(picture, axis), side) for axis in (3, 2))
    narrow = _rounded(picture.float() @ columns[0].T, columns[1])
    return _rounded(rows[0] @ narrow, rows[1])


def positions(picture: Tensor, axis: int) -> Tensor:
    """Return the numbers 0, 1, ... [n] float32 of the pixels along an axis of a picture."""
    return torch.arange(picture.shape[axis]).float()


def _numbers(count: Tensor) -> Tensor:
    """Return 0, 1, ... [n] float32 for a float32 scalar n."""
    numbers: Tensor = torch.arange(count.long()).float()  # type: ignore[call-overload]  # while it is traced
    return numbers


def _count(numbers: Tensor) -> Tensor:
    """Return how many numbers 0, 1, ... there are."""
    return numbers[-1] + 1


def _whole_weights(pixels: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return weights [side, n] of whole numbers to resize n pixels, and the power of 2 that they are scaled by."""
    pixels = pixels.double()
    weights = _triangles(torch.arange(side).double(), pixels, (pixels[-1] + 1) / side)
    bits = (torch.log2((_LARGEST_WEIGHT / weights.max()).float()).ceil() - 1).clamp(max=_MOST_BITS)
    power = torch.pow(2.0, bits)
    return (weights * power.double() + 0.5).floor().float(), power


def _rounded(sums: Tensor, power: Tensor) -> Tensor:
    return (sums / power + 0.5).floor().clamp(0, 255)


def _triangles(targets: Tensor, pixels: Tensor, scale: Tensor) -> Tensor:
    """Return the weights [m, n] of antialiased bilinear interpolation, as in Pillow; each row sums to 1.

    Args:
        targets: Numbers [m] of the pixels to compute.
        pixels: Numbers [n] of the pixels that are there.
        scale: Pixels that are there for each pixel to compute, a scalar.
    """
    distance = (pixels + 0.5) - ((targets + 0.5) * scale)[:, None]
    weights = (1 - distance.abs() / scale.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)


def _between(pixels: Tensor, count: Tensor, cells: int) -> Tensor:
    """Return the weights [n, cells] of bilinear interpolation from cells that divide n pixels."""
    return _linear(((pixels + 0.5) / count * cells - 0.5).clamp(0, cells - 1), torch.arange(cells).float())


def _linear(position: Tensor, cells: Tensor) -> Tensor:
    """Return the weights [m, n] of linear interpolation at positions [m] between cells of the numbers [n]."""
    return (1 - (position[:, None] - cells).abs()).clamp(min=0)


def _share(pixels: Tensor, part: Tensor) -> Tensor:
    """Return a share of some pixels as a whole number of at least 1; a half goes to the even number."""
    return (pixels * part).round().clamp(min=1)
