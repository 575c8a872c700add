"""Takes up runs whose process is dead: each for itself, and whoever sees one first.

Its votes are in the ledger, its money is counted on. One that this process is not set up for is
left to others for a while before it is ended.
"""

import asyncio
import io
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import structlog
from PIL import Image

from adapters.errors import AdapterError
from certification.bill import Allowance
from certification.canonical import CanonicalImage
from certification.errors import LedgerConflict, LedgerDamaged
from denoisers.errors import DenoiserError
from service.core import Surety
from service.edges import request_id
from service.errors import StoreError, StoreUnavailable
from service.prepared import Prepared
from service.problems import problem_of
from service.runs import Kind, Run
from service.store.runs import RunRecord

SHORTEST_SECONDS = 0.001
UNABLE_LEASES = 4  # for which a run that this process cannot go on with is left to others

End = Callable[[str, Mapping[str, Any]], None]
"""(run's id, outcome): notes what came of a run."""

log = structlog.get_logger("surety.runs")


class Start(Protocol):
    """Begins a run."""

    def __call__(
        self,
        run_id: str,
        kind: Kind,
        prepared: Prepared,
        allowance: Allowance,
        *,
        lasting: bool,
        resumed: bool = False,
    ) -> Run:
        """See `Running`."""
        ...


class TakingUp:
    """See the module's text.

    Args:
        surety: an opened deployment.
        start: begins a run in this process.
        end: notes what came of one.
    """

    def __init__(self, surety: Surety, start: Start, end: End) -> None:
        self._surety, self._start, self._end = surety, start, end
        self._unable: dict[str, float] = {}  # runs that are left to others, since when

    async def look(self) -> None:
        """Take up what others have left, again and again."""
        every = self._surety.settings.lease_seconds / 2
        while True:
            try:
                found = await self._surety.state.runs.interrupted()
                self._unable = {run: at for run, at in self._unable.items() if run in found}
                for run_id in found:
                    await self._take_up(run_id)
            except StoreError as error:
                log.warning("interrupted runs cannot be looked for", error=str(error))
            except Exception as error:
                log.error("interrupted runs cannot be looked for", exc_info=error)
            await asyncio.sleep(every)

    async def _take_up(self, run_id: str) -> None:
        """Go on with a run if its process is dead; what fails is this run's, and no other's.

        Raises:
            StoreUnavailable: if the store is away, for all of them.
        """
        if self._is_left(run_id):
            return
        try:
            record = await self._surety.state.runs.take_up(run_id)
            if record is None:
                self._unable.pop(run_id, None)  # another process is at it, who may leave it too
            else:
                with request_id.saying(record.request_id):
                    await self._resume(record)
        except LedgerDamaged as error:
            log.warning("an interrupted run is damaged", run=run_id, error=str(error))
            self._end(run_id, {"problem": problem_of(error).describe(f"/runs/{run_id}")})
        except StoreUnavailable:
            raise
        except (StoreError, LedgerConflict) as error:
            log.warning("an interrupted run was not taken up", run=run_id, error=str(error))
        except Exception as error:
            log.error("an interrupted run was not taken up", run=run_id, exc_info=error)

    def _is_left(self, run_id: str) -> bool:
        """Say whether a run is still left to others, since this process could not go on with it."""
        since = self._unable.get(run_id)
        leases = UNABLE_LEASES * self._surety.settings.lease_seconds
        return since is not None and time.monotonic() - since < leases

    async def _resume(self, record: RunRecord) -> None:
        try:
            prepared = await self._surety.prepare(
                await asyncio.to_thread(_image, record), owner=record.owner, **_remaining(record)
            )
            if prepared.draft != record.draft:
                raise LedgerConflict(
                    "the deployment's denoiser, device or provider is another one than when this "
                    "run began: ask again"
                )
        except Exception as error:  # noqa: BLE001  whatever it is, the others can go on
            log.warning("an interrupted run cannot go on", run=record.id, error=str(error))
            ours = isinstance(error, LedgerConflict | AdapterError | DenoiserError)
            if ours and record.id not in self._unable:
                # Another process may have the credential, or the denoiser of before an upgrade.
                self._unable[record.id] = time.monotonic()
                await self._surety.state.runs.leave(record.id)
                return
            problem = problem_of(error).describe(f"/runs/{record.id}")
            self._end(record.id, {"problem": problem})
            return
        log.info("an interrupted run goes on", run=record.id, kind=record.kind)
        allowance = Allowance(spent=record.units)
        run = self._start(record.id, record.kind, prepared, allowance, lasting=True, resumed=True)
        if record.cancelling:  # before its first call
            run.cancel()


def _image(record: RunRecord) -> CanonicalImage:
    with Image.open(io.BytesIO(record.png)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    told = record.image
    image = CanonicalImage(pixels, told["source"], tuple(told["steps"]))
    if image.sha256 != told["sha256"]:
        raise LedgerDamaged(f"the picture of the run {record.id} is not the one that it began with")
    return image


def _remaining(record: RunRecord) -> dict[str, Any]:
    """Return a run's arguments, its time less what has passed."""
    arguments = dict(record.arguments)
    if arguments.get("max_seconds") is not None:
        passed = time.time() - datetime.fromisoformat(record.created).timestamp()
        arguments["max_seconds"] = max(SHORTEST_SECONDS, arguments["max_seconds"] - passed)
    return arguments
