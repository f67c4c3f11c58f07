"""Label maps from salient instances and image-level keywords: `s4 pseudo-label`.

Each picture is an item of its own: its files are written first, then its record, so that a run which is killed and
started again does what is missing and nothing else (see `pipelines.data.label_records`).

A picture in which no instance reaches `min_score` keeps its best one if that reaches a third of it: its keywords say
that something is there, and a doubtful instance taught more than none. Failing that the whole picture is 255, for
background would be wrong about the very object that it is known to show.
"""

import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.attention_maps import AttentionMaps, attention_fingerprint, load_attention, train_attention
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import IGNORE, ClassList, load_classes
from pipelines.data.images import find_images, open_image
from pipelines.data.keywords_files import read_keywords
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_records import LabelRecords, Record, count_records
from pipelines.data.rle import boxes_of, encode_masks
from pipelines.engine.distributed import choose_device
from pipelines.engine.signals import StopRequest
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import remove_stale_temporaries, sha256_file, sha256_lines
from pipelines.keywords import (
    UNASSIGNED,
    Assignment,
    assign_attention,
    assign_single,
    compose_label_map,
    split_fused,
)
from pipelines.mask_sources import MaskSource, open_source, source_hash
from pipelines.weights import trunk_state
from s4net.instances import Instances
from s4net.trunk import timm_name

_WAITING_FILES = 4  # labels that may wait for the disk while the network works on
_FALLBACK = 1 / 3  # of min_score, for a picture that would otherwise be empty


@dataclass(frozen=True)
class _Plan:
    """What is to be done, known before anything is written.

    Attributes:
        images: image_id -> path of every picture with keywords, in order.
        keywords: image_id -> its keywords.
        classes: The class list.
        shard: (I, N), counted from 1.
    """

    images: dict[str, Path]
    keywords: dict[str, tuple[str, ...]]
    classes: ClassList
    shard: tuple[int, int]

    @property
    def own(self) -> list[str]:
        """The image ids of this shard."""
        return list(self.images)[self.shard[0] - 1 :: self.shard[1]]


def pseudo_label(config: PseudoLabelConfig, events: Events) -> dict[str, Any]:
    """Labels every picture that has keywords.

    Args:
        config: See `PseudoLabelConfig`.
        events: Receives progress and warnings.

    Returns:
        images, labelled, empty, failed, instances, assigned, unassigned: counts of this shard, earlier runs included;
        seconds, images_per_second: of this run; out. With `dry_run` the counts tell what is there already.

    Raises:
        ConfigError: The folder holds labels made with other settings [labels-differ], or bad settings.
        InputError: Pictures, keywords, classes or weights cannot be used.
        Stopped: A signal came; the same command goes on.
    """
    start = time.monotonic()
    plan = _make_plan(config)
    folder = LabelFolder(config.out, plan.classes)
    records = LabelRecords(folder, plan.shard)
    settings = _settings(config, plan)
    records.claim(settings, config.dry_run)
    done = records.done(config.retry_failed)
    todo = [image_id for image_id in plan.own if image_id not in done]
    if config.dry_run:
        _tell(plan, todo, events)
    else:
        remove_stale_temporaries(config.out)
        if todo:
            _label_all(config, plan, todo, records, events)
        complete = records.merge(list(plan.images), settings)
        if not complete:
            events.info(
                f"{config.out}: shard {config.shard} is done, others are not; the last one completes the folder"
            )
    done = records.done()
    counts = count_records([done[image_id] for image_id in plan.own if image_id in done])
    seconds = time.monotonic() - start
    made = 0 if config.dry_run else len(todo)
    return {**counts, "seconds": seconds, "images_per_second": made / seconds, "out": str(config.out)}


def _make_plan(config: PseudoLabelConfig) -> _Plan:
    classes = load_classes(config.classes)
    images = find_images(config.images)
    keywords = read_keywords(config.keywords, images, config.images, classes, config.split)
    shard, of = (int(part) for part in (config.shard or "1/1").split("/"))
    return _Plan({image_id: images[image_id] for image_id in sorted(keywords)}, keywords, classes, (shard, of))


def _settings(config: PseudoLabelConfig, plan: _Plan) -> dict[str, Any]:
    """Everything that the labels depend on; no paths, so that a moved data set is the same one."""
    keyword_lines = (f"{image_id},{';'.join(plan.keywords[image_id])}" for image_id in plan.images)
    settings: dict[str, Any] = {
        "classes": plan.classes.to_json(),
        **source_hash(config, plan.images),
        "image_list_sha256": sha256_lines(plan.images),
        "keywords_sha256": sha256_lines(keyword_lines),
        "configuration": {"assign": config.assign, "min_score": config.min_score, "precision": config.precision},
    }
    if _uses_attention(config, plan):
        source = config.trunk_weights
        file = Path(source)
        attention = {
            "trunk": config.trunk,
            "trunk_weights": sha256_file(file) if file.is_file() else source,
            "margin": config.margin,
            "seed": config.seed,
        }
        settings["configuration"] |= attention
    return settings


@dataclass(frozen=True, eq=False)
class _Labelled:
    """What is written for a picture: its record, and maps [H, W] uint8 unless it failed."""

    record: Record
    label_map: NDArray[np.uint8] | None = None
    confidence: NDArray[np.uint8] | None = None


def _uses_attention(config: PseudoLabelConfig, plan: _Plan) -> bool:
    return config.assign != "single" and any(len(words) > 1 for words in plan.keywords.values())


def _tell(plan: _Plan, todo: list[str], events: Events) -> None:
    """Says what a run would do."""
    counts = Counter(word for words in plan.keywords.values() for word in words)
    several = sum(len(words) > 1 for words in plan.keywords.values())
    events.info(f"{len(plan.images)} pictures with keywords, {several} of them with several")
    for name in plan.classes.names:
        if counts[name]:
            events.info(f"  {name}: {counts[name]}")
    shard = f" in shard {plan.shard[0]}/{plan.shard[1]}" if plan.shard[1] > 1 else ""
    events.info(f"to label{shard}: {len(todo)}, labelled before: {len(plan.own) - len(todo)}")


def _label_all(config: PseudoLabelConfig, plan: _Plan, todo: list[str], records: LabelRecords, events: Events) -> None:
    find = open_source(config, plan.images, config.min_score * _FALLBACK)
    attention = _attention(config, plan, events) if _uses_attention(config, plan) else None
    total = len(plan.own)
    with (
        events.progress(total, "labels", done=total - len(todo)) as progress,
        StopRequest() as stop,
        ThreadPoolExecutor(1, thread_name_prefix="writer") as writer,
    ):
        waiting: deque[Future[None]] = deque()

        def written(most_left: int) -> None:
            while len(waiting) > most_left:
                waiting.popleft().result()
                progress.advance()

        for image_id in todo:
            try:
                labelled = _label_one(image_id, config, plan, find, attention)
            except InputError as error:  # one damaged picture does not stop the others
                labelled = _Labelled({"image_id": image_id, "failed": {"rule": error.rule, "message": error.message}})
                events.warn(str(error))
            waiting.append(writer.submit(_keep, labelled, records))
            written(_WAITING_FILES)
            if stop.asked:
                break
        written(0)
        if stop.asked and progress.done < total:
            message = f"{config.out}: stopped by a signal after {progress.done} of {total} pictures, all labels kept"
            raise Stopped(f"{message}; start the same command again to go on", "stopped")


def _keep(labelled: "_Labelled", records: LabelRecords) -> None:
    """Write the files of a picture and, after them, its record: what has a record is complete."""
    if labelled.label_map is not None and labelled.confidence is not None:
        records.folder.write_label(labelled.record["image_id"], labelled.label_map)
        records.folder.write_confidence(labelled.record["image_id"], labelled.confidence)
    records.add(labelled.record)


def _attention(config: PseudoLabelConfig, plan: _Plan, events: Events) -> AttentionMaps:
    """The classifier of this label folder, from its file or trained now.

    Shards that start together each train it, and write the same one.
    """
    try:
        state: dict[str, Tensor] | None = trunk_state(timm_name(config.trunk), config.trunk_weights)
    except ValueError as error:
        raise ConfigError(f"--trunk {config.trunk}: {error}", "trunk-unusable") from error
    device = choose_device(config.device)
    path = config.out / "attention.safetensors"
    fingerprint = attention_fingerprint(plan.keywords, plan.classes, config.trunk, state, config.seed)
    network = (plan.classes, config.trunk, state)
    loaded = load_attention(path, fingerprint, *network, config.seed, device, config.precision)
    if loaded is not None:
        return loaded
    trained = train_attention(
        plan.images, plan.keywords, *network, events, config.seed, device=device, precision=config.precision
    )
    trained.save(path, fingerprint)
    return trained


def _label_one(
    image_id: str,
    config: PseudoLabelConfig,
    plan: _Plan,
    find: MaskSource,
    attention: AttentionMaps | None,
) -> "_Labelled":
    """Labels one picture."""
    path, keywords = plan.images[image_id], plan.keywords[image_id]
    picture = open_image(path)
    size = (picture.shape[0], picture.shape[1])
    kept = _confident(find(image_id, picture), config.min_score)
    masks, scores = kept.masks.cpu().numpy(), kept.scores.float().cpu().numpy()
    if len(keywords) > 1 and len(masks) and attention is not None:
        maps = attention(picture, [plan.classes.index_of(name) for name in keywords])
        assignment = assign_attention(masks, maps, config.margin)
        masks, parents, assignment = split_fused(masks, assignment, maps)
    else:
        parents, assignment = np.arange(len(masks)), assign_single(len(masks), len(keywords))
    scores = scores[parents]
    indices = [plan.classes.indices[plan.classes.index_of(name)] for name in keywords]
    classes = np.array([IGNORE if k == UNASSIGNED else indices[k] for k in assignment.keyword], np.uint8)
    label_map, confidence = compose_label_map(masks, scores, classes, size)
    if not len(masks):
        label_map[:], confidence[:] = IGNORE, 0
    record = {
        "image_id": image_id,
        "file_name": path.relative_to(config.images).as_posix(),
        "height": size[0],
        "width": size[1],
        "keywords": list(keywords),
        "instances": _instance_records(masks, scores, keywords, assignment, parents),
    }
    return _Labelled(record, label_map, confidence)


def _confident(found: Instances, min_score: float) -> Instances:
    """The instances scored `min_score` or more and with a mask; without any, the best one down to a third of it."""
    with torch.inference_mode():
        seen = found.masks.flatten(1).any(dim=1)
        found = Instances(found.boxes[seen], found.scores[seen], found.masks[seen])
        kept = found.above(min_score)
        if len(kept) or not len(found):
            return kept
        best = found.scores == found.scores.max()
        first = int(best.nonzero()[0])
        one = slice(first, first + 1)
        return Instances(found.boxes[one], found.scores[one], found.masks[one]).above(min_score * _FALLBACK)


def _instance_records(
    masks: NDArray[np.bool_],
    scores: NDArray[np.float32],
    keywords: tuple[str, ...],
    assignment: Assignment,
    parents: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """One JSON object for each instance, in the order of the masks.

    Boxes are those of the masks, half-open. The rule is that of the assignment, or `split` for a part that was cut out.
    """
    rles = encode_masks(masks)
    boxes = boxes_of(rles).tolist()
    n_whole = len(set(parents.tolist()))
    instances = []
    for number, rle in enumerate(rles):
        keyword = int(assignment.keyword[number])
        instances.append(
            {
                "box": boxes[number],
                "score": round(float(scores[number]), 6),
                "keyword": None if keyword == UNASSIGNED else keywords[keyword],
                "margin": round(float(assignment.margin[number]), 6),
                "rule": "split" if number >= n_whole else assignment.rule,
                "area": int(masks[number].sum()),
                "segmentation": rle,
            }
        )
    return instances
