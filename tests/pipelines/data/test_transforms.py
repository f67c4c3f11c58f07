import numpy as np
import pytest
import torch

from pipelines.data.transforms import Augmentation, augment, half_open_boxes, to_network


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
