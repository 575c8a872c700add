"""How long so many calls take: as long as the slowest of rate limit, answers and denoiser."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from certification.protocols import Traits
from service.jobs.estimates.estimate_pictures import CALLS, IMAGES
from service.jobs.estimates.estimate_result import Bottleneck
from service.jobs.rows import Row

Floats = NDArray[np.float64]
End = Literal["low", "high"]
NAMES: tuple[Bottleneck, ...] = ("rate", "latency", "denoiser")

ASSUMED = 0.3  # seconds a call, where nobody measured it
ASSUMED_ENDS = {"low": 0.1, "high": 1.0}
OF_THE_LIMIT = 0.95  # what is used of an account's rate


@dataclass(frozen=True)
class Speed:
    """What is known about how fast things go.

    Attributes:
        latency: seconds a call, None if it was not measured.
        pictures: noisy copies a second that one worker draws and denoises, None if unknown.
        workers: that work on the job.
        at_once: pictures that one worker certifies at a time.
    """

    latency: float | None = None
    pictures: float | None = None
    workers: int = 1
    at_once: int = 4


class Clock:
    """Tells the time of amounts, as rows in the order of `estimate_pictures.COLUMNS`.

    Args:
        traits: of the provider.
        rate: units a second for this job, beside the account's own limit.
        speed: what is known.
        seen: the pilot's rows, whose seconds tell the latency where nobody measured it.
    """

    def __init__(
        self, traits: Traits, rate: float | None, speed: Speed, seen: Sequence[Row]
    ) -> None:
        self._traits, self._speed = traits, speed
        own = None if traits.rate is None else OF_THE_LIMIT * traits.rate
        rates = [one for one in (own, rate) if one is not None]
        self._rate = min(rates) if rates else None
        # A call that takes its time and the wait for its turn look alike from here.
        seconds, calls = sum(row.seconds for row in seen), sum(row.calls for row in seen)
        self._of_pilot = None
        if speed.latency is None and calls and seconds > 0:
            self._of_pilot = seconds / calls  # of a picture's time, for each of its calls

    def seconds(self, amounts: Floats, pictures: int, end: End | None = None) -> Floats:
        """Return seconds from beginning to end.

        Args:
            amounts: (…, 5).
            pictures: of how many.
            end: of an interval; None for what is expected.
        """
        longest: Floats = np.max(self._each(amounts, pictures, end), axis=0)
        return longest

    def bottleneck(self, amounts: Floats, pictures: int) -> Bottleneck:
        """Return what takes longest."""
        return NAMES[int(np.argmax([float(one) for one in self._each(amounts, pictures, None)]))]

    def _each(self, amounts: Floats, pictures: int, end: End | None) -> tuple[Floats, ...]:
        speed, traits = self._speed, self._traits
        images, calls = amounts[..., IMAGES], amounts[..., CALLS]
        nothing = np.zeros_like(images)
        units = images if traits.rate_unit == "image" else calls
        by_rate = nothing if self._rate is None else units / self._rate
        at_once = max(1, min(pictures, speed.workers * speed.at_once))
        if self._of_pilot is not None:
            by_calls = calls * self._of_pilot / at_once
        else:
            latency = speed.latency
            if latency is None:
                latency = ASSUMED if end is None else ASSUMED_ENDS[end]
            # One picture has its clean call first, then as many in flight as may be.
            abreast = max(1, traits.concurrency)
            rounds = (pictures + np.maximum(calls - pictures, 0.0) / abreast) / at_once
            by_calls = latency * np.maximum(calls / (abreast * speed.workers), rounds)
        made = None if speed.pictures is None else speed.pictures * speed.workers
        return by_rate, by_calls, nothing if made is None else images / made

    def rests_on(self, bottleneck: Bottleneck) -> list[str]:
        """Say what the time rests on."""
        speed, said = self._speed, []
        workers = f"{speed.workers} worker{'' if speed.workers == 1 else 's'}"
        if bottleneck == "rate":
            unit = "pictures" if self._traits.rate_unit == "image" else "calls"
            said.append(f"time: {self._rate:g} {unit} a second may be sent")
        elif bottleneck == "denoiser":
            said.append(f"time: {speed.pictures:g} noisy copies a second and worker, {workers}")
        elif self._of_pilot is not None:
            said.append(f"time: what the pilot's pictures took, {workers}")
        elif speed.latency is not None:
            said.append(f"time: {speed.latency:g} s a call, as measured, {workers}")
        else:
            ends = f"{ASSUMED_ENDS['low']:g} to {ASSUMED_ENDS['high']:g}"
            said.append(f"time: {ASSUMED:g} s a call, assumed (range: {ends} s), {workers}")
        return said
