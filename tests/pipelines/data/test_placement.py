import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import Frame
from pipelines.data.placement import Placement, drawn_before_exif, is_doubtful, place_mask, placement
from pipelines.data.rle import MaskSizeError

QUARTER = Image.Transpose.ROTATE_270  # clockwise by 90 degrees
UPRIGHT, TURNED = Frame((20, 30), (20, 30)), Frame((30, 20), (20, 30), QUARTER)
HALF = Frame((20, 30), (20, 30), Image.Transpose.ROTATE_180)


@pytest.mark.parametrize(
    ("drawn", "way"),
    [
        ((20, 30), Placement((20, 30), (20, 30))),
        ((40, 60), Placement((40, 60), (20, 30))),
        ((7, 10), Placement((7, 10), (20, 30))),  # 20 / 3 is 6.67
        ((427, 640), Placement((427, 640), (20, 30))),  # 640 x 426.67
    ],
)
def test_a_size_of_the_same_shape_is_scaled(drawn: tuple[int, int], way: Placement) -> None:
    assert placement(drawn, UPRIGHT) == way


@pytest.mark.parametrize("drawn", [(30, 20), (21, 30), (20, 31), (320, 320), (40, 63), (19, 31), (480, 640)])
def test_another_shape_is_refused_with_both_sizes(drawn: tuple[int, int]) -> None:
    with pytest.raises(MaskSizeError, match=f"mask of {drawn[1]}x{drawn[0]}, 30x20 as the picture expected"):
        placement(drawn, UPRIGHT)


def test_the_size_tells_whether_exif_was_applied() -> None:
    assert placement((30, 20), TURNED) == Placement((30, 20), (30, 20), QUARTER)
    assert placement((60, 40), TURNED) == Placement((60, 40), (30, 20), QUARTER)
    assert placement((20, 30), TURNED) == Placement((20, 30), (20, 30))
    assert drawn_before_exif((30, 20), TURNED) and not drawn_before_exif((20, 30), TURNED)
    assert not is_doubtful((30, 20), TURNED)


def test_where_the_size_does_not_tell_others_decide() -> None:
    assert is_doubtful((20, 30), HALF) and not drawn_before_exif((20, 30), HALF)
    assert placement((20, 30), HALF).turn is None
    assert placement((20, 30), HALF, before_exif=True).turn == Image.Transpose.ROTATE_180


def test_a_mask_is_scaled_and_turned() -> None:
    mask = np.array([[True, False, False], [False, False, False]])  # its upper left pixel
    placed = place_mask(mask, Placement((2, 3), (4, 6), QUARTER))
    # scaled, the pixel is the upper left 2x2; turned clockwise, it is the upper right 2x2 of 6 rows and 4 columns
    expected = np.zeros((6, 4), bool)
    expected[:2, 2:] = True
    assert np.array_equal(placed, expected)
    assert place_mask(mask, Placement((2, 3), (2, 3))) is mask
