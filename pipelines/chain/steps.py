"""The steps of a chain, out of the tables of its file: settings with what earlier stages make filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pipelines.config import (
    STAGES,
    DeepLabTrainConfig,
    EvaluateConfig,
    PseudoLabelConfig,
    RunConfig,
    StageConfig,
    TrainConfig,
)
from pipelines.config.setting import build, flag_of, from_toml, tables_in
from pipelines.errors import ConfigError

Config = TypeVar("Config", bound=StageConfig)
Given = Mapping[str, Any]

_STAGES = (TrainConfig, PseudoLabelConfig, DeepLabTrainConfig, EvaluateConfig)
_SCORED = ("weights", "predictions", "labels")  # settings of evaluate, one of which names what is scored
# The chain itself goes on where it was, does all the work, and has a --dry-run of its own.
_LEFT_TO_THE_CHAIN = ("resume", "shard", "dry_run")


@dataclass(frozen=True)
class Step:
    """One stage at one place of the chain.

    Attributes:
        name: The stage's command; with several rounds, and the number of the round: `pseudo-label-2`.
        number: The round, counted from 1; 0 for what comes before the rounds.
        config: The stage's settings.
        after: Names of the steps whose results it takes.
        single: Train only on pictures with a single keyword: `config.list` is to be written with them.
        within: With `single`, the list of the user that they are taken from; None for all labels.
    """

    name: str
    number: int
    config: StageConfig
    after: tuple[str, ...] = ()
    single: bool = False
    within: Path | None = None

    @property
    def place(self) -> Path | None:
        """The folder that the step makes: run or label folder; None for evaluate."""
        return place_of(self.config)


def place_of(config: StageConfig) -> Path | None:
    """The folder that a stage of the chain makes; None for evaluate."""
    if isinstance(config, TrainConfig | DeepLabTrainConfig):
        return config.run
    return config.out if isinstance(config, PseudoLabelConfig) else None


def chain_steps(config: RunConfig) -> list[Step]:
    """The steps of a chain, in the order in which they are done.

    Args:
        config: Settings of the chain; its file has a table for each stage that is to be done.

    Raises:
        ConfigError: No table of a stage [chain-empty], a setting that the chain has in its own hands [chain-setting],
            rounds without a stage that they need [chain-rounds], a folder that cannot be written to without harm
            [chain-place], or settings of a stage that cannot be used.
    """
    tables = _Tables(config)
    steps: list[Step] = []
    if tables.has(TrainConfig):
        steps.append(_step(steps, "train", 0, tables.build(TrainConfig, run=config.folder / "s4net")))
    for number in range(1, config.rounds + 1):
        suffix = f"-{number}" if config.rounds > 1 else ""
        labels = _label_step(tables, steps, number, suffix)
        deeplab = _deeplab_step(tables, steps, number, suffix, labels)
        _evaluate_step(tables, steps, number, suffix, labels, deeplab)
    _check_places(config.file, steps)
    return steps


def _check_places(file: Path, steps: list[Step]) -> None:
    """Each step has a folder to itself, outside those whose pictures are looked for: labels are pictures as well."""
    makers: dict[Path, str] = {}
    images = {step.config.images for step in steps if isinstance(step.config, PseudoLabelConfig | DeepLabTrainConfig)}
    for step in steps:
        if step.place is None:
            continue
        place = step.place.resolve()
        other = makers.setdefault(place, step.name)
        if other != step.name:
            message = f"{file}: {other} and {step.name} both write to {step.place}, a folder for each expected"
            raise ConfigError(f"{message}; rename one", "chain-place")
        for folder in sorted(images):
            if place.is_relative_to(folder.resolve()):
                message = f"{file}: {step.name} writes to {step.place}, which is inside the pictures {folder}"
                raise ConfigError(f"{message}, a folder outside expected; choose another --out", "chain-place")


class _Tables:
    """The tables of the file, and what the command line adds to each."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        present = tables_in(config.file)
        # Reading a table checks it; one of a stage that does not take part is some other command's.
        self.given: dict[str, Given] = {
            cls.command: from_toml(cls, config.file, STAGES) for cls in _STAGES if cls.command in present
        }
        self._check()

    def has(self, cls: type[StageConfig]) -> bool:
        return cls.command in self.given

    def build(self, cls: type[Config], **wired: Any) -> Config:
        """Settings of a stage: what earlier steps give < its table < what holds for every stage."""
        values = {**wired, **self.given[cls.command], **self.config.for_every_stage}
        return self.finished(cls, values)

    def finished(self, cls: type[Config], values: Given) -> Config:
        try:
            return build(cls, values)
        except ConfigError as error:
            raise ConfigError(f"{self.config.file}: [{cls.command}] {error.message}", error.rule) from error

    def _check(self) -> None:
        if not self.given:
            names = ", ".join(f"[{cls.command}]" for cls in _STAGES)
            message = f"{self.config.file}: no table of a stage, one or more of {names} expected; write them"
            raise ConfigError(message, "chain-empty")
        for command, given in self.given.items():
            for name in _LEFT_TO_THE_CHAIN:
                if given.get(name) not in (None, False):
                    message = f"{self.config.file}: [{command}] {name} given, nothing expected: s4 run sees to it"
                    raise ConfigError(f"{message}; leave it out", "chain-setting")
        if self.config.rounds > 1 or self.config.first_round == "single":
            self._check_rounds()

    def _check_rounds(self) -> None:
        asked = f"{flag_of('rounds')} {self.config.rounds}" if self.config.rounds > 1 else "--first-round single"
        for cls in (PseudoLabelConfig, DeepLabTrainConfig):
            if not self.has(cls):
                message = (
                    f"{asked}: no table [{cls.command}] in {self.config.file}, labels and a training on them expected"
                )
                raise ConfigError(f"{message}; add it", "chain-rounds")
        for command, names in (("deeplab-train", ("labels",)), ("evaluate", _SCORED)):
            for name in names:
                if self.given.get(command, {}).get(name) is not None:
                    message = f"{asked}: [{command}] {name} given in {self.config.file}, that of each round expected"
                    raise ConfigError(f"{message}; leave it out", "chain-rounds")


def _label_step(tables: _Tables, steps: list[Step], number: int, suffix: str) -> PseudoLabelConfig | None:
    if not tables.has(PseudoLabelConfig):
        return None
    given = tables.given[PseudoLabelConfig.command]
    wired: dict[str, Any] = {"out": tables.config.folder / "labels"}
    if given.get("instances") is None and tables.has(TrainConfig):
        wired["weights"] = _last(steps, TrainConfig).run
    values = {**wired, **given, **tables.config.for_every_stage}
    values["out"] = _numbered(values["out"], suffix)
    if number > 1:
        values["segmenter"] = _last(steps, DeepLabTrainConfig).run
        values["cues_of"] = _last(steps, PseudoLabelConfig).out
    config = tables.finished(PseudoLabelConfig, values)
    steps.append(_step(steps, f"pseudo-label{suffix}", number, config))
    return config


def _deeplab_step(
    tables: _Tables, steps: list[Step], number: int, suffix: str, labels: PseudoLabelConfig | None
) -> DeepLabTrainConfig | None:
    if not tables.has(DeepLabTrainConfig):
        return None
    wired: dict[str, Any] = {"run": tables.config.folder / "deeplab"}
    if labels is not None:
        wired |= {"images": labels.images, "labels": labels.out}
    values = {**wired, **tables.given[DeepLabTrainConfig.command], **tables.config.for_every_stage}
    values["run"] = _numbered(values["run"], suffix)
    single, within = number == 1 and tables.config.first_round == "single", values.get("list")
    if single:
        values["list"] = tables.config.folder / "round-1.txt"
    config = tables.finished(DeepLabTrainConfig, values)
    steps.append(_step(steps, f"deeplab-train{suffix}", number, config, single, within if single else None))
    return config


def _evaluate_step(
    tables: _Tables,
    steps: list[Step],
    number: int,
    suffix: str,
    labels: PseudoLabelConfig | None,
    deeplab: DeepLabTrainConfig | None,
) -> None:
    if not tables.has(EvaluateConfig):
        return
    given = tables.given[EvaluateConfig.command]
    wired: dict[str, Any] = {}
    if labels is not None:
        wired["classes"] = labels.classes
    elif deeplab is not None and deeplab.classes is not None:
        wired["classes"] = deeplab.classes
    if all(given.get(name) is None for name in _SCORED):
        wired |= _scored(tables, steps, given, labels, deeplab)
    values = {**wired, **given, **tables.config.for_every_stage}
    if values.get("save_predictions") is not None:
        values["save_predictions"] = _numbered(values["save_predictions"], suffix)
    steps.append(_step(steps, f"evaluate{suffix}", number, tables.finished(EvaluateConfig, values)))


def _scored(
    tables: _Tables,
    steps: list[Step],
    given: Given,
    labels: PseudoLabelConfig | None,
    deeplab: DeepLabTrainConfig | None,
) -> dict[str, Path]:
    """What is evaluated when the table does not say it: the last thing made that its other settings are meant for."""
    if given.get("annotations") is not None or given.get("foreground"):
        return {"weights": _last(steps, TrainConfig).run} if tables.has(TrainConfig) else {}
    if deeplab is not None:
        return {"weights": deeplab.run}
    return {"labels": labels.out} if labels is not None else {}


def _step(
    steps: list[Step], name: str, number: int, config: StageConfig, single: bool = False, within: Path | None = None
) -> Step:
    """A step that comes after those whose folders its settings name."""
    paths = [value.absolute() for field in fields(config) if isinstance(value := getattr(config, field.name), Path)]
    after = [
        step.name
        for step in steps
        if step.place is not None and any(path.is_relative_to(step.place.absolute()) for path in paths)
    ]
    return Step(name, number, config, tuple(after), single, within)


def _last(steps: list[Step], cls: type[Config]) -> Config:
    return next(step.config for step in reversed(steps) if isinstance(step.config, cls))


def _numbered(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
