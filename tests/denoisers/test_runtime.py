"""The runtime: any size, any batch, the same bits; the shipped weights really denoise."""

import threading
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from denoisers import registry
from denoisers.errors import NotUsable
from denoisers.none import NoDenoiser
from denoisers.runtime import Runtime
from denoisers.unet import UNet


@pytest.fixture(scope="module")
def cifar():
    return registry.load("cifar")


def noisy_batch(count, height=32, width=32, sigma=0.25, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    smooth = 128 + 60 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None] * np.ones(3)
    clean = np.broadcast_to(smooth.astype(np.int16), (count, height, width, 3))
    noise = np.rint(rng.normal(0, 255 * sigma, clean.shape)).astype(np.int16)
    return clean, clean + noise


def test_a_picture_does_not_depend_on_what_shares_its_batch(cifar):
    _, noisy = noisy_batch(75)
    whole = cifar.clean(noisy, 0.25)
    assert whole.shape == noisy.shape
    assert whole.dtype == np.uint8
    for start, stop in [(0, 1), (3, 4), (31, 33), (10, 60), (74, 75)]:
        assert np.array_equal(cifar.clean(noisy[start:stop], 0.25), whole[start:stop])
    shuffled = np.random.default_rng(1).permutation(75)
    assert np.array_equal(cifar.clean(noisy[shuffled], 0.25), whole[shuffled])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 8), (33, 31), (64, 40)])
def test_any_size(cifar, height, width):
    _, noisy = noisy_batch(2, height, width)
    assert cifar.clean(noisy, 0.5).shape == (2, height, width, 3)


def test_large_pictures_take_small_batches(cifar):
    """32 pictures of 2048×2048 would take 25 GB."""
    sizes = [(32, 32), (256, 256), (512, 512), (2048, 2048)]
    assert [cifar.batch_of(*size) for size in sizes] == [32, 16, 4, 1]
    _, noisy = noisy_batch(5, 512, 512)
    whole = cifar.clean(noisy, 0.25)
    assert np.array_equal(cifar.clean(noisy[3:4], 0.25), whole[3:4])


def test_an_empty_batch_stays_empty(cifar):
    assert cifar.clean(np.empty((0, 8, 8, 3), np.int16), 0.5).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("sigma", [0.05, 0.25, 0.5, 1.0])
def test_the_shipped_weights_denoise(cifar, sigma):
    clean, noisy = noisy_batch(8, sigma=sigma)
    before = np.square(noisy.clip(0, 255) - clean.astype(float)).mean()
    after = np.square(cifar.clean(noisy, sigma) - clean.astype(float)).mean()
    assert after < before / (2 if sigma < 0.1 else 6)


def test_several_threads_get_the_same_bits(cifar):
    _, noisy = noisy_batch(40)
    expected, results = cifar.clean(noisy, 0.25), [None] * 4

    def work(i):
        results[i] = cifar.clean(noisy, 0.25)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(r, expected) for r in results)


def test_the_level_matters():
    torch.manual_seed(0)
    network = UNet(width=4, half=1, quarter=1, eighth=1)
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    runtime = Runtime("x", network, "0" * 64)
    _, noisy = noisy_batch(1)
    assert not np.array_equal(runtime.clean(noisy, 0.05), runtime.clean(noisy, 1.0))


def test_rounding_is_to_nearest_and_clipped():
    class Same(torch.nn.Module):
        def forward(self, noisy, sigma):
            return noisy + 0.4 / 255

    noisy = np.array([[[[-7, 0, 100], [254, 255, 300]]]], dtype=np.int16)
    out = Runtime("same", Same(), "0" * 64).clean(noisy, 0.1)
    assert out.tolist() == [[[[0, 0, 100], [254, 255, 255]]]]
    assert NoDenoiser().clean(noisy, 0.1).tolist() == out.tolist()


def test_registry_names_what_is_installed():
    assert {"cifar", "none"} <= set(registry.names())
    none = registry.load("none")
    assert (none.name, none.weights_sha256) == ("none", None)
    assert (none.batch_of(32, 32), none.batch_of(2048, 2048)) == (32, 1)
    with pytest.raises(registry.UnknownDenoiser, match=r"'nope'.*cifar"):
        registry.load("nope")


class Liar(NoDenoiser):
    name = "another"


def lying(device):
    return Liar()


def crashing(device):
    raise ZeroDivisionError("/a/secret/path")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lying", "calls itself 'another'"),
        ("crashing", r"cannot be loaded \(ZeroDivisionError\)$"),
        ("absent", r"cannot be loaded \(ModuleNotFoundError\)$"),
    ],
)
def test_a_strangers_broken_denoiser(monkeypatch, name, says):
    targets = {
        "lying": "tests.denoisers.test_runtime:lying",
        "crashing": "tests.denoisers.test_runtime:crashing",
        "absent": "no_such_package:make",
    }
    entries = {n: EntryPoint(n, t, registry.GROUP) for n, t in targets.items()}
    monkeypatch.setattr(registry, "_entries", lambda: entries)
    with pytest.raises(NotUsable, match=says):
        registry.load(name)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "meta:x", ""])
def test_a_device_that_is_not_here(device):
    with pytest.raises(NotUsable, match="SURETY_DEVICE=cpu"):
        registry.load("cifar", device)
