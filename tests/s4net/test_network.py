import pytest
import torch

from s4net import PRESETS, Instances, build_s4net, network
from s4net.build import timm_name
from s4net.trunk import Trunk

SMALL = "timm/mobilenetv3_small_050"


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def target(n: int, size: int = 128) -> dict[str, torch.Tensor]:
    """`n` rectangles, each its own instance."""
    masks = torch.zeros(n, size, size, dtype=torch.uint8)
    boxes = torch.zeros(n, 4)
    for i in range(n):
        x, y = 2 * i % 60, 3 * i % 70
        masks[i, y : y + 40, x : x + 50] = 1
        boxes[i] = torch.tensor([x, y, x + 50, y + 40])
    return {"boxes": boxes, "masks": masks}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (1, 24)])
def test_any_number_of_instances_trains(preset, counts, images):
    net = build_s4net(preset, SMALL).train()
    losses = net(images, [target(n) for n in counts])
    assert set(losses) == {"objectness", "boxes", "masks", "total"}
    parts = losses["objectness"] + losses["boxes"] + losses["masks"]
    assert torch.allclose(losses["total"], parts)
    losses["total"].backward()
    gradients = [p.grad for p in net.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("roi", ["ternary", "expanded", "binary", "roialign", "roipool"])
def test_every_roi_layer_trains_and_infers(roi, images):
    net = build_s4net("paper", SMALL, roi=roi)
    net.train()(images, [target(2), target(1)])["total"].backward()
    for instances in net.eval()(images):
        assert isinstance(instances, Instances)
        assert 0 < len(instances) <= 20
        assert instances.masks.shape[1:] == (128, 128)
        assert (instances.scores.diff() <= 0).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_inference_keeps_to_proposals_and_score(preset, images):
    net = build_s4net(preset, SMALL, proposals=3).eval()
    with torch.no_grad():
        assert all(len(found) <= 3 for found in net(images))
        assert all(len(found.boxes) == 0 for found in net.detect(images, min_score=1.0))
        gated = build_s4net(preset, SMALL, min_score=1.0).eval()
        assert all(len(found) == 0 for found in gated(images))


def test_masks_stay_in_their_boxes_in_the_paper_and_may_grow_in_modern(images):
    for preset, given, slack in (("paper", None, 0.0), ("modern", None, 0.2), ("modern", 0.0, 0.0)):
        net = build_s4net(preset, SMALL, mask_slack=given).eval()
        background, foreground = net.mask_branch.logits.bias.data.chunk(2)
        background.zero_()
        foreground.fill_(50.0)  # everywhere
        found = net(images)[0]
        for box, mask in zip(found.boxes, found.masks, strict=True):
            x0, _, x1, _ = box.tolist()
            left = torch.nonzero(mask.any(dim=0)).min().item()
            limit = max(0, int(x0 - slack * (x1 - x0)))
            assert left == limit


@pytest.mark.parametrize("roi", ["roialign", "roipool"])
def test_masks_of_resampled_boxes_never_leave_them(roi, images):
    net = build_s4net("modern", SMALL, roi=roi).eval()
    background, foreground = net.mask_branch.logits.bias.data.chunk(2)
    background.zero_()
    foreground.fill_(50.0)
    found = net(images)[0]
    columns = torch.arange(images.shape[-1]) + 0.5
    for box, mask in zip(found.boxes, found.masks, strict=True):
        outside = (columns < box[0] - 1) | (columns > box[2] + 1)
        assert not mask[:, outside].any()


@pytest.mark.slow
def test_training_overfits_one_picture():
    torch.manual_seed(0)
    net = build_s4net("modern", SMALL).train()
    mask = torch.zeros(1, 128, 128, dtype=torch.uint8)
    mask[0, 30:80, 20:90] = 1
    image = 0.2 + 0.7 * mask[None].float().expand(1, 3, 128, 128) + 0.1 * torch.rand(1, 3, 128, 128)
    truth = {"boxes": torch.tensor([[20.0, 30, 90, 80]]), "masks": mask}
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    losses = []
    for _ in range(60):
        loss = net(image, [truth])["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    best = net.eval()(image)[0]
    iou = (best.masks[0] & mask[0].bool()).sum() / (best.masks[0] | mask[0].bool()).sum()
    assert iou > 0.85
    assert best.scores[0] > 0.3


def test_batch_norm_stays_frozen(images):
    net = build_s4net("paper", SMALL).train()
    norms = [m for m in net.trunk.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    net(images, [target(1), target(2)])
    assert norms and all(torch.equal(a, m.running_mean) for a, m in zip(before, norms, strict=True))
    assert not any(p.requires_grad for m in norms for p in m.parameters())


def test_early_stages_are_frozen_where_asked():
    trunk = Trunk(timm_name(SMALL), (8, 16, 32), freeze_below=8)
    stem = dict(trunk.net.named_parameters())["conv_stem.weight"]
    assert not stem.requires_grad
    assert any(p.requires_grad for p in trunk.parameters())


def test_parameter_groups_are_disjoint_and_complete():
    net = build_s4net("modern", SMALL)
    new, trunk = net.new_parameters(), net.trunk_parameters()
    assert not {id(p) for p in new} & {id(p) for p in trunk}
    assert {id(p) for p in new + trunk} == {id(p) for p in net.parameters() if p.requires_grad}


def test_the_release_differs_where_the_table_says():
    paper, release = build_s4net("paper", SMALL), build_s4net("release", SMALL)
    assert paper.anchors.strides == (8, 16, 32, 64)
    assert release.anchors.strides == (4, 8, 16, 32, 64)
    assert release.stride == paper.stride == 8
    assert (paper.settings.positive_iou, release.settings.positive_iou) == (0.5, 0.4)
    # Layer 0 of the released branch to its logits: 0.74 M parameters (256 -> 128 -> ... -> 64 -> 2).
    assert sum(p.numel() for p in release.mask_branch.parameters()) == pytest.approx(0.74e6, rel=0.01)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="paper, release, modern"):
        build_s4net("best", SMALL)
    with pytest.raises(ValueError, match="resnet50"):
        timm_name("resnet5")


def test_instances_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="boxes"):
        Instances(torch.zeros(2, 4), torch.zeros(1), torch.zeros(2, 3, 3, dtype=torch.bool))


@pytest.mark.parametrize("preset", PRESETS)
def test_slots_without_proposal_change_nothing(preset, images, monkeypatch):
    torch.manual_seed(0)
    net = build_s4net(preset, SMALL).eval()
    with torch.no_grad():
        torch.nn.init.normal_(net.mask_branch.logits.weight, std=0.5)
        dense = net.dense(images)
        _, scores = net.propose(dense.logits.sigmoid(), dense.offsets, dense.anchors, (128, 128))
    gate = float(scores[1].median())
    expected = net.detect(images, gate)
    # As on a GPU, which masks all slots.
    monkeypatch.setattr(network, "boxes_to_mask", lambda boxes, scores: list(boxes))
    found = net.detect(images, gate)
    assert 0 < len(expected[1].boxes) < scores.shape[1]
    for own, other in zip(found, expected, strict=True):
        for name in ("boxes", "scores", "mask_probabilities", "frames"):
            torch.testing.assert_close(getattr(own, name), getattr(other, name))
