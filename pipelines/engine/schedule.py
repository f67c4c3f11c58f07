"""Learning rates as functions of the step, without a state that would have to be restored."""

import math
from typing import Literal

Schedule = Literal["cosine", "poly", "step"]


def lr_factor(
    schedule: Schedule, step: int, steps: int, warmup: int = 0, drops: tuple[float, ...] = (), power: float = 0.9
) -> float:
    """Return the factor of the peak learning rate at `step`.

    Args:
        schedule: "cosine": along a cosine to zero; "poly": (1 - step / steps)^power, as in DeepLab; "step": x 0.1 at
            each of `drops`.
        step: Optimiser step from 0.
        steps: Steps of the whole training.
        warmup: Steps over which the rate rises linearly to its peak.
        drops: For "step", shares of `steps`.
        power: For "poly", the exponent.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    done = step / steps
    if schedule == "cosine":
        return rise * (1 + math.cos(math.pi * done)) / 2
    if schedule == "poly":
        return float(rise * (1 - done) ** power)
    return float(rise * 0.1 ** sum(done >= share for share in drops))
