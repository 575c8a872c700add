"""A breaker: stops calling a provider that is down, and tries it with one call now and then.

Closed: calls go through. After so many failures in a row it opens: none go through, until a
pause is over; then one call tries. If that fails the next pause is twice as long.
"""

from enum import Enum

FAILURES = 10
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
WORTH_WAITING = 120.0  # seconds since it opened


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
        failures: calls in a row that have failed.
        state: what it says now.
        until: when the pause is over, while it is open.
    """

    def __init__(self, failures: int = FAILURES) -> None:
        self._most = failures
        self.failures = 0
        self._since = self._opened = self._pause = self.until = 0.0
        self.state = State.CLOSED

    def worth_waiting(self, now: float) -> bool:
        """Tell whether calls may wait: it opened not long ago, or its trial is under way."""
        return self.state is not State.OPEN or now - self._opened < WORTH_WAITING

    def down_for(self, now: float) -> float:
        """Seconds since the first of the present failures."""
        return now - self._since if self.failures else 0.0

    def lets_through(self, now: float) -> bool:
        """Tell whether a call may start."""
        return self.state is State.CLOSED or (self.state is State.OPEN and now >= self.until)

    def begin(self) -> bool:
        """Note that a call that was let through starts; tell whether it is the trial."""
        if self.state is not State.OPEN:
            return False
        self.state = State.TRYING
        return True

    def succeeded(self) -> None:
        """A call was answered, or at least the provider is there."""
        self.failures, self._pause = 0, 0.0
        self.state = State.CLOSED

    def failed(self, now: float, *, trial: bool = False) -> None:
        """A call came to nothing; one that began before it opened says nothing of the trial."""
        if self.failures == 0:
            self._since = now
        self.failures += 1
        if self.state is State.CLOSED and self.failures >= self._most:
            self._opened = now
        elif not (trial and self.state is State.TRYING):
            return
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        self.until = now + self._pause
        self.state = State.OPEN

    def unused(self) -> None:
        """Nothing came of the trial: the next call is it."""
        if self.state is State.TRYING:
            self.state = State.OPEN
