"""Only networks that keep nothing are called by several threads at once."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from denoisers.dncnn import DnCNN
from denoisers.lanes import may_lie_beside
from denoisers.registry import load
from denoisers.runtime import Runtime
from denoisers.unet import UNet

pytestmark = pytest.mark.usefixtures("four_threads")


def noisy_batch(count, side=32):
    values = np.arange(count, dtype=np.int16) % 200 + 20  # each picture another one
    return np.broadcast_to(values[:, None, None, None], (count, side, side, 3)).copy()


class Forgetful(nn.Module):
    """Keeps the picture in its class and looks at it a while later."""

    kept = None

    def forward(self, noisy, sigma):
        Forgetful.kept = noisy
        threading.Event().wait(0.02)
        return Forgetful.kept


def test_what_a_network_keeps_does_not_come_into_another_picture():
    runtime = Runtime("mine", Forgetful(), "0" * 64, device="cpu")
    noisy = noisy_batch(4 * 64)
    assert runtime.at_once(32, 32) == runtime.batch_of(32, 32) == 64
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy)


class Beside(nn.Module):
    """Waits for others that compute at the same time, where there is something to wait at."""

    side_by_side = True
    together = None
    threads = set()

    def forward(self, noisy, sigma):
        if self.together is not None:
            self.together.wait(20)
        self.threads.add(torch.get_num_threads())
        return noisy


def test_one_that_says_so_is_called_side_by_side_and_never_by_more_threads(monkeypatch):
    runtime = Runtime("mine", Beside(), "0" * 64, device="cpu")
    assert runtime.at_once(32, 32) == 4 * 64
    noisy = noisy_batch(4 * 64)
    monkeypatch.setattr(Beside, "together", threading.Barrier(4))
    Beside.threads.clear()
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy)
    monkeypatch.setattr(Beside, "together", None)
    assert np.array_equal(runtime.clean(noisy[:5], 0.25), noisy[:5])  # one batch, in a lane too
    assert Beside.threads == {1}


class Changes(Beside):
    """Is replaced by what does not say so."""

    def fused(self):
        return Forgetful()


def test_what_is_called_has_to_say_so_itself(monkeypatch):
    monkeypatch.setattr("denoisers.placing.available", lambda *_: True)
    runtime = Runtime("mine", Changes(), "0" * 64, device="cpu")
    assert isinstance(runtime._faster, Forgetful)
    assert runtime.at_once(32, 32) == 64


def hooked():
    network = UNet(4, 1, 1, 1)
    network.up1[0].first.register_forward_hook(lambda *_: None)
    return network


class Mine(UNet):
    """Another's, made of ours."""


@pytest.mark.parametrize(
    ("network", "may"),
    [
        (UNet(4, 1, 1, 1, mirror=1, again=5, contrast=120), True),
        (DnCNN(3, 4), True),
        (DnCNN(3, 4).folded(), True),
        (Mine(4, 1, 1, 1), False),
        (hooked(), False),
        (Forgetful(), False),
        (Beside(), True),
        (type("Says", (Forgetful,), {"side_by_side": "yes"})(), False),
        (nn.Sequential(nn.Conv2d(3, 3, 1), Forgetful()), False),
    ],
)
def test_which_may(network, may):
    assert may_lie_beside(network) == may


@pytest.mark.parametrize("name", ["cifar", "cifar-stable", "photo"])
def test_ours_come_to_the_same_bits_with_any_number_of_threads(name):
    noisy = np.random.default_rng(1).integers(-80, 330, (70, 24, 40, 3), dtype=np.int16)
    found = []
    for threads in (1, 2, 3, 4, 7):
        torch.set_num_threads(threads)
        runtime = load(name, "cpu")
        found.append(runtime.clean(noisy, 0.25))
        found.append(np.concatenate([runtime.clean(noisy[i : i + 35], 0.25) for i in (0, 35)]))
    assert all(np.array_equal(each, found[0]) for each in found)


def test_a_value_that_is_no_number_is_seen_in_any_lane():
    class Bad(Beside):
        def forward(self, noisy, sigma):
            made = super().forward(noisy, sigma).clone()
            made[noisy.mean(dim=(1, 2, 3)) > 200 / 255] /= 0
            return made

    runtime = Runtime("mine", Bad(), "0" * 64, device="cpu")
    noisy = noisy_batch(130) * 0 + 100
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy)
    noisy[129] = 255
    with pytest.raises(Exception, match="not finite"):
        runtime.clean(noisy, 0.25)
