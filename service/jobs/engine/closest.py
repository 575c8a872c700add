"""Where the next votes decide most: the order of the allocation "closest".

Each picture is asked about in slices. All get their first one before any gets a second, as far as
the money goes; where it is too little for that, the first slices are smaller, so that it is spent
evenly. After a slice a picture waits with the number of votes that it will probably still need to
reach the target as its place; so with a fixed budget the pictures that are nearest to their target
come first, and hopeless ones last. That chooses which pictures are asked about, never which votes
count: each certificate is a function of its own votes.
"""

import math
from collections.abc import Mapping
from typing import Any

from scipy import special

from certification.protocols import Traits
from service.jobs.estimates.estimate_pictures import COST, Terms
from service.jobs.job import Job

FIRST_SLICE = 32  # votes: enough to tell a likely picture from a hopeless one
FAR = 1e9  # beyond any number of votes: for a picture that is below its target so far


def first_slice(job: Job, traits: Traits) -> int:
    """Return how many votes each picture of a job is asked about first, at least 1.

    Args:
        job: whose money is to do for all of its pictures.
        traits: of the provider.
    """
    cap, terms = job.spec.max_cost, Terms(traits)
    if cap is None:
        return FIRST_SLICE
    costs = {n: job.count * terms.picture(n, 0, 0)[COST] for n in range(1, FIRST_SLICE + 1)}
    return max((n for n, cost in costs.items() if cost <= cap + 1e-9), default=1)


def next_slice(n: int, max_votes: int, first: int, milestone: int | None) -> int:
    """Return up to how many votes a picture is asked about next.

    Args:
        n: votes that it has.
        max_votes: that it may have.
        first: see `first_slice`.
        milestone: of the job; no run may end before it.
    """
    return min(max_votes, max(milestone or 1, max(FIRST_SLICE, 2 * n) if n else first))


def place(job: Job, document: Mapping[str, Any]) -> float:
    """Return where a picture that has had a slice waits: behind all that have not had theirs."""
    return job.count + max(0.0, order(document, job.spec.arguments["target_radius"]))


def order(document: Mapping[str, Any], target_radius: float) -> float:
    """Return the votes that a picture will probably still need; small ones come first.

    At a vote rate p̂ above that of the target, p, the log martingale grows by the divergence
    KL(p̂ ‖ p) a vote, and log(1/level) is to be reached.

    Args:
        document: a certificate of the votes so far.
        target_radius: of the job.
    """
    proof = document["proof"]
    n, confidence = proof["votes"]["n"], proof["confidence"]
    named = confidence["named_label"]
    counts: Mapping[str, int] = proof["votes"]["counts"]
    label = named if named is not None else next(iter(counts), None)
    s = counts.get(label, 0) if label is not None else 0
    level = confidence["levels"]["named" if named is not None else "other"]
    rate = float((s + 0.5) / (n + 1))
    wanted = float(special.ndtr(target_radius / proof["sigma"]))
    if rate <= wanted:
        return FAR * (1 + wanted - rate)
    gain = rate * math.log(rate / wanted) + (1 - rate) * math.log((1 - rate) / (1 - wanted))
    return float((math.log(n + 2) + math.log(1 / level)) / gain - n)
