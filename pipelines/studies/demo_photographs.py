"""The first part of the demo's report: the network that ships, as it is, on real photographs."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.config.usual_places import BUILTIN, builtin_file
from pipelines.data.label_crops import reduced_size
from pipelines.data.photographs import bundled_photograph, in_colour
from pipelines.errors import MachineError
from pipelines.networks.load import load_s4net
from pipelines.report.html import Picture, Section
from pipelines.report.overlays import draw_instances, side_by_side
from s4net import Instances

# Names in `skimage.data`, and what the photographs show. Some suit the network, and some do not.
_PHOTOGRAPHS: Final = {
    "cat": "cat",
    "astronaut": "astronaut",
    "coffee": "coffee",
    "stereo_motorcycle": "motorcycle",
    "camera": "cameraman",
    "rocket": "rocket",
    "coins": "coins",
    "hubble_deep_field": "galaxies",
}
_LONGEST_SIDE = 400  # pixels of a photograph on the page
_HEADING = "1. The network that ships, on photographs"

Pixels = NDArray[np.uint8]


def shipped_section(least_score: float) -> Section:
    """Return the part of the report, or a line that says why there is nothing to show.

    Args:
        least_score: Instances scored below are not drawn.
    """
    if builtin_file() is None:
        return Section(_HEADING, "This installation has no network that ships, so nothing is shown here.")
    try:
        photographs = {title: shown_photograph(name) for name, title in _PHOTOGRAPHS.items()}
    except MachineError as error:
        return Section(_HEADING, f"The photographs are missing, so nothing is shown here. {error.message}.")
    network = load_s4net(BUILTIN)
    return Section(
        _HEADING,
        "The salient-instance network as it is installed, on photographs of scikit-image. Instances scored "
        f"{least_score:g} or more are drawn, each in its own colour, with box, outline and score. The network names "
        "nothing. It was made for the few things that a picture is about, not for many small ones such as the coins.",
        pictures=[_shown(photograph, title, network, least_score) for title, photograph in photographs.items()],
    )


def shown_photograph(name: str) -> Pixels:
    """Return a photograph [H, W, 3] of scikit-image, as large as a page shows it.

    Args:
        name: Name of a function in `skimage.data`.

    Raises:
        MachineError: scikit-image is not installed [demo-missing].
    """
    photograph = in_colour(bundled_photograph(name))
    height, width = reduced_size(photograph.shape[0], photograph.shape[1], _LONGEST_SIDE)
    return np.array(Image.fromarray(photograph).resize((width, height), Image.Resampling.LANCZOS))


def drawn(picture: Pixels, found: Instances) -> Pixels:
    """Draw what a network found on a picture [H, W, 3]."""
    scores = found.scores.float().cpu().numpy()
    return draw_instances(picture, found.boxes.cpu().numpy(), found.masks.cpu().numpy(), scores)


def _shown(photograph: Pixels, title: str, network: Callable[[Pixels], Instances], least_score: float) -> Picture:
    found = network(photograph).above(least_score)
    row = side_by_side([photograph, drawn(photograph, found)], ["photograph", "instances"])
    return Picture.from_array(row, f"{title}: {counted(found.scores.tolist())}")


def counted(scores: list[float]) -> str:
    """Return how many instances there are, and their scores: `2 instances, 0.75 and 0.70`."""
    if not scores:
        return "no instance"
    if len(scores) == 1:
        return f"1 instance, {scores[0]:.2f}"
    if len(scores) == 2:
        return f"2 instances, {scores[0]:.2f} and {scores[1]:.2f}"
    return f"{len(scores)} instances, {scores[0]:.2f} to {scores[-1]:.2f}"
