"""How long to go on asking for a picture that keeps failing."""

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from certification.errors import ProviderUnreliable
from certification.protocols import Retry


@dataclass
class Patience:
    """How long to go on asking for a picture that keeps failing.

    Attributes:
        attempts: calls for one picture that may fail; those that were only throttled do not
            count.
        first_wait: seconds before the second call; doubled each time, with full jitter.
        longest_wait: seconds that a wait is limited to, unless the provider names more.
        longest_after: the most seconds that a provider may name.
        throttled: seconds that one picture may be throttled for.
    """

    attempts: int = 8
    first_wait: float = 0.25
    longest_wait: float = 20.0
    longest_after: float = 300.0
    throttled: float = 600.0

    def wait(self, attempt: int, after: float | None) -> float:
        """Seconds to wait before the next attempt (attempt counts from 1)."""
        doubled = min(attempt - 1, 100)  # before the power overflows
        backoff = min(self.longest_wait, self.first_wait * 2.0**doubled)
        # Jitter spreads the callers of a provider that throttled all of them at once.
        return max(backoff * random.uniform(0.5, 1.0), after or 0.0)  # noqa: S311


class Tries:
    """The tries that the pictures of one batch have had.

    Args:
        patience: how many they may have.
        name: of the provider, for messages.
    """

    def __init__(self, patience: Patience, name: str) -> None:
        self._patience, self._name = patience, name
        self._failures: Counter[int] = Counter()  # of each picture, throttles left out
        self._throttled_since: dict[int, float] = {}
        self._calls = 0

    def failed(self, outcomes: Mapping[int, Retry]) -> float:
        """Count the pictures of a call that failed.

        Args:
            outcomes: by their place in the batch; all that have no answer yet.

        Returns:
            Seconds to wait before they are asked about again.

        Raises:
            ProviderUnreliable: if one has been asked about for long enough, or the provider wants
                to be left alone for too long.
        """
        patience, now = self._patience, time.monotonic()
        self._calls += 1
        longest = 0.0
        for place, outcome in outcomes.items():
            said, after = outcome.reason, outcome.after or 0.0
            if outcome.throttled:
                since = self._throttled_since.setdefault(place, now)
            else:
                since = now
                self._throttled_since.pop(place, None)
                self._failures[place] += 1
            if self._failures[place] >= patience.attempts:
                raise self._given_up(f"failed {self._failures[place]} times on one sample ({said})")
            if after > patience.longest_after:
                raise self._given_up(f"wants to be left alone for {after:.0f} s ({said})")
            if now - since > patience.throttled:
                raise self._given_up(
                    f"has throttled one sample for {now - since:.0f} s ({said})",
                    ", at a lower rate",
                )
            longest = max(longest, after)
        return patience.wait(self._calls, longest)

    def _given_up(self, what: str, how: str = "") -> ProviderUnreliable:
        return ProviderUnreliable(
            f"{self._name} {what}, and a sample may not be skipped: ask again later{how}"
        )
