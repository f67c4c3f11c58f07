"""One training of a comparison: train, detect on the test pictures, and leave a mark that both are done.

FOLDER/  the run folder of `s4 train`; only best.pt stays of its checkpoints when the training is done
         detections.json   what the network finds on the test pictures
         result.json       written last: the trial is finished
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config import DeepLabTrainConfig, TrainConfig
from pipelines.data.coco import CocoPicture
from pipelines.data.images import open_working_picture
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import plain, read_json, remove_file, write_json
from pipelines.metrics.instance_ap import PictureDetections
from pipelines.networks.load import load_s4net

TrainCommand = Callable[[TrainConfig, Events], dict[str, Any]]
"""The function of `s4 train`, given by whoever may import commands."""


@dataclass(frozen=True)
class Training:
    """A training of any network with what follows it, finished or not.

    Attributes:
        label: Name of the training in messages.
        config: Settings of the training; its `run` is the folder.
    """

    label: str
    config: TrainConfig | DeepLabTrainConfig

    @property
    def folder(self) -> Path:
        """Where everything of the trial is."""
        return self.config.run

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return (self.folder / "result.json").exists()

    def result(self) -> dict[str, Any]:
        """Read what was written when everything was done.

        Raises:
            InputError: The file is missing or damaged.
        """
        content = read_json(self.folder / "result.json")
        if not isinstance(content, dict):
            raise self.damaged("result.json", "remove the whole folder, and the same command trains anew")
        return content

    def damaged(self, name: str, advice: str) -> InputError:
        """Return the error that tells of a damaged file of the training, with what to do about it."""
        found = f"{self.folder / name}: is of other pictures or was altered, the file that s4 wrote expected"
        return InputError(f"{found}; {advice}", "trial-damaged")


@dataclass(frozen=True)
class Trial(Training):
    """A training of S4Net with the detections on the test pictures."""

    config: TrainConfig

    def detections(self, pictures: Sequence[CocoPicture]) -> list[PictureDetections]:
        """Return what the trained network finds on the test pictures: from the file, or found anew without one.

        Raises:
            InputError: The file is damaged or of other pictures, or the trained network is gone.
        """
        path = self.folder / "detections.json"
        if not path.exists():
            write_json(path, _to_json(_detect(self.config, pictures)), indent=None)
        try:
            found = [_from_json(entry) for entry in read_json(path)]
        except (TypeError, KeyError, ValueError) as error:
            raise self.damaged("detections.json", "remove it, and the same command makes it anew") from error
        if [entry.image_id for entry in found] != [picture.image_id for picture in pictures]:
            raise self.damaged("detections.json", "remove it, and the same command makes it anew")
        return found


def run_trial(trial: Trial, train: TrainCommand, pictures: Sequence[CocoPicture], events: Events) -> dict[str, Any]:
    """Bring a trial to its end; started again after a kill, it goes on from the training's last checkpoint.

    Args:
        trial: A trial that is not finished.
        train: The command that trains.
        pictures: Test pictures.
        events: Receives the lines of the training.

    Returns:
        {seed, steps, seconds, images_per_second, best_step, val_ap50}. val_ap50 is None without validation pictures,
        and nan where they have no instance.

    Raises:
        S4Error: Those of `train`.
    """
    # A channel of its own, because the log file of the training belongs to the training alone.
    summary = train(trial.config, Events(events.stream))
    # A file from before a kill may have the detections of an earlier checkpoint.
    remove_file(trial.folder / "detections.json")
    trial.detections(pictures)
    result = {
        "seed": trial.config.seed,
        **{name: summary[name] for name in ("steps", "seconds", "images_per_second")},
        "best_step": summary["best"]["step"],
        "val_ap50": summary["best"]["value"],
    }
    write_json(trial.folder / "result.json", plain(result))
    drop_state(trial)
    return result


def drop_state(trial: Training) -> None:
    """Remove the last state, which only an unfinished training needs: it has four times the size of the weights."""
    remove_file(trial.folder / "checkpoints" / "last.pt")


def _detect(config: TrainConfig, pictures: Sequence[CocoPicture]) -> list[PictureDetections]:
    network = load_s4net(config.run, device=config.device, precision=config.precision)
    found = []
    for picture in pictures:
        pixels, size = open_working_picture(picture.path)
        instances = network(pixels)
        rles = size.encode(instances.masks.cpu().numpy())
        found.append(PictureDetections(picture.image_id, instances.scores.float().cpu().numpy(), rles))
    return found


def _to_json(detections: Sequence[PictureDetections]) -> list[dict[str, Any]]:
    return [{"image_id": entry.image_id, "scores": entry.scores.tolist(), "rles": entry.rles} for entry in detections]


def _from_json(entry: dict[str, Any]) -> PictureDetections:
    return PictureDetections(entry["image_id"], np.array(entry["scores"], np.float64), entry["rles"])
