"""What people read: true, rounded down, and safe to print."""

import io
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from certification.stopping import GoodEnough, Hopeless, TargetReached, VotesSpent
from service import render
from service.live_bar import status
from service.terminal import plain


def shown(part: Any) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(part)
    return " ".join(console.file.getvalue().replace("│", " ").split())  # type: ignore[attr-defined]


def certificate(**changes: Any) -> dict[str, Any]:
    proof = {
        "abstained": False,
        "label": "cat",
        "radius": 0.799644,
        "radius_linf": 0.014427,
        "sigma": 0.25,
        "alpha": 0.001,
        "votes": {"n": 1000, "counts": {"cat": 990, "dog": 4, "fox": 3}, "abstentions": 3},
        "subject": {
            "provider": {"name": "local", "model_version": "v7"},
            "denoiser": {"name": "cifar"},
        },
        "stop_reason": "good_enough",
    }
    document = {
        "id": "1be7d9d8e75986a432aea82ff5a3f1d3",
        "proof": proof | {k: v for k, v in changes.items() if k in proof},
        "image": {
            "width": 32,
            "height": 32,
            "source": {"width": 640, "height": 480, "format": "JPEG"},
            "steps": ["EXIF orientation 6 applied", "centre crop 32×32"],
        },
        "label_names": {"cat": "Cat", "dog": "Dog"},
        "truth": None,
        "request": {"target_radius": None, "max_votes": 1000},
        "accounting": {"calls": 33, "retries": 2, "cost": 1.5, "seconds": 2.04, "votes_reused": 9},
    }
    return document | {k: v for k, v in changes.items() if k not in proof}


def test_certificate_says_what_it_means() -> None:
    text = shown(render.certificate(certificate()))
    for part in (
        "Cat certified L2 radius 0.799",
        "size of at most 0.799, the smoothed classifier still answers Cat; confidence 99.9 %",
        "all 3,072 values may move by up to 3.6/255 at once, or a single one by up to 203.9/255",
        "990 of 1,000",
        "no label",
        "3 of 1,000",
        "more votes would add little",
        "sigma = 0.25, denoiser cifar, model local (v7)",
        "$1.5 · 33 calls · 2.0 s · 2 asked again · 9 votes reused",
        "32×32, from 640×480 JPEG: EXIF orientation 6 applied; centre crop 32×32",
        "1be7d9d8e75986a432aea82ff5a3f1d3",
    ):
        assert part in text
    assert "0.8 " not in text
    assert "0.80" not in text


def test_abstention_promises_nothing() -> None:
    text = shown(render.certificate(certificate(abstained=True, label=None, radius=None)))
    assert "no certificate" in text
    assert "nothing is promised" in text
    assert "radius" not in text.replace("to the radius", "")


def test_radius_zero_is_not_sold_as_robustness() -> None:
    text = shown(render.certificate(certificate(radius=0.0, radius_linf=0.0)))
    assert "the radius is 0" in text
    assert "Whatever is done" not in text


@pytest.mark.parametrize(
    ("correct", "word"), [(True, "agrees"), (False, "differs"), (None, "nothing to compare")]
)
def test_own_label(correct: bool | None, word: str) -> None:
    truth = {"label": "Feline", "correct": correct}
    assert f"Feline: {word}" in shown(render.certificate(certificate(truth=truth)))


def test_many_labels_are_summed_up() -> None:
    counts = {f"label {i}": 100 - i for i in range(9)}
    votes = {"n": sum(counts.values()), "counts": counts, "abstentions": 0}
    text = shown(render.certificate(certificate(votes=votes)))
    assert "4 more labels" in text
    assert f"{sum(list(counts.values())[5:])} of" in text


def test_no_votes_at_all() -> None:
    votes = {"n": 0, "counts": {}, "abstentions": 0}
    assert "none" in shown(render.certificate(certificate(votes=votes, abstained=True)))


def test_labels_cannot_write_to_the_terminal() -> None:
    hostile = "[bold]x[/]\x1b[2J\u202e\r\n"
    text = shown(render.certificate(certificate(label_names={"cat": hostile})))
    assert "[bold]x[/]�[2J���" in text
    assert "\x1b" not in text
    assert plain(hostile).isprintable()


@given(st.integers(0, 12_000_000))
def test_radii_are_never_rounded_up(millionths: int) -> None:
    radius = millionths / 1e6
    assert float(render.radius_words(radius)) <= radius
    # Exactly: as a float, 255 · 0.0026 is a little less than 0.663.
    assert Fraction(render.steps_of_255(radius)) <= min(255, 255 * Fraction(repr(radius)))
    assert (radius == 0) == (float(render.radius_words(radius)) == 0)


def test_a_missed_target_is_named() -> None:
    request = {"target_radius": 0.3, "max_votes": 1000}
    for reason in ("votes_spent", "max_cost", "deadline", "cancelled"):
        assert "the target radius 0.3 was not reached" in render.stop_words(reason, request)
    for reason in ("target_reached", "hopeless"):
        assert "was not reached" not in render.stop_words(reason, request)


def test_small_changes_are_no_zeros() -> None:
    assert render.steps_of_255(0.0003) == "0.076"
    assert render.steps_of_255(0.01) == "2.5"


def test_every_stop_reason_has_words() -> None:
    rules = {rule.reason for rule in (GoodEnough, Hopeless, TargetReached, VotesSpent)}
    others = {"max_cost", "deadline", "cancelled", "complete"}
    assert rules | others == set(render.STOP_REASONS)
    assert "target radius 0.5 is out of reach" in render.stop_words(
        "hopeless", {"target_radius": 0.5, "max_votes": 10}
    )
    assert render.stop_words("of another version", {}) == "of another version"


def prediction() -> dict[str, Any]:
    return {
        "label": "cat",
        "label_name": "Cat",
        "abstained": False,
        "alpha": 0.001,
        "sigma": 0.5,
        "p_value": 1.3e-27,
        "n": 100,
        "n_fixed": 100,
        "counts": {"cat": 98, "dog": 2},
        "abstentions": 0,
        "stop_reason": "complete",
        "subject": certificate()["proof"]["subject"],
        "image": certificate()["image"],
        "accounting": certificate()["accounting"],
    }


def test_prediction() -> None:
    document = prediction()
    text = shown(render.prediction(document))
    for part in ("Cat predicted", "98 of 100", "No radius is promised", "p-value 1.3e-27"):
        assert part in text
    text = shown(render.prediction(document | {"label": None, "abstained": True}))
    assert "abstained" in text
    assert "All 100 votes were counted, and no label is far enough ahead" in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("max_cost", "abstained the budget of money was used up"),
        ("deadline", "abstained the time was up"),
        ("cancelled", "abstained cancelled 40 of 100"),
    ],
)
def test_a_prediction_without_all_its_votes_says_why(reason: str, words: str) -> None:
    short = {"n": 40, "stop_reason": reason, "label": None, "abstained": True, "p_value": 3.6e-15}
    text = shown(render.prediction(prediction() | short))
    assert words in text
    assert "40 of 100 votes were counted" in text
    assert "3.6e-15" not in text


def test_live_figures() -> None:
    event = {
        "n": 1200,
        "counts": {"cat": 1190, "dog": 10},
        "label": "cat",
        "radius": 0.41999,
        "votes_per_second": 812.4,
        "expected_remaining": 40,
        "cost": 1.2,
    }
    assert status(event) == "1,200 votes · cat · radius 0.419 · 812/s · about 40 to go · $1.2"
    early = event | {"label": None, "votes_per_second": 0.0, "n": 1, "cost": 0.0}
    assert status(early) == "1 votes · cat? · about 40 to go · $0"
