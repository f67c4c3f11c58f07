"""The files that `s4 evaluate` compares, on a VOC list or in folders: which must be there, and what they may hold."""

import os
from pathlib import Path
from typing import cast

from pipelines.config import EvaluateConfig
from pipelines.data.checking import Headers
from pipelines.data.images import find_image_files
from pipelines.data.notes import first_names
from pipelines.data.voc import image_path, read_split, truth_path
from pipelines.errors import ConfigError, InputError, raise_all
from pipelines.events import Events


def pictures_and_truths(config: EvaluateConfig, events: Events) -> tuple[list[str], dict[str, Path], dict[str, Path]]:
    """Return the ids of the list, and by id the files of the pictures and of their true label maps.

    Args:
        config: Settings of the evaluation, with `voc`, or with `images` and `masks`.
        events: Told how many pictures or label maps are left out.

    Raises:
        InputError: The list or one of the files is missing [split-missing] [image-missing] [truth-missing], or a true
            label map is not of its picture's size [label-size].
    """
    ids = listed_ids(config)
    if config.masks is None:
        truths = truths_of(config, ids)
        pictures = pictures_of(config, ids)
    else:
        pictures, truths = _pairs(config, events)
    require_equal_sizes(pictures, truths)
    return ids, pictures, truths


def listed_ids(config: EvaluateConfig) -> list[str]:
    """Return the ids of the pictures to score: those of the VOC list, or those that have a mask in `masks`.

    Raises:
        InputError: As `read_split`; or there is no mask in the folder [folder-empty].
    """
    if config.masks is None:
        return read_split(cast(Path, config.voc), config.split)
    return list(find_image_files(config.masks))


def truths_of(config: EvaluateConfig, ids: list[str]) -> dict[str, Path]:
    """Return the files of the true label maps by id.

    Raises:
        InputError: A label map is missing [truth-missing].
    """
    if config.masks is None:
        return list_truths(cast(Path, config.voc), config.split, ids)
    files = find_image_files(config.masks)
    return {image_id: files[image_id] for image_id in ids}


def pictures_of(config: EvaluateConfig, ids: list[str]) -> dict[str, Path]:
    """Return the picture files by id.

    Raises:
        InputError: A picture is missing [image-missing].
    """
    if config.masks is None:
        return list_pictures(cast(Path, config.voc), ids)
    if config.images is None:
        message = f"--images: not given, the pictures of {config.masks} expected for a network; name their folder"
        raise ConfigError(message, "setting-missing")
    files = find_image_files(config.images)
    found = {image_id: files[image_id] for image_id in ids if image_id in files}
    if len(found) < len(ids):
        raise _unpaired(config.masks, [i for i in ids if i not in found], len(ids), config.images, "picture")
    return found


def list_name(config: EvaluateConfig) -> str | None:
    """Return the name of the list that is scored; None for a folder of masks."""
    return config.split if config.masks is None else None


def _pairs(config: EvaluateConfig, events: Events) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the pictures and the label maps of two folders, by the ids that both have.

    Raises:
        InputError: A picture has no label map [truth-missing], a label map has no picture [image-missing], or no two
            belong together.
    """
    images, masks = cast(Path, config.images), cast(Path, config.masks)
    pictures, truths = find_image_files(images), find_image_files(masks)
    bare = [image_id for image_id in pictures if image_id not in truths]
    orphans = [image_id for image_id in truths if image_id not in pictures]
    both = [image_id for image_id in pictures if image_id in truths]
    if (bare or orphans) and (not both or not config.allow_missing):
        faults = [_unpaired(images, bare, len(pictures), masks, "label map")] if bare else []
        raise_all(faults + ([_unpaired(masks, orphans, len(truths), images, "picture")] if orphans else []))
    if bare or orphans:
        events.warn(
            f"{len(bare)} pictures without a label map and {len(orphans)} label maps without a picture left out"
        )
    return {image_id: pictures[image_id] for image_id in both}, {image_id: truths[image_id] for image_id in both}


def _unpaired(folder: Path, ids: list[str], total: int, other: Path, what: str) -> InputError:
    rule = "image-missing" if what == "picture" else "truth-missing"
    return InputError(
        f"{folder}: {len(ids)} of {total} files have no {what} of the same name in {other} ({first_names(ids)}), "
        "expected one for each; complete the folders, or leave them out with --allow-missing",
        rule,
    )


def list_pictures(voc: Path, ids: list[str]) -> dict[str, Path]:
    """Return the picture files by id.

    Raises:
        InputError: A picture is missing [image-missing].
    """
    pictures = {image_id: image_path(voc, image_id) for image_id in ids}
    require_files(pictures, "pictures of the list", "complete the data set", "image-missing")
    return pictures


def list_truths(voc: Path, split: str, ids: list[str]) -> dict[str, Path]:
    """Return the files of the true label maps by id.

    Raises:
        InputError: A label map is missing [truth-missing].
    """
    files = {image_id: truth_path(voc, image_id) for image_id in ids}
    require_files(files, f"true label maps of {split}", "evaluate on a split that has them", "truth-missing")
    return files


def require_equal_sizes(pictures: dict[str, Path], truths: dict[str, Path]) -> None:
    """Compare the sizes of pictures and of their true label maps, from the headers alone.

    A header that cannot be read is left to the reader of the whole file.

    Raises:
        InputError: Some sizes differ [label-size]; the message names the first files.
    """
    seen = Headers().read([*pictures.values(), *truths.values()])
    strange = []
    for image_id, picture in pictures.items():
        found, expected = seen[truths[image_id]], seen[picture]
        if isinstance(found, tuple) and isinstance(expected, tuple) and found != expected:
            sizes = [f"{width}x{height}" for height, width in (found, expected)]
            strange.append(f"{truths[image_id].name} is {sizes[0]}, {picture.name} is {sizes[1]}")
    if strange:
        raise InputError(
            f"{next(iter(truths.values())).parent}: {len(strange)} of {len(truths)} true label maps have another size "
            f"than their picture ({first_names(strange)}), expected the same; make both the same size",
            "label-size",
        )


def require_apart(folder: Path | None, truths: dict[str, Path]) -> None:
    """Refuse to write predictions over the truth that they are compared with.

    Raises:
        ConfigError: `--save-predictions` names the folder of the truth [evaluate-option].
    """
    if folder is not None and folder.resolve() in {path.parent.resolve() for path in truths.values()}:
        found = "is the folder of the truth, expected one for predictions"
        raise ConfigError(f"--save-predictions: {folder} {found}; name another", "evaluate-option")


def existing(files: dict[str, Path], what: str, allow_missing: bool, events: Events) -> dict[str, Path]:
    """Return the files that are there.

    Args:
        files: Files by image id.
        what: What the files are, in the plural.
        allow_missing: Whether some may be missing; at least one must be there.
        events: Told how many are missing.

    Raises:
        InputError: A file is missing, or all are [predictions-missing].
    """
    found = {image_id: path for image_id, path in files.items() if os.path.isfile(path)}
    if not found or not allow_missing:
        require_files(files, what, "make them, or leave them out with --allow-missing", "predictions-missing")
    elif len(found) < len(files):
        events.warn(f"{len(files) - len(found)} of {len(files)} {what} are missing and left out of every score")
    return found


def require_files(files: dict[str, Path], what: str, advice: str, rule: str) -> None:
    """Refuse a list of which a file is missing, and name the first missing ones.

    Args:
        files: Files by image id.
        what: What the files are, in the plural.
        advice: Remedy of the error.
        rule: Rule of the error.

    Raises:
        InputError: A file is missing.
    """
    missing = [path for path in files.values() if not os.path.isfile(path)]
    if missing:
        names = first_names([path.name for path in missing])
        found = f"{len(missing)} of {len(files)} {what} are missing ({names})"
        raise InputError(f"{missing[0].parent}: {found}, expected all; {advice}", rule)
