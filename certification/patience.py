"""How long to go on asking for a picture that keeps failing."""

import random
from dataclasses import dataclass


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
        backoff = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        # Jitter spreads the callers of a provider that throttled all of them at once.
        return max(after or 0.0, backoff * random.uniform(0.5, 1.0))  # noqa: S311
