"""Command `s4 run`: do the whole chain from one file, and only those steps whose settings or inputs have changed."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pipelines.chain.checks import check_steps
from pipelines.chain.decision import Decision, decide, decide_all, move_aside
from pipelines.chain.dry_run import Look, look_at, measured
from pipelines.chain.estimate import PaceOf
from pipelines.chain.findings import Fault
from pipelines.chain.plan import expected_seconds, planned_record
from pipelines.chain.report import write_chain_report
from pipelines.chain.state import ChainState, Entry
from pipelines.chain.step import Step
from pipelines.chain.steps import chain_steps
from pipelines.config import RunConfig
from pipelines.config.outputs import alone
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import plain, write_json
from pipelines.folder_lock import require_free

StageFunction = Callable[[Any, Events], dict[str, Any]]

_SHOWN_FAULTS = 20


@alone
def run(
    config: RunConfig,
    events: Events,
    stages: Mapping[str, StageFunction] | None = None,
    paces: Mapping[str, PaceOf] | None = None,
) -> dict[str, Any]:
    """Do the steps of a chain that are due. Started again after a stop or a kill, go on where the work was.

    Args:
        config: Settings of `s4 run`.
        events: Progress and log lines of all stages.
        stages: The function of each stage by its command; None for those of this package.
        paces: The function that measures a stage for a dry run, by its command; None for those of this package.

    Returns:
        {out, stages, rounds, miou, seconds, warnings}, and `failed` where pictures could not be labelled. `stages` has
        for each step stage, action (ran, skipped, resumed; planned with `dry_run`), seconds and result; with `dry_run`,
        what is planned besides, and `faults` and `weights` beside `stages`. `rounds` has for each round miou and gain
        over the round before, None where there is none. `miou` is that of the last round, None without an evaluation on
        a VOC list. `warnings` has {stage, rule, message} for each thing that cannot be right; there are none with
        `dry_run`.

    Raises:
        ConfigError: The file or the settings of a stage cannot be used.
        InputError: Something is wrong with the inputs; nothing was done.
        Stopped: A signal ended a stage; the same command goes on.
        S4Error: A stage raised it.
    """
    _refuse_processes()
    started = time.monotonic()
    steps = chain_steps(config)
    if config.dry_run:
        look = look_at(steps, events)
        records = _dry_run(config, steps, look, _own_paces() if paces is None else paces, events)
    else:
        _check_due(config, steps, events)
        events.attach(config.folder / "log.txt")
        records = _run(config, steps, events, stages or _own_stages())
    result = _result(config, steps, records, time.monotonic() - started)
    if config.dry_run:
        result |= look.found()
    else:
        write_json(config.folder / "results.json", result)
        if config.report:
            try:
                write_chain_report(config.folder / "report.html", result, steps)
            except Exception as error:  # whatever it is: the results are whole
                events.warn(f"{config.folder / 'report.html'}: no report was written ({error}) [report-failed]")
    return result


def _refuse_processes() -> None:
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1:
        message = f"s4 run: started in {count} processes, one expected"
        advice = "train with s4 train or s4 deeplab-train under torchrun, and name the run as weights"
        raise ConfigError(f"{message}; {advice}", "chain-processes")


def _own_stages() -> dict[str, StageFunction]:
    """Return the functions of the stages by command; each command brings its imports with it."""
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


def _own_paces() -> dict[str, PaceOf]:
    """Return the functions that measure stages, by command."""
    from pipelines.deeplab_train import deeplab_pace
    from pipelines.pseudo_label import labelling_pace
    from pipelines.train import training_pace

    return {"train": training_pace, "pseudo-label": labelling_pace, "deeplab-train": deeplab_pace}


def _dry_run(
    config: RunConfig, steps: list[Step], look: Look, paces: Mapping[str, PaceOf], events: Events
) -> list[dict[str, Any]]:
    """Return the plan of every step.

    Raises:
        S4Error: An input cannot be read, though the look found no fault.
    """
    state = ChainState(config.folder)
    decisions = decide_all(steps, state)
    _refuse_unreadable(decisions)
    records: list[dict[str, Any]] = []
    first: dict[str, dict[str, Any]] = {}  # the estimate of each command: a later round is as fast
    for step in steps:
        decision, seen = decisions[step.name], look.findings.seen[step.name]
        pictures = step.work(seen.pictures, resumed=decision.action == "resume")
        estimate = first.get(step.config.command)
        if decision.action == "skip" or expected_seconds(step, decision, state, seen.pictures) is not None:
            estimate = None
        elif estimate is None:
            estimate = measured(step, seen, pictures, paces.get(step.config.command), events)
            first |= {step.config.command: estimate} if estimate else {}
        records.append(planned_record(step, decision, state, seen, estimate))
    return records


def _refuse_faults(faults: list[Fault], decisions: Mapping[str, Decision], events: Events) -> None:
    """Raise the first fault as the error, and report the others line by line."""
    if faults:
        first, *others = faults
        for fault in others[: _SHOWN_FAULTS - 1]:
            events.warn(f"{fault.step}: {fault.error}")
        if len(others) >= _SHOWN_FAULTS:
            events.warn(f"{len(others) - _SHOWN_FAULTS + 1} more faults are not shown")
        count = f" ({len(faults)} faults in all)" if others else ""
        raise InputError(f"{first.error.message}{count}", first.error.rule)
    _refuse_unreadable(decisions)


def _refuse_unreadable(decisions: Mapping[str, Decision]) -> None:
    for decision in decisions.values():
        if decision.fault is not None:  # the checks know no fault, and yet an input cannot be read
            raise decision.fault


def _check_due(config: RunConfig, steps: list[Step], events: Events) -> None:
    """Look at the inputs of all that is due, so that a fault costs a minute and not the days before its stage."""
    decisions = decide_all(steps, ChainState(config.folder))
    due = [step for step in steps if decisions[step.name].action != "skip"]
    faults = check_steps(due, events, steps).faults if due else []
    for fault in faults:
        if fault.bearable:  # the stage itself leaves this picture out
            events.warn(f"{fault.step}: {fault.error}")
    _refuse_faults([fault for fault in faults if not fault.bearable], decisions, events)


def _run(
    config: RunConfig, steps: list[Step], events: Events, stages: Mapping[str, StageFunction]
) -> list[dict[str, Any]]:
    """Do what is due; decide on each step when those before it are done."""
    state = ChainState(config.folder)
    records = []
    for number, step in enumerate(steps, start=1):
        heading = f"{number}/{len(steps)} {step.name}"
        step.prepare()
        decision = decide(step, state)
        if decision.action == "skip":
            events.info(f"{heading}: skipped, nothing has changed")
            records.append(_record(step, "skipped", 0.0, state.entries[step.name].result))
            continue
        records.append(_do(step, decision, state, stages[step.config.command], heading, events))
    if all(record["action"] == "skipped" for record in records):
        events.info(f"{config.folder}: all {len(records)} stages were done before, and nothing has changed")
    return records


def _do(
    step: Step, decision: Decision, state: ChainState, stage: StageFunction, heading: str, events: Events
) -> dict[str, Any]:
    """Do one step, and keep its result in the state."""
    before = state.entries.get(step.name)
    goes_on = decision.action == "resume" and before is not None and before.fingerprint == decision.fingerprint
    place = step.place
    if decision.action == "redo" and place is not None and place.exists():
        require_free(place)  # another process may be at work there
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
            # Each stage gets events of its own, so that a run's log holds no lines of later stages.
            result = stage(step.ready_config(), Events(events.stream))
    except BaseException:
        state.keep(step.name, replace(entry, seconds=entry.seconds + time.monotonic() - started))
        raise
    for warning in result.get("warnings", ()):
        events.warn(f"{heading}: {warning['message']} [{warning['rule']}]")
    seconds = time.monotonic() - started
    rate = _rate(result, seconds) or entry.images_per_second
    state.keep(
        step.name,
        replace(entry, done=True, seconds=entry.seconds + seconds, images_per_second=rate, result=plain(result)),
    )
    return _record(step, "resumed" if decision.action == "resume" else "ran", seconds, plain(result))


@contextmanager
def _advice_of_the_chain(step: Step) -> Iterator[None]:
    """Replace the advice of a stopped stage: here it is `s4 run` that goes on, not the command of the stage."""
    try:
        yield
    except Stopped as error:
        found = error.message.rpartition(";")[0] or error.message
        raise Stopped(f"{step.name}: {found}; the same s4 run goes on", error.rule) from error


def _rate(result: Mapping[str, Any], seconds: float) -> float | None:
    """Return pictures per second; None where nothing was done."""
    rate = result.get("images_per_second")
    if rate is None and isinstance(result.get("images"), int) and seconds > 0:
        rate = result["images"] / seconds
    return float(rate) if rate else None


def _record(step: Step, action: str, seconds: float, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"stage": step.name, "action": action, "seconds": round(seconds, 1), "result": dict(result)}


def _result(config: RunConfig, steps: list[Step], records: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    done = [(step, record["result"]) for step, record in zip(steps, records, strict=True)]
    mious = [
        next((miou for step, given in done if step.number == number and (miou := step.miou(given)) is not None), None)
        for number in range(1, config.rounds + 1)
    ]
    before = [None, *mious[:-1]]
    rounds = [
        {"round": number, "miou": miou, "gain": None if miou is None or last is None else miou - last}
        for number, (miou, last) in enumerate(zip(mious, before, strict=True), start=1)
    ]
    failed = max((step.failures(given) for step, given in done), default=0)  # the same pictures in every round
    return {
        "out": str(config.folder),
        "stages": records,
        "rounds": rounds,
        "miou": mious[-1],
        "seconds": round(seconds, 1),
        **({"failed": failed} if failed else {}),
        **({} if config.dry_run else {"warnings": _warnings(records)}),
    }


def _warnings(records: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the warnings of all stages, each with the first stage that has it."""
    first: dict[str, dict[str, str]] = {}
    for record in records:
        for warning in record["result"].get("warnings", ()):
            first.setdefault(warning["message"], {"stage": record["stage"], **warning})
    return list(first.values())
