"""The denoiser's task: what is minimised, in which order it is drawn, what cannot be trained."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from denoisers.dncnn import DnCNN
from denoisers.errors import BadData, BadPlan, BadSurrogate, NotUsable
from denoisers.training.denoise_task import Objective, psnr
from denoisers.training.objective import batch_for
from tests.denoisers.training.scenes import Brightness, held, task, waves

pytestmark = pytest.mark.usefixtures("one_thread")


def loss(made, step=0, seed=0):
    return made.loss(step, torch.Generator().manual_seed(seed))


def test_the_objective_is_the_sum_of_its_parts():
    surrogates = [Brightness(9.0)]
    mse, _, count = loss(task(mse=2.0))
    stability, _, _ = loss(task(mse=0.0, stability=0.5, surrogates=surrogates))
    both, decibels, _ = loss(task(mse=2.0, stability=0.5, surrogates=surrogates))
    assert both.item() == pytest.approx(mse.item() + stability.item(), rel=1e-6)
    assert mse.item() > 0
    assert stability.item() > 0
    assert count == 8
    assert 5 < decibels < 30


def test_the_squared_error_is_weighted_by_one_over_sigma():
    made = task(sigmas=(0.5, 0.5))
    total, decibels, _ = loss(made)
    assert total.item() == pytest.approx(10 ** (-decibels / 10) / 0.5, rel=1e-5)


class Constant(nn.Module):
    """Answers every picture with even grey, or with what lies beyond white."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, noisy, _):
        return torch.zeros_like(noisy) + self.value


def even(*greys):
    return held([np.full((16, 16, 3), grey, dtype=np.uint8) for grey in greys])


def test_relative_errors_are_minus_the_mean_psnr():
    made = task(even(0, 51, 204), Constant(0.4), batch=3, relative=True, mse=2.0)
    expected = 2 * np.mean([math.log(e**2 + 1e-5) for e in (0.4, 0.2, 0.4)]) / 100
    assert loss(made)[0].item() == pytest.approx(expected, rel=1e-4)


def test_with_relative_errors_a_small_one_is_lowered_as_eagerly_as_a_large_one():
    def slope(grey, **objective):
        network = Constant(0.5)
        loss(task(even(grey), network, batch=1, sigmas=(0.25, 0.25), **objective))[0].backward()
        return network.value.grad.item()

    far, near = slope(0), slope(102)  # by 0.5 and by 0.1
    assert far == pytest.approx(5 * near, rel=1e-4)
    far, near = slope(0, relative=True), slope(102, relative=True)
    assert near == pytest.approx(5 * far, rel=1e-2)


def test_relative_errors_are_those_of_what_is_sent_and_none_is_no_error():
    made = task(even(255, 255), Constant(1.3), batch=2, relative=True)
    total = loss(made)[0]
    total.backward()
    assert total.item() == pytest.approx(math.log(1e-5) / 100)
    assert made.model.value.grad.item() == 0


def test_with_relative_errors_a_pixel_beyond_the_wrong_end_comes_back():
    made = task(even(0), Constant(1.3), batch=1, relative=True)
    loss(made)[0].backward()
    assert made.model.value.grad.item() == pytest.approx(2 / (1 + 1e-5) / 100, rel=1e-4)


def test_stability_counts_in_proportion_where_noise_is_weak(monkeypatch):
    levels = torch.tensor([0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 1.0])
    lost = torch.arange(1.0, 9.0)
    everything = (lost, None)
    monkeypatch.setattr("denoisers.training.denoise_task.stability", lambda *_, first: everything)
    made = task(mse=0.0, stability=2.0, stable_from=0.25, surrogates=[Brightness()])
    monkeypatch.setattr(made, "_levels", lambda *_: levels)
    expected = 2 * (lost * (levels / 0.25).clamp(max=1)).mean()
    assert loss(made)[0].item() == pytest.approx(expected.item(), rel=1e-6)


def test_levels_are_drawn_by_ratio_or_evenly():
    def levels(even):
        made = task(sigmas=(0.01, 1.0), even=even)
        return made._levels(20_000, torch.Generator().manual_seed(0))

    for drawn in (levels(0), levels(0.5), levels(1)):
        assert 0.01 <= drawn.min() < 0.02
        assert 0.98 < drawn.max() <= 1.0
    assert levels(0).median() == pytest.approx(0.1, rel=0.05)
    assert levels(1).median() == pytest.approx(0.505, rel=0.05)
    assert levels(0).mean() < levels(0.5).mean() < levels(1).mean()


def test_half_of_the_levels_are_in_the_focus():
    def levels(**numbers):
        made = task(sigmas=(0.01, 1.0), **numbers)
        return made._levels(20_000, torch.Generator().manual_seed(0))

    everywhere, drawn = levels(), levels(focus=(0.1, 0.2))
    moved = drawn != everywhere
    assert moved.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert 0.1 <= drawn[moved].min() < 0.101
    assert 0.199 < drawn[moved].max() <= 0.2
    assert drawn[moved].log().mean().exp().item() == pytest.approx(0.02**0.5, rel=0.01)
    one = task(focus=(0.5, 0.5), batch=1)  # a batch of one has it half of the times too
    alone = [one._levels(1, torch.Generator().manual_seed(seed)).item() for seed in range(400)]
    assert 160 < alone.count(0.5) < 240


def test_every_picture_comes_once_in_an_epoch_and_in_another_order_in_the_next():
    pictures = held([np.full((16, 16, 3), 10 * i, dtype=np.uint8) for i in range(24)])
    made = task(pictures, batch=8)

    def seen(steps):
        batches = [made._draw(step, torch.Generator().manual_seed(step)) for step in steps]
        return [int(v) // 10 for batch in batches for v in batch[:, 0, 0, 0]]

    first, second = seen(range(3)), seen(range(3, 6))
    assert sorted(first) == sorted(second) == list(range(24))
    assert first != second
    assert seen(range(3)) == first
    assert seen([4]) == second[8:16]


def test_the_same_step_gives_the_same_loss_whatever_was_computed_before():
    one, other = task(), task()
    for step in range(5):
        loss(other, step, step)
    assert loss(one, 3, 3)[0].item() == loss(other, 3, 3)[0].item()


def test_batch_norms_of_surrogates_keep_their_statistics():
    surrogate = Brightness().train()
    before = surrogate.norm.running_mean.clone()
    made = task(stability=1.0, surrogates=[surrogate])
    made.model.train()
    loss(made)[0].backward()
    assert not surrogate.norm.training
    assert torch.equal(surrogate.norm.running_mean, before)
    assert all(p.grad is None for p in surrogate.parameters())
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in made.model.parameters())


def test_trying_the_network_out_changes_nothing_in_it():
    network = DnCNN(depth=3, width=4).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    made = task(network=network)
    after = made.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_what_decides_the_curve_is_in_the_identity():
    surrogates = [Brightness()]
    known = task(stability=1.0, surrogates=surrogates).identity
    assert known == task(stability=1.0, surrogates=[Brightness()]).identity
    different = [
        task(stability=1.0, surrogates=[Brightness(3.0)]),
        task(stability=1.0, surrogates=[Brightness(), Brightness()]),
        task(stability=2.0, surrogates=surrogates),
        task(stability=1.0, surrogates=surrogates, sigmas=(0.1, 1.0)),
        task(stability=1.0, surrogates=surrogates, jitter=1),
        task(stability=1.0, surrogates=surrogates, turns=True),
        task(stability=1.0, surrogates=surrogates, relative=True),
        task(stability=1.0, surrogates=surrogates, network=DnCNN(depth=3, width=4)),
    ]
    changed = [{name for name in known if known[name] != made.identity[name]} for made in different]
    assert changed == [
        {"surrogates"},
        {"surrogates"},
        {"stability"},
        {"sigma"},
        {"jitter"},
        {"turns"},
        {"relative"},
        {"network", "initial weights"},
    ]
    # which a checkpoint from before there were any does not hold
    assert known["focus"] is known["turns"] is known["relative"] is None
    focused = task(stability=1.0, surrogates=surrogates, focus=(0.1, 0.2)).identity
    assert focused == {**known, "focus": (0.1, 0.2)}


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"mse": math.nan}, "--mse"),
        ({"mse": -1}, "--mse"),
        ({"mse": 0.0}, "one of them"),
        ({"stability": math.inf}, "--stability"),
        ({"stable_from": -0.1}, "--stable-from"),
        ({"stable_from": math.nan}, "--stable-from"),
        ({"sigmas": (0.0, 1.0)}, "--sigma"),
        ({"sigmas": (0.5, 0.1)}, "--sigma"),
        ({"sigmas": (0.5, 3.0)}, "--sigma"),
        ({"sigmas": (math.nan, 1.0)}, "--sigma"),
        ({"even": 1.5}, "--even"),
        ({"even": math.nan}, "--even"),
        ({"focus": (0.2, 0.1)}, "--focus"),
        ({"focus": (0.01, 0.2)}, "--focus"),
        ({"focus": (0.5, 1.5)}, "--focus"),
        ({"focus": (0.5, math.nan)}, "--focus"),
        ({"size": 4}, "--crop"),
        ({"jitter": 32}, "--jitter"),
        ({"jitter": -1}, "--jitter"),
        ({"batch": 0}, "--batch"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": math.nan}, "--rate"),
    ],
)
def test_numbers_out_of_range_name_their_option(numbers, words):
    with pytest.raises(BadPlan, match=words):
        Objective(**numbers)


class Grey(nn.Module):
    """Returns one channel, which a difference would silently broadcast."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, noisy, sigma):
        return self.factor * noisy.mean(1, keepdim=True)


class Fixed(Grey):
    def forward(self, noisy, sigma):
        return self.factor * noisy.view(1, 3, 64, 64)


class Even(Grey):
    """Halves the sides and doubles them again."""

    def forward(self, noisy, sigma):
        halved = nn.functional.avg_pool2d(self.factor * noisy, 2)
        return nn.functional.interpolate(halved, scale_factor=2)


class Mixing(Grey):
    """Looks at the other pictures."""

    def forward(self, noisy, sigma):
        return self.factor * noisy + noisy.mean()


def test_what_cannot_be_trained_is_told_before():
    with pytest.raises(BadData, match=r"largest square in one has 16.*smaller --crop"):
        task(size=17)
    with pytest.raises(BadSurrogate, match="at least one surrogate"):
        task(stability=1.0)
    with pytest.raises(NotUsable, match="shape that it is given"):
        task(network=Grey())
    with pytest.raises(NotUsable, match="fails on a picture of 16×16"):
        task(network=Fixed())
    with pytest.raises(NotUsable, match=r"made \(1, 3, 16, 16\) of \(1, 3, 16, 17\)"):
        task(network=Even())
    with pytest.raises(NotUsable, match="depends on the others in its batch"):
        task(network=Mixing())


@pytest.mark.parametrize(("count", "batch"), [(3, 2), (14, 4), (3, 8), (2, 8)])
def test_all_surrogates_are_asked_about_as_many_pictures(count, batch):
    """Though there may be more of them than pictures in a step, or no whole share for each."""

    class Counting(Brightness):
        def forward(self, pictures):
            asked[self] = asked.get(self, 0) + len(pictures)
            return super().forward(pictures)

    asked = {}
    surrogates = [Counting() for _ in range(count)]
    made = task(stability=1.0, surrogates=surrogates, batch=batch)
    asked.clear()
    for step in range(count):
        loss(made, step)
    # the clean picture and the denoised one
    assert [asked.get(one, 0) for one in surrogates] == [2 * batch] * count


def test_a_larger_crop_has_smaller_batches():
    assert [batch_for(size) for size in (8, 32, 64, 96, 128, 512)] == [128, 128, 32, 14, 8, 4]


def test_smaller_pictures_are_left_out_and_a_batch_is_never_larger_than_the_data():
    arrays = [np.zeros((side, 40, 3), dtype=np.uint8) for side in (40, 12, 16, 15)]
    made = task(held(arrays), batch=100)
    assert made.usable == 2
    assert loss(made)[2] == 2


def test_psnr():
    assert psnr(0.01) == pytest.approx(20)
    assert psnr(0) == pytest.approx(120)
    assert math.isnan(psnr(math.nan))


def test_pictures_of_the_crop_s_size_are_shifted_others_are_cut():
    assert task(waves(size=16))._shift == 2
    assert task(waves(size=20))._shift == 0


def test_numbers_that_are_none_are_not_blamed_on_a_surrogate():
    made = task(surrogates=[Brightness()], stability=0.1)
    assert math.isfinite(loss(made)[0].item())
    with torch.no_grad():
        made.model.tail.bias[0] = torch.nan
    assert math.isnan(loss(made)[0].item())
