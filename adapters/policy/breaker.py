"""A breaker: stops calling a provider that is down, and tries it with one call now and then.

Closed: calls go through. After so many failures in a row it opens: none go through, until a
pause is over; then one call tries. If that fails the next pause is twice as long.
"""

from enum import Enum

FAILURES = 10
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
WORTH_WAITING = 120.0  # seconds since the first failure


class State(Enum):
    """What a breaker says to a call."""

    CLOSED = "closed"
    OPEN = "open"
    TRYING = "trying"


class Breaker:
    """Knows no clock: the caller says what time it is.

    Args:
        failures: calls in a row that fail before it opens.

    Attributes:
        state: what it says now.
        until: when the pause is over, while it is open.
    """

    def __init__(self, failures: int = FAILURES) -> None:
        self._most = failures
        self.failures = 0
        self._since = self._pause = self.until = 0.0
        self.state = State.CLOSED

    def worth_waiting(self, now: float) -> bool:
        """Tell whether the provider has been down for so short a time that it is waited for."""
        return self.state is State.CLOSED or now - self._since < WORTH_WAITING

    def down_for(self, now: float) -> float:
        """Seconds since the first of the present failures."""
        return now - self._since if self.failures else 0.0

    def lets_through(self, now: float) -> bool:
        """Tell whether a call may start; one that may while it is open is the trial."""
        if self.state is State.OPEN and now >= self.until:
            self.state = State.TRYING
            return True
        return self.state is State.CLOSED

    def succeeded(self) -> None:
        """A call was answered, or at least the provider is there."""
        self.failures, self._pause = 0, 0.0
        self.state = State.CLOSED

    def failed(self, now: float) -> None:
        """A call came to nothing."""
        if self.failures == 0:
            self._since = now
        self.failures += 1
        if self.state is State.TRYING or (
            self.state is State.CLOSED and self.failures >= self._most
        ):
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
            self.until = now + self._pause
            self.state = State.OPEN

    def unused(self) -> None:
        """The trial was not made: the next call is it."""
        if self.state is State.TRYING:
            self.state = State.OPEN
