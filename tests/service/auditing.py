"""A deployment that has issued certificates, and a provider that can change its mind."""

from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import pytest

import adapters.registry
from adapters.errors import QuotaExceeded
from adapters.interface import Answer, Prediction, Traits
from service.audit import audit
from service.audit_ready import prepare
from service.core import Surety
from service.settings import Settings
from tests.service.pictures import png
from tests.service.providers import HalfSpace

SECRET = "5a" * 32


class Turning(HalfSpace):
    """Dark or bright; a test may change everything about it."""

    name = "turning"
    traits = Traits(payload="pixels", max_batch=16, concurrency=2, price=0.001)
    threshold: ClassVar[float] = 95.0  # the mean of `pictures.gradient`: samples go both ways
    version: ClassVar[str | None] = "v1"
    score: ClassVar[float] = 0.9
    settings: ClassVar[dict[str, Any]] = {}
    answers: ClassVar[int] = 10**9  # until its quota is spent
    asked: ClassVar[list[Any]] = []

    @property
    def options(self):
        return self.settings

    async def classify(self, images):
        kind = type(self)
        if len(kind.asked) + len(images) > kind.answers:
            raise QuotaExceeded("turning: the quota is spent")
        kind.asked.extend(images)
        return [
            Answer((Prediction(label(image, kind.threshold), kind.score),), kind.version)
            for image in images
        ]


def label(image, threshold):
    return "dark" if np.mean(image) < threshold else "bright"


@pytest.fixture
def turning(small_providers, monkeypatch, tmp_path):
    """Let `turning` be the provider of what is opened in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    install(monkeypatch)


@pytest.fixture
async def surety(turning, tmp_path):
    """A deployment whose provider is `turning`."""
    async with opened(tmp_path) as running:
        yield running


def install(monkeypatch):
    """Let `turning` be found, as it is before a test changes it."""
    entry = EntryPoint("turning", f"{__name__}:Turning", adapters.registry.GROUP)
    found = adapters.registry._entries() | {"turning": entry}
    monkeypatch.setattr(adapters.registry, "_entries", lambda: found)
    for name in ("threshold", "version", "score", "settings", "answers"):
        monkeypatch.setattr(Turning, name, getattr(Turning, name))
    monkeypatch.setattr(Turning, "asked", [])


def settings(folder, **fields):
    defaults = {"secret": SECRET, "provider": "turning", "denoiser": "none", "max_votes": 2000}
    return Settings(data_dir=folder / "data", **(defaults | fields))


@asynccontextmanager
async def opened(folder, **fields):
    async with Surety.opened(settings(folder, **fields)) as surety:
        yield surety


async def certify(surety, data=None, **options):
    """Issue a certificate, with its picture kept if not told otherwise."""
    asked = {"sigma": 0.25, "max_votes": 64, "good_enough": None, "keep_image": True} | options
    prepared = await surety.prepare(png() if data is None else data, **asked)
    issued = await surety.certify(prepared)
    Turning.asked.clear()
    return issued.document


async def ledgers(surety):
    """Everything that the store holds of ledgers and drafts."""
    store = surety.state.store

    async def dumped(redis):
        found = {}
        for part in ("ledger*", "draft*", "claim*"):
            for name in await redis.keys(store.key(part)):
                found[name] = await redis.dump(name)
        return found

    return await store.patient(dumped)


async def ask_again(
    surety, certificate, sample=20, max_cost=None, interrupt=None, on_asked=None, **given
):
    ready = await prepare(surety, certificate["id"], sample=sample, **given)
    more = {} if on_asked is None else {"on_asked": on_asked}
    return await audit(surety, ready, max_cost=max_cost, interrupt=interrupt, **more)
