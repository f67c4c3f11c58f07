import pytest
import torch

from deeplab.crf import CRF_PRESETS, CrfSettings, PermutohedralLattice, dense_crf


def picture(height: int = 30, width: int = 40) -> torch.Tensor:
    """A grey half and a reddish half, with noise: [3, height, width] uint8."""
    plain = torch.full((3, height, width), 60)
    plain[0, :, width // 2 :] = 200
    noise = torch.randint(-8, 9, plain.shape, generator=torch.Generator().manual_seed(0))
    return (plain + noise).to(torch.uint8)


def noisy_classes(classes: int, height: int = 30, width: int = 40) -> torch.Tensor:
    return torch.rand(classes, height, width, generator=torch.Generator().manual_seed(1)).softmax(0)


def exact(probabilities: torch.Tensor, image: torch.Tensor, settings: CrfSettings) -> torch.Tensor:
    """Mean field with all N x N pairs, in float64: the definition."""
    classes, height, width = probabilities.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).double()
    colours = image.double().flatten(1).T
    both = torch.cat([places / settings.bilateral_sigma, colours / settings.colour_sigma], dim=1)
    kernels = [(settings.position_weight, places / settings.position_sigma), (settings.bilateral_weight, both)]
    message = torch.zeros(height * width, height * width, dtype=torch.float64)
    for weight, at in kernels:
        kernel = (-(at[:, None] - at[None]).square().sum(2) / 2).exp()
        root = kernel.sum(1).sqrt()
        message += weight * kernel / root[:, None] / root[None]
    evidence = probabilities.double().log().flatten(1).T
    belief = evidence.softmax(1)
    for _ in range(settings.iterations):
        belief = (evidence + message @ belief).softmax(1)
    return belief.T.reshape(classes, height, width)


@pytest.mark.parametrize("preset", CRF_PRESETS)
def test_beliefs_are_those_of_the_exact_mean_field(preset):
    found = dense_crf(noisy_classes(3), picture(), CRF_PRESETS[preset])
    expected = exact(noisy_classes(3), picture(), CRF_PRESETS[preset])
    assert (found.argmax(0) == expected.argmax(0)).float().mean() > 0.99
    assert (found - expected).abs().mean() < 5e-3
    assert torch.allclose(found.sum(0), torch.ones(30, 40), atol=1e-5)


def test_one_round_is_exact_too():
    # After ten rounds beliefs are nearly 0 or 1; after one they still show every fault of a kernel.
    weak = CrfSettings(
        position_sigma=2, position_weight=0.5, bilateral_sigma=20, colour_sigma=12, bilateral_weight=1, iterations=1
    )
    error = (dense_crf(noisy_classes(3), picture(), weak) - exact(noisy_classes(3), picture(), weak)).abs()
    assert error.mean() < 2e-3
    assert error.max() < 3e-2


def test_an_outline_moves_to_where_the_colour_changes():
    image, right = picture(), torch.zeros(30, 40)
    right[:, 24:] = 1  # the true border is at 20
    before = torch.stack([0.6 - 0.2 * right, 0.4 + 0.2 * right])
    after = dense_crf(before, image, CRF_PRESETS["psa"]).argmax(0)
    assert (after[:, 20:] == 1).all()
    assert (after[:, :20] == 0).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_the_lattice_is_a_gaussian_filter(dimensions):
    points = 3 * torch.rand(500, dimensions, generator=torch.Generator().manual_seed(dimensions))
    values = torch.rand(500, 2, generator=torch.Generator().manual_seed(9))
    kernel = (-torch.cdist(points, points).square() / 2).exp()
    lattice = PermutohedralLattice(points)
    mean = lattice.filter(values) / lattice.filter(torch.ones(500, 1))
    expected = kernel @ values / kernel.sum(1, keepdim=True)
    spread = (values - values.mean(0)).abs().mean()
    assert (mean - expected).abs().mean() < 0.03 * spread


def test_points_far_from_each_other_know_nothing_of_each_other():
    lattice = PermutohedralLattice(torch.tensor([[0.0, 0.0], [50.0, 0.0], [50.0, 0.0]]))
    found = lattice.filter(torch.tensor([[1.0], [10.0], [100.0]]))[:, 0]
    others = lattice.filter(torch.tensor([[0.0], [10.0], [100.0]]))[:, 0]
    assert others[0] == 0
    assert found[1] == found[2] == others[1] == others[2] > 50
    assert 0.5 < found[0] < 1


def test_points_in_reach_of_too_many_cells_are_refused():
    with pytest.raises(ValueError, match="wider kernels"):
        PermutohedralLattice(torch.tensor([[0.0] * 5, [1e6] * 5]))


def test_nothing_known_stays_nothing_known():
    even = torch.full((4, 9, 7), 0.25)
    assert torch.allclose(dense_crf(even, picture(9, 7), CRF_PRESETS["deeplab"]), even, atol=1e-6)


def test_pictures_of_one_pixel_or_row_pass():
    for height, width in ((1, 1), (1, 9), (9, 1)):
        found = dense_crf(noisy_classes(2, height, width), picture(height, width), CRF_PRESETS["psa"])
        assert found.shape == (2, height, width)
        assert found.isfinite().all()


def test_certainty_does_not_become_infinity():
    sure = torch.zeros(2, 6, 6)
    sure[0] = 1
    assert dense_crf(sure, picture(6, 6), CRF_PRESETS["psa"]).argmax(0).sum() == 0


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"\(9, 7\), the picture \(7, 9\)"):
        dense_crf(torch.ones(2, 9, 7), picture(7, 9), CRF_PRESETS["psa"])


def test_the_same_picture_gives_the_same_bits():
    first, again = (dense_crf(noisy_classes(3), picture(), CRF_PRESETS["irn-label"]) for _ in range(2))
    assert torch.equal(first, again)
