"""How often calls may start at a provider whose limit nobody has told us.

Unlimited until a good part of the calls are throttled. Then a rate is kept that falls to seven
tenths of what was too much, comes back to it slowly, stays near it for a while and goes beyond it
ever faster: CUBIC (Ha, Rhee and Xu, 2008), with its time in units that suit a limit per second.
Calls are spread evenly, since a burst would use up a second's limit at once and be throttled for
the rest of it.
"""

import math
from collections import deque

SHRINK = 0.7
UNIT = 15.0  # seconds; the rate is back at its old height after two thirds of it
BETWEEN_CUTS = 1.0  # a limit that was passed throttles for about so long, however slow one becomes
SLOWEST = 1 / 30  # calls a second
TOLERATED = 0.25  # of the latest calls, about ten: a throttle now and then is no reason to slow
WEIGHT = 0.1  # of the latest call in that share


class Pace:
    """Knows no clock: the caller says what time it is."""

    def __init__(self) -> None:
        self._top = math.inf  # the rate that was too much
        self._cut_at = -math.inf
        self._due = 0.0
        self._answered: deque[float] = deque()  # in the last second
        self._throttled = 0.0  # share of the latest calls

    def rate(self, now: float) -> float:
        """Return the calls a second that may start."""
        if self._top == math.inf:
            return math.inf
        time = (now - self._cut_at) / UNIT - math.cbrt(1 - SHRINK)
        return max(SLOWEST, self._top * (1 + time**3))

    def due(self, now: float) -> float:
        """Return when the next call may start."""
        return self._due + 1 / self.rate(now)

    def start(self, now: float) -> None:
        """Note that a call starts. One that is a little late does not hold up those after it."""
        self._due = max(self.due(now), now - 1 / self.rate(now))

    def answered(self, now: float) -> None:
        """Note that a call was answered."""
        self._throttled *= 1 - WEIGHT
        self._answered.append(now)
        self._forget(now)

    def throttled(self, now: float) -> bool:
        """Note that a call was throttled, and slow down if that is more than chance.

        Returns:
            Whether it is.
        """
        self._throttled += WEIGHT * (1 - self._throttled)
        if self._throttled <= TOLERATED or now - self._cut_at < BETWEEN_CUTS:
            return False
        self._forget(now)
        rate = self.rate(now)
        floor = 1.0 if rate == math.inf else SHRINK * rate
        self._top = min(rate, max(floor, float(len(self._answered))))
        self._cut_at, self._throttled = now, 0.0
        self._due = max(self._due, now - 1 / self.rate(now))
        return True

    def _forget(self, now: float) -> None:
        while self._answered and self._answered[0] <= now - 1.0:
            self._answered.popleft()
