"""Every architecture by the same call."""

import pytest
import torch

from denoisers import architectures
from denoisers.denoise import denoise
from denoisers.registry import load
from denoisers.weights import load_shipped

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", ["unet", "dncnn"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (31, 33), (5, 64)])
def test_any_height_and_width_and_one_level_or_many(name, size):
    torch.manual_seed(0)
    network = architectures.find(name)().train()
    noisy = torch.rand(2, 3, *size)
    cleaned = denoise(network, noisy, 0.25)
    assert cleaned.shape == noisy.shape
    assert cleaned.dtype == torch.float32
    for levels in (torch.tensor(0.25), torch.tensor([0.25]), torch.tensor([0.25, 0.25])):
        assert torch.equal(denoise(network, noisy, levels), cleaned)


def test_each_picture_has_its_own_level():
    network, _ = load_shipped("cifar")
    noisy = 0.5 + 0.1 * torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    both = denoise(network, noisy, torch.tensor([0.1, 0.5]))
    assert torch.allclose(both[:1], denoise(network, noisy[:1], 0.1), atol=1e-5)
    assert torch.allclose(both[1:], denoise(network, noisy[1:], 0.5), atol=1e-5)
    assert (both[0] - both[1]).abs().max() > 0.05
    with pytest.raises(RuntimeError):
        denoise(network, noisy, torch.tensor([0.1, 0.2, 0.3]))


def test_it_is_what_surety_computes_up_to_rounding():
    network, _ = load_shipped("cifar")
    noisy = torch.randint(-40, 300, (3, 32, 32, 3), generator=torch.Generator().manual_seed(0))
    whole = load("cifar", "cpu").clean(noisy.to(torch.int16).numpy(), 0.25)
    cleaned = denoise(network, noisy.permute(0, 3, 1, 2).float() / 255, 0.25)
    away = cleaned.clamp(0, 1).permute(0, 2, 3, 1) * 255 - torch.from_numpy(whole)
    assert away.abs().mean() < 1
