"""Folders that s4 has made: labels and runs; and files of weights."""

from pathlib import Path

from pipelines.audit.findings import Findings
from pipelines.audit.masks import Pair, check_masks
from pipelines.config.usual_places import recorded_pictures, weights_file
from pipelines.data.checking import Headers
from pipelines.data.images import ImageFile
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.picture_folders import find_pictures
from pipelines.data.record_files import MANIFEST
from pipelines.errors import InputError, S4Error
from pipelines.events import Events
from pipelines.files import read_json
from pipelines.metrics.plausibility import empty_labels, unlabelled_classes


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run of a training."""
    return (folder / "config.json").is_file() and (folder / "environment.json").is_file()


def is_labels(folder: Path) -> bool:
    """Return whether a folder is one of labels, finished or not."""
    return (folder / "labels").is_dir() and any((folder / name).is_file() for name in (MANIFEST, "settings.json"))


def check_labels(folder: Path, findings: Findings, threads: int, events: Events) -> int:
    """Check a label folder as a training would read it.

    Args:
        folder: The folder.
        findings: Receives what is found.
        threads: Files that are read at once.
        events: Told the progress.

    Returns:
        The number of label maps.
    """
    if not (folder / MANIFEST).is_file():
        message = f"{folder}: no manifest.json, finished labels expected; start the same s4 pseudo-label again"
        findings.error("labels-unmarked", message)
        return 0
    try:
        labels = open_labels(folder, "pseudo", None)
        ids = labels.ids()
    except S4Error as error:
        findings.raised(error)
        return 0
    pairs = _pairs(labels, ids, findings)
    shown = check_masks(pairs, labels.classes, findings, threads, events)
    counts = labels.manifest.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    named = {name: shown.get(name, 0) for name in labels.classes.names}
    for warning in (*empty_labels(str(folder), counts), *unlabelled_classes(str(folder), named)):
        findings.warning(warning["rule"], warning["message"])
    made = sum(count for name in ("labelled", "empty") if isinstance(count := counts.get(name, 0), int))
    if len(ids) < made:
        message = f"{folder}: {len(ids)} label maps, {made} expected by manifest.json"
        findings.error("label-missing", f"{message}; start the same s4 pseudo-label again")
    return len(ids)


def _pairs(labels: LabelFolder, ids: list[str], findings: Findings) -> dict[str, Pair]:
    """Return the label maps with their pictures, as far as these are noted and there."""
    pictures: dict[str, ImageFile] = {}
    try:
        folders = recorded_pictures(labels.path)
        if folders is not None:
            pictures = find_pictures(folders)
    except S4Error as error:
        findings.error(error.rule, f"{labels.path}: the pictures that it names: {error.message}")
    if pictures:
        gone = [image_id for image_id in ids if image_id not in pictures]
        what = f"{labels.path}: label maps whose picture is gone, one for each expected"
        findings.cases("image-missing", what, gone, "put the pictures back, or name them with --images", True)
    wanted = {image_id: pictures[image_id] for image_id in ids if image_id in pictures}
    sizes = Headers().read(wanted.values())
    found = {}
    for image_id in ids:
        picture = wanted.get(image_id)
        size = None if picture is None else sizes[picture]
        if isinstance(size, InputError):
            findings.error(size.rule, size.message)
            size = None
        found[image_id] = Pair(labels.label_path(image_id), picture, size)
    return found


def check_weights(weights: Path, findings: Findings) -> str:
    """Check a run folder or a file of weights, and return what kind of network it holds; empty if none."""
    if is_run(weights):
        _check_status(weights, findings)
    try:
        file = weights_file(weights)
        from pipelines.networks.load import load_deeplab, load_s4net  # these bring torch
        from pipelines.networks.network_file import kind_of_network

        kind = kind_of_network(file)
        load = load_s4net if kind == "s4net" else load_deeplab
        load(weights, device="cpu", precision="fp32")
    except S4Error as error:
        findings.raised(error)
        return ""
    return kind


def _check_status(run: Path, findings: Findings) -> None:
    try:
        status = read_json(run / "status.json")
    except S4Error:
        status = {}
    state = str(status.get("state", "unknown")) if isinstance(status, dict) else "unknown"
    if state != "done":
        message = f"{run}: the training is not finished ({state}), a finished one expected"
        findings.warning("run-unfinished", f"{message}; the same command with --resume goes on")
