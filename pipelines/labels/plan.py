"""The plan of `s4 pseudo-label`: pictures, keywords and strategy, checked before anything is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pipelines.config import PseudoLabelConfig, Shard
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.images import ImageFile
from pipelines.data.instance_sources.opening import open_instances
from pipelines.data.instance_sources.picture_masks import InstanceSource
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.notes import Notes, first_names
from pipelines.data.record_files import SETTINGS, settings_differences
from pipelines.data.review import REVIEW
from pipelines.data.review_maps import ReviewedLabels, open_reviewed
from pipelines.engine.checkpoint import weights_file, weights_sha256
from pipelines.errors import ConfigError
from pipelines.events import Events
from pipelines.files import read_json, sha256_file, sha256_lines
from pipelines.labels.instances import named_by_source, source_hash
from pipelines.labels.recognizer import kind_of
from pipelines.stores.paths import to_path

Strategy = Literal["single", "attention", "graph", "random"]

_RECIPE = 7  # number of the method: raise it when the same flags give other labels than before
_READING = 2  # the same for the way in which --instances are read

# Settings that decide what is made of the cues of a picture. The cues themselves do not depend on these settings.
_AFTER_CUES = (
    "sure_score", "margin", "segmenter_sha256", "refine", "crf_preset", "border", "least_foreground", "most_foreground",
)  # fmt: skip

_FEWEST_FOR_GRAPH = 20  # pictures with several keywords; among fewer, hardly any instance finds one that looks like it
_FEWEST_FOR_CELLS = 20  # pictures; from fewer, a classifier of cells learns the pictures instead of the keywords


@dataclass(frozen=True)
class LabelPlan:
    """The pictures to label, and how to label them.

    Attributes:
        images: image_id -> file of every picture with keywords, sorted by image_id.
        keywords: image_id -> keywords of the picture.
        classes: The class list.
        shard: The share of the pictures that this run labels.
        strategy: How instances get keywords in pictures with several keywords.
        fill: Whether attention maps label keywords that no instance got.
        cells: Whether a classifier of cells is one of the witnesses, see `pipelines.labels.cells`.
        recognise: Whether ImageNet's classifier looks at the instances.
        masks: Instances of another program; None where a network finds them.
        notes: Collects what the readers of files should tell.
        reviewed: Labels that people have corrected; None if there are none. Their pictures keep them.
    """

    images: dict[str, ImageFile]
    keywords: dict[str, Keywords]
    classes: ClassList
    shard: Shard
    strategy: Strategy
    fill: bool = False
    cells: bool = False
    recognise: bool = False
    masks: InstanceSource | None = None
    notes: Notes = field(default_factory=Notes)
    reviewed: ReviewedLabels | None = None

    @property
    def own(self) -> list[str]:
        """Image ids of the pictures in this shard."""
        return self.shard.own(list(self.images))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """image_id -> number of the picture. A picture keeps its number even if others cannot be read."""
        return {image_id: number for number, image_id in enumerate(self.images)}

    @property
    def other_keywords(self) -> set[str]:
        """Image ids of the pictures whose keywords people have changed; their cues are to be found again."""
        reviewed = self.reviewed
        if reviewed is None:
            return set()
        return {
            one for one in reviewed.reviews if set(reviewed.keywords(one)) != set(reviewed.records[one]["keywords"])
        }

    @property
    def uses_attention(self) -> bool:
        """Whether the attention network is needed."""
        return self.fill or self.cells or self.strategy in ("attention", "graph")

    @property
    def in_two_passes(self) -> bool:
        """Whether a first pass finds the cues of all pictures, to learn from them before a second pass labels."""
        return self.cells or self.strategy == "graph"


def make_plan(config: PseudoLabelConfig, events: Events) -> LabelPlan:
    """Read the class list, the names of the pictures and the keywords, and choose the strategy.

    Args:
        config: Settings of `s4 pseudo-label`.
        events: Told what is left out, how names and masks are understood, and what `--recognise` cannot do.

    Raises:
        InputError: The class list, the pictures, the keywords or the instances are missing or unusable.
    """
    notes = Notes(events)
    pictures = KeywordedPictures(config.images, config.keywords, config.split, notes)
    classes, names = pictures.read(config.classes, config.allow_unplaced)
    keywords = {image_id: classes.keywords(words) for image_id, words in names.items()}
    ordered = {image_id: pictures.images[image_id] for image_id in sorted(keywords)}
    masks = None if config.instances is None else open_instances(config.instances, ordered, notes)
    notes.tell()
    # Where the masks come with their keywords, nothing has to be found out.
    undecided = keywords.keys() - named_by_source(masks, keywords, classes)
    several = sum(len(keywords[image_id]) > 1 for image_id in undecided)
    strategy = _strategy(config.assign, several)
    # `auto` adds cells to graph, and to single where no picture has several keywords. `--assign single` by name is a
    # baseline to compare with, so nothing is added to it.
    own = strategy == "graph" or (config.assign == "auto" and strategy == "single")
    cells = config.cells == "on" or (config.cells == "auto" and own and len(ordered) >= _FEWEST_FOR_CELLS)
    used = [name for name in classes.names if any(name in words.names for words in keywords.values())]
    recognise = _recognises(config, used, events)
    return LabelPlan(ordered, keywords, classes, config.part, strategy, config.fill, cells, recognise, masks, notes)


def with_reviewed(plan: LabelPlan, labels: Path | None, events: Events) -> LabelPlan:
    """Return a plan that honours what people corrected; the strategy stays that of the given keywords.

    Args:
        plan: The plan as the given keywords make it.
        labels: The label folder that was corrected; None for none.
        events: Told how many pictures were corrected.

    Raises:
        InputError: The folder cannot be used, see `pipelines.data.review_maps.open_reviewed`.
    """
    if labels is None:
        return plan
    reviewed = open_reviewed(labels, plan.classes)
    own = plan.images.keys() & reviewed.reviews.keys()
    reviews = {image_id: reviewed.reviews[image_id] for image_id in sorted(own)}
    reviewed = replace(reviewed, reviews=reviews)
    rejected = sum(map(reviewed.is_rejected, own))
    events.info(f"{labels}: {len(own)} pictures keep their corrected labels, {rejected} of them are rejected")
    # A picture whose keywords were all taken away keeps the given ones: no network can look for nothing.
    corrected = {image_id: names for image_id in own if (names := reviewed.keywords(image_id))}
    keywords = plan.keywords | {image_id: plan.classes.keywords(names) for image_id, names in corrected.items()}
    return replace(plan, keywords=keywords, reviewed=reviewed)


def _recognises(config: PseudoLabelConfig, used: list[str], events: Events) -> bool:
    """Return what `--recognise` means for a set with these keywords, and tell what it cannot do."""
    if config.recognise == "off" or (config.recognise == "auto" and config.assign not in ("auto", "graph")):
        return False  # a strategy that is asked for by name, to be compared with others, gets no help
    strange = [name for name in used if kind_of((name,)) is None]
    unknown = f"ImageNet's classifier does not know {first_names(strange)}"
    if config.recognise == "imagenet":
        if strange:
            events.warn(f"--recognise imagenet: {unknown}; their instances are not checked")
        return True
    if strange:
        events.info(f"--recognise: off, because {unknown}")
    elif config.trunk_weights != "imagenet":
        events.info(f"--recognise: off, because --trunk-weights {config.trunk_weights} may lack ImageNet's classifier")
    return not strange and config.trunk_weights == "imagenet"


def _strategy(asked: str, several: int) -> Strategy:
    """Return the strategy that `--assign` stands for, given the number of pictures with several keywords."""
    if asked == "random":
        return "random"
    if not several or asked == "single":
        return "single"
    if asked == "attention" or (asked == "auto" and several < _FEWEST_FOR_GRAPH):
        return "attention"
    return "graph"


def label_settings(config: PseudoLabelConfig, plan: LabelPlan) -> dict[str, Any]:
    """Collect everything that the labels depend on, as JSON values.

    Paths are left out, so that a data set which was moved counts as the same one.

    Raises:
        InputError: The weights or the instances are missing.
    """
    keyword_lines = (f"{image_id},{';'.join(plan.keywords[image_id].names)}" for image_id in plan.images)
    configuration: dict[str, Any] = {
        "recipe": _RECIPE,
        "strategy": plan.strategy,
        "min_score": config.min_score,
        "sure_score": config.sure_score,
        "precision": config.precision,
        "refine": config.refine,
        "fill": config.fill,
        "cells": plan.cells,
        "border": config.border,
        "least_foreground": config.least_foreground,
        "most_foreground": config.most_foreground,
    }
    if config.weights is not None:
        configuration["flip"] = config.flip
    if plan.masks is not None:
        configuration["reading"] = _READING
    if plan.strategy == "attention":
        configuration["margin"] = config.margin
    if config.refine == "crf":
        configuration["crf_preset"] = config.crf_preset
    if plan.recognise:
        configuration["recognise"] = "imagenet"
    if plan.strategy != "single" or _has_other_random_trunk(config, plan):
        configuration["seed"] = config.seed
    if plan.uses_attention or plan.recognise:
        source = config.trunk_weights
        file = to_path(source)
        configuration |= {
            "trunk": config.trunk,
            "trunk_weights": sha256_file(file) if file.is_file() else source,
        }
    settings: dict[str, Any] = {
        "classes": plan.classes.to_json(),
        **source_hash(config, plan.masks),
        "image_list_sha256": sha256_lines(plan.images),
        "keywords_sha256": sha256_lines(keyword_lines),
        "configuration": configuration,
    }
    if config.reviewed is not None:
        settings["reviewed_sha256"] = sha256_file(config.reviewed / REVIEW)
    if config.segmenter is not None:
        settings["segmenter_sha256"] = weights_sha256(weights_file(config.segmenter))
    return settings


def _has_other_random_trunk(config: PseudoLabelConfig, plan: LabelPlan) -> bool:
    """Return whether attention reads a trunk whose random weights are not those of the usual seed.

    Settings of folders with the usual seed, of strategy single, have never named it.
    """
    return plan.uses_attention and config.trunk_weights == "none" and config.seed != PseudoLabelConfig.seed


def check_earlier(folder: Path, settings: Mapping[str, Any]) -> None:
    """Check that the cues of an earlier label folder are those that would be found again.

    Args:
        folder: The earlier label folder.
        settings: Settings of the new label folder, see `label_settings`.

    Raises:
        InputError: The earlier folder is no label folder.
        ConfigError: A setting that cues depend on differs [cues-differ].
    """
    saved = read_json(folder / SETTINGS)
    # Cues without corrections are good for pictures whose keywords nobody changed; the others are found again.
    plain = isinstance(saved, dict) and "reviewed_sha256" not in saved
    leave_out = (*_AFTER_CUES, "reviewed_sha256") if plain else _AFTER_CUES
    differences = settings_differences(saved, settings, leave_out)
    if differences:
        message = f"--cues-of {folder}: made with other settings, the same expected: {differences}"
        raise ConfigError(f"{message}; leave out --cues-of, or make that folder anew", "cues-differ")


def tell(plan: LabelPlan, todo: list[str], events: Events) -> None:
    """Log what a run would do.

    Args:
        plan: The pictures, and how to label them.
        todo: Image ids of the pictures that this shard still has to label.
        events: Where the log lines go.
    """
    counts = Counter(word for words in plan.keywords.values() for word in words.names)
    several = sum(len(words) > 1 for words in plan.keywords.values())
    events.info(f"{len(plan.images)} pictures with keywords, {several} of them with several; strategy {plan.strategy}")
    for name in plan.classes.names:
        if counts[name]:
            events.info(f"  {name}: {counts[name]}")
    shard = f" in shard {plan.shard.number}/{plan.shard.of}" if plan.shard.of > 1 else ""
    events.info(f"to label{shard}: {len(todo)}, labelled before: {len(plan.own) - len(todo)}")


def tell_done(out: Path, records: Sequence[Mapping[str, Any]], events: Events) -> None:
    """Tell that earlier runs have labelled every picture of this one."""
    failed = sum("failed" in record for record in records)
    again = f", {failed} of them failed (--retry-failed tries these again)" if failed else ""
    pictures = "the picture was" if len(records) == 1 else f"all {len(records)} pictures were"
    events.info(f"{out}: {pictures} labelled before{again}")
