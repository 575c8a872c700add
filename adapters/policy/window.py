"""A rate limit as a sliding window: never more than so many units in any stretch of time."""

from collections import deque
from dataclasses import dataclass

SAFETY = 0.95  # of the limit: calls do not arrive quite when they start
WORTH_FILLING = 0.9  # of a window, by whole batches


@dataclass(eq=False)
class Slot:
    """A place in the window.

    Attributes:
        at: when the call may start.
        units: what it takes.
    """

    at: float
    units: int


class SlidingWindow:
    """Hands out places, in order of asking. Knows no clock: the caller says what time it is.

    A call with many units waits until the whole of it fits, so that no window holds more; plain
    GCRA would let 64 pictures into a second at 50 a second in batches of 16. Calls are spread
    within the window as well: of a burst that is late on its way, and the next that is not, more
    than the limit might arrive within a second.

    The 5 % that are kept off the rate make the window longer, not smaller: what a second allows
    goes out in 1.05 s, so a call may be 50 ms later on its way than those behind it. Fewer units
    in one second sharp would be as slow, and a batch that is 1 ms late would still meet the one
    that starts a second after it.

    Args:
        rate: units a second that the account allows.
        largest: units of the largest call.

    Attributes:
        units: the most in any window.
        seconds: its length, more than a second.
    """

    def __init__(self, rate: float, largest: int) -> None:
        self._slots: deque[Slot] = deque()
        self.resize(rate, largest)

    def resize(self, rate: float, largest: int) -> None:
        """Take other figures; places that were given stay as they are."""
        self.units = max(largest, _whole(rate))
        self.seconds = max(1.0, self.units / rate) / SAFETY
        self._spread = self.seconds / self.units

    def reserve(self, units: int, now: float) -> Slot:
        """Take the earliest place for a call.

        Args:
            units: what it takes; more than fit into the window take all of it.
            now: the time.
        """
        units = min(units, self.units)
        while self._slots and self._slots[0].at <= now - self.seconds:
            self._slots.popleft()
        at = max([now, *(slot.at + slot.units * self._spread for slot in self._slots)])
        inside = sum(slot.units for slot in self._slots)
        for slot in self._slots:
            if slot.at <= at - self.seconds:
                inside -= slot.units
            elif inside + units > self.units:
                inside -= slot.units
                at = slot.at + self.seconds
        slot = Slot(at, units)
        self._slots.append(slot)
        return slot

    def started(self, slot: Slot, now: float) -> None:
        """Note that a call starts, which may be later than it might have."""
        if slot.at < now:
            slot.at = now
            self._slots = deque(sorted(self._slots, key=lambda each: each.at))

    def give_back(self, slot: Slot) -> None:
        """Free a place whose call has not started."""
        if slot in self._slots:
            self._slots.remove(slot)


def fitting_batch(rate: float, largest: int) -> int:
    """Return the batch, at most `largest`, of which several fill a window well.

    At 30 pictures a second two batches of 15 do, and one of 16 does not.
    """
    units = _whole(rate)
    calls = max(1, units // largest)
    while calls * min(largest, units // calls) < WORTH_FILLING * units:
        calls += 1
    return min(largest, units // calls)


def _whole(rate: float) -> int:
    """Return the units that a second allows, but at least one."""
    return max(1, int(rate + 1e-9))
