"""Training does what it is for: noise goes, answers stay."""

import numpy as np
import pytest
import torch
from torch import nn

from denoisers.dncnn import DnCNN
from denoisers.training.checks import TorchCheck
from denoisers.training.loop import Plan, fit
from denoisers.training.quality import kept, quality
from denoisers.unet import UNet
from denoisers.weights import load_weights, save_weights
from tests.denoisers.training.scenes import curve, held, same, stop_at, task, waves

pytestmark = pytest.mark.usefixtures("one_thread")


def learnt(made, plan, out):
    made.model.load_state_dict(fit(made, plan, out))
    return made.model


def test_training_learns_to_denoise_and_lowers_the_loss(tmp_path):
    plan = Plan(steps=120, warmup=0.1, average=0.9, log_steps=1)
    torch.manual_seed(0)
    network = UNet(width=8, half=1, quarter=1, eighth=1)
    model = learnt(task(network=network, batch=24, rate=4e-3), plan, tmp_path)
    losses = [float(row[1]) for row in curve(tmp_path)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    figures = quality(model, waves())
    for level in ("0.25", "0.5", "1"):
        assert figures[level]["denoised"] > figures[level]["noisy"] + 2


def test_a_network_with_batch_norms_trains_averages_resumes_and_saves(tmp_path):
    plan = Plan(steps=60, warmup=0.1, average=0.9, log_steps=1, save_seconds=1e9, mixed=True)

    def made():
        torch.manual_seed(0)
        return task(network=DnCNN(depth=4, width=8), batch=24, rate=1e-2)

    whole = made()
    model = learnt(whole, plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(made(), plan, tmp_path / "cut", watch=stop_at(20))
    assert same(model.state_dict(), fit(made(), plan, tmp_path / "cut"))
    assert int(model.body[0][1].num_batches_tracked) == 60
    assert not torch.equal(model.body[0][1].running_var, torch.ones(8))
    save_weights(model, tmp_path / "weights.safetensors")
    loaded, _ = load_weights(tmp_path / "weights.safetensors")
    loaded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as the trained is
    noisy, level = torch.rand(2, 3, 16, 16), torch.full((2,), 0.5)
    assert torch.equal(loaded(noisy, level), model.eval()(noisy, level))
    figures = quality(loaded, waves(), (0.5,))
    assert figures["0.5"]["denoised"] > figures["0.5"]["noisy"] + 0.5


class Texture(nn.Module):
    """A classifier that noise, and what is left of it, makes see stripes everywhere."""

    def forward(self, x):
        rough = (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().mean((1, 2, 3))
        return 60 * torch.stack([rough - 0.1, 0.1 - rough], dim=1)


def striped_or_plain():
    rng = np.random.default_rng(0)
    arrays = []
    for i in range(24):
        array = np.full((16, 16, 3), rng.integers(90, 160), dtype=float)
        if i % 2:
            array[:, (i // 2) % 4 :: 4] += 60
            array[:, (i // 2 + 1) % 4 :: 4] += 60
        arrays.append(array.clip(0, 255).astype(np.uint8))
    return held(arrays)


def test_stability_keeps_answers_that_the_squared_error_alone_loses(tmp_path):
    pictures, judge = striped_or_plain(), Texture()
    plan = Plan(steps=120, warmup=0.1, average=0.9, log_steps=1)

    def share(out, **more):
        torch.manual_seed(0)
        made = task(
            pictures,
            network=UNet(width=8, half=1, quarter=1, eighth=1),
            batch=24,
            rate=1e-2,
            sigmas=(0.1, 0.3),
            **more,
        )
        model = learnt(made, plan, out)
        return kept(model, pictures, [TorchCheck("texture", judge, 16)], (0.3,))["texture"]["0.3"]

    alone = share(tmp_path / "mse")
    both = share(tmp_path / "both", stability=0.3, surrogates=[judge])
    losses = [float(row[1]) for row in curve(tmp_path / "both")]
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    assert both >= 0.9 > alone
