"""What a run pays for: the calls in flight at its stop, the clean picture, the canaries.

The engine asks ahead of the votes that it has seen, up to as many as the present rate seems to
need. This replays how it does so (`certification.collecting`, `certification.pipeline`) with calls
that all take equally long and a denoiser that keeps up: no clock, no classifier, no picture.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from certification.canary import EVERY
from certification.confidence import ConfidenceProcess
from certification.stopping import StopRule, first_stop, votes_needed


@dataclass(frozen=True)
class Asked:
    """What one run took.

    Attributes:
        votes: counted by its certificate.
        images: noisy copies that were asked about, those behind the stop included.
        calls: in which they were sent.
        reason: why it stopped.
    """

    votes: int
    images: int
    calls: int
    reason: str


def ask_ahead(
    process: ConfidenceProcess,
    votes: Iterator[str | None],
    rules: Sequence[StopRule],
    *,
    max_batch: int,
    concurrency: int,
) -> Asked:
    """Run until a stop rule holds.

    Args:
        process: takes the votes.
        votes: in index order; must not end before a rule holds.
        rules: at least one that holds in the end, such as `VotesSpent`.
        max_batch: noisy copies in a call.
        concurrency: calls in flight.
    """
    flying: deque[int] = deque()  # pictures in each call, in the order they are answered
    images = calls = answered = 0
    while True:
        horizon = process.n + votes_needed(process, rules)
        while len(flying) < concurrency:
            size = min(max_batch, horizon - images)
            if size <= 0 or (size < max_batch and flying):
                break
            flying.append(size)
            images, calls = images + size, calls + 1
        size = flying.popleft()
        _, reason = first_stop(process, islice(votes, size), rules)
        answered += size
        if reason is not None:
            return Asked(process.n, images, calls, reason)
        if process.n < answered:
            raise ValueError("the votes ended before a stop rule held")


def canaries(votes: int) -> int:
    """Return how often the clean picture is asked about again where no version is named.

    Args:
        votes: of the run, 1 or more: every 250, and once at its end.
    """
    return 1 + max(0, votes - 1) // EVERY
