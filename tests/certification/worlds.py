"""Base classifiers whose smoothed answer is known in closed form, and parts to run them with.

Real implementations of the engine's protocols, not mocks of them: they are called with real
noisy samples and answer by arithmetic on the pixels.
"""

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from certification.canonical import CanonicalImage
from certification.decision import Prediction
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.protocols import Answer, Outcome, Payload, Refusal, Traits

SECRET = bytes(range(32))


def grey(height: int = 4, width: int = 4, level: int = 128) -> CanonicalImage:
    """A flat picture in the middle of the scale, so that clipping at σ ≤ 0.1 never happens."""
    pixels = np.full((height, width, 3), level, dtype=np.uint8)
    return CanonicalImage(pixels, {"format": "PNG", "width": width, "height": height}, ())


def machine(secret: bytes = SECRET) -> Machine:
    return Machine(MemoryLedgers(), secret)


class Clip:
    """No denoiser: clips to the pixel range."""

    name = "clip"
    weights_sha256 = None
    compute = "cpu/int16"

    def __init__(self, batch: int = 32) -> None:
        self._batch = batch

    def batch_of(self, height: int, width: int) -> int:
        return self._batch

    def clean(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        return np.clip(noisy, 0, 255).astype(np.uint8)


class World:
    """A classifier made of a function from pixels to an outcome.

    Counts its calls, can be slow (seconds, drawn from `seed`) and can fail for a time.
    """

    name = "world"

    def __init__(
        self,
        answer: Callable[[np.ndarray], Outcome],
        *,
        max_batch: int = 16,
        concurrency: int = 3,
        delay: float = 0.0,
        seed: int = 0,
        fail: Callable[[int], Outcome | Exception | None] = lambda call: None,
        **traits: Any,
    ) -> None:
        self._answer, self._delay, self._fail = answer, delay, fail
        self._random = random.Random(seed)
        self.traits = Traits(
            payload="pixels", max_batch=max_batch, concurrency=concurrency, **traits
        )
        self.calls: list[int] = []
        self.seen: list[bytes] = []
        self.in_flight = self.most_in_flight = 0

    @property
    def options(self) -> Mapping[str, Any]:
        return {}

    @property
    def images(self) -> int:
        return sum(self.calls)

    async def classify(self, images: Sequence[Payload]) -> list[Outcome]:
        call = len(self.calls)
        self.calls.append(len(images))
        self.seen += [bytes(np.asarray(image).tobytes()) for image in images]
        self.in_flight += len(images)
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self._delay:
                await asyncio.sleep(self._random.random() * self._delay)
            trouble = self._fail(call)
            if isinstance(trouble, Exception):
                raise trouble
            if trouble is not None:
                return [trouble] * len(images)
            return [self._answer(np.asarray(image)) for image in images]
        finally:
            self.in_flight -= len(images)


def label(name: str, version: str | None = "v1") -> Answer:
    return Answer((Prediction(name, 1.0),), version)


def half_space(distance: float, dimension: int = 48, base: float = 128.0) -> Callable:
    """Answer "in" below a plane at `distance` (on [0, 1]) from the flat picture, else "out".

    The plane is Σ x = const, so the smoothed probability of "in" is Φ(distance/σ) up to the
    1/12 that rounding to whole pixel values adds to the variance in units of (255σ)², and the
    true radius is `distance` itself.
    """
    limit = 255.0 * distance * math.sqrt(dimension)

    def answer(pixels: np.ndarray) -> Outcome:
        shift = float(pixels.sum(dtype=np.int64)) - base * dimension
        return label("in" if shift < limit else "out")

    return answer


def refuse_above(limit: float, base: float = 128.0) -> Callable:
    """Answer "calm", but refuse pictures whose sum is above a plane."""
    inner = half_space(limit, base=base)

    def answer(pixels: np.ndarray) -> Outcome:
        outcome = inner(pixels)
        assert isinstance(outcome, Answer)
        return label("calm") if outcome.predictions[0].name == "in" else Refusal("not today")

    return answer
