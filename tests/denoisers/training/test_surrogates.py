"""Surrogates: loaded by name, tried before they are relied on, never changed."""

import sys

import pytest
import torch
from torch import nn

from denoisers.errors import BadSurrogate
from denoisers.training.surrogates import load_surrogate, stability, try_out
from tests.denoisers.training.scenes import Brightness

HERE = "tests.denoisers.training.test_surrogates"
SCENES = "tests.denoisers.training.scenes"


class Odd(nn.Module):
    """Scores in a way that is given."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, x):
        return self.score(x)


def no_module():
    return 3


def leaves():
    sys.exit(0)


def broken():
    raise FileNotFoundError("weights.pt is not there")


def test_a_surrogate_is_made_evaluating_and_fixed():
    plain, steep = load_surrogate(f"{SCENES}:brightness"), load_surrogate(f"{SCENES}:brightness=7")
    assert plain.slope.item() == 40
    assert steep.slope.item() == 7
    assert not any(module.training for module in plain.modules())
    assert not any(p.requires_grad for p in plain.parameters())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere_to_be_found:make", "No module named"),
        (f"{HERE}:missing", "no attribute 'missing'"),
        (f"{HERE}:no_module", "makes int, no torch module"),
        (f"{HERE}:broken", r"weights\.pt is not there"),
        (f"{HERE}:leaves", "SystemExit"),
        (f"{SCENES}:brightness=steep", "could not convert"),
        (HERE, "names no function"),
        (":make", "names no function"),
        ("", "names no function"),
        ("model.onnx", "--check measures"),
    ],
)
def test_what_is_no_surrogate_is_named(text, words):
    with pytest.raises(BadSurrogate, match=words) as told:
        load_surrogate(text)
    assert repr(text) in str(told.value)


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda x: x.mean((2, 3)) * torch.nan, "not finite"),
        (lambda x: x.mean((1, 2, 3)), r"shape \(2,\)"),
        (lambda x: x.mean((2, 3)).squeeze(), r"shape \(3,\) for 1 pictures"),
        (lambda x: x.mean((2, 3))[:, :1], "at least two classes"),
        (lambda x: x.mean((2, 3))[:1], r"shape \(1, 3\) for 2 pictures"),
        (lambda x: [x], "a list, not a tensor"),
        (lambda x: x.mean((2, 3)).detach(), "no usable gradient"),
        (lambda x: x.mean((2, 3)).argmax(1, keepdim=True).expand(-1, 2), "no usable gradient"),
        (lambda x: (x.mean((2, 3)) - x.mean((2, 3))).sqrt(), "no usable gradient"),
        (lambda x: x.view(2, 3, 32, 32).mean((2, 3)), "16×16.*bring them to its size"),
    ],
)
def test_one_that_cannot_be_learnt_from_is_named_before_the_training(score, words):
    with pytest.raises(BadSurrogate, match=words) as told:
        try_out([Brightness().eval(), Odd(score)], 16)
    assert "surrogate 2 (Odd)" in str(told.value)


def test_every_surrogate_is_used_and_each_on_its_share():
    asked = []

    def noting(name):
        return lambda x: asked.append((name, len(x))) or x.mean((2, 3))

    pictures = torch.rand(8, 3, 16, 16)
    lost, stayed = stability([Odd(noting(n)) for n in "abc"], pictures, pictures)
    assert asked == [("a", 3), ("a", 3), ("b", 3), ("b", 3), ("c", 2), ("c", 2)]
    assert lost.shape == stayed.shape == (8,)
    assert bool(stayed.all())


def test_what_each_picture_loses_stands_where_it_stood():
    """Though the batch is dealt out among the surrogates."""
    torch.manual_seed(0)
    clean, denoised = torch.rand(8, 3, 16, 16), torch.rand(8, 3, 16, 16)
    judges = [Brightness(slope).eval() for slope in (3.0, 9.0, 27.0)]
    denoised.requires_grad_()
    lost, stayed = stability(judges, clean, denoised)
    for n in range(8):
        one, kept = stability([judges[n % 3]], clean[n : n + 1], denoised[n : n + 1])
        assert torch.allclose(lost[n], one[0], rtol=1e-5)
        assert stayed[n] == kept[0]
    lost.sum().backward()
    assert denoised.grad.flatten(1).abs().sum(1).min() > 0  # each picture learns


def test_stability_is_cross_entropy_to_the_answer_to_the_clean_picture():
    weak = Brightness(slope=3.0).eval()
    clean, denoised = torch.rand(5, 3, 16, 16), torch.rand(5, 3, 16, 16) * 1.6 - 0.3
    lost, stayed = stability([weak], clean, denoised)
    answers = weak(clean).argmax(1)
    scores = weak(denoised.clamp(0, 1)).log_softmax(1)
    assert torch.allclose(lost, -scores[torch.arange(5), answers])
    assert torch.equal(stayed, scores.argmax(1) == answers)


def test_the_gradient_reaches_the_denoised_picture_and_not_the_surrogate():
    surrogate = load_surrogate(f"{SCENES}:brightness=3")
    before = {name: value.clone() for name, value in surrogate.state_dict().items()}
    clean = torch.rand(4, 3, 16, 16)
    denoised = torch.rand(4, 3, 16, 16, requires_grad=True)
    lost, _ = stability([surrogate], clean, denoised)
    lost.mean().backward()
    assert bool((denoised.grad != 0).any())
    assert all(p.grad is None for p in surrogate.parameters())
    after = surrogate.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
