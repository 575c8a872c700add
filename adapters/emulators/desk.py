"""The desk of an emulator: counts what comes in and says what is to happen with it.

`async with desk.call(pictures) as call` counts a call and waits as long as an answer takes;
`call.fault` then says what goes wrong with it. `desk.answered(call, names)` counts the pictures
that were answered, which is what a provider bills.
"""

import asyncio
import hashlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.emulators.faults import Fault, Faults

KEPT_CALLS = 1_000_000


@dataclass
class Call:
    """One call that an emulator received.

    Attributes:
        number: counts from 0.
        at: monotonic seconds of its arrival.
        images: SHA-256 of each picture, in order.
        fault: what is to go wrong with it.
        refused: those of its pictures that are refused for good.
        failing: those that fail for now, where `fault` is "partial".
        billed: how many pictures were answered.
    """

    number: int
    at: float
    images: tuple[str, ...]
    fault: Fault = "ok"
    refused: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    billed: int = 0


@dataclass
class Counts:
    """What an emulator received and answered.

    Attributes:
        calls: all calls, the latest million.
        received: SHA-256 → times that a picture came.
        answered: SHA-256 → times that it was answered, which is what a provider bills.
        faults: fault → calls.
        refused: SHA-256 → times that it was refused for good.
    """

    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=KEPT_CALLS))
    received: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def most_in_window(self, seconds: float, unit: str = "image") -> int:
        """Return the most units that came within any window of this many seconds."""
        window: deque[Call] = deque()
        units = most = 0
        for call in self.calls:
            window.append(call)
            units += _units(call, unit)
            while window[0].at <= call.at - seconds:
                units -= _units(window.popleft(), unit)
            most = max(most, units)
        return most

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "calls": len(self.calls),
            "images_received": self.received.total(),
            "images_answered": self.answered.total(),
            "images_refused": self.refused.total(),
            "distinct_images": len(self.received),
            "most_images_in_a_second": self.most_in_window(1.0),
            "most_requests_in_a_second": self.most_in_window(1.0, "request"),
            "faults": dict(self.faults),
            "received": dict(self.received),
            "answered": dict(self.answered),
        }


class Desk:
    """Counts calls and decides on faults.

    Args:
        faults: the plan; may be replaced at any time.
        version: the model version that is named at first.
    """

    def __init__(self, faults: Faults, version: str) -> None:
        self.faults, self.counts = faults, Counts()
        self._version = version
        self._number = 0
        self._answers = 0  # since the start, whatever counts were forgotten
        self._recent: deque[tuple[float, int]] = deque()

    @property
    def faults(self) -> Faults:
        """The plan."""
        return self._faults

    @faults.setter
    def faults(self, plan: Faults) -> None:
        self._faults = plan
        self._script = deque(plan.script)

    @property
    def version(self) -> str:
        """The model version of the next answer."""
        after = self._faults.change_version_after
        changed = after is not None and self._answers >= after
        return f"{self._version}.1" if changed else self._version

    def reset(self) -> None:
        """Forget all counts."""
        self.counts = Counts()

    @asynccontextmanager
    async def call(self, pictures: Sequence[bytes]) -> AsyncIterator[Call]:
        """Count a call, wait as long as an answer takes, and say what goes wrong with it.

        Args:
            pictures: the encoded pictures of the call.
        """
        names = tuple(hashlib.sha256(picture).hexdigest() for picture in pictures)
        call = Call(self._number, time.monotonic(), names)
        self._number += 1
        plan = self._faults
        self.counts.calls.append(call)
        self.counts.received.update(names)
        call.fault = self._fault(call)
        self.counts.faults[call.fault] += 1
        call.refused = frozenset(name for name in names if plan.refuses(name))
        if call.fault == "partial":
            call.failing = frozenset(names[call.number % 2 :: 2] or names)
        if call.fault == "timeout":
            await asyncio.sleep(plan.timeout)
        elif (delay := plan.delay(call.number)) > 0:
            await asyncio.sleep(delay)
        yield call

    def answered(self, call: Call, images: Iterable[str]) -> None:
        """Count pictures of a call as answered, which is what a provider bills."""
        names = list(images)
        call.billed += len(names)
        self._answers += len(names)
        self.counts.answered.update(names)

    def refuse(self, images: Iterable[str]) -> None:
        """Count pictures as refused for good."""
        self.counts.refused.update(images)

    def _fault(self, call: Call) -> Fault:
        plan = self._faults
        if plan.credentials == "bad":
            return "bad_credentials"
        if self._script:
            return self._script.popleft()
        if self._over_rate(call):
            return "throttle"
        return plan.drawn(call.number)

    def _over_rate(self, call: Call) -> bool:
        rate = self._faults.rate
        if rate is None:
            return False
        while self._recent and self._recent[0][0] <= call.at - rate.per_seconds:
            self._recent.popleft()
        units = _units(call, rate.unit)
        if sum(n for _, n in self._recent) + units > rate.limit:
            return True
        self._recent.append((call.at, units))
        return False


def _units(call: Call, unit: str) -> int:
    return len(call.images) if unit == "image" else 1
