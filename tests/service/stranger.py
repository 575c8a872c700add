"""Somebody else's package, which comes in by entry point, also in other processes.

`install` writes its metadata into a folder that is put on PYTHONPATH, as an installed package
would have it; nothing of Surety is changed for it.
"""

import asyncio
import hashlib
import os
import time
from pathlib import Path

from adapters.errors import NotConfigured, QuotaExceeded
from adapters.interface import Adapter, Answer, Prediction, Traits
from denoisers.none import NoDenoiser

ROOT = Path(__file__).parents[2]


class Clip(NoDenoiser):
    """The baseline under another name."""

    name = "clip"


class Odd(NoDenoiser):
    """The baseline, run in a way of its own."""

    name, compute = "odd", "npu/int8"


def odd(device):
    """Make it; any device will do."""
    return Odd()


def clip(device):
    """Make it; any device will do."""
    return Clip()


def _answer(label, version="v1"):
    return Answer((Prediction(label, 0.9),), version)


class Steady(Adapter):
    """Always sure, and not for nothing."""

    name = "steady"
    summary = "always a cat"
    traits = Traits(payload="pixels", max_batch=8, price=0.001, input_size=(8, 8))

    async def classify(self, images):
        return [_answer("Tabby Cat") for _ in images]


class Split(Steady):
    """Tosses a coin for each sample."""

    name = "split"

    async def classify(self, images):
        digests = [hashlib.sha256(image.tobytes()).digest()[0] for image in images]
        return [_answer("cat" if digest % 2 else "dog") for digest in digests]


class Mostly(Steady):
    """Sure in 7 of 8 samples."""

    name = "mostly"

    async def classify(self, images):
        digests = [hashlib.sha256(image.tobytes()).digest()[0] for image in images]
        return [_answer("cat" if digest % 8 else "dog") for digest in digests]


class Reader(Adapter):
    """Takes files, of which it reads the first bytes."""

    name = "reader"
    traits = Traits(payload="png", max_batch=8, input_size=(8, 8))

    async def classify(self, images):
        return [_answer("cat" if image[:3] == b"\xff\xd8\xff" else "dog") for image in images]


class Slow(Adapter):
    """Takes its time, and tells by a file when it has been asked ten times."""

    name = "slow"
    traits = Traits(payload="pixels", max_batch=1, concurrency=1, input_size=(8, 8))

    def __init__(self):
        self._asked = 0

    async def classify(self, images):
        self._asked += 1
        if self._asked == 10:
            open(os.environ["STRANGER_MARK"], "x").close()
        await asyncio.sleep(0.01)
        return [_answer("cat") for _ in images]


class Stuck(Slow):
    """Hangs in a thread once it has been asked ten times, as a bad SDK may."""

    name = "stuck"

    async def classify(self, images):
        answers = await super().classify(images)
        if self._asked == 10:
            await asyncio.to_thread(time.sleep, 30)
        return answers


class Failing(Steady):
    """Answers once, then its quota is spent."""

    name = "failing"

    def __init__(self):
        self._asked = 0

    async def classify(self, images):
        self._asked += 1
        if self._asked > 1:
            raise QuotaExceeded("failing: the quota of this month is spent")
        return [_answer("cat") for _ in images]


class Unconfigured(Steady):
    """Lacks a credential."""

    name = "unconfigured"

    def __init__(self):
        raise NotConfigured("unconfigured: set STRANGER_KEY")


class Faulty(Steady):
    """Has a fault."""

    name = "faulty"

    async def classify(self, images):
        raise ZeroDivisionError("a fault in the adapter")


class Hostile(Steady):
    """Its labels try to write to the terminal."""

    name = "hostile"

    async def classify(self, images):
        return [_answer("[red]cat\x1b[2J") for _ in images]


ADAPTERS = (Steady, Split, Mostly, Reader, Slow, Stuck, Failing, Unconfigured, Faulty, Hostile)


def install(folder):
    """Write the metadata; return the folder, for PYTHONPATH."""
    about = folder / "stranger-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    lines = [f"{a.name} = tests.service.stranger:{a.__name__}" for a in ADAPTERS]
    doors = [
        "[surety.adapters]",
        *lines,
        "[surety.denoisers]",
        "clip = tests.service.stranger:clip",
    ]
    (about / "entry_points.txt").write_text("\n".join([*doors, ""]))
    return folder
