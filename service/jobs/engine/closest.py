"""Where the next votes decide most: the order of the allocation "closest".

Each picture is asked about in slices. After one, it waits with the number of votes that it will
probably still need to reach the target as its place; so with a fixed budget the pictures that are
nearest to their target come first, and hopeless ones last. That chooses which pictures are asked
about, never which votes count: each certificate is a function of its own votes.
"""

import math
from collections.abc import Mapping
from typing import Any

from scipy import special

FIRST_SLICE = 32  # votes: enough to tell a likely picture from a hopeless one
FAR = 1e9  # beyond any number of votes: for a picture that is below its target so far


def next_slice(n: int, max_votes: int) -> int:
    """Return up to how many votes a picture with n of them is asked about next."""
    return min(max_votes, max(FIRST_SLICE, 2 * n))


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
