"""Both networks on a GPU: one step of training, and the same instances and labels as on the processor."""

import pytest
import torch

from deeplab import build_deeplab, pixel_loss
from s4net import build_s4net

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def test_s4net_trains_and_agrees_with_the_processor(images):
    torch.manual_seed(0)
    net = build_s4net("modern", "timm/mobilenetv3_small_050").eval()
    with torch.no_grad():
        expected = net.detect(images)
    net.cuda()
    with torch.no_grad():
        found = net.detect(images.cuda())
    for a, b in zip(expected, found, strict=True):
        assert torch.allclose(a.scores[:5], b.scores[:5].cpu(), atol=1e-2)
    masks = torch.zeros(1, 128, 128, dtype=torch.uint8, device="cuda")
    masks[0, 20:60, 30:90] = 1
    target = {"boxes": torch.tensor([[30.0, 20, 90, 60]], device="cuda"), "masks": masks}
    with torch.autocast("cuda", torch.bfloat16):
        loss = net.train()(images.cuda(), [target, target])["total"]
    loss.backward()
    assert loss.isfinite()


def test_deeplab_trains_and_agrees_with_the_processor(images):
    torch.manual_seed(0)
    net = build_deeplab("efficientnet_lite0", 3).eval()
    with torch.no_grad():
        expected = net(images)
        found = net.cuda()(images.cuda()).cpu()
    assert torch.allclose(expected, found, rtol=1e-2, atol=1e-2 * float(expected.abs().max()))
    target = torch.randint(0, 3, (2, 128, 128), device="cuda")
    pixel_loss(net.train()(images.cuda()), target).backward()
