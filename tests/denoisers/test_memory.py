"""How many pictures fit: the estimate against what torch really allocates."""

import pytest
import torch

from denoisers import memory
from denoisers.dncnn import DnCNN
from denoisers.unet import UNet

CPU = torch.device("cpu")


@pytest.mark.parametrize("small", [memory.SMALL, 0])
def test_what_is_alive_at_once_is_counted_exactly(small, monkeypatch):
    monkeypatch.setattr(memory, "SMALL", small)

    class Three(torch.nn.Module):
        """Holds one tensor of 8 bytes a pixel while it makes two of 4, then lets go of two."""

        def forward(self, noisy, sigma):
            wide = torch.empty(10, 10, dtype=torch.float64, device=noisy.device)
            narrow = torch.empty(10, 10, device=noisy.device)
            also = narrow + 1
            del wide, narrow
            return also

    assert memory.peak_bytes(Three(), 4, 4) == 100 * (8 + 4 + 4)


@pytest.mark.parametrize("small", [memory.SMALL, 0])
def test_views_cost_nothing(small, monkeypatch):
    monkeypatch.setattr(memory, "SMALL", small)

    class Views(torch.nn.Module):
        def forward(self, noisy, sigma):
            made = torch.empty(1000, device=noisy.device)
            return made.view(10, 100).t()[2:, 1:]

    assert memory.peak_bytes(Views(), 4, 4) == 4000


@pytest.mark.parametrize("size", [(32, 32), (33, 41)])
@pytest.mark.parametrize("make", [UNet, DnCNN, lambda: DnCNN(norm=0)], ids=["unet", "norm", "not"])
def test_a_large_picture_is_counted_without_memory_as_with_it(make, size, monkeypatch):
    network = make().eval()
    with_memory = memory.peak_bytes(network, *size)
    monkeypatch.setattr(memory, "SMALL", 0)
    assert memory.peak_bytes(network, *size) == with_memory


def test_it_grows_with_the_picture_and_halves_in_bfloat16():
    network = DnCNN(norm=0)
    small, large = (memory.peak_bytes(network, side, side) for side in (32, 64))
    assert large == 4 * small
    assert memory.peak_bytes(network.bfloat16(), 64, 64) < 0.55 * large


def test_the_default_needs_less_than_dncnn():
    unet, dncnn = (memory.peak_bytes(n, 256, 257) for n in (UNet(), DnCNN()))
    assert 4 * 3 * 256 * 257 < unet < dncnn


def test_a_network_that_cannot_be_run_without_memory_is_guessed():
    class Looks(torch.nn.Module):
        def forward(self, noisy, sigma):
            return noisy * sigma.item()

    assert memory.peak_bytes(Looks(), 256, 257) == 4 * 64 * 4 * 256 * 257


def test_where_the_memory_does_not_hold_one_picture(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 50000)
    assert memory.largest_batch(DnCNN(norm=0), 32, 32, CPU) < 1


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("could not execute a primitive"), True),
        (RuntimeError("could not create a primitive descriptor for a convolution"), False),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_full_memory_is_told_from_other_errors(error, full):
    assert memory.out_of_memory(error) is full
