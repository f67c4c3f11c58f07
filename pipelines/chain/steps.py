"""The steps of a chain, made from the tables of its file."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.chain.stages import STAGES
from pipelines.chain.step import Step, Wiring
from pipelines.chain.tables import Tables
from pipelines.config import RunConfig
from pipelines.config.setting import flag_of
from pipelines.errors import ConfigError


def chain_steps(config: RunConfig) -> list[Step]:
    """Return the steps of a chain, in the order in which they are done.

    Args:
        config: Settings of the chain; its file has a table for each stage that is to be done.

    Raises:
        ConfigError: There is no table of a stage [chain-empty], or a table gives a setting that the chain decides on
            [chain-setting]. Rounds lack a stage [chain-rounds], two steps write to the same folder, or a step writes
            among the pictures [chain-place]. Or the settings of a stage cannot be used.
    """
    tables = Tables(config, [stage.config_class for stage in STAGES])
    _check_tables(tables)
    stages = [stage for stage in STAGES if tables.has(stage.config_class)]
    steps: list[Step] = []
    for number in range(config.rounds + 1):
        for stage in stages:
            if stage.before_rounds == (number == 0):
                steps.append(stage.wire(Wiring(tables, tuple(steps), number)))
    _check_places(config.file, steps)
    return steps


def _check_tables(tables: Tables) -> None:
    file = tables.config.file
    if not tables.given:
        names = ", ".join(f"[{stage.config_class.command}]" for stage in STAGES)
        message = f"{file}: no table of a stage, one or more of {names} expected; write them"
        raise ConfigError(message, "chain-empty")
    for stage in STAGES:
        for name in stage.set_by_chain:
            if tables.gives(stage.config_class, name):
                command = stage.config_class.command
                message = f"{file}: [{command}] {name} given, nothing expected: s4 run sees to it"
                raise ConfigError(f"{message}; leave it out", "chain-setting")
    if tables.config.rounds > 1 or tables.config.first_round == "single":
        _check_rounds(tables)


def _check_rounds(tables: Tables) -> None:
    config = tables.config
    asked = f"{flag_of('rounds')} {config.rounds}" if config.rounds > 1 else "--first-round single"
    for stage in STAGES:
        if stage.needed_for_rounds and not tables.has(stage.config_class):
            table = f"[{stage.config_class.command}]"
            message = f"{asked}: no table {table} in {config.file}, labels and a training on them expected"
            raise ConfigError(f"{message}; add it", "chain-rounds")
    for stage in STAGES:
        for name in stage.set_by_rounds:
            if tables.gives(stage.config_class, name):
                given = f"[{stage.config_class.command}] {name} given in {config.file}"
                raise ConfigError(f"{asked}: {given}, that of each round expected; leave it out", "chain-rounds")


def _check_places(file: Path, steps: Iterable[Step]) -> None:
    """Refuse a folder of two steps, and one inside pictures: labels would be taken for pictures there.

    Raises:
        ConfigError: There is such a folder [chain-place].
    """
    makers: dict[Path, str] = {}
    searched = sorted({folder for step in steps for folder in step.searched_folders})
    for step in steps:
        if step.place is None:
            continue
        place = step.place.resolve()
        other = makers.setdefault(place, step.name)
        if other != step.name:
            message = f"{file}: {other} and {step.name} both write to {step.place}, a folder for each expected"
            raise ConfigError(f"{message}; rename one", "chain-place")
        for folder in searched:
            if place.is_relative_to(folder.resolve()):
                message = f"{file}: {step.name} writes to {step.place}, which is inside the pictures {folder}"
                raise ConfigError(f"{message}, a folder outside expected; choose another --out", "chain-place")
