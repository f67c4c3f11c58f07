"""Settings that all trainings of a study share, kept in a file of the study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config.setting import flag_of
from pipelines.errors import ConfigError, InputError
from pipelines.files import read_json

_HASH = "_sha256"
_LISTS = {"image_list": "split", "val_list": "val_split"}
"""Settings that name the lists whose hashes a study keeps."""


def saved_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a file; none without the file.

    Raises:
        InputError: The file holds something else [json-damaged].
    """
    saved = read_json(path) if path.exists() else {}
    if not isinstance(saved, dict):
        raise InputError(f"{path}: no JSON object, the settings of a study expected; restore it", "json-damaged")
    return saved


def require_same_study(path: Path, frozen: Mapping[str, Any]) -> None:
    """Check that settings are those in a file, as far as the file names them.

    Args:
        path: The file; it need not exist.
        frozen: The settings, JSON values. Of a name that ends in `_sha256`, the value is the hash of a content. What
            stands before is the setting that names the content, or the list that it is, see `_LISTS`.

    Raises:
        ConfigError: A setting differs [study-differs].
        InputError: As `saved_settings`.
    """
    saved = saved_settings(path)
    for name in [name for name in frozen if name in saved]:
        if frozen[name] != saved[name]:
            setting = name.removesuffix(_HASH)
            what = "content with sha256 " if name.endswith(_HASH) else ""
            flag = flag_of(_LISTS.get(setting, setting))
            message = f"{flag}: {what}{frozen[name]} given, {saved[name]} expected as in {path}"
            raise ConfigError(f"{message}; give that, or choose another --out", "study-differs")
