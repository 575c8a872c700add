"""How many votes a run takes: exact figures, and the real process beside them."""

import numpy as np
import pytest

from certification import expected_votes as module
from certification import simulated_votes
from certification.certify import stop_rules
from certification.confidence import ConfidenceProcess
from certification.errors import InvalidParameter
from certification.expected_votes import Rate, expected_votes, looks_until, vote_counts
from certification.options import Options
from certification.stopping import first_stop

HALF = Options(sigma=0.25, target_radius=0.125, max_votes=4000)
ONE = Options(sigma=0.25, target_radius=0.25, max_votes=4000)


def real(rate, options, runs, seed=0):
    """Run the real loop; votes and reasons."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(runs):
        hits = rng.random(options.max_votes) < rate.share
        label = "it" if rate.named else "rival"
        votes = (label if hit else f"other {i}" for i, hit in enumerate(hits))
        process = ConfidenceProcess(options.alpha, "it", options.milestone)
        found.append((*first_stop(process, votes, stop_rules(options)), process.label is not None))
    return found


@pytest.mark.parametrize(
    ("options", "rate", "mean"),
    [
        (HALF, 1.0, 28.0),
        (HALF, 0.9, 67.5),
        (HALF, 0.8, 275.7),
        (HALF, 0.3, 19.2),
        (ONE, 1.0, 56.0),
        (ONE, 0.95, 142.1),
        (ONE, 0.6, 36.9),
    ],
)
def test_published_means(options, rate, mean):
    found = expected_votes(rate, options)
    assert found.exact
    assert found.mean == pytest.approx(mean, abs=0.06)
    assert found.at.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.quantile(0.05) <= found.quantile(0.5) <= found.quantile(0.95)
    yes, no = found.outcomes["target_reached"], found.outcomes["hopeless"]
    assert found.reached == pytest.approx(yes)
    assert max(yes, no) > 0.99


CASES = [
    (Options(sigma=0.25, target_radius=0.125, max_votes=150), Rate(0.85)),
    (Options(sigma=0.25, target_radius=0.125, max_votes=150), Rate(0.95, named=False)),
    (Options(sigma=0.25, target_radius=0.2, max_votes=200, milestone=60), Rate(0.95)),
    (Options(sigma=0.25, target_radius=0.2, max_votes=40, milestone=60 - 20), Rate(0.97)),
    (Options(sigma=0.25, good_enough=None, max_votes=120), Rate(0.6)),
    (Options(sigma=0.25, good_enough=None, max_votes=120, alpha=0.1), Rate(0.45)),
    (Options(sigma=0.25, max_votes=150), Rate(0.9)),
    (Options(sigma=0.25, max_votes=150, milestone=80), Rate(0.97)),
    (Options(sigma=0.25, max_votes=200, alpha=0.05), Rate(0.85, named=False)),
]


@pytest.mark.parametrize(("options", "rate"), CASES)
def test_agrees_with_the_real_loop(options, rate):
    found = expected_votes(rate, options)
    runs = 100 if found.exact else 30
    tried = real(rate, options, runs)
    votes = np.array([n for n, _, _ in tried])
    spread = np.sqrt(found.looks**2 @ found.at - found.mean**2)
    slack = 0.015 * found.mean if not found.exact else 0.0
    assert abs(votes.mean() - found.mean) <= 4 * spread / np.sqrt(runs) + slack + 1e-9
    if not found.exact:
        spread *= 2  # both sides are simulated
    for reason, share in found.outcomes.items():
        seen = np.mean([why == reason for _, why, _ in tried])
        assert abs(seen - share) <= 6 * np.sqrt(max(share * (1 - share), 0.01) / runs)
    for share in (0.05, 0.5, 0.95):
        within = np.mean(votes <= found.quantile(share) * (1.0 if found.exact else 1.02))
        assert within >= share - 6 * np.sqrt(share * (1 - share) / runs)
    if options.target_radius is None:
        certified = np.mean([certified for _, _, certified in tried])
        assert abs(certified - found.reached) <= 6 * np.sqrt(0.25 / runs)


@pytest.mark.parametrize(
    ("share", "named", "options"),
    [
        (1.0, True, {}),
        (0.9, True, {}),
        (0.8, False, {"alpha": 0.05}),
        (0.95, True, {"milestone": 70}),
        (0.55, True, {"alpha": 0.2}),
        (0.2, True, {}),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_simulation_is_the_process_vote_by_vote(share, named, options, seed, monkeypatch):
    """Looked at after every vote it ends where the process with the same votes does."""
    monkeypatch.setattr(simulated_votes, "EVERY_VOTE", 10**9)
    chosen = Options(sigma=0.25, max_votes=250, **options)
    found = simulated_votes.simulate(np.array([share]), np.array([named]), chosen, seed)
    rng = np.random.default_rng(seed)
    hits = [rng.binomial(1, np.array([share]))[0] for _ in range(250)]
    label = "it" if named else "rival"
    process = ConfidenceProcess(chosen.alpha, "it", chosen.milestone)
    votes = (label if hit else f"other {i}" for i, hit in enumerate(hits))
    n, reason = first_stop(process, votes, stop_rules(chosen))
    assert (found.votes[0], simulated_votes.REASONS[found.reasons[0]]) == (n, reason)
    assert bool(found.certified[0]) == (process.label is not None)


def test_far_out_it_is_right_to_a_few_hundredths(monkeypatch):
    options = Options(sigma=0.25, target_radius=0.125, max_votes=2000)
    exact = expected_votes(0.75, options)
    module.boundaries.cache_clear()
    module._exact.cache_clear()
    monkeypatch.setattr(module, "EXACT", 100)
    sparse = expected_votes(0.75, options)
    module.boundaries.cache_clear()
    module._exact.cache_clear()
    assert sparse.looks.size < 500 < exact.looks.size
    assert exact.mean < sparse.mean < 1.03 * exact.mean
    assert sparse.reached == pytest.approx(exact.reached, abs=0.01)


def test_looks():
    assert looks_until(3).tolist() == [0, 1, 2, 3]
    looks = looks_until(100_000, 7001)
    assert looks[0] == 0
    assert looks[-1] == 100_000
    assert 7001 in looks
    assert np.diff(looks[:5001]).tolist() == [1] * 5000
    assert looks.size < 5400


def test_a_budget_of_one_vote():
    for options in (Options(sigma=1, target_radius=1, max_votes=1), Options(sigma=1, max_votes=1)):
        found = expected_votes(0.7, options)
        assert found.mean == 1
        assert found.outcomes["votes_spent"] == 1
        assert found.reached == 0


def test_the_same_twice_and_for_many():
    options = Options(sigma=0.25, max_votes=120)
    one, other = (vote_counts([Rate(0.9), Rate(0.3)], options, 20) for _ in range(2))
    assert [count.mean for count in one] == [count.mean for count in other]
    assert one[0].reached > one[1].reached == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_share(share):
    with pytest.raises(InvalidParameter, match="vote rate"):
        Rate(share)
