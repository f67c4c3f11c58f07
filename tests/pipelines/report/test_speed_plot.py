import io
from typing import Any

from PIL import Image

from pipelines.report.speed_plot import speed_plot

PEER = {"name": "peer", "images_per_second": 1.5, "ratio": 1.0, "precision": "fp32"}
OWN = {"name": "own, prepared", "images_per_second": 12.0, "ratio": 8.0, "precision": "bf16"}
ABSENT = {"name": "absent", "images_per_second": None, "ratio": None, "note": "not installed"}


def size(rows: list[dict[str, Any]], title: str = "") -> tuple[int, int]:
    with Image.open(io.BytesIO(speed_plot(rows, "peer", title))) as image:
        assert image.format == "PNG"
        return image.size


def test_rows_that_were_not_timed_take_no_place() -> None:
    assert size([PEER, OWN] * 10) == size([PEER, OWN] * 10 + [ABSENT] * 10)


def test_a_known_accuracy_adds_a_panel() -> None:
    assert size([PEER, OWN | {"accuracy": 0.7}])[0] > size([PEER, OWN])[0]


def test_nothing_timed_is_still_a_picture() -> None:
    assert size([ABSENT], "title")[1] > 100
