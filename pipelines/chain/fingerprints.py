"""What a step depends on, as one hash: it stays the same for as long as doing the step again would be in vain.

Compared are the settings that bear on the result, and the content of annotation files, keywords, class lists, lists of
pictures, weights, manifests and records of labels, and true masks. Of pictures, the names and the sizes in bytes alone:
reading them all would take longer than some stages, and another picture has another size. Where things lie, the device
and the number of threads do not count.
"""

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipelines.chain.steps import Step
from pipelines.config import (
    DeepLabTrainConfig,
    EvaluateConfig,
    PseudoLabelConfig,
    StageConfig,
    TrainConfig,
    to_json,
)
from pipelines.config.setting import limits_of
from pipelines.data.classes import load_classes
from pipelines.data.images import ImageFile, find_image_files, find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.tar_shards import TarMember
from pipelines.data.voc import image_path, read_id_list, read_split, truth_path
from pipelines.errors import InputError
from pipelines.files import Journal, read_json, sha256_file, sha256_lines

_WITHOUT_EFFECT = {"retry_failed", "keywords"}  # the keywords themselves are compared, not where they stand
_MAY_BE_FILES = {"classes", "trunk_weights"}


def fingerprint(step: Step) -> str:
    """The hash of a step whose inputs are all there.

    Raises:
        S4Error: An input cannot be read, as in the stage itself.
    """
    content = {"command": step.config.command, "settings": _settings(step.config), "inputs": _inputs(step)}
    return sha256_lines([json.dumps(content, sort_keys=True)])


def single_keyword_ids(labels: Path, within: Path | None) -> list[str]:
    """The pictures with a label map and one keyword alone, in the order of the records.

    Args:
        labels: A finished label folder.
        within: List that they must be on; None for all.

    Raises:
        InputError: There is none [chain-single].
    """
    wanted = None if within is None else set(read_id_list(within))
    ids = [
        record["image_id"]
        for record in Journal(labels / "records.jsonl").read()
        if len(record.get("keywords", ())) == 1 and (wanted is None or record["image_id"] in wanted)
    ]
    if not ids:
        message = f"{labels}: no labelled picture has a single keyword, some expected; leave --first-round at all"
        raise InputError(message, "chain-single")
    return ids


def listed_names(annotations: Path) -> list[str]:
    """The file names of the pictures of a COCO file; those of entries without one are left out.

    Raises:
        InputError: No JSON file, or without pictures [coco-structure].
    """
    content = read_json(annotations)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        message = f"{annotations}: no list of images, expected a COCO file; check the file"
        raise InputError(message, "coco-structure")
    return [
        image["file_name"] for image in images if isinstance(image, dict) and isinstance(image.get("file_name"), str)
    ]


def _settings(config: StageConfig) -> dict[str, Any]:
    values = to_json(config)
    kept = {}
    for field in fields(config):
        if (
            limits_of(field).may_change
            or field.name in _WITHOUT_EFFECT
            or isinstance(getattr(config, field.name), Path)
        ):
            continue
        value = values[field.name]
        if field.name in _MAY_BE_FILES and value is not None and Path(value).is_file():
            value = sha256_file(Path(value))
        if value is not None and value is not False:  # so that a setting added later, and not used, changes nothing
            kept[field.name] = value
    return kept


def _inputs(step: Step) -> dict[str, Any]:
    config = step.config
    if isinstance(config, TrainConfig):
        return _of_train(config)
    if isinstance(config, PseudoLabelConfig):
        return _of_pseudo_label(config)
    if isinstance(config, DeepLabTrainConfig):
        return _of_deeplab_train(step, config)
    assert isinstance(config, EvaluateConfig)
    return _of_evaluate(config)


def _of_train(config: TrainConfig) -> dict[str, Any]:
    files = [file for file in (config.annotations, config.val_annotations) if file is not None]
    names = {name for file in files for name in listed_names(file)}
    return {
        "annotations": [sha256_file(file) for file in files],
        "pictures": _sizes((name, config.images / name) for name in sorted(names)),
    }


def _of_pseudo_label(config: PseudoLabelConfig) -> dict[str, Any]:
    images = find_images(config.images)
    classes = load_classes(config.classes)
    keywords = read_keywords(config.keywords, images, config.images, classes, config.split)
    inputs = {
        "weights": _weights(config.weights),
        "segmenter": _weights(config.segmenter),
        "keywords": sha256_lines(f"{image_id},{';'.join(words)}" for image_id, words in sorted(keywords.items())),
        "pictures": _sizes((image_id, images[image_id]) for image_id in sorted(keywords)),
    }
    if config.instances is not None:
        is_folder = config.instances.is_dir()
        inputs["instances"] = (
            _sizes(find_image_files(config.instances).items()) if is_folder else _hash(config.instances)
        )
    return inputs


def _of_deeplab_train(step: Step, config: DeepLabTrainConfig) -> dict[str, Any]:
    labels = open_labels(config.labels, config.labels_are, None)
    if step.single:
        ids = single_keyword_ids(config.labels, step.within)
    else:
        ids = read_id_list(config.list) if config.list is not None else labels.ids()
    images = find_images(config.images)
    inputs: dict[str, Any] = {
        "labels": _labels(labels, ids),
        "list": sha256_lines(ids),
        "pictures": _sizes((image_id, images.get(image_id)) for image_id in ids),
    }
    if config.val_voc is not None:
        inputs["val"] = _voc(config.val_voc, "val", pictures=True)
    return inputs


def _of_evaluate(config: EvaluateConfig) -> dict[str, Any]:
    inputs: dict[str, Any] = {"weights": _weights(config.weights)}
    if config.voc is not None:
        inputs["voc"] = _voc(config.voc, config.split, pictures=config.weights is not None)
    if config.annotations is not None and config.images is not None:
        images = config.images
        inputs["annotations"] = _hash(config.annotations)
        inputs["pictures"] = _sizes((name, images / name) for name in sorted(set(listed_names(config.annotations))))
    if config.labels is not None:
        labels = open_labels(config.labels, "pseudo", None)
        inputs["labels"] = _labels(labels, labels.ids())
    if config.predictions is not None:
        inputs["predictions"] = _contents(find_image_files(config.predictions).items())
    if config.versus is not None:
        inputs["versus"] = _peer(config.versus)
    return inputs


def _peer(versus: Path) -> Any:
    """What predictions, labels or a network are compared with."""
    if versus.is_dir() and not (versus / "checkpoints").is_dir():
        return _contents(find_image_files(versus).items())
    return _weights(versus)


def _voc(voc: Path, split: str, pictures: bool) -> dict[str, str]:
    ids = read_split(voc, split)
    found = {"list": sha256_lines(ids), "truth": _contents((image_id, truth_path(voc, image_id)) for image_id in ids)}
    return found | ({"pictures": _sizes((i, image_path(voc, i)) for i in ids)} if pictures else {})


def _labels(labels: LabelFolder, ids: list[str]) -> list[str | None]:
    """Pseudo labels by the two files that say all about them; masks drawn by people by their content."""
    if labels.manifest:
        return [_hash(labels.path / name) for name in ("manifest.json", "records.jsonl")]
    return [_contents((image_id, labels.label_path(image_id)) for image_id in ids)]


def _weights(weights: Path | None) -> str | None:
    if weights is None:
        return None
    from pipelines.engine.checkpoint import weights_file  # brings torch

    return sha256_file(weights_file(weights))


def _hash(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _sizes(files: Iterable[tuple[str, ImageFile | None]]) -> str:
    """Names and sizes in bytes; what is not there has the size -1."""
    return sha256_lines(f"{name} {-1 if path is None else _size(path)}" for name, path in files)


def _size(path: ImageFile) -> int:
    if isinstance(path, TarMember):
        return path.size
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _contents(files: Iterable[tuple[str, Path]]) -> str:
    return sha256_lines(f"{name} {_hash(path)}" for name, path in files)
