import numpy as np
import torch

from pipelines.labels.coarse_maps import enlarge, mean_inside
from tests.pipelines.labels.column_masks import columns


def test_maps_are_scaled_from_cell_centres_to_pixel_centres():
    # Two cells cover four pixels. In pixels, the centres of the cells lie at 1 and 3, those of the pixels at 0.5, 1.5,
    # 2.5 and 3.5.
    assert enlarge(np.float32([[[0, 4]]]), (1, 4)).tolist() == [[[0, 1, 3, 4]]]
    assert enlarge(np.zeros((3, 2, 2), np.float32), (5, 7)).shape == (3, 5, 7)


def test_mean_inside_equals_the_mean_of_the_bilinearly_scaled_map():
    generator = np.random.default_rng(0)
    maps = generator.random((3, 5, 7), np.float32)
    masks = generator.random((4, 33, 50)) < 0.3
    scaled = torch.nn.functional.interpolate(torch.from_numpy(maps)[None], size=(33, 50), mode="bilinear")[0].numpy()
    expected = [[scaled[k][mask].mean() for k in range(3)] for mask in masks]
    np.testing.assert_allclose(mean_inside(masks, maps), expected, rtol=1e-4)


def test_mean_inside_by_hand():
    # Two cells of values 1 and 3 cover 8 columns, with centres at columns 1.5 and 5.5. Columns 0 and 1 read 1, columns
    # 6 and 7 read 3. Column 2 lies 0.5 / 4 of the way between the centres: 1 + 2 * 0.125 = 1.25.
    maps = np.array([[[1, 3]]], np.float32)
    assert mean_inside(columns((0, 2), (6, 8), (2, 3)), maps)[:, 0].tolist() == [1, 3, 1.25]


def test_mean_inside_an_empty_mask_is_zero():
    assert mean_inside(np.zeros((1, 4, 4), bool), np.ones((2, 2, 2), np.float32)).tolist() == [[0, 0]]
