"""Whether this process can certify, part by part: store, device, weights, provider.

Probes come often and from several sides, so what was found is told again for a moment, and the
parts are looked at once at a time. One that does not answer in time is not ready; the next look
waits for the same answer and begins nothing beside it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from adapters.errors import AdapterError
from certification.errors import CertificationError
from denoisers.errors import DenoiserError
from service.core import Surety
from service.errors import ServiceError

FRESH_SECONDS = 2.0  # for which an answer is told again
PATIENCE = {"store": 2.0, "device": 5.0, "weights": 15.0, "provider": 15.0}  # seconds
TELLING = (AdapterError, DenoiserError, CertificationError, ServiceError)  # fit to be shown

log = structlog.get_logger("surety.health")

Look = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Part:
    """One part, as it was found.

    Attributes:
        name: of the part.
        about: what is there, JSON values; None if it is not ready.
        reason: why it is not ready; None if it is.
    """

    name: str
    about: Any = None
    reason: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it is."""
        return self.reason is None


class Readiness:
    """Looks at the parts of one process.

    Args:
        surety: an opened deployment.
    """

    def __init__(self, surety: Surety) -> None:
        self._surety = surety
        self._looks: dict[str, Look] = {
            "store": self._store,
            "device": self._device,
            "weights": self._weights,
            "provider": self._provider,
        }
        self._looking: dict[str, asyncio.Task[Any]] = {}
        self._found: list[Part] = []
        self._at = 0.0
        self._turn = asyncio.Lock()

    async def parts(self) -> list[Part]:
        """Return all parts, looked at within the last moment."""
        async with self._turn:
            if not self._found or time.monotonic() - self._at >= FRESH_SECONDS:
                self._found = [*await asyncio.gather(*map(self._part, self._looks))]
                self._at = time.monotonic()
            return self._found

    async def close(self) -> None:
        """Leave what is still looked at."""
        for task in self._looking.values():
            task.cancel()
        await asyncio.gather(*self._looking.values(), return_exceptions=True)

    async def _part(self, name: str) -> Part:
        task = self._looking.get(name)
        if task is None:
            task = self._looking[name] = asyncio.ensure_future(self._looks[name]())
        done, _ = await asyncio.wait([task], timeout=PATIENCE[name])
        if not done:
            return Part(name, reason=f"it does not answer within {PATIENCE[name]:g} s")
        del self._looking[name]
        try:
            return Part(name, about=task.result())
        except Exception as error:  # whatever it is, it is not ready
            log.warning("not ready", part=name, exc_info=error)
            told = isinstance(error, TELLING)
            reason = str(error) if told else f"it cannot be loaded: {type(error).__name__}"
            return Part(name, reason=reason)

    async def _store(self) -> dict[str, Any]:
        """See that the store takes what is written."""
        await self._surety.state.store.ping()
        return {"writable": True}

    async def _device(self) -> dict[str, Any]:
        """See that the device that was asked for is there and computes."""
        asked = self._surety.settings.device
        return {"asked": asked, "device": await asyncio.to_thread(_working, asked)}

    async def _weights(self) -> list[dict[str, Any]]:
        """Load the default denoisers, and name their weights by the sum of the file."""
        found = [await self._surety.denoiser(x) for x in self._surety.default_denoisers()]
        return [
            {"denoiser": one.name, "sha256": one.weights_sha256, "compute": one.compute}
            for one in found
        ]

    async def _provider(self) -> dict[str, Any]:
        """Load the default provider's adapter; nobody is called."""
        name = self._surety.settings.provider
        adapter = await self._surety.adapter(name)
        await asyncio.to_thread(getattr, adapter, "options")
        return {"provider": name}


def _working(asked: str) -> str:
    # torch takes a second to import, and not every service needs it.
    from denoisers.device import working  # noqa: PLC0415

    return working(asked)
