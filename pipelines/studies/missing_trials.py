"""Trains what a study lacks, one training after the other."""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from pipelines.errors import DivergedError, Stopped
from pipelines.events import Events
from pipelines.studies.ablation_result import Failure
from pipelines.studies.trial import Training, drop_state

T = TypeVar("T", bound=Training)


def run_missing(
    out: Path, trials: Mapping[tuple[str, int], T], run: Callable[[T], Mapping[str, Any]], events: Events
) -> list[Failure]:
    """Do the trials that are not finished.

    Args:
        out: Folder of the study.
        trials: Every trial by the name of its row and its seed, in the order of the work.
        run: Bring a trial to its end, and return its result with `seconds`.
        events: Told of the start and end of every trial, and of the time that is left.

    Returns:
        The trainings that diverged.

    Raises:
        Stopped: A signal came.
        S4Error: As `run`.
    """
    seconds = [trial.result()["seconds"] for trial in trials.values() if trial.is_finished]
    failures: list[Failure] = []
    for number, ((name, seed), trial) in enumerate(trials.items(), start=1):
        if trial.is_finished:
            drop_state(trial)  # a kill may have come after the mark and before the removal
            continue
        place = f"training {number} of {len(trials)}, {trial.label}"
        events.info(f"{place}: {'goes on' if trial.config.resume else 'starts'}")
        try:
            result = run(trial)
        except DivergedError as error:
            failures.append(Failure(name, seed, trial.folder, error.message))
            events.warn(f"{place}: {error}")
            continue
        except Stopped as error:
            message = f"{out}: stopped by a signal in {place}, state saved; the same command goes on"
            raise Stopped(message, error.rule) from error
        seconds.append(result["seconds"])
        left = sum(not other.is_finished for other in list(trials.values())[number:])
        events.info(f"{place}: finished; {left} left, about {fmean(seconds) * left / 60:.0f} min")
    return failures
