import numpy as np
import pytest

from pipelines.data.classes import ClassList
from pipelines.report.overlays import draw_instances, draw_label_map, side_by_side, silhouettes

GREY = np.full((40, 60, 3), 100, np.uint8)
PEOPLE = ClassList.from_names(["person"])
FIRST = (230, 159, 0)  # orange of Okabe and Ito, the colour of the first class


def square(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_instance_is_tinted_inside_outlined_at_its_border_and_boxed() -> None:
    mask = square(20, 20, 40, 36)
    drawn = draw_instances(GREY, np.array([[18, 18, 42, 38]]), mask[None], opacity=0.5)
    red, green, blue = color = drawn[20, 30]  # on the outline: the pure colour
    assert drawn[28, 30].tolist() == [round((100 + int(value)) / 2) for value in (red, green, blue)]
    # the box is half-open: its last column is 41, its last row 37
    for row, column in [(18, 18), (18, 41), (37, 18), (37, 41)]:
        assert (drawn[row, column] == color).all()
    untouched = ~square(18, 18, 42, 38)
    assert (drawn[untouched] == 100).all()
    assert (drawn[19, 19:41] == 100).all()  # between box and mask


def test_drawing_leaves_the_picture_itself_alone_and_nothing_to_draw_changes_nothing() -> None:
    before = GREY.copy()
    draw_instances(GREY, np.array([[0, 0, 9, 9]]), square(0, 0, 9, 9)[None], np.array([0.5]))
    draw_label_map(GREY, np.full((40, 60), 255, np.uint8), PEOPLE)
    assert (before == GREY).all()
    assert (draw_instances(GREY, np.zeros((0, 4)), np.zeros((0, 40, 60)), np.zeros(0)) == GREY).all()


def test_best_instance_lies_on_top_whatever_its_place() -> None:
    masks = np.stack([square(0, 0, 60, 40)] * 2)
    boxes = np.zeros((2, 4))  # empty boxes are not drawn, nor are their scores
    first = draw_instances(GREY, boxes, masks, np.array([0.9, 0.1]), opacity=1.0)
    second = draw_instances(GREY, boxes, masks, np.array([0.1, 0.9]), opacity=1.0)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) == len(np.unique(second.reshape(-1, 3), axis=0)) == 1
    assert (first[0, 0] != second[0, 0]).any()


def test_scores_are_written_at_the_box_and_only_if_given() -> None:
    box, mask = np.array([[20, 5, 58, 38]]), square(30, 25, 50, 35)[None]
    silent = draw_instances(GREY, box, mask)
    written = draw_instances(GREY, box, mask, np.array([0.5]))
    changed = np.argwhere((silent != written).any(axis=2))
    assert len(changed) > 50
    assert (changed >= (5, 20)).all()
    assert (changed < (25, 58)).all()


def test_more_instances_than_colours_and_boxes_outside_of_the_picture_are_drawn() -> None:
    boxes = np.tile([[-30.0, -30.0, 200.0, 200.0]], (25, 1))
    drawn = draw_instances(GREY, boxes, np.zeros((25, 40, 60), np.uint8), np.linspace(0, 1, 25))
    assert drawn.shape == GREY.shape


def test_label_map_shows_display_colours_leaves_background_and_stripes_ignored_pixels() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 10:30] = 1
    labels[:, 50:] = 255
    drawn = draw_label_map(GREY, labels, PEOPLE, opacity=0.5)
    assert drawn[20, 20].tolist() == [165, 130, 50]  # half grey 100, half orange; 129.5 rounds to even
    assert drawn[10, 20].tolist() == [255, 255, 255]  # outline
    assert (drawn[:40, 35:50] == 100).all()
    assert {tuple(color) for color in drawn[:40, 50:].reshape(-1, 3).tolist()} == {(245,) * 3, (150,) * 3}


def test_the_picture_gives_a_tint_its_brightness_and_no_hue() -> None:
    picture = np.full((40, 60, 3), (200, 50, 0), np.uint8)  # brightness 0.299 * 200 + 0.587 * 50 = 89.15
    whole = np.ones((40, 60), np.uint8)
    assert draw_label_map(picture, whole, PEOPLE, opacity=0.5)[20, 20].tolist() == [160, 124, 45]
    grey = np.full((40, 60, 3), 89, np.uint8)
    boxes = np.zeros((1, 4))
    assert (draw_instances(picture, boxes, whole[None]) == draw_instances(grey, boxes, whole[None])).all()


def test_legend_lies_below_and_names_only_what_occurs() -> None:
    labels = np.zeros((40, 200), np.uint8)
    picture = np.full((40, 200, 3), 100, np.uint8)
    assert draw_label_map(picture, labels, PEOPLE).shape == (40, 200, 3)
    labels[0, 0] = 1
    one = draw_label_map(picture, labels, ClassList.from_names(["person", "cat"]))
    assert one.shape == (58, 200, 3)
    assert (one[40:].reshape(-1, 3) == FIRST).all(axis=1).sum() == 12 * 18  # one swatch, in full colour
    # named otherwise, the same picture has another legend
    assert (draw_label_map(picture, labels, ClassList(("people",), (15,)))[40:] != one[40:]).any()


def test_legend_wraps_into_as_many_rows_as_needed() -> None:
    labels = np.repeat(np.arange(1, 9, dtype=np.uint8), 40).reshape(8, 40)
    drawn = draw_label_map(
        np.zeros((8, 40, 3), np.uint8), labels, ClassList.from_names([f"class {n}" for n in range(8)])
    )
    assert drawn.shape == (8 + 8 * 18, 40, 3)  # nothing fits beside another in 40 pixels


def test_row_of_pictures_keeps_their_pixels_on_white() -> None:
    small, large = np.full((10, 30, 3), 7, np.uint8), np.full((25, 40, 3), 9, np.uint8)
    row = side_by_side([small, large], ["picture", "truth of the very same picture"])
    assert row.shape == (20 + 25, 30 + 8 + 40, 3)
    assert (row[20:30, :30] == 7).all()
    assert (row[20:, 38:] == 9).all()
    assert (row[30:, :38] == 255).all()  # below the smaller one and between them
    assert (row[:20, :30] < 128).any()  # its caption
    assert (row[:20, 30:38] == 255).all()  # no caption runs into the gap


def test_row_needs_one_caption_for_each_of_its_pictures() -> None:
    with pytest.raises(ValueError, match="1 pictures with 2 captions"):
        side_by_side([GREY], ["a", "b"])
    with pytest.raises(ValueError, match="0 pictures"):
        side_by_side([], [])


def test_silhouettes_show_shapes_and_nothing_else():
    masks = np.zeros((2, 12, 20), np.uint8)
    masks[0, 2:10, 2:10], masks[1, 4:8, 12:18] = 1, 1
    canvas = silhouettes(masks)
    assert canvas.shape == (12, 20, 3)
    assert set(np.unique(canvas)) == {45, 105, 235}
    assert (canvas[masks.max(axis=0) == 0] == 45).all()
    assert (canvas[5:7, 5:7] == 105).all() and (canvas[2, 2:10] == 235).all()
