"""Small real adapters: they are found by entry point, as a stranger's package would be."""

import asyncio
import io
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
from PIL import Image

from adapters.errors import MissingExtra, NotConfigured
from adapters.interface import Adapter, Answer, Outcome, Payload, Prediction, Retry, Traits


def answer(name: str, version: str = "v1") -> Answer:
    return Answer((Prediction(name, 0.9),), version)


class HalfSpace(Adapter):
    """Dark or bright, by the mean of the pixels."""

    name = "half"
    summary = "a half-space on mean brightness"
    traits = Traits(payload="pixels", max_batch=16, concurrency=2, price=0.001, names_version=True)

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        return [answer("dark" if np.mean(image) < 160 else "bright") for image in images]


class Closed(HalfSpace):
    name = "closed"
    traits = Traits(payload="pixels", max_batch=16, labels=("dark", "bright"))


class Reading(HalfSpace):
    """Takes files; its model version says of which kind they were."""

    name = "reading"
    traits = Traits(payload="png", max_batch=16, price=0.001)

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        assert all(isinstance(image, bytes) for image in images)
        pictures = [Image.open(io.BytesIO(image)) for image in images]
        means = [np.mean(np.asarray(picture)) for picture in pictures]
        kinds = [str(picture.format) for picture in pictures]
        return [
            answer("dark" if mean < 160 else "bright", kind)
            for mean, kind in zip(means, kinds, strict=True)
        ]


class Slow(HalfSpace):
    """Takes its time, one picture after the other."""

    name = "slow"
    traits = Traits(payload="pixels", max_batch=1, concurrency=1)
    seconds: ClassVar[float] = 0.01
    calls: ClassVar[int] = 0

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        type(self).calls += 1
        await asyncio.sleep(self.seconds)
        return await super().classify(images)


class Stuck(HalfSpace):
    """Never answers."""

    name = "stuck"

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        await asyncio.Event().wait()
        raise AssertionError


class Failing(HalfSpace):
    """Answers about the clean picture, then raises what a test has put there."""

    name = "failing"
    traits = Traits(payload="pixels", max_batch=1, concurrency=1)
    error: ClassVar[Exception] = RuntimeError("a secret of the inside")
    good: ClassVar[int] = 3

    def __init__(self) -> None:
        self._calls = 0

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        self._calls += 1
        if self._calls > self.good:
            raise self.error
        return await super().classify(images)


class Flaky(HalfSpace):
    """Can never be reached."""

    name = "flaky"

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        return [Retry("timed out") for _ in images]


class Fickle(HalfSpace):
    """Another model version with every call."""

    name = "fickle"

    def __init__(self) -> None:
        self._calls = 0

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        self._calls += 1
        return [answer("dark", f"v{self._calls}") for _ in images]


class Bare(HalfSpace):
    name = "bare"

    def __init__(self) -> None:
        raise MissingExtra("install surety[bare]")


class Keyless(HalfSpace):
    name = "keyless"

    def __init__(self) -> None:
        raise NotConfigured("set BARE_KEY")


class Crashing(HalfSpace):
    name = "crashing"

    def __init__(self) -> None:
        raise ZeroDivisionError("a stranger's bug")


ALL = (HalfSpace, Closed, Reading, Slow, Stuck, Failing, Flaky, Fickle, Bare, Keyless, Crashing)


def entries() -> dict[str, EntryPoint]:
    return {
        kind.name: EntryPoint(kind.name, f"{__name__}:{kind.__name__}", "surety.adapters")
        for kind in ALL
    }
