"""Pictures as a viewer shows them, label maps that come back, and masks that follow their picture."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.images import image_size, open_image, picture_frame
from pipelines.data.label_maps import encode_palette_map, read_label_map, read_palette_map
from pipelines.data.palette import indices_of_colours, voc_palette
from pipelines.data.placement import Placement, place_mask, placement
from pipelines.data.transforms import to_network

# EXIF 2.3: which side of the scene the first stored row and the first stored column show.
ORIENTATIONS: dict[int, Callable[[NDArray], NDArray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.swapaxes(stored, 0, 1)[:, ::-1],
    7: lambda stored: np.swapaxes(stored, 0, 1)[::-1, ::-1],
    8: lambda stored: np.swapaxes(stored, 0, 1)[::-1],
}
SIDES = st.integers(1, 40)


def noise(height: int, width: int, seed: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)


@given(SIDES, SIDES, st.integers(0, 10**6), st.sampled_from(list(ORIENTATIONS)), st.sampled_from(["PNG", "TIFF"]))
def test_pictures_and_their_masks_are_turned_as_exif_says(
    height: int, width: int, seed: int, orientation: int, form: str
) -> None:
    stored = noise(height, width, seed)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"x.{form.lower()}")
        Image.fromarray(stored).save(path, format=form, exif=exif)
        shown = ORIENTATIONS[orientation](stored)
        np.testing.assert_array_equal(open_image(path), shown)
        assert image_size(path) == shown.shape[:2]
        frame = picture_frame(path)
    if form == "PNG" and height != width:
        mask = stored[:, :, 0] > 127
        way = placement((height, width), frame)
        turned = orientation >= 5
        expected = ORIENTATIONS[orientation](mask) if turned else mask
        if turned:  # the size of the mask proves that it was drawn before the turn
            np.testing.assert_array_equal(place_mask(mask, way), expected)
        np.testing.assert_array_equal(place_mask(mask, placement((height, width), frame, before_exif=True)),
                                      ORIENTATIONS[orientation](mask))  # fmt: skip


@given(SIDES, SIDES, st.integers(1, 5), st.integers(0, 10**6))
def test_a_mask_of_a_larger_picture_is_scaled_by_the_nearest_pixel(h: int, w: int, factor: int, seed: int) -> None:
    mask = noise(h, w, seed)[:, :, 0] > 127
    drawn = np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
    np.testing.assert_array_equal(place_mask(drawn, Placement(drawn.shape, mask.shape)), mask)
    np.testing.assert_array_equal(place_mask(mask, Placement(mask.shape, drawn.shape)), drawn)


@given(SIDES, SIDES, st.integers(1, 40), st.tuples(*[st.integers(0, 255)] * 3))
def test_a_plain_picture_stays_plain_at_the_size_of_the_network(
    height: int, width: int, size: int, colour: tuple[int, int, int]
) -> None:
    picture = np.full((height, width, 3), colour, np.uint8)
    resized = to_network(picture, size)
    assert resized.shape == (3, size, size)
    assert resized.permute(1, 2, 0).reshape(-1, 3).unique(dim=0).tolist() == [list(colour)]


@given(SIDES, SIDES, st.integers(0, 10**6))
def test_a_resized_picture_stays_between_its_darkest_and_brightest_pixel(height: int, width: int, seed: int) -> None:
    picture = noise(height, width, seed) // 2 + 40
    resized = to_network(picture, 24)
    low, high = picture.reshape(-1, 3).min(axis=0), picture.reshape(-1, 3).max(axis=0)
    assert (resized.reshape(3, -1).numpy().T >= low).all() and (resized.reshape(3, -1).numpy().T <= high).all()


CLASSES = st.one_of(
    st.lists(st.sampled_from(VOC_CLASSES), min_size=1, max_size=20, unique=True),
    st.integers(1, 254).map(lambda n: [f"class {i}" for i in range(n)]),
).map(ClassList.from_names)


@given(CLASSES, SIDES, SIDES, st.integers(0, 10**6))
def test_label_maps_come_back_from_their_file(classes: ClassList, height: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    label_map = generator.integers(0, classes.n_outputs, (height, width)).astype(np.uint8)
    label_map[generator.random((height, width)) < 0.1] = 255
    palette_map = classes.to_palette(label_map)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "map.png")
        path.write_bytes(encode_palette_map(palette_map))
        np.testing.assert_array_equal(read_palette_map(path), palette_map)
        np.testing.assert_array_equal(read_label_map(path, classes), label_map)
        # The same by its colours, as annotation tools save it, and as grey values.
        for mode in ("RGB", "L"):
            grey = Image.fromarray(palette_map)
            image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB") if mode == "RGB" else grey
            image.save(path.with_name(f"{mode}.png"))
            np.testing.assert_array_equal(read_label_map(path.with_name(f"{mode}.png"), classes), label_map)


def test_each_index_has_a_colour_of_its_own_and_leads_back() -> None:
    colours = np.reshape(voc_palette(), (1, 256, 3))
    np.testing.assert_array_equal(indices_of_colours(colours), [range(256)])
    # The development kit's colours of aeroplane, bicycle, tvmonitor and of what is not judged.
    assert colours[0, [0, 1, 2, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip


@given(CLASSES, st.integers(0, 255))
def test_positions_and_palette_indices_are_inverse(classes: ClassList, value: int) -> None:
    one = np.array([value], np.uint8)
    assert classes.from_palette(classes.to_palette(one)) == (value if value < classes.n_outputs else 255)
    back = classes.to_palette(classes.from_palette(one))
    assert back == (value if value in (0, *classes.indices) else 255)
