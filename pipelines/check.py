"""Command `s4 check`: look at data, labels, weights and settings files before a training, and list all faults."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.audit.data_set import DataSet, check_data
from pipelines.audit.findings import Finding, Findings
from pipelines.audit.made import check_labels, check_weights, is_labels, is_run
from pipelines.chain.stages.pseudo_label import label_bytes
from pipelines.config import CheckConfig, RunConfig, resolve
from pipelines.config.setting import FOLDER_FILE
from pipelines.config.whole_file import file_faults, tables_of
from pipelines.data.tar_shards import TAR_SUFFIX
from pipelines.errors import ConfigError, InputError, S4Error, raise_all
from pipelines.events import Events
from pipelines.file_errors import free_bytes
from pipelines.run import run

_WEIGHTS = (".pt", ".pth", ".safetensors")
_DATA_FILES = (".json", ".csv", TAR_SUFFIX)
_KINDS = f"a folder, a settings file (.toml), weights ({', '.join(_WEIGHTS)}), or {', '.join(_DATA_FILES)}"
_CHAIN = ("train", "pseudo-label", "deeplab-train", "evaluate")  # commands whose tables make a chain


def check(config: CheckConfig, events: Events) -> dict[str, Any]:
    """Look at every path, and list all that is wrong with it.

    Args:
        config: Settings of `s4 check`.
        events: Told the progress.

    Returns:
        {checked, errors, warnings, seconds}. `checked` has for each path {path, kind, pictures, masks} and what else is
        known of its kind. An error is {rule, message, place, count}: a stage would fail on it. A warning is the same,
        but the stage would go on.

    Raises:
        InputError: A path is nothing that can be checked [check-nothing].
    """
    started = time.monotonic()
    look = _Check(config, events)
    paths = config.paths or (Path(),)
    raise_all([fault for path in paths if (fault := _kind_fault(path)) is not None])
    for path in paths:
        look.path(path)
    if not look.checked and not look.found:
        raise InputError(
            f"{', '.join(map(str, paths))}: nothing to check, {_KINDS} with pictures, masks or weights expected; name "
            "another path",
            "check-nothing",
        )
    found = look.found
    return {
        "checked": look.checked,
        "errors": [finding.to_json() for finding in found if finding.is_error],
        "warnings": [finding.to_json() for finding in found if not finding.is_error],
        "seconds": round(time.monotonic() - started, 1),
    }


def _kind_fault(path: Path) -> InputError | None:
    """Return the error of a file of no kind that can be checked."""
    if path.is_dir() or path.name.lower().endswith((".toml", *_WEIGHTS, *_DATA_FILES)):
        return None
    return InputError(f"{path}: nothing that s4 check knows, {_KINDS} expected; name another path", "check-nothing")


@dataclass
class _Check:
    """A check in progress: what was looked at so far, and what was found."""

    config: CheckConfig
    events: Events

    def __post_init__(self) -> None:
        """Start without findings."""
        self.checked: list[dict[str, Any]] = []
        self.found: list[Finding] = []

    def path(self, path: Path) -> None:
        """Check one path, by its kind."""
        name = path.name.lower()
        if path.is_dir() and is_run(path):
            self.add(path, self._weights)
        elif path.is_dir() and is_labels(path):
            self.add(path, self._labels)
        elif path.is_dir():
            self._folder(path)
        elif name.endswith(".toml"):
            self.add(path, self._settings)
        elif name.endswith(_WEIGHTS):
            self.add(path, self._weights)
        else:
            self.add(path, self._data_file)

    def add(self, path: Path, look: Callable[[Path, Findings], dict[str, Any]]) -> None:
        """Check a path with the function of its kind, and keep what it says."""
        findings = Findings(path)
        try:
            told = look(path, findings)
        except S4Error as error:
            findings.raised(error)
            told = {"kind": "unknown"}
        if told:
            self.checked.append({"path": str(path), **told})
        self.found += [finding for finding in findings.shortened() if finding not in self.found]

    def _folder(self, folder: Path) -> None:
        """Check the data of a folder, then what s4 has made there, and its settings file."""
        made: list[Path] = []

        def data(path: Path, findings: Findings) -> dict[str, Any]:
            found = check_data(path, self.config.classes, findings, self.config.workers, self.events)
            made.extend(found.made)
            return {} if not found.pictures.needed and not found.masks else _told("data", path, found, findings)

        self.add(folder, data)
        for place in made:
            if is_run(place):
                self.add(place, self._weights)
            elif is_labels(place):
                self.add(place, self._labels)
        if (folder / FOLDER_FILE).is_file():
            self.add(folder / FOLDER_FILE, self._settings)

    def _data_file(self, path: Path, findings: Findings) -> dict[str, Any]:
        kind = {".json": "COCO file", ".csv": "table"}.get(path.suffix.lower(), "shard")
        folder = path.parent
        found = check_data(folder, self.config.classes, findings, self.config.workers, self.events, path)
        if not found.pictures.needed and not findings.found:
            message = f"{path}: none of its pictures was found beside it, all expected; check the folder above both"
            findings.error("keywords-none", message)
        return _told(kind, folder, found, findings)

    def _labels(self, path: Path, findings: Findings) -> dict[str, Any]:
        return {"kind": "labels", "masks": check_labels(path, findings, self.config.workers, self.events)}

    def _weights(self, path: Path, findings: Findings) -> dict[str, Any]:
        return {"kind": "weights", "network": check_weights(path, findings) or None}

    def _settings(self, path: Path, findings: Findings) -> dict[str, Any]:
        """Check a settings file; then, of a chain, all inputs, the weights, the room on the disk and the time."""
        faults = file_faults(path)
        for fault in faults:
            findings.error(fault.rule, fault.message)
        if faults or not set(tables_of(path)) & set(_CHAIN):
            return {"kind": "settings"}
        try:
            plan = run(resolve(RunConfig, path, {"file": path, "dry_run": True}), self.events)
        except ConfigError as error:
            if error.rule != "address-unsupported":
                raise
            findings.warning(error.rule, error.message)  # a chain takes no address, but each command by itself does
            return {"kind": "settings"}
        for fault in plan["faults"]:
            stage = f"{fault['stage']}: " if fault["stage"] else ""
            findings.warning(fault["rule"], f"{stage}{fault['message']}")
        numbers = ("disk_bytes", "free_bytes", "expected_seconds")
        stages = [
            {"stage": stage["stage"], "will": stage["will"], **{name: stage["result"][name] for name in numbers}}
            for stage in plan["stages"]
        ]
        return {"kind": "chain", "stages": stages, "weights": plan["weights"]}


def _told(kind: str, folder: Path, found: DataSet, findings: Findings) -> dict[str, Any]:
    """Return what a data set has, and note a disk without room for its labels."""
    needed, free = label_bytes(found.labelled), free_bytes(folder)
    if free is not None and needed > free:
        message = f"{folder}: {free / 1e6:.0f} MB are free, about {needed / 1e6:.0f} MB expected for labels"
        findings.warning("disk-low", f"{message}; make room, or name a folder on another disk with --out")
    return {
        "kind": kind,
        "pictures": len(found.pictures.needed),
        "masks": found.masks,
        "label_bytes": needed if found.labelled else None,
        "free_bytes": free,
    }
