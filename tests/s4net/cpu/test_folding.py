import pytest
import torch

from s4net import build_s4net
from s4net.cpu.folding import fold_batch_norm


def test_folding_changes_nothing_but_the_layers():
    torch.manual_seed(1)
    net, images = build_s4net("paper", "timm/mobilenetv3_small_050").eval(), torch.rand(2, 3, 128, 128)
    for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 1.5)
    with torch.no_grad():
        before = net.trunk(images)
        count = fold_batch_norm(net.trunk, images)
        after = net.trunk(images)
    assert count == sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-3 * a.abs().max())


class TappedBeforeItsNorm(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)
        self.norm.weight.data.fill_(3.0)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        y = self.conv(x)
        return [y, self.norm(y)]


def test_a_convolution_that_others_read_too_is_not_folded():
    net, x = TappedBeforeItsNorm().eval(), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        before = net(x)
        assert fold_batch_norm(net, x) == 0
        assert all(torch.equal(a, b) for a, b in zip(net(x), before, strict=True))


def test_folding_refuses_a_network_in_training():
    with pytest.raises(ValueError, match="eval"):
        fold_batch_norm(torch.nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 8, 8))
