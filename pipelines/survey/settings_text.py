"""The text of an `s4.toml` for what a folder holds."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipelines.config.usual_places import DEEPLAB_RUN, LABELS, RUNS, S4NET_RUN
from pipelines.data.classes import VOC_CLASSES
from pipelines.survey.folder import Survey
from pipelines.survey.keyworded import Keyworded

CLASS_FILE = "classes.txt"
_SHOWN = 8
_AUTO = '"auto"'


def needs_class_file(survey: Survey) -> bool:
    """Return whether a file of the classes has to be written: they are not VOC's twenty, and no file lists them."""
    return bool(survey.classes) and survey.classes != VOC_CLASSES and survey.class_file is None


def settings_text(survey: Survey, out: Path) -> str:
    """Return a settings file with comments.

    Args:
        survey: What the folder holds.
        out: The settings file; paths lead from its folder.
    """
    return "\n".join(_lines(survey, out)).rstrip() + "\n"


def tables(survey: Survey) -> list[str]:
    """Return the names of the commands for which the file has a table."""
    names = ["train"] if survey.train else []
    names += ["pseudo-label", "deeplab-train"] if survey.labelled else []
    return [*names, "evaluate"] if _scores(survey) else names


def _scores(survey: Survey) -> bool:
    """Return whether the truth fits what the file makes: salient instances, or labels of classes in a known order."""
    if survey.truth is None:
        return False
    if survey.labelled is None:
        return survey.train is not None
    if set(survey.classes) <= set(VOC_CLASSES):
        return True
    # Label maps number own classes in the order of a list, which nothing but a file tells.
    return survey.class_file is not None and survey.labelled.images.is_relative_to(survey.truth.voc)


def _path(path: Path, out: Path) -> str:
    """Return a path from the folder of the settings file, as TOML spells it."""
    relative = os.path.relpath(path, out.parent)
    return json.dumps(Path(relative).as_posix(), ensure_ascii=False)


def _base(survey: Survey, out: Path) -> Path | None:
    """Return the folder for what is made, where the usual ones would lie among the pictures; else None."""
    home = out.parent.resolve()
    around = (one.images.resolve() for one in survey.sets if home.is_relative_to(one.images.resolve()))
    return next((images.with_name(f"{images.name}-s4") for images in around), None)


def _runs(folder: Path) -> Path:
    """Return the folder for the chain: the usual one, or `runs-2` and so on where that holds runs of other commands."""
    names = (RUNS.name if number == 1 else f"{RUNS.name}-{number}" for number in itertools.count(1))
    return next(folder / name for name in names if not _taken(folder / name))


def _taken(runs: Path) -> bool:
    """Return whether a folder holds runs that no chain has made."""
    made = [(runs / usual.name / "config.json").exists() for usual in (S4NET_RUN, DEEPLAB_RUN)]
    return any(made) and not (runs / "state.json").exists()


def _lines(survey: Survey, out: Path) -> Iterator[str]:
    base = _base(survey, out)
    yield "# Settings of s4 for this folder, written by `s4 init`. Change what you like."
    yield "# `s4 run` does all of it. Each command that is started in this folder takes its own table."
    yield "# Paths lead from the folder of this file. `s4 config show pseudo-label` prints every setting of a command."
    yield ""
    if survey.classes and survey.classes != VOC_CLASSES:
        yield f"classes = {_path(survey.class_file or out.with_name(CLASS_FILE), out)}"
        yield ""
    yield "[run]"
    yield f"out = {_path(base or _runs(out.parent), out)}"
    yield ""
    yield from _train(survey, out, base)
    yield from _pseudo_label(survey, out, base)
    yield from _deeplab_train(survey, out, base)
    yield from _evaluate(survey, out)


def _train(survey: Survey, out: Path, base: Path | None) -> Iterator[str]:
    if survey.train is None or survey.train.images is None:
        if survey.labelled is not None:
            yield "# No COCO file with masks was found, so there is no table [train]. The salient-instance network is"
            yield "# the one in runs/s4net, or else the one that ships."
            yield ""
        return
    yield f"[train]                     # {survey.train.pictures} pictures with {survey.train.instances} instances"
    yield f"images = {_path(survey.train.images, out)}"
    yield f"annotations = {_path(survey.train.path, out)}"
    if survey.val is not None:
        yield f"val_annotations = {_path(survey.val.path, out)}    # chooses the best checkpoint"
    if base:
        yield f"run = {_path(base / 's4net', out)}"
    yield ""


def _pseudo_label(survey: Survey, out: Path, base: Path | None) -> Iterator[str]:
    found = survey.labelled
    if found is None:
        return
    pictures = sum(one.pictures for one in survey.sets)
    yield f"[pseudo-label]              # {pictures} pictures with keywords: {_shown(survey)}"
    yield f"images = {_list_or_one([_path(one.images, out) for one in survey.sets])}"
    sources = [_source(one, out) for one in survey.sets]
    sources = sources[:1] if set(sources) == {_AUTO} else sources
    what = "; ".join(dict.fromkeys(one.what for one in survey.sets))
    yield f"keywords = {_list_or_one(sources)}{'           ' if sources == [_AUTO] else '    '}# {what}"
    split = next((one.split for one in survey.sets if one.split is not None), None)
    if split is not None:
        yield f"split = {json.dumps(split)}"
    if any(one.unplaced for one in survey.sets):
        left_out = sum(len(one.without) for one in survey.sets)
        yield f"# {left_out} pictures without a keyword are left out. Without the next line, labelling stops"
        yield "# because more than a tenth of the pictures are in folders that name no class."
        yield "allow_unplaced = true"
    yield f"out = {_path(base / 'labels', out)}" if base else f'out = "{LABELS.as_posix()}"'
    for other in survey.others:
        given = f"images = {_path(other.images, out)}, keywords = {_source(other, out)}"
        yield f"# {other.what}, {other.pictures} pictures: {given}"
    for place, count in survey.listing.masks.items():
        yield f"# instances = {_path(place, out)}    # {count} label maps, if they show instances: no network is needed"
    yield ""


def _source(found: Keyworded, out: Path) -> str:
    """Return the source of keywords as TOML spells it."""
    return _AUTO if found.keywords == "auto" else _path(Path(found.keywords), out)


def _list_or_one(values: list[str]) -> str:
    """Return values that TOML can read as a list, or as the value where there is only one."""
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"


def _shown(survey: Survey) -> str:
    """Return the first classes and their numbers of pictures."""
    counts: Counter[str] = Counter()
    for one in survey.sets:
        counts.update(one.counts)
    parts = [f"{name} {counts[name]}" for name in survey.classes]
    return ", ".join(parts[:_SHOWN]) + (", ..." if len(parts) > _SHOWN else "")


def _deeplab_train(survey: Survey, out: Path, base: Path | None) -> Iterator[str]:
    if survey.labelled is None:
        return
    yield "[deeplab-train]             # EfficientNet-Lite0, 1,500 steps: a quarter of an hour on two cores"
    if base:
        yield f"labels = {_path(base / 'labels', out)}"
        yield f"run = {_path(base / 'deeplab', out)}"
    yield '# network = "vgg16"         # the paper\'s; or "resnet101": for a GPU'
    yield ""


def _evaluate(survey: Survey, out: Path) -> Iterator[str]:
    if survey.truth is None:
        return
    mark = "" if _scores(survey) else "# "
    if mark:
        yield "# Label maps were found. Take the marks away if they number the classes in the order of the class list."
    yield f"{mark}[evaluate]                  # {survey.truth.pictures} pictures with true label maps"
    yield f"{mark}voc = {_path(survey.truth.voc, out)}"
    yield f"{mark}split = {json.dumps(survey.truth.split)}"
    if survey.labelled is None:
        yield f"{mark}foreground = true           # scores the salient instances"
