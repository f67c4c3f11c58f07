"""How each row of Table 5 is labelled, checked before anything is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pipelines.config import AblateConfig, PseudoLabelConfig
from pipelines.data.instance_sources.opening import open_instances
from pipelines.data.voc import pictures_folder
from pipelines.events import Events
from pipelines.files import sha256_lines
from pipelines.labels.plan import LabelPlan, Strategy, label_settings, make_plan
from pipelines.studies.label_table.rows import LabelRow, label_rows

PLACE = "table5"
"""Folder of the study in which everything of Table 5 lies."""
_FOUND = "found"  # folder of the cues


@dataclass(frozen=True)
class RowPlan:
    """A row with what its labels are made by.

    Attributes:
        row: The row.
        config: Settings of `s4 pseudo-label`, with the label folder.
        plan: The pictures, and how to label them.
        settings: What the label folder is tied to.
    """

    row: LabelRow
    config: PseudoLabelConfig
    plan: LabelPlan
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class LabelPlans:
    """The cues that are found once, and the rows that are labelled from them.

    Attributes:
        config: Settings with which cues are found; `out` is their folder.
        plan: The plan of all that any row needs.
        rows: The rows.
    """

    config: PseudoLabelConfig
    plan: LabelPlan
    rows: Sequence[RowPlan]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the folder of the cues is tied to."""
        return label_settings(self.config, self.plan)


def make_plans(config: AblateConfig, events: Events) -> LabelPlans:
    """Read pictures, keywords, classes and masks, and plan the labels of each row.

    Rows whose labels would be the same as those of an earlier row are left out. So it is with all strategies where no
    picture has several keywords.

    Args:
        config: Settings of `s4 ablate`.
        events: Told what is left out, how names and masks are understood, and which rows are the same.

    Raises:
        ConfigError: Two sources of masks have the same name [setting-value].
        InputError: As `make_plan`.
    """
    base = make_plan(_label_config(config, _FOUND, assign="auto"), events)
    strategies = _strategies(config, base, events)
    kept: dict[tuple[Any, ...], tuple[LabelRow, LabelPlan]] = {}
    for row in label_rows(strategies, config.instances or ()):
        plan = _row_plan(row, base)
        key = (row.shape, row.source, plan.strategy, plan.cells, plan.recognise)
        if key in kept:
            events.info(f"row {row.name}: left out, its labels are those of the row {kept[key][0].name}")
        else:
            kept[key] = row, plan
    found_plan = replace(base, strategy="graph", fill=True)
    found = LabelPlans(_label_config(config, _FOUND, assign="graph", fill=True), found_plan, ())
    rows = [_opened(config, row, plan, found, events) for row, plan in kept.values()]
    return replace(found, rows=rows)


def _strategies(config: AblateConfig, base: LabelPlan, events: Events) -> list[str]:
    """Return the strategies to compare; without a picture with several keywords, all but auto are single."""
    asked = config.assign_list
    if any(len(words) > 1 for words in base.keywords.values()):
        return list(asked)
    events.info("no picture has several keywords, so the strategies of --assign other than auto give the same labels")
    return list(dict.fromkeys(name if name == "auto" else "single" for name in asked))


def _row_plan(row: LabelRow, base: LabelPlan) -> LabelPlan:
    """Return the plan of a row; `base` is that of `s4 pseudo-label` without flags."""
    if row.assign == "auto":
        return base
    several = any(len(words) > 1 for words in base.keywords.values())
    strategy = cast(Strategy, row.assign if several else "single")
    return replace(base, strategy=strategy, cells=False, recognise=False)


def _opened(config: AblateConfig, row: LabelRow, plan: LabelPlan, found: LabelPlans, events: Events) -> RowPlan:
    """Return the plan of a row with its masks opened and its settings collected."""
    if row.source is not None:
        plan = replace(plan, masks=open_instances(row.source, plan.images, plan.notes))
        plan.notes.tell()
    helped = "auto" if row.assign == "auto" else "off"
    own = _label_config(
        config, f"{row.folder}/labels", assign=row.assign, cells=helped, recognise=helped, source=row.source
    )
    settings = label_settings(own, plan)
    if row.shape != "instances":
        # Attention decides here too, though it is not in the plan.
        more = {"shape": row.shape, "cues_sha256": sha256_lines([json.dumps(found.settings, sort_keys=True)])}
        settings["configuration"] = settings["configuration"] | more
    return RowPlan(row, own, plan, settings)


def _label_config(config: AblateConfig, place: str, source: Path | None = None, **more: Any) -> PseudoLabelConfig:
    return PseudoLabelConfig(
        images=(pictures_folder(cast(Path, config.voc)),),
        split=config.split,
        keywords=config.keywords,
        classes=config.classes,
        weights=config.weights if source is None else None,
        instances=source,
        min_score=config.min_score,
        trunk_weights=config.trunk_weights,
        out=config.out / PLACE / place,
        device=config.device,
        precision=config.precision,
        workers=config.workers,
        **more,
    )
