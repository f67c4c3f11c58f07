import numpy as np

from pipelines.pages.first_batch import instance_regions, leave_first_batch
from pipelines.report.display_colours import class_colours, css_colour
from pipelines.report.sheet import Tag, draw_regions, placed_tags, shrunk, tiled

GREY = np.full((40, 80, 3), 100, np.uint8)


def luminance(colour: np.ndarray) -> float:
    """Relative luminance of WCAG 2."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (colour / 255).tolist()]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


def test_every_colour_is_seen_on_black_and_no_two_are_the_same():
    colours = class_colours(254)
    assert colours.shape == (254, 3) and class_colours(2).tolist() == [[230, 159, 0], [86, 180, 233]]
    assert all((luminance(colour) + 0.05) / 0.05 >= 3 for colour in colours)
    assert len({tuple(colour) for colour in colours[:60].tolist()}) == 60
    assert css_colour(colours[0]) == "#e69f00"


def test_regions_are_tinted_outlined_light_on_dark_and_unknown_ones_striped():
    regions = np.zeros((40, 80), np.uint8)
    regions[10:30, 10:40] = 1
    regions[:, 60:] = 255
    drawn = draw_regions(GREY, regions)
    assert drawn[20, 20].tolist() == [165, 129, 50]  # half grey 100, half (230, 159, 0), rounded down
    assert drawn[10, 20].tolist() == [255, 255, 255] and drawn[9, 20].tolist() == [20, 24, 28]
    assert drawn[20, 50].tolist() == [100, 100, 100]
    assert {tuple(pixel) for pixel in drawn[:, 62:].reshape(-1, 3).tolist()} == {(125,) * 3, (167,) * 3}
    assert (GREY == 100).all()


def test_a_tag_that_would_cover_another_is_left_out():
    one = draw_regions(GREY, np.zeros((40, 80), np.uint8), [Tag("cat", (0, 0), 1)])
    both = draw_regions(GREY, np.zeros((40, 80), np.uint8), [Tag("cat", (0, 0), 1), Tag("dog", (3, 3), 2)])
    apart = draw_regions(GREY, np.zeros((40, 80), np.uint8), [Tag("cat", (0, 0), 1), Tag("dog", (50, 20), 2)])
    assert (one == both).all() and (one != apart).any() and (one != GREY).any()


def test_label_maps_are_reduced_to_the_nearest_place_and_names_stand_at_their_class():
    regions = np.kron(np.array([[0, 1], [2, 255]], np.uint8), np.ones((10, 20), np.uint8))
    assert shrunk(regions, (2, 2)).tolist() == [[0, 1], [2, 255]]
    tags = placed_tags(regions, ["cat", "dog"])
    assert [(tag.text, tag.corner, tag.position) for tag in tags] == [("cat", (20, 0), 1), ("dog", (0, 10), 2)]


def test_first_batch_is_a_sheet_of_its_pictures_and_its_failure_a_warning(tmp_path, capsys):
    from PIL import Image

    from pipelines.events import Events

    batch = [(np.full((24, 24, 3), 100, np.uint8), np.zeros((24, 24), np.uint8))] * 6
    leave_first_batch(tmp_path, lambda: batch, (), Events())
    with Image.open(tmp_path / "overlays" / "first-batch.jpg") as image:
        assert image.size == (4 * 28 - 4, 2 * 28 - 4)
    leave_first_batch(tmp_path / "other", lambda: [][0], (), Events())
    assert "[report-failed]" in capsys.readouterr().err
    assert tiled([GREY], 4).shape == GREY.shape


def test_small_instances_lie_on_top_of_large_ones():
    masks = np.zeros((2, 4, 4), np.uint8)
    masks[0, 1, 1], masks[1] = 1, 1
    assert instance_regions(masks).tolist() == [[2, 2, 2, 2], [2, 1, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]
