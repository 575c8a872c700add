"""The loop: ended in order or by what goes wrong, always with a good checkpoint."""

import itertools
import math
import signal

import pytest
import torch
from torch import nn

from denoisers.errors import (
    BadCheckpoint,
    BadPlan,
    BadSurrogate,
    CannotSave,
    Diverged,
    OutOfMemory,
)
from denoisers.training import checkpoint, loop
from denoisers.training.files import alone_in
from denoisers.training.loop import Plan, _follow, _schedule, fit
from tests.denoisers.training.scenes import (
    Brightness,
    curve,
    same,
    stop_at,
    task,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_bfloat16_that_would_be_emulated_is_left_out(tmp_path, monkeypatch):
    plain = fit(task(), Plan(steps=3), tmp_path / "plain")
    monkeypatch.setattr(loop, "precision", lambda _: torch.float32)
    assert same(plain, fit(task(), Plan(steps=3, mixed=True), tmp_path / "slow"))
    monkeypatch.setattr(loop, "precision", lambda _: torch.bfloat16)
    assert not same(plain, fit(task(), Plan(steps=3, mixed=True), tmp_path / "fast"))


def test_a_second_signal_stops_at_once_and_keeps_the_checkpoint_before(tmp_path):
    def twice(report):
        if report.step == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(task(), Plan(steps=9, save_seconds=1e9), tmp_path, watch=stop_at(2))
    with pytest.raises(KeyboardInterrupt):
        fit(task(), Plan(steps=9, save_seconds=1e9), tmp_path, watch=twice)
    assert checkpoint.state_of(tmp_path / "checkpoint.safetensors")["step"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_a_closed_terminal_stops_in_order_unless_nohup_was_asked_for(tmp_path):
    plan = Plan(steps=6, save_seconds=1e9)
    with pytest.raises(KeyboardInterrupt):
        fit(task(), plan, tmp_path / "closed", watch=stop_at(2, signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        fit(task(), plan, tmp_path / "nohup", watch=stop_at(2, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert checkpoint.state_of(tmp_path / "nohup/checkpoint.safetensors")["step"] == 6


def test_two_trainings_do_not_write_to_one_folder(tmp_path):
    with alone_in(tmp_path), pytest.raises(BadCheckpoint, match="another training is writing"):
        fit(task(), Plan(steps=1), tmp_path)
    fit(task(), Plan(steps=1), tmp_path)


class Fragile(nn.Module):
    """A denoiser whose loss, or gradient, is not finite from some step on."""

    def __init__(self, what, step):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3, 1, 1))
        self.what, self.left = what, step

    def forward(self, noisy, sigma):
        if self.training:
            self.left -= 1
        cleaned = noisy * self.factor
        if self.left < 0 and self.what == "loss":
            return cleaned * torch.nan
        if self.left < 0:
            return cleaned + (self.factor - self.factor.detach()).abs().sqrt()  # 0, its slope not
        return cleaned


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_training_that_diverges_stops_and_the_last_checkpoint_is_good(tmp_path, what):
    plan = Plan(steps=9, save_seconds=0.0, log_steps=1)
    with pytest.raises(Diverged, match=f"at step 5: the {what}.*lower.*checkpoint of step 4"):
        fit(task(network=Fragile(what, 4)), plan, tmp_path)
    tensors, state = checkpoint.load(tmp_path / "checkpoint.safetensors")
    assert state["step"] == 4
    assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())
    assert len(curve(tmp_path)) == 4


class TurnsSour(Brightness):
    """A surrogate that is fine when it is tried out, and not later."""

    asked = 0

    def forward(self, x):
        self.asked += 1
        return super().forward(x) * (torch.nan if self.asked > 6 else 1)


def test_a_surrogate_that_gives_nan_on_the_way_is_named(tmp_path):
    made = task(stability=1.0, surrogates=[Brightness(), TurnsSour()])
    with pytest.raises(BadSurrogate, match=r"surrogate 2 \(TurnsSour\).*not finite"):
        fit(made, Plan(steps=9), tmp_path)


class Greedy(Fragile):
    def forward(self, noisy, sigma):
        if self.training:
            torch.empty(2**60)
        return noisy * self.factor


def test_a_full_memory_is_told_as_such(tmp_path):
    with pytest.raises(OutOfMemory, match="smaller --batch"):
        fit(task(network=Greedy("", 9)), Plan(steps=2), tmp_path)


def test_a_full_disk_ends_the_training_and_the_checkpoint_stays(tmp_path, limit_files):
    path = tmp_path / "checkpoint.safetensors"
    plan = Plan(steps=9, save_seconds=1e9, log_steps=1)
    whole = fit(task(), plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(task(), plan, tmp_path, watch=stop_at(3))
    before = path.read_bytes()
    with limit_files(20_000), pytest.raises(CannotSave, match="same command goes on"):
        fit(task(), plan, tmp_path, watch=stop_at(6))
    assert path.read_bytes() == before
    assert list(tmp_path.glob("*.tmp")) == []
    assert same(fit(task(), plan, tmp_path), whole)


def test_the_learning_rate_rises_and_falls_to_zero():
    plan = Plan(steps=100, warmup=0.2)
    rates = [_schedule(step, plan) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.55)
    assert rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert all(a < b for a, b in itertools.pairwise(rates[:21]))
    assert all(a > b for a, b in itertools.pairwise(rates[20:]))
    assert 0 < rates[-1] < 0.001
    assert all(0 <= _schedule(0, Plan(steps=1, warmup=w)) <= 1 for w in (0, 0.5, 1))


def test_the_average_follows_the_weights_and_copies_counters():
    network = nn.BatchNorm1d(2)
    average = {k: v.clone() for k, v in network.state_dict().items()}
    weights, mean = [], []
    for step in range(60):
        with torch.no_grad():
            network.weight.fill_(float(step % 7))
            network.running_mean.fill_(float(step % 5))
            network.num_batches_tracked.fill_(step)
        weights.append(float(step % 7))
        mean.append(float(step % 5))
        _follow(average, network, 0.9, step)
    for name, values in (("weight", weights), ("running_mean", mean)):
        expected = 1.0 if name == "weight" else 0.0
        for step, value in enumerate(values):
            keep = min(0.9, (1 + step) / (10 + step))
            expected = keep * expected + (1 - keep) * value
        assert average[name].tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert int(average["num_batches_tracked"]) == 59


@pytest.mark.parametrize(
    "numbers",
    [{"steps": 0}, {"steps": 1, "warmup": math.nan}, {"steps": 1, "warmup": 2},
     {"steps": 1, "average": 1.0}, {"steps": 1, "clip": 0}, {"steps": 1, "log_steps": 0}],
)  # fmt: skip
def test_a_plan_out_of_range_is_refused(numbers):
    with pytest.raises(BadPlan):
        Plan(**numbers)
