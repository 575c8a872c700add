"""Every cloud on a stand: its emulator, answering from a model of arithmetic, and its adapter."""

import contextlib
import tomllib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import adapters.registry
from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.registry import emulator_class
from adapters.emulators.server import Emulator
from adapters.interface import Adapter
from adapters.profiles import Profiles
from certification.postprocess import PostProcess

CLOUDS = ("aws", "azure", "azure-v32", "clarifai", "google", "http")
NAMES_VERSION = {"aws", "azure", "azure-v32", "clarifai", "http"}
BATCHES = {"clarifai", "google"}


class Brightness:
    """Scores a picture by its mean: a smooth function, so that noise moves it."""

    labels: Sequence[str] = ("bright", "dark")
    size = (8, 8)
    version = "brightness-1"
    max_batch = 64

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        bright = 1 / (1 + np.exp((127.5 - pictures.mean(axis=(1, 2, 3))) / 4))
        return np.stack([bright, 1 - bright], axis=1).astype(np.float32)


@dataclass
class Stand:
    """A provider's emulator and its adapter.

    Attributes:
        emulator: running.
        adapter: built by the registry, as the service does.
    """

    emulator: Emulator
    adapter: Adapter

    @property
    def calls(self) -> int:
        return len(self.emulator.desk.counts.calls)

    def payload(self, level: int = 200, seed: int = 0) -> Any:
        """Return a picture as this provider is sent it; another one for each seed."""
        pixels = np.full((96, 96, 3), level, dtype=np.uint8)
        pixels[0, 0] = seed % 256, seed // 256, 7
        return PostProcess.plan(96, 96, self.adapter.traits)(pixels)


@contextlib.asynccontextmanager
async def standing(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    model: Any = None,
    timeout: float = 5.0,  # noqa: ASYNC109  of the provider's calls
    profile: dict[str, Any] | None = None,
    **faults: Any,
) -> AsyncIterator[Stand]:
    """Start a provider's emulator and build its adapter against it."""
    emulator = emulator_class(name)(Brain(model or Brightness()), Faults(**faults))
    async with emulator:
        for variable, value in emulator.environment().items():
            monkeypatch.setenv(variable, value)
        # A rate that no test waits for; how rates are kept to is tested with the gate.
        table: dict[str, Any] = {"timeout": timeout, "rate": 10_000, **(profile or {})}
        if name == "http":
            (own,) = tomllib.loads(emulator.profile()).values()
            table = {**own, **table}
        adapter = adapters.registry.load(name, Profiles({name: table}))
        async with adapter:
            yield Stand(emulator, adapter)
