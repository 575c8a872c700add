"""What watches a deployment in one process: metrics, traces, and whether all is ready."""

import contextlib
from collections.abc import AsyncIterator

from starlette.datastructures import State

from certification.watching import Watcher
from service.core import Surety
from service.seeing.figures import Figures
from service.seeing.metrics import Metrics
from service.seeing.readiness import Readiness
from service.seeing.tracing import Tracing


class Seeing:
    """See the module's text.

    Args:
        tracing: makes traces, or none.

    Attributes:
        metrics: count from the beginning.
        tracing: as given.
    """

    def __init__(self, tracing: Tracing) -> None:
        self.metrics, self.tracing = Metrics(), tracing

    @contextlib.asynccontextmanager
    async def over(self, surety: Surety, *, whole: bool) -> AsyncIterator[Figures]:
        """Watch an opened deployment; yields what has to be refreshed before metrics are written.

        Args:
            surety: it.
            whole: whether its metrics tell of the jobs and workers of the whole deployment.
        """
        figures = Figures(surety, self.metrics, whole=whole)
        self.metrics.registry.register(figures)
        watchers: list[Watcher] = [
            self.metrics,
            *([self.tracing] if self.tracing.makes_traces else []),
        ]
        for watcher in watchers:
            surety.watchers.add(watcher)
        try:
            yield figures
        finally:
            for watcher in watchers:
                surety.watchers.remove(watcher)
            self.metrics.registry.unregister(figures)
            await self.tracing.close()

    @contextlib.asynccontextmanager
    async def in_app(self, surety: Surety, state: State) -> AsyncIterator[None]:
        """Do so for an application, whose state is given `metrics`, `figures` and `readiness`."""
        state.metrics, state.readiness = self.metrics, Readiness(surety)
        try:
            async with self.over(surety, whole=True) as state.figures:
                yield
        finally:
            await state.readiness.close()
