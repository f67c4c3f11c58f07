"""Stage `s4 demo`: the whole chain on generated scenes, with a report of every step."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.config import (
    DeepLabTrainConfig,
    DemoConfig,
    EvaluateConfig,
    PseudoLabelConfig,
    TrainConfig,
    to_json,
)
from pipelines.config.outputs import alone
from pipelines.config.usual_places import BUILTIN, builtin_file
from pipelines.data.outlines import SHAPES
from pipelines.data.shapes import write_instances, write_voc
from pipelines.deeplab_train import deeplab_train
from pipelines.errors import ConfigError
from pipelines.evaluate import evaluate
from pipelines.events import Events
from pipelines.files import plain, read_json, write_json
from pipelines.pseudo_label import pseudo_label
from pipelines.studies.demo_report import DemoPaths, write_report
from pipelines.train import train

_TRUNK: Final = "efficientnet_lite0"
# Tried, together with the number of steps, on scenes of another seed than the default one.
_FINE_TUNING_LR: Final = 2e-4


@dataclass(frozen=True, kw_only=True)
class DemoSizes:
    """How much the demo makes and trains.

    Attributes:
        side: Side of a scene in pixels.
        instance_scenes, test_scenes: Scenes with masks that S4Net learns from, and that it is tested on.
        keyword_scenes, val_scenes: Scenes that are labelled from their keywords, and scenes held out for the mIoU.
        fine_tuning_steps: Steps of `s4 train` from the network that ships.
        first_steps: Steps of `s4 train` from ImageNet's weights, in an installation without that network.
        image_size: Setting of `s4 train`.
        min_score: Setting of `s4 pseudo-label`.
        deeplab_steps, crop: Settings of `s4 deeplab-train`, on labels and on exact masks alike.
    """

    side: int
    instance_scenes: int
    test_scenes: int
    keyword_scenes: int
    val_scenes: int
    fine_tuning_steps: int
    first_steps: int
    image_size: int
    min_score: float
    deeplab_steps: int
    crop: int


# Under six minutes on two quiet cores with bf16.
FULL = DemoSizes(
    side=256,
    instance_scenes=600,
    test_scenes=100,
    keyword_scenes=260,
    val_scenes=100,
    fine_tuning_steps=120,
    first_steps=430,
    image_size=192,
    min_score=0.3,
    deeplab_steps=300,
    crop=161,
)
# Tries the plumbing alone, in seconds.
SMALL = DemoSizes(
    side=96,
    instance_scenes=8,
    test_scenes=4,
    keyword_scenes=10,
    val_scenes=4,
    fine_tuning_steps=3,
    first_steps=3,
    image_size=64,
    min_score=0.0,  # after three steps no score is high
    deeplab_steps=3,
    crop=65,
)


@alone
def demo(config: DemoConfig, events: Events) -> dict[str, Any]:
    """Run the chain; started again after a kill, it goes on where it was.

    Args:
        config: Settings of `s4 demo`.
        events: Progress and log lines.

    Returns:
        {ap50, ap70, label_miou, miou, upper_bound_miou, ratio, seconds, report}; scores are fractions 0..1, None where
        nothing could be judged.

    Raises:
        ConfigError: The folder holds a demo of other settings [demo-differs].
        MachineError: The `[demo]` packages are not installed.
    """
    started = time.monotonic()
    sizes, paths = SMALL if config.small else FULL, DemoPaths(config.out)
    _claim(config, paths)
    _write_scenes(config, sizes, paths, events)
    events.info("1/4 train S4Net on scenes with masks")
    _train_s4net(config, sizes, paths, events)
    found = evaluate(
        EvaluateConfig(
            images=paths.instances / "images",
            annotations=paths.instances / "test.json",
            weights=paths.s4net,
            **_common(config),
        ),
        events,
    )
    events.info("2/4 label scenes from their keywords")
    _label(config, sizes, paths, events)
    quality = evaluate(_scored(config, paths, "train", labels=paths.labels), events)
    events.info("3/4 train DeepLab on the labels, and on exact masks for comparison")
    _train_deeplab(config, sizes, paths, events, exact=False)
    _train_deeplab(config, sizes, paths, events, exact=True)
    events.info("4/4 measure mIoU on held-out scenes")
    weak = evaluate(_scored(config, paths, "val", weights=paths.weak), events)
    upper = evaluate(_scored(config, paths, "val", weights=paths.upper), events)
    figures = {
        "ap50": found["ap50"],
        "ap70": found["ap70"],
        "label_miou": quality["miou"],
        "miou": weak["miou"],
        "upper_bound_miou": upper["miou"],
        "ratio": weak["miou"] / upper["miou"] if upper["miou"] else None,
        "seconds": round(time.monotonic() - started, 1),
    }
    results = plain(figures)
    write_json(paths.results, results)
    write_report(paths, results, plain({"labels": quality, "weak": weak, "upper": upper}), plain(found))
    return {**results, "report": str(paths.report)}


def _claim(config: DemoConfig, paths: DemoPaths) -> None:
    """Write the settings into the folder, or refuse a folder that was begun with other settings [demo-differs]."""
    settings = {"seed": config.seed, "small": config.small}
    if paths.settings.exists():
        before = read_json(paths.settings)
        if before != settings:
            raise ConfigError(
                f"{config.out}: holds a demo with {before}, {settings} asked for; choose another --out", "demo-differs"
            )
    else:
        write_json(paths.settings, settings)


def _write_scenes(config: DemoConfig, sizes: DemoSizes, paths: DemoPaths, events: Events) -> None:
    finished = paths.out / "scenes" / "complete.json"
    if finished.exists():
        return
    events.info(f"draw scenes with {len(SHAPES)} kinds of shapes")
    write_instances(paths.instances, sizes.instance_scenes, "train", config.seed, sizes.side)
    write_instances(paths.instances, sizes.test_scenes, "test", config.seed, sizes.side)
    # With another seed, S4Net has never seen the scenes that it labels.
    write_voc(paths.voc, sizes.keyword_scenes, sizes.val_scenes, config.seed + 1, sizes.side)
    write_json(finished, to_json(config))


def _common(config: DemoConfig) -> dict[str, Any]:
    return {"device": config.device, "precision": config.precision, "workers": config.workers}


def _goes_on(run: Path) -> bool:
    return (run / "config.json").exists()


def _train_s4net(config: DemoConfig, sizes: DemoSizes, paths: DemoPaths, events: Events) -> None:
    if builtin_file() is not None:
        start: dict[str, Any] = {
            "start_from": Path(BUILTIN),
            "steps": sizes.fine_tuning_steps,
            "lr": _FINE_TUNING_LR,
        }
    else:
        start = {"trunk": _TRUNK, "steps": sizes.first_steps}
    train(
        TrainConfig(
            images=paths.instances / "images",
            annotations=paths.instances / "train.json",
            run=paths.s4net,
            image_size=sizes.image_size,
            seed=config.seed,
            resume=_goes_on(paths.s4net),
            **start,
            **_common(config),
        ),
        events,
    )


def _label(config: DemoConfig, sizes: DemoSizes, paths: DemoPaths, events: Events) -> None:
    pseudo_label(
        PseudoLabelConfig(
            images=(paths.voc / "JPEGImages",),
            weights=paths.s4net,
            keywords=(str(paths.voc / "keywords_train.csv"),),
            classes=str(paths.voc / "classes.txt"),
            split="train",
            out=paths.labels,
            min_score=sizes.min_score,
            seed=config.seed,
            **_common(config),
        ),
        events,
    )


def _train_deeplab(config: DemoConfig, sizes: DemoSizes, paths: DemoPaths, events: Events, exact: bool) -> None:
    """Train on pseudo labels or on exact masks: same pictures, same steps, same seed."""
    run = paths.upper if exact else paths.weak
    deeplab_train(
        DeepLabTrainConfig(
            images=(paths.voc / "JPEGImages",),
            labels=paths.voc / "SegmentationClass" if exact else paths.labels,
            labels_are="ground-truth" if exact else "pseudo",
            classes=str(paths.voc / "classes.txt"),
            list=paths.voc / "ImageSets" / "Segmentation" / "train.txt",
            run=run,
            network=_TRUNK,
            steps=sizes.deeplab_steps,
            crop=sizes.crop,
            seed=config.seed,
            resume=_goes_on(run),
            **_common(config),
        ),
        events,
    )


def _scored(config: DemoConfig, paths: DemoPaths, split: str, **what: Any) -> EvaluateConfig:
    return EvaluateConfig(voc=paths.voc, split=split, classes=str(paths.voc / "classes.txt"), **what, **_common(config))
