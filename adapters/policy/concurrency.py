"""How many calls may be in flight: as many as bring more answers and no throttling.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP finds its window: doubled
each round trip until the provider throttles for the first time, then one more each round trip,
and seven tenths whenever it throttles more than by chance. How often calls may start, which
matters where even one at a time is too many, is for :mod:`adapters.policy.pace` to say.
"""

FIRST, SHRINK = 4.0, 0.7


class Concurrency:
    """Knows no clock and waits for nothing.

    Args:
        most: calls that may ever be in flight.

    Attributes:
        most: the same.
        in_flight: calls that have begun and not ended.
        begun: calls that have begun.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = min(FIRST, most)
        self._throttled_before = False
        self._round = 0  # of the last decrease
        self.in_flight = 0
        self.begun = 0

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    @property
    def free(self) -> bool:
        """Whether another call may begin."""
        return self.in_flight < self.limit

    def begin(self) -> int:
        """Count a call; returns its number, for `end`."""
        self.in_flight += 1
        self.begun += 1
        return self.begun

    def end(self, number: int, *, answered: bool, too_much: bool) -> None:
        """Count the end of a call.

        Args:
            number: what `begin` returned.
            answered: whether any of its pictures was.
            too_much: whether the provider asks for fewer calls.
        """
        full = self.in_flight >= self.limit
        self.in_flight -= 1
        if too_much:
            self._throttled_before = True
            if number > self._round:  # it began after the last decrease, so that was not enough
                self._round = self.begun
                self._limit = max(1.0, SHRINK * self._limit)
        elif answered and full:  # else nothing says that more would help
            step = 1.0 / self._limit if self._throttled_before else 1.0
            self._limit = min(float(self.most), self._limit + step)

    def forget(self) -> None:
        """Take back a `begin` whose call was not made."""
        self.in_flight -= 1
