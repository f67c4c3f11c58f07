"""Rows of the mask branch alone: whole maps beside windows, for boxes of three sizes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipelines.config import Preset
from pipelines.engine.precision import autocast
from pipelines.studies.bench_rows.comparison import Comparison, Row, Setup, without_gradients
from pipelines.studies.bench_rows.networks import MEDIAN_SIDES, random_boxes, random_s4net
from s4net import S4Net

_LAYOUTS: dict[Preset, str] = {"paper": "paper layout", "modern": "released layout (modern)"}
_BOXES = 20


def compare_branch(setup: Setup) -> Comparison:
    """Compare windows with whole maps of the same arithmetic, for 20 boxes of each size in both layouts.

    A row of windows also has the difference between its logits and the logits of whole maps in fp32, inside the boxes.
    """
    rows = []
    for preset, layout in _LAYOUTS.items():
        reference = random_s4net(setup, preset, setup.trunk)
        prepared = random_s4net(setup, preset, setup.trunk).prepare_for_inference()
        for size, median in MEDIAN_SIDES.items():
            label = f"{layout}, {_BOXES} {size} boxes"
            boxes = [random_boxes(_BOXES, setup.size, median, seed).to(setup.device) for seed in range(setup.batch)]
            exact = _Work(setup, prepared, boxes, "fp32", windowed=False)
            base = f"whole maps fp32, {label}"
            rows.append(
                _Work(setup, reference, boxes, "fp32", windowed=False).row(f"whole maps fp32 NCHW, {label}", base)
            )
            for precision in setup.precisions:
                base = f"whole maps {precision}, {label}"
                whole = _Work(setup, prepared, boxes, precision, windowed=False)
                windows = _Work(setup, prepared, boxes, precision, windowed=True)
                rows.append(whole.row(base, base))
                rows.append(windows.row(f"windows {precision}, {label}", base, windows.difference(exact)))
    return Comparison(peer=f"whole maps fp32, {_LAYOUTS['paper']}, {_BOXES} medium boxes", rows=rows)


class _Work:
    """Runs the mask branch of a network on the same features and boxes at every call."""

    def __init__(self, setup: Setup, net: S4Net, boxes: list[Tensor], precision: str, windowed: bool) -> None:
        self.setup, self.net, self.boxes, self.precision, self.windowed = setup, net, boxes, precision, windowed
        with torch.inference_mode(), autocast(precision, setup.device):
            self.dense = net.dense(setup.noise())

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return mask logits [N, h, w] and the region [N, h, w] in which they count."""
        self.net.mask_branch.windowed = self.windowed
        net, dense = self.net, self.dense
        logits, covered = net.mask_branch(dense.levels[net.mask_level], self.boxes, net.stride, dense.detail)
        return logits, covered.region

    def row(self, name: str, against: str, facts: dict[str, Any] | None = None) -> Row:
        run: Callable[[], None] = without_gradients(self, self.setup, self.precision)
        images = len(self.boxes)
        return Row(name=name, run=run, images=images, precision=self.precision, against=against, facts=facts or {})

    def difference(self, exact: "_Work") -> dict[str, float]:
        """Return the largest difference of the logits inside the boxes, and the largest logit for scale."""
        with torch.inference_mode():
            logits, region = exact()
            with autocast(self.precision, self.setup.device):
                own = self()[0]
            inside = region > 0
            difference = (own - logits)[inside].abs().max()
            return {"max_difference": float(difference), "largest_logit": float(logits[inside].abs().max())}
