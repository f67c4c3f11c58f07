"""The networks that S4Net is compared with, as a user gets them: fp32, NCHW, nothing folded but what they fold.

Their weights are random, for the weights of a hub may be out of reach. Where speed depends on the values of weights,
settings make a random network do as much as a trained one.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn, retinanet_resnet50_fpn

from pipelines.studies.bench_rows.comparison import Comparison, Row, Setup, without_gradients
from pipelines.studies.bench_rows.networks import settle_batch_norm

MASK_RCNN = "Mask R-CNN R50-FPN"
RETINANET = "RetinaNet R50-FPN (boxes only)"
YOLO_SIZES = ("n", "s", "m", "l")
YOLO_MISSING = "not installed: pip install 's4-segmentation[benchmark]'"

DETECTIONS = 20
# Pairs of box and class that pass the score threshold; a trained Mask R-CNN has no more at its threshold 0.05.
# Random scores are all alike: at 0.05 no pair passes, at 0 all 90,000 pairs, which no trained network has.
_CANDIDATES = 500


def mask_rcnn(setup: Setup) -> Any:
    """Build torchvision's Mask R-CNN at the common picture size, in evaluation mode, every layer free to learn."""
    return _build(maskrcnn_resnet50_fpn, setup, box_detections_per_img=DETECTIONS, box_score_thresh=0)


def retinanet(setup: Setup) -> Any:
    """Build torchvision's RetinaNet at the common picture size, in evaluation mode, every layer free to learn."""
    return _build(retinanet_resnet50_fpn, setup, detections_per_img=DETECTIONS)


def mask_rcnn_rows(setup: Setup) -> list[Row]:
    """Return three rows of Mask R-CNN: 20 detections from few candidates (the peer), 20 from all, and none.

    The few candidates are as many as in a trained network. The numbers of detections are asserted.
    """
    model, pictures = mask_rcnn(setup), list(setup.noise())
    rows = []
    for name, threshold, expected in (
        (MASK_RCNN, _trained_like_threshold(model, pictures), DETECTIONS),
        (f"{MASK_RCNN}, threshold 0", 0.0, DETECTIONS),
        (f"{MASK_RCNN}, no detection", 1.0, 0),
    ):
        run = _at_threshold(model, pictures, threshold)
        with torch.inference_mode():
            found = [len(result["masks"]) for result in run()]
        assert found == [expected] * len(pictures), (name, found)
        rows.append(Row(name=name, run=without_gradients(run, setup, "fp32"), images=len(pictures)))
    return rows


def peer_rows(setup: Setup) -> list[Row]:
    """Return the rows of Mask R-CNN and RetinaNet."""
    boxes_only, pictures = retinanet(setup), list(setup.noise())
    run = without_gradients(lambda: boxes_only(pictures), setup, "fp32")
    return [*mask_rcnn_rows(setup), Row(name=RETINANET, run=run, images=len(pictures))]


def yolo(setup: Setup) -> Comparison:
    """Return rows of YOLO11-seg in four sizes, or why there are none.

    The networks are fused by their own `fuse()`; suppression and mask assembly are left out.
    """
    names = [f"YOLO11{size}-seg (network only)" for size in YOLO_SIZES]
    if importlib.util.find_spec("ultralytics") is None:
        return Comparison(peer=MASK_RCNN, rows=[], missing=dict.fromkeys(names, YOLO_MISSING))
    # Without these variables ultralytics installs packages and asks its servers for news.
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    threads = torch.get_num_threads()
    build: Callable[..., Any] = importlib.import_module("ultralytics.nn.tasks").SegmentationModel
    torch.set_num_threads(threads)
    pictures, rows = setup.noise(), []
    for name, size in zip(names, YOLO_SIZES, strict=True):
        model: nn.Module = build(f"yolo11{size}-seg.yaml", verbose=False).to(setup.device)
        settle_batch_norm(model, setup.noise(2))
        model.fuse(verbose=False)  # type: ignore[operator]
        rows.append(Row(name=name, run=without_gradients(_call(model, pictures), setup, "fp32"), images=len(pictures)))
    return Comparison(peer=MASK_RCNN, rows=rows)


def _build(detector: Callable[..., nn.Module], setup: Setup, **settings: Any) -> Any:
    sizes = {"min_size": setup.size, "max_size": setup.size}
    model = detector(weights=None, weights_backbone=None, **sizes, **settings).to(setup.device)
    settle_batch_norm(model, list(setup.noise(2)))
    return model


def _call(model: nn.Module, pictures: Tensor) -> Callable[[], object]:
    return lambda: model(pictures)


def _at_threshold(model: Any, pictures: list[Tensor], threshold: float) -> Callable[[], Any]:
    def run() -> Any:
        model.roi_heads.score_thresh = threshold
        return model(pictures)

    return run


@torch.no_grad()
def _trained_like_threshold(model: Any, pictures: list[Tensor]) -> float:
    """Return the score that `_CANDIDATES` pairs of box and class reach in each picture, on average.

    Pairs with the background do not count.
    """
    scores: list[Tensor] = []
    hook = model.roi_heads.box_predictor.register_forward_hook(
        lambda _module, _inputs, output: scores.append(output[0].softmax(dim=1)[:, 1:].flatten())
    )
    model.roi_heads.score_thresh = 1.0
    model(pictures)
    hook.remove()
    return float(scores[0].topk(min(_CANDIDATES * len(pictures), len(scores[0]))).values[-1])
