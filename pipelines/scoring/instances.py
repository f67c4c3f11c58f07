"""Part of stage `s4 evaluate`: mask AP of salient instances, compared with a COCO file.

The paper's mAP_O is about pictures with occlusion, which the paper does not define. So three readings are scored:
pictures with boxes that share area, pictures with instances that are really close, and the occluded instances of all
pictures.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipelines.config import EvaluateConfig
from pipelines.data.coco import CocoPicture, load_coco
from pipelines.data.images import open_working_picture
from pipelines.events import Events
from pipelines.files import sha256_file
from pipelines.metrics.instance_ap import PictureDetections, accumulate, match_pictures
from pipelines.metrics.judged_pictures import judge
from pipelines.metrics.occlusion import occluded_instances, occluded_subset, strictly_occluded_subset
from pipelines.metrics.plausibility import poor_instances


def score_instances(config: EvaluateConfig, events: Events) -> dict[str, Any]:
    """Score a network on every picture of `config.annotations`.

    Args:
        config: Settings, with `images`, `annotations` and `weights`.
        events: Receives progress.

    Returns:
        Scores (`ap, ap50, ap70, ap75, release_map50, release_map70`) over all pictures; `ci95` with the 95 % bootstrap
        interval over pictures of each score; `occluded` and `occluded_strict` with the scores and `images` of these
        subsets; `occluded_instances` with `ap` to `ap75` over all pictures, where instances without occlusion are
        ignored, and `instances`, the number of the others; `by_source` with the scores and `images` of each source
        that the file names, if it names any; `flip`, whether mirror images were read too; `images`;
        `annotations_sha256`; `warnings`, see `pipelines.metrics.plausibility`. Scores are fractions 0..1, nan where
        there is no instance.

    Raises:
        InputError: The annotations, a picture or the weights are missing, damaged, or do not fit each other.
    """
    annotations = cast(Path, config.annotations)
    pictures = load_coco(annotations, cast(Path, config.images), events)
    detections = _detect(config, pictures, events)
    judged = judge(pictures, detections)

    def scores(image_ids: Iterable[str]) -> dict[str, Any]:
        wanted = set(image_ids)
        chosen = [index for index, picture in enumerate(pictures) if picture.image_id in wanted]
        return {**judged.scores(np.array(chosen, np.int64)), "images": len(chosen)}

    sources = sorted({picture.source for picture in pictures} - {""})
    by_source = {source: scores(each.image_id for each in pictures if each.source == source) for source in sources}
    of_all = scores(picture.image_id for picture in pictures)
    return {
        **of_all,
        "ci95": {name: list(ends) for name, ends in judged.intervals().items()},
        "occluded": scores(occluded_subset(pictures)),
        "occluded_strict": scores(strictly_occluded_subset(pictures)),
        "occluded_instances": _on_occluded_instances(pictures, detections),
        **({"by_source": by_source} if by_source else {}),
        "flip": config.flip,
        "annotations_sha256": sha256_file(annotations),
        "warnings": poor_instances(str(config.weights), of_all["ap50"]),
    }


def _detect(config: EvaluateConfig, pictures: Sequence[CocoPicture], events: Events) -> list[PictureDetections]:
    from pipelines.networks.load import load_s4net  # brings torch; the annotations are checked before

    weights = cast(Path, config.weights)
    network = load_s4net(weights, flip=config.flip, device=config.device, precision=config.precision)
    detections = []
    with events.progress(len(pictures), "instances") as progress:
        for picture in pictures:
            pixels, size = open_working_picture(picture.path)
            found = network(pixels)
            rles = size.encode(found.masks.cpu().numpy())
            detections.append(PictureDetections(picture.image_id, found.scores.cpu().numpy(), rles))
            progress.advance()
    return detections


def _on_occluded_instances(
    pictures: Sequence[CocoPicture], detections: Sequence[PictureDetections]
) -> dict[str, float | int]:
    occluded = occluded_instances(pictures)
    ignored = {image_id: ~flags for image_id, flags in occluded.items()}
    scores = accumulate(match_pictures(pictures, detections, ignored))
    return {**scores, "instances": sum(int(flags.sum()) for flags in occluded.values())}
