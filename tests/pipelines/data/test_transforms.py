import numpy as np
import pytest
import torch

from pipelines.data.transforms import Augmentation, augment, half_open_boxes, paste, to_network


def scene(height: int = 60, width: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """A red and a green rectangle on black, each its own instance."""
    masks = np.zeros((2, height, width), np.uint8)
    masks[0, 10:30, 10:40], masks[1, 35:55, 50:70] = 1, 1
    picture = np.zeros((height, width, 3), np.uint8)
    picture[masks[0] > 0, 0], picture[masks[1] > 0, 1] = 255, 255
    return picture, masks


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_without_augmentation_the_picture_is_squashed():
    image, target = augment(*scene(), 160, Augmentation(flip=0.0), generator())
    assert image.shape == (3, 160, 160) and image.dtype == torch.uint8
    # 80 x 60 -> 160 x 160: x doubles, y grows by 160 / 60.
    expected = [[20, 10 * 160 / 60, 80, 30 * 160 / 60], [100, 35 * 160 / 60, 140, 55 * 160 / 60]]
    assert torch.allclose(target["boxes"], torch.tensor(expected), atol=1)
    assert torch.equal(image, to_network(scene()[0], 160))


def test_a_flip_mirrors_picture_boxes_and_masks_alike():
    plain, before = augment(*scene(), 160, Augmentation(flip=0.0), generator())
    mirrored, after = augment(*scene(), 160, Augmentation(flip=1.0), generator())
    assert torch.equal(mirrored, plain.flip(-1))
    assert torch.equal(after["masks"], before["masks"].flip(-1))
    assert torch.equal(after["boxes"][:, 0], 160 - before["boxes"][:, 2])


@pytest.mark.parametrize("seed", range(20))
def test_masks_stay_on_their_objects_under_every_window(seed):
    augmentation = Augmentation(scale=(0.6, 1.5), stretch=1.3)
    image, target = augment(*scene(), 160, augmentation, generator(seed))
    assert len(target["masks"]) >= 1
    for mask, box in zip(target["masks"].bool(), target["boxes"], strict=True):
        inside = image[:, mask].float().mean(dim=1)
        assert inside[:2].max() > 225 and inside[:2].min() < 30  # nearly pure red or green
        rows, columns = torch.where(mask)
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box.tolist() == [float(v) for v in tight]


def test_a_sample_is_a_function_of_its_generator():
    augmentation = Augmentation(scale=(0.6, 1.5), stretch=1.3, colour=0.3)
    first, again, other = (augment(*scene(), 96, augmentation, generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_pictures_without_instance_pass():
    picture, masks = scene()
    _, target = augment(picture, masks[:0], 96, Augmentation(scale=(0.6, 1.5)), generator())
    assert target["boxes"].shape == (0, 4) and target["masks"].shape == (0, 96, 96)


def test_colour_leaves_masks_alone():
    plain, before = augment(*scene(), 96, Augmentation(flip=0.0), generator())
    varied, after = augment(*scene(), 96, Augmentation(flip=0.0, colour=0.4), generator())
    assert torch.equal(before["masks"], after["masks"]) and not torch.equal(plain, varied)


def test_boxes_are_half_open():
    mask = torch.zeros(1, 8, 8)
    mask[0, 2:5, 1:7] = 1
    assert half_open_boxes(mask).tolist() == [[1, 2, 7, 5]]


def sample(colour: int, *corners: tuple[int, int, int, int]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A plain picture of 40 x 40 pixels with rectangles (x0, y0, x1, y1) as instances."""
    masks = torch.zeros(len(corners), 40, 40, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = 1
    return torch.full((3, 40, 40), colour, dtype=torch.uint8), {"boxes": half_open_boxes(masks), "masks": masks}


def test_what_is_pasted_covers_what_was_there():
    below = sample(10, (0, 0, 20, 20), (30, 30, 40, 40))
    image, target = paste(*below, *sample(200, (10, 0, 25, 20)), generator())
    # Of the first rectangle the left half is left, the second is untouched, the pasted one is whole.
    assert target["boxes"].tolist() == [[0, 0, 10, 20], [30, 30, 40, 40], [10, 0, 25, 20]]
    assert target["masks"].sum(dim=(1, 2)).tolist() == [200, 100, 300]
    assert torch.equal(image == 200, target["masks"][2].bool().expand(3, -1, -1))
    assert (below[0] == 10).all() and below[1]["masks"].sum() == 500  # the sample below is as it was


@pytest.mark.parametrize(
    ("right", "left_over"),
    [(15, 1), (16, 0), (20, 0)],  # of 400 pixels: 100, a quarter; 80; none
)
def test_instances_of_which_little_is_left_are_dropped(right, left_over):
    _, target = paste(*sample(10, (0, 0, 20, 20)), *sample(200, (0, 0, right, 20)), generator())
    assert len(target["masks"]) == left_over + 1


def test_instances_of_which_few_pixels_are_left_are_dropped():
    _, target = paste(*sample(10, (0, 0, 10, 10)), *sample(200, (0, 0, 4, 10)), generator())
    assert len(target["masks"]) == 1  # 60 pixels would be left


def test_a_part_of_the_instances_is_pasted_and_never_none():
    corners = [(4 * i, 0, 4 * i + 4, 20) for i in range(10)]
    counts = {len(paste(*sample(10), *sample(200, *corners), generator(seed))[1]["masks"]) for seed in range(40)}
    assert min(counts) >= 1 and max(counts) < 10 and len(counts) > 3
    assert all(len(paste(*sample(10), *sample(200, corners[0]), generator(s))[1]["masks"]) == 1 for s in range(10))


def test_pasting_from_a_picture_without_instances_changes_nothing():
    below = sample(10, (0, 0, 20, 20))
    image, target = paste(*below, *sample(200), generator())
    assert torch.equal(image, below[0]) and torch.equal(target["masks"], below[1]["masks"])
