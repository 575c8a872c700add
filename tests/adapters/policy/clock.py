"""An event loop whose time passes only while all tasks sleep: hours of it take milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any
from unittest import mock

import adapters.policy.gate
import adapters.policy.limit
import certification.patience
import service.jobs.engine.gates

START = 1000.0
READERS = (
    adapters.policy.gate,
    adapters.policy.limit,
    certification.patience,
    service.jobs.engine.gates,
)


class Skipping(selectors.SelectSelector):
    """Waits for nothing; notes how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("every task waits for something that will never happen")
        self.now += max(0.0, timeout)
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = Skipping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run on a loop of its own; no task may be left over."""
    loop = SkippingLoop()
    clock = SimpleNamespace(monotonic=loop.time)
    patches = [mock.patch.object(module, "time", clock) for module in READERS]
    for patch in patches:
        patch.start()
    try:
        result = loop.run_until_complete(main())
        loop.run_until_complete(asyncio.sleep(0))  # cancelled ones end now
        left = asyncio.all_tasks(loop)
        assert not left, left
        return result
    finally:
        for patch in patches:
            patch.stop()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def now() -> float:
    return asyncio.get_running_loop().time()
