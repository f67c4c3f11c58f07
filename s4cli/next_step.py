"""The last line of a command: where the result lies, and which command comes next."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pipelines.config import (
    AblateConfig,
    BenchConfig,
    CheckConfig,
    ConvertConfig,
    DeepLabTrainConfig,
    DemoConfig,
    DoctorConfig,
    EvaluateConfig,
    ExplainConfig,
    ExportConfig,
    InitConfig,
    PredictConfig,
    PseudoLabelConfig,
    ReportConfig,
    ReviewConfig,
    RunConfig,
    StageConfig,
    TrainConfig,
)
from pipelines.config.setting import FOLDER_FILE
from pipelines.config.usual_places import DEEPLAB_RUN, LABELS, S4NET_RUN

Result = Mapping[str, Any]


def next_step(config: StageConfig, result: Result) -> str:
    """Return one line about a finished command.

    Args:
        config: Settings of the command.
        result: What the command returned.
    """
    if getattr(config, "dry_run", False):
        return "dry run: nothing was written; the same command without --dry-run does the work"
    return _LINES[type(config)](config, result)


def _line(place: str, *commands: str) -> str:
    return f"{place}; next: {', or '.join(commands)}" if commands else place


def _flag(name: str, path: Path | None, usual: Path | None = None) -> str:
    """Return a flag with its path, to be put behind a command; nothing where the command takes that path by itself."""
    return "" if path is None or path == usual else f" --{name} {shlex.quote(str(path))}"


def _train(config: TrainConfig, result: Result) -> str:
    return _line(f"the network is in {config.run}", _label_with(config.run))


def _label_with(run: Path | None) -> str:
    return f"s4 pseudo-label PICTURES{_flag('weights', run, S4NET_RUN)}"


def _pseudo_label(config: PseudoLabelConfig, result: Result) -> str:
    place = f"the labels are in {config.out}"
    if config.shard is not None:
        return f"{place}; next: the same command for the other shards, then s4 deeplab-train"
    return _line(place, f"s4 deeplab-train{_flag('labels', config.out, LABELS)}")


def _review(config: ReviewConfig, result: Result) -> str:
    counts = f"{result.get('reviewed')} of {result.get('pictures')} pictures were reviewed"
    place = f"{counts}; the corrections are in {result.get('journal')}"
    return _line(place, f"s4 deeplab-train{_flag('labels', config.labels, LABELS)}")


def _deeplab_train(config: DeepLabTrainConfig, result: Result) -> str:
    evaluate = f"s4 evaluate VOCDIR{_flag('weights', config.run, DEEPLAB_RUN)}"
    predict = f"s4 predict PICTURES{_flag('weights', config.run)}"
    return _line(f"the network is in {config.run}", evaluate, predict)


def _evaluate(config: EvaluateConfig, result: Result) -> str:
    if config.labels is not None:
        return _line(f"scored {config.labels}", f"s4 deeplab-train{_flag('labels', config.labels, LABELS)}")
    if config.predictions is not None:
        return _line(f"scored {config.predictions}")
    if config.annotations is not None or config.foreground:
        return _line(f"scored {config.weights}", _label_with(config.weights))
    written = f"; its label maps are in {config.save_predictions}" if config.save_predictions else ""
    return _line(f"scored {config.weights}{written}", f"s4 predict PICTURES{_flag('weights', config.weights)}")


def _predict(config: PredictConfig, result: Result) -> str:
    if config.voc is None:
        return _line(f"the results are in {config.out}")
    place = f" --predictions {shlex.quote(str(config.out))} --voc {shlex.quote(str(config.voc))} --split {config.split}"
    return _line(f"the results are in {config.out}", f"s4 convert --to voc-server{place} --out results.tar.gz")


def _convert(config: ConvertConfig, result: Result) -> str:
    if config.to == "voc-server":
        return _line(f"the archive is {config.out}; the VOC server takes it")
    if config.source is not None:
        return _line(f"the annotations are in {config.out}")
    images = "".join(_flag("images", folder) for folder in config.images or ())
    keywords = f"{images}{_flag('keywords', config.out)}"
    return _line(f"the keywords are in {config.out}", f"s4 pseudo-label{keywords}")


def _run(config: RunConfig, result: Result) -> str:
    return _line(f"the report is {config.folder / 'report.html'}", *_predict_with(result))


def _predict_with(result: Result) -> list[str]:
    """Return the command that uses the last DeepLab of a chain, if the chain has one."""
    runs = [
        stage["result"]["run"]
        for stage in result.get("stages", ())
        if stage["stage"].startswith(DeepLabTrainConfig.command) and "run" in stage["result"]
    ]
    return [f"s4 predict PICTURES --weights {shlex.quote(runs[-1])}"] if runs else []


def _demo(config: DemoConfig, result: Result) -> str:
    return _line(f"the report is {config.out / 'report.html'}", "s4 init, in a folder with pictures of your own")


def _init(config: InitConfig, result: Result) -> str:
    file = "" if config.out == Path(FOLDER_FILE) else f" {shlex.quote(str(config.out))}"
    return _line(f"the settings are in {config.out}", f"s4 run{file} --dry-run")


def _report(config: ReportConfig, result: Result) -> str:
    return _line(f"the page is {config.out}")


def _ablate(config: AblateConfig, result: Result) -> str:
    return _line(f"the table is {result.get('markdown', config.out)}")


def _explain(config: ExplainConfig, result: Result) -> str:
    return _line(f"the figures and explain.json are in {config.out}")


def _export(config: ExportConfig, result: Result) -> str:
    return _line(f"the network is {config.out}; examples/onnx_without_torch.py runs it")


def _bench(config: BenchConfig, result: Result) -> str:
    return _line(
        "no file was written; --out names a folder" if config.out is None else f"the result is in {config.out}"
    )


def _check(config: CheckConfig, result: Result) -> str:
    errors, warnings = len(result["errors"]), len(result["warnings"])
    counts = f"{errors} {'error' if errors == 1 else 'errors'}, {warnings} {'warning' if warnings == 1 else 'warnings'}"
    if not errors and not warnings:
        return "nothing is wrong"
    return f"{counts}; the page docs/rules.md explains each rule in brackets"


def _doctor(config: DoctorConfig, result: Result) -> str:
    count = len(result["warnings"])
    return f"{count} {'thing' if count == 1 else 'things'} to do something about" if count else "nothing is wrong"


_LINES = cast(
    Mapping[type[StageConfig], Callable[[Any, Result], str]],
    {
        TrainConfig: _train,
        PseudoLabelConfig: _pseudo_label,
        ReviewConfig: _review,
        DeepLabTrainConfig: _deeplab_train,
        EvaluateConfig: _evaluate,
        PredictConfig: _predict,
        ConvertConfig: _convert,
        RunConfig: _run,
        DemoConfig: _demo,
        AblateConfig: _ablate,
        ExplainConfig: _explain,
        ExportConfig: _export,
        InitConfig: _init,
        ReportConfig: _report,
        BenchConfig: _bench,
        CheckConfig: _check,
        DoctorConfig: _doctor,
    },
)
