"""Runs that are worked on, kept so that an interrupted one is taken up and an ended one found.

    run:ID          what is asked for (sealed), the canonical PNG, the process at it, whether it
                    shall end, the outcome
    runs:open       ids of those that have not ended
    runs:ended      ids of those that have, by date

The picture goes as soon as the run has ended. A process may have claimed a run in the store and
not know it, since an answer was lost: it is at those alone that it has noted itself, and takes up
the others that are its own like those of the dead.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from certification.canonical import CanonicalImage
from certification.errors import LedgerConflict, LedgerDamaged
from service.errors import NotFound, StoreError
from service.store.connection import Store
from service.store.process import Process
from service.store.seals import Seals
from service.store.usage import Booking

LATE_SECONDS = 60.0  # for which what was not written down in time may still arrive

FIELDS = ("what", "outcome", "cancel")  # of a run, by which it is told of

Kind = Literal["certificate", "prediction"]


@dataclass(frozen=True)
class RunRecord:
    """What a run needs to be begun again.

    Attributes:
        id: its name.
        kind: what the document it ends with is.
        arguments: of `Surety.prepare`, but for the picture.
        png: the canonical picture.
        image: what the certificate says about it.
        draft: names the subject that its votes belong to.
        created: ISO date.
        units: billed units that it may have used so far, at most.
        request_id: of the request that began it, if it had one.
        owner: id of the API key that asked for it; None where there was none.
        cancelling: whether somebody has asked for its end.
    """

    id: str
    kind: Kind
    arguments: dict[str, Any]
    png: bytes
    image: dict[str, Any]
    draft: str
    created: str
    units: int = 0
    request_id: str | None = None
    owner: str | None = None
    cancelling: bool = False


class RedisRuns:
    """See the module's text.

    Args:
        store: the connection.
        seals: of the deployment: a run spends money, so nobody else may write one.
        process: this one.
    """

    def __init__(self, store: Store, seals: Seals, process: Process) -> None:
        self._store, self._seals, self._process = store, seals, process
        self._at: set[str] = set()  # begun or taken up here, until the outcome is noted
        self._not_begun: dict[str, float] = {}  # since when

    async def begin(
        self,
        run_id: str,
        kind: Kind,
        arguments: Mapping[str, Any],
        image: CanonicalImage,
        draft: str,
        request_id: str | None = None,
        owner: str | None = None,
    ) -> None:
        """Write a run down before anything is asked.

        Raises:
            StoreError: if that cannot be done now. Nobody works on it then, wherever it got to.
        """
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        what = {
            "kind": kind,
            "arguments": dict(arguments),
            "image": image.describe(),
            "draft": draft,
            "created": created,
            "request_id": request_id,
            "owner": owner,
        }
        fields = {
            "what": self._seals.seal(json.dumps(what, allow_nan=False), "run", run_id),
            "png": await asyncio.to_thread(image.png),  # a large one takes half a second
            "process": self._process.id,
            "units": "0",
        }

        async def write(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.hset(self._key(run_id), mapping=fields)
                both.sadd(self._store.key("runs:open"), run_id)
                await both.execute()

        self._at.add(run_id)
        try:
            await self._store.brisk(write)
        except BaseException:  # it may be there all the same, or soon, and nobody waits for it
            self._not_begun[run_id] = time.monotonic()
            raise

    async def spend(self, run_id: str, units: int) -> None:
        """Note that a run may use so many billed units, before it does."""
        key = self._key(run_id)
        await self._store.patient(lambda redis: redis.hset(key, "units", units))

    async def end(
        self, run_id: str, outcome: Mapping[str, Any], booking: Booking | None = None
    ) -> None:
        """Note what came of a run, once; its picture goes.

        Args:
            run_id: of a run that was begun.
            outcome: JSON values.
            booking: what is counted with it, for the API key.
        """
        text = self._seals.seal(json.dumps(dict(outcome), allow_nan=False), "outcome", run_id)
        keys = [self._key(run_id), self._store.key("runs:open"), self._store.key("runs:ended")]
        args = [run_id, text, time.time()]
        if booking is not None:
            keys, args = keys + booking.keys, args + booking.args
        await self._store.script("run_end", keys, args)
        self._at.discard(run_id)

    async def cancel(self, run_id: str) -> bool:
        """Ask the process that is at a run, or takes it up, to end it.

        Returns:
            Whether it is kept and has not ended.

        Raises:
            StoreError: if the store is away.
        """
        return bool(await self._store.brisk_script("run_cancel", [self._key(run_id)], []))

    async def to_cancel(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of some runs that somebody has asked to end.

        Raises:
            StoreError: if the store is away.
        """

        async def ask(redis: Any) -> list[bool]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for run_id in run_ids:
                    all_of_them.hexists(self._key(run_id), "cancel")
                answers: list[bool] = await all_of_them.execute()
                return answers

        asked = await self._store.brisk(ask) if run_ids else []
        return [run_id for run_id, yes in zip(run_ids, asked, strict=True) if yes]

    async def open(self) -> list[dict[str, Any]]:
        """Return what `outcome` tells of all that have not ended, the oldest first.

        One of which nobody can say whose it is is left out.

        Raises:
            StoreError: if the store is away.
        """
        name = self._store.key("runs:open")
        found = await self._store.brisk(lambda redis: redis.smembers(name))
        ids = sorted(run_id.decode() for run_id in found)

        async def look(redis: Any) -> list[Any]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for run_id in ids:
                    all_of_them.hmget(self._key(run_id), FIELDS)
                answers: list[Any] = await all_of_them.execute(raise_on_error=False)
                return answers

        told = []
        for run_id, answer in zip(ids, await self._store.brisk(look) if ids else [], strict=True):
            with contextlib.suppress(NotFound, LedgerDamaged):
                if isinstance(answer, list):  # else an error, of what is no run
                    told.append(self._told(run_id, answer))
        going_on = [run for run in told if run["outcome"] is None]
        return sorted(going_on, key=lambda run: (run["created"], run["id"]))

    async def outcome(self, run_id: str) -> dict[str, Any]:
        """Return what came of a run; no outcome yet if it is being worked on elsewhere.

        Raises:
            NotFound: if none of this id is kept.
        """
        found = await self._store.brisk(lambda redis: redis.hmget(self._key(run_id), FIELDS))
        return self._told(run_id, found)

    def _told(self, run_id: str, found: Sequence[bytes | None]) -> dict[str, Any]:
        asked, came, cancel = found
        if asked is None:
            raise no_run(run_id)
        what = json.loads(self._seals.unseal(asked, "run", run_id))
        told = {
            "id": run_id,
            "kind": what["kind"],
            "created": what["created"],
            "request_id": what.get("request_id"),
            "owner": what.get("owner"),  # those of before there were keys have none
            "cancelling": cancel is not None,
            "state": "running",
            "outcome": None,
        }
        if came is not None:
            told["state"] = "ended"
            told["outcome"] = json.loads(self._seals.unseal(came, "outcome", run_id))
        return told

    async def interrupted(self) -> list[str]:
        """Return the ids of those that have not ended, and that this process is not at.

        Most are those of other processes. What could not be begun here is forgotten by the way.

        Raises:
            StoreError: if the store is away.
        """
        name = self._store.key("runs:open")
        found = await self._store.brisk(lambda redis: redis.smembers(name))
        open_ids = {run_id.decode() for run_id in found}
        for run_id, since in [*self._not_begun.items()]:
            if run_id in open_ids:
                await self.drop(run_id)
            if time.monotonic() - since > LATE_SECONDS:
                del self._not_begun[run_id]
                self._at.discard(run_id)
        return sorted(open_ids - self._at)

    async def take_up(self, run_id: str) -> RunRecord | None:
        """Claim a run whose process is dead; None if it is not, or has ended, or this one is at it.

        Whoever gets it has to go on with it, or to end it.

        Raises:
            LedgerDamaged: if its entry is not whole.
            LedgerConflict: if a secret that is not known here may have sealed it.
            StoreError: if the store is away; it can be taken up later then.
        """
        if run_id in self._at:
            return None
        self._at.add(run_id)  # before the first wait: nobody takes it twice
        record = None
        try:
            keys, args = [self._key(run_id)], [self._process.id, self._store.key("process", "")]
            if await self._store.brisk_script("take", keys, args):
                record = await self._record(run_id)
        finally:
            if record is None:
                self._at.discard(run_id)
        return record

    async def drop(self, run_id: str) -> None:
        """Forget an ended run."""

        async def forget(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.delete(self._key(run_id))
                both.zrem(self._store.key("runs:ended"), run_id)
                both.srem(self._store.key("runs:open"), run_id)
                await both.execute()

        await self._store.brisk(forget)

    async def _record(self, run_id: str) -> RunRecord:
        found = await self._store.brisk(
            lambda redis: redis.hmget(self._key(run_id), ("what", "png", "units", "cancel"))
        )
        what, png, units, cancel = found
        if what is None or png is None:
            raise LedgerDamaged(f"the store's entry of the run {run_id} is not whole")
        try:
            told = json.loads(self._seals.unseal(what, "run", run_id, conflict=True))
        except LedgerConflict:
            await self.leave(run_id)
            raise
        told |= {"units": int(units or 0), "cancelling": cancel is not None}
        return RunRecord(run_id, png=png, **told)

    async def leave(self, run_id: str) -> None:
        """Give the claim on a run back, for a process that can go on with it."""
        self._at.discard(run_id)
        with contextlib.suppress(StoreError):
            await self._store.brisk(lambda redis: redis.hset(self._key(run_id), "process", ""))

    def _key(self, run_id: str) -> str:
        return self._store.key("run", run_id)


def no_run(run_id: str) -> NotFound:
    """Say that there is none of this id."""
    return NotFound(f"no run {run_id[:40]!r} is kept: it ended long ago, or never was")
