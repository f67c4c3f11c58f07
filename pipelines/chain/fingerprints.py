"""A hash of all that a step depends on: as long as it stays the same, doing the step again would be in vain.

The hash covers the settings that bear on the result, and the content of annotations, keywords, class lists, lists of
pictures, weights, true masks, and manifests, records and corrections of labels. Of pictures it covers the names and the
sizes in bytes. Reading all pictures would take longer than some stages, and another picture nearly always has another
size. The hash leaves out the places of files, the device and the number of threads.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipelines.chain.step import Step
from pipelines.config import to_json
from pipelines.config.setting import limits_of
from pipelines.files import sha256_file, sha256_lines

_MAY_BE_FILES = {"classes", "trunk_weights"}  # a word, or a file whose content counts


def fingerprint(step: Step) -> str:
    """Return the hash of a step whose inputs are all there.

    Raises:
        S4Error: An input cannot be read.
    """
    content = {"command": step.config.command, "settings": _settings(step), "inputs": step.inputs()}
    return sha256_lines([json.dumps(content, sort_keys=True)])


def _settings(step: Step) -> dict[str, Any]:
    values, kept = to_json(step.config), {}
    for setting in fields(step.config):
        given = getattr(step.config, setting.name)
        is_path = isinstance(given[0] if isinstance(given, tuple) and given else given, Path)
        if limits_of(setting).may_change or setting.name in step.without_effect or is_path:
            continue
        value = values[setting.name]
        if value is None:
            value = step.counts_as.get(setting.name)
        if setting.name in _MAY_BE_FILES and value is not None and Path(value).is_file():
            value = sha256_file(Path(value))
        if value is not None and value is not False:  # so that a setting added later, and not used, changes nothing
            kept[setting.name] = value
    return kept
