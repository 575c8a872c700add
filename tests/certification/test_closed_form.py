"""End to end where the smoothed answer and its radius are known in closed form.

Each run is the whole engine with a key of its own: real noise, real votes, real stop rules.
Over 2,000 runs the certified radius may exceed the true one no more often than α allows.
"""

import asyncio

import numpy as np
import pytest
from scipy.stats import binom

from certification.certify import certify
from certification.options import Options
from tests.certification.worlds import Clip, World, grey, half_space, label, machine, refuse_above

SIGMA, ALPHA, RUNS = 0.1, 0.2, 250


def many_labels(pixels):
    """Spread the votes over hundreds of labels, by the picture's low bits; "in" gets half."""
    if half_space(0.0)(pixels).predictions[0].name == "in":
        return label("in")
    return label(f"label {int(pixels.sum()) % 400}")


def tie(pixels):
    """Two labels at one half each: the sign of a sum that is never zero."""
    plane = np.where(np.arange(pixels.size) % 2, 1, -1).reshape(pixels.shape)
    total = 2 * int((plane * pixels.astype(np.int64)).sum()) + 1
    return label("heads" if total > 0 else "tails")


WORLDS = {
    # name: (classifier, true radius; 0 means that nothing above ½ is true of any label)
    "plane through the picture": (half_space(0.0), 0.0),
    "plane at a quarter sigma": (half_space(0.25 * SIGMA), 0.25 * SIGMA),
    "plane at half a sigma": (half_space(0.5 * SIGMA), 0.5 * SIGMA),
    "plane at one sigma": (half_space(SIGMA), SIGMA),
    "plane at two sigma": (half_space(2 * SIGMA), 2 * SIGMA),
    "two labels tie": (tie, 0.0),
    "many labels": (many_labels, 0.0),
    "abstains beyond a plane": (refuse_above(0.5 * SIGMA), 0.5 * SIGMA),
}


async def certified(answer, key, **options):
    world = World(answer, max_batch=128, concurrency=1)
    document = await certify(
        machine(key.to_bytes(32, "big")),
        grey(),
        Options(**{"sigma": SIGMA, "good_enough": None, **options}),
        denoiser=Clip(128),
        classifier=world,
    )
    return document["proof"]


def exceeds(proof, truth):
    """Whether the certificate says more than is true; at truth 0 any label at all does."""
    return not proof["abstained"] and (truth == 0.0 or proof["radius"] > truth)


@pytest.mark.parametrize("name", WORLDS)
def test_no_more_false_certificates_than_alpha_allows(name):
    answer, truth = WORLDS[name]

    async def go():
        return [
            exceeds(await certified(answer, key, alpha=ALPHA, max_votes=100), truth)
            for key in range(RUNS)
        ]

    false = sum(asyncio.run(go()))
    # Passed by chance once in 10^6 if the error were exactly α; it is a good deal less.
    assert false <= binom.isf(1e-6, RUNS, ALPHA)
    if name in ("two labels tie", "plane at a quarter sigma"):
        assert false > 0  # so that the test can see an error at all


def test_a_method_that_cheats_would_be_found_out():
    """The same check refuses radii that are one grid point in ten too large."""
    answer, truth = WORLDS["plane at one sigma"]

    async def go():
        proofs = [await certified(answer, key, alpha=ALPHA, max_votes=100) for key in range(60)]
        return [not p["abstained"] and 1.5 * p["radius"] > truth for p in proofs]

    assert sum(asyncio.run(go())) > binom.isf(1e-6, 60, ALPHA)


@pytest.mark.parametrize("sigmas", [0.5, 1.0, 1.5, 2.0])
def test_the_radius_reaches_nine_tenths_of_the_true_one(sigmas):
    truth = sigmas * SIGMA
    proof = asyncio.run(certified(half_space(truth), 7, max_votes=10_000))
    assert 0.9 * truth <= proof["radius"] <= truth
    assert proof["votes"]["n"] == 10_000
