"""Stage `s4 run`: the whole chain from one file, each step when something it depends on has changed."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pipelines.chain.checks import Fault, check_steps
from pipelines.chain.decision import Decision, decide, decide_all, move_aside
from pipelines.chain.fingerprints import single_keyword_ids
from pipelines.chain.plan import planned_record
from pipelines.chain.report import write_chain_report
from pipelines.chain.state import ChainState, Entry, sole_owner
from pipelines.chain.steps import Step, chain_steps
from pipelines.config import DeepLabTrainConfig, PseudoLabelConfig, RunConfig, StageConfig, TrainConfig
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import plain, write_json, write_text

Stage = Callable[[Any, Events], dict[str, Any]]

_SHOWN_FAULTS = 20


def run(config: RunConfig, events: Events, stages: Mapping[str, Stage] | None = None) -> dict[str, Any]:
    """Does the steps of a chain that are due; started again after a stop or a kill, it goes on where it was.

    Args:
        config: Settings of `s4 run`.
        events: Progress and log lines of all stages.
        stages: The function of each stage by its command; None for those of this package.

    Returns:
        {out, stages, rounds, miou, seconds}, and `failed` where pictures could not be labelled. `stages`: for each step
        stage, action (ran, skipped, resumed; planned with `dry_run`), seconds, result; with `dry_run` what is planned
        besides. `rounds`: miou and gain over the round before for each, None where there is nothing to compare.
        `miou` is that of the last round, None without an evaluation on a VOC list.

    Raises:
        ConfigError: The file or the settings of a stage cannot be used.
        InputError: Something is wrong with the inputs; nothing was done.
        Stopped: A signal ended a stage; the same command goes on.
        S4Error: What a stage raises.
    """
    _refuse_processes()
    started = time.monotonic()
    steps = chain_steps(config)
    if config.dry_run:
        records = _dry_run(config, steps, events)
    else:
        _check_due(config, steps, events)
        with sole_owner(config.folder):
            events.attach(config.folder / "log.txt")
            records = _run(config, steps, events, stages or _own_stages())
    result = _result(config, steps, records, time.monotonic() - started)
    if not config.dry_run:
        write_json(config.folder / "results.json", result)
        write_chain_report(config.folder / "report.html", result, steps)
    return result


def _refuse_processes() -> None:
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1:
        message = f"s4 run: started in {count} processes, one expected"
        advice = "train with s4 train or s4 deeplab-train under torchrun, and name the run as weights"
        raise ConfigError(f"{message}; {advice}", "chain-processes")


def _own_stages() -> dict[str, Stage]:
    from pipelines.deeplab_train import deeplab_train
    from pipelines.evaluate import evaluate
    from pipelines.pseudo_label import pseudo_label
    from pipelines.train import train

    return {
        "train": train,
        "pseudo-label": pseudo_label,
        "deeplab-train": deeplab_train,
        "evaluate": evaluate,
    }


def _dry_run(config: RunConfig, steps: list[Step], events: Events) -> list[dict[str, Any]]:
    """The plan of every step, once nothing is found to be wrong with any."""
    state = ChainState(config.folder)
    decisions = decide_all(steps, state)
    found = check_steps(steps, events)
    _refuse_faults(found.faults, decisions, events)
    return [planned_record(step, decisions[step.name], state, found) for step in steps]


def _refuse_faults(faults: list[Fault], decisions: Mapping[str, Decision], events: Events) -> None:
    """Ends the work with the first fault as the error; the others are told line by line."""
    if faults:
        first, *others = faults
        for fault in others[: _SHOWN_FAULTS - 1]:
            events.warn(f"{fault.step}: {fault.error}")
        if len(others) >= _SHOWN_FAULTS:
            events.warn(f"{len(others) - _SHOWN_FAULTS + 1} more faults are not shown")
        count = f" ({len(faults)} faults in all)" if others else ""
        raise InputError(f"{first.error.message}{count}", first.error.rule)
    for decision in decisions.values():
        if decision.fault is not None:  # nothing that the checks know, and yet the inputs cannot be read
            raise decision.fault


def _check_due(config: RunConfig, steps: list[Step], events: Events) -> None:
    """Looks at the inputs of what is to be done, so that a fault costs a minute and not the days before its stage."""
    decisions = decide_all(steps, ChainState(config.folder))
    due = [step for step in steps if decisions[step.name].action != "skip"]
    faults = check_steps(due, events, steps).faults if due else []
    for fault in faults:
        if fault.bearable:  # the stage notes it, and does the other pictures
            events.warn(f"{fault.step}: {fault.error}")
    _refuse_faults([fault for fault in faults if not fault.bearable], decisions, events)


def _run(config: RunConfig, steps: list[Step], events: Events, stages: Mapping[str, Stage]) -> list[dict[str, Any]]:
    """Does what is due; each step is decided on when those before it are done."""
    state = ChainState(config.folder)
    records = []
    for number, step in enumerate(steps, start=1):
        heading = f"{number}/{len(steps)} {step.name}"
        if step.single:
            _write_single_list(step)
        decision = decide(step, state)
        if decision.action == "skip":
            events.info(f"{heading}: skipped, nothing has changed")
            records.append(_record(step, "skipped", 0.0, state.entries[step.name].result))
            continue
        records.append(_do(step, decision, state, stages[step.config.command], heading, events))
    return records


def _write_single_list(step: Step) -> None:
    config = step.config
    assert isinstance(config, DeepLabTrainConfig) and config.list is not None
    write_text(config.list, "".join(f"{image_id}\n" for image_id in single_keyword_ids(config.labels, step.within)))


def _do(
    step: Step, decision: Decision, state: ChainState, stage: Stage, heading: str, events: Events
) -> dict[str, Any]:
    """Does one step and keeps what came of it."""
    before = state.entries.get(step.name)
    goes_on = decision.action == "resume" and before is not None and before.fingerprint == decision.fingerprint
    place = step.place
    if decision.action == "redo" and place is not None and place.exists():
        old = move_aside(place)
        events.info(f"{heading}: settings or inputs have changed, done again; {place} is kept as {old}")
    else:
        events.info(f"{heading}: {'goes on' if decision.action == 'resume' else 'starts'}")
    entry = Entry(
        fingerprint=decision.fingerprint,
        place=state.place(place),
        seconds=before.seconds if before is not None and goes_on else 0.0,
        images_per_second=before.images_per_second if before is not None else None,
    )
    state.keep(step.name, entry)
    started = time.monotonic()
    try:
        with _advice_of_the_chain(step):
            # Each stage has lines of its own: those of the next do not belong into a run's log.
            result = stage(_ready(step.config), Events(events.stream))
    except BaseException:
        state.keep(step.name, replace(entry, seconds=entry.seconds + time.monotonic() - started))
        raise
    seconds = time.monotonic() - started
    rate = _rate(result, seconds) or entry.images_per_second
    state.keep(
        step.name,
        replace(entry, done=True, seconds=entry.seconds + seconds, images_per_second=rate, result=plain(result)),
    )
    return _record(step, "resumed" if decision.action == "resume" else "ran", seconds, plain(result))


def _ready(config: StageConfig) -> StageConfig:
    """The settings with which the stage starts or goes on, whichever its folder asks for."""
    if isinstance(config, TrainConfig | DeepLabTrainConfig):
        return replace(config, resume=(config.run / "config.json").exists())
    return config


@contextmanager
def _advice_of_the_chain(step: Step) -> Iterator[None]:
    """A stopped stage names its own command to go on with; here it is another."""
    try:
        yield
    except Stopped as error:
        found = error.message.rpartition(";")[0] or error.message
        raise Stopped(f"{step.name}: {found}; the same s4 run goes on", error.rule) from error


def _rate(result: Mapping[str, Any], seconds: float) -> float | None:
    """Pictures in a second, where anything was done."""
    rate = result.get("images_per_second")
    if rate is None and isinstance(result.get("images"), int) and seconds > 0:
        rate = result["images"] / seconds
    return float(rate) if rate else None


def _record(step: Step, action: str, seconds: float, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"stage": step.name, "action": action, "seconds": round(seconds, 1), "result": dict(result)}


def _result(config: RunConfig, steps: list[Step], records: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    mious: list[float | None] = []
    for number in range(1, config.rounds + 1):
        results = [
            record["result"]
            for step, record in zip(steps, records, strict=True)
            if step.config.command == "evaluate" and step.number == number
        ]
        mious.append(results[0].get("miou") if results else None)
    before = [None, *mious[:-1]]
    rounds = [
        {"round": number, "miou": miou, "gain": None if miou is None or last is None else miou - last}
        for number, (miou, last) in enumerate(zip(mious, before, strict=True), start=1)
    ]
    failures = [
        record["result"].get("failed", 0)
        for step, record in zip(steps, records, strict=True)
        if isinstance(step.config, PseudoLabelConfig)
    ]
    failed = max(failures, default=0)  # the same pictures in every round
    return {
        "out": str(config.folder),
        "stages": records,
        "rounds": rounds,
        "miou": mious[-1],
        "seconds": round(seconds, 1),
        **({"failed": failed} if failed else {}),
    }
