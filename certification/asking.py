"""Asks a classifier until every picture of a batch has its answer, and keeps the bill.

A picture that failed is asked again with the same bytes, alone with the others that failed;
it is never skipped, since failures may depend on the picture. Money is reserved before a call
and settled after it, so the cap holds with calls in flight too. When a call may start is for the
account's gate to say, which all runs share.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from certification.bill import Allowance, Bill, billed_units
from certification.errors import CertificationError, ProviderFailed, StopRun
from certification.patience import Patience, Tries
from certification.pipeline import Failed
from certification.protocols import (
    Answer,
    Classifier,
    Gate,
    Outcome,
    Payload,
    Permit,
    Refusal,
    Retry,
)
from certification.turns import Turn, Turns
from certification.watching import NOBODY, Called, CallResult, Retried, Watcher

LOOK_AGAIN_SECONDS = 0.05
GRACE_SECONDS = 5.0  # beyond the adapter's own time limit, which knows better what came of a call


class AskingEndedError(CertificationError):
    """No further call is made: the run has ended, or the next call could pass the cap."""


class Asker:
    """One run's way to its classifier.

    Args:
        classifier: is asked.
        max_cost: US dollars that are never passed.
        patience: how long to go on with a picture that fails.
        gate: says when a call may start; None for at once.
        allowance: what the run may have spent before it was interrupted, and who notes it.
        watcher: is told of every call.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        max_cost: float | None = None,
        patience: Patience | None = None,
        gate: Gate | None = None,
        allowance: Allowance | None = None,
        watcher: Watcher = NOBODY,
    ) -> None:
        self._classifier, self._gate, self._watcher = classifier, gate, watcher
        self._patience = patience or Patience()
        cap = None if max_cost is None else Decimal(str(max_cost))
        self._allowance = allowance or Allowance()
        price = Decimal(str(classifier.traits.price))
        self.bill = Bill(price=price, cap=cap, before=self._allowance.spent)
        self._closed = asyncio.Event()
        self._turns = Turns()  # of calls that want to start
        self._in_flight = 0  # calls
        self._covering = 0  # units of calls that wait until they are noted
        self._waiting = 0  # units of calls that wait at the gate

    def sibling(self) -> "Asker":
        """Return an asker on the same bill that goes on after this one is closed."""
        other = Asker(
            self._classifier,
            patience=self._patience,
            gate=self._gate,
            allowance=self._allowance,
            watcher=self._watcher,
        )
        other.bill = self.bill
        return other

    def close(self) -> None:
        """Make no further call; calls in flight may end, failed pictures are not asked again."""
        self._closed.set()

    @property
    def affordable(self) -> int:
        """Pictures that may still be asked about under the cap, beside those in flight."""
        bill, traits = self.bill, self._classifier.traits
        if bill.cap is None or not bill.price:
            return sys.maxsize
        units = int((bill.cap - bill.cost) / bill.price) - bill.before
        units -= bill.reserved + self._waiting
        return max(0, units) * (1 if traits.unit == "image" else traits.max_batch)

    async def ask(self, payloads: Sequence[Payload]) -> list[Answer | Refusal]:
        """Ask about pictures until each has been answered or refused.

        Args:
            payloads: at most `traits.max_batch`.

        Returns:
            One answer or refusal per picture, in the same order.

        Raises:
            AskingEndedError: after `close`, or if a call could pass the cap.
            ProviderUnreliable: if a picture failed `patience.attempts` times.
            Exception: what the classifier raised.
        """
        answers: list[Answer | Refusal] = []
        for found in await self.ask_each(payloads):
            if isinstance(found, Failed):
                raise found.error
            answers.append(found)
        return answers

    def turn(self) -> AbstractContextManager[Turn]:
        """Keep the next place among the calls that want to start, before one is ready."""
        return self._turns.place()

    async def ask_each(
        self, payloads: Sequence[Payload], turn: Turn | None = None
    ) -> list[Answer | Refusal | Failed]:
        """Ask as :meth:`ask` does, but keep what was answered where some came to nothing.

        Args:
            payloads: at most `traits.max_batch`.
            turn: the place that was kept for it; None for the last one now.

        Returns:
            One entry per picture, in the same order; `Failed` where there is no answer and
            there will be none.
        """
        settled: dict[int, Answer | Refusal] = {}
        try:
            with contextlib.nullcontext(turn) if turn else self.turn() as mine:
                await self._settle(payloads, settled, mine)
        except Exception as error:  # noqa: BLE001  handed on, at the place of each picture
            return [settled.get(i, Failed(error)) for i in range(len(payloads))]
        return [settled[i] for i in range(len(payloads))]

    async def _settle(
        self, payloads: Sequence[Payload], settled: dict[int, Answer | Refusal], turn: Turn
    ) -> None:
        pending = list(range(len(payloads)))
        tries = Tries(self._patience, self._classifier.name)
        held = 0  # units that are kept for asking again: later samples are worth nothing without
        while True:
            outcomes = await self._call([payloads[i] for i in pending], held, turn)
            failed: dict[int, Retry] = {}
            for i, outcome in zip(pending, outcomes, strict=True):
                if isinstance(outcome, Retry):
                    failed[i] = outcome
                else:
                    settled[i] = outcome
            if not failed:
                return
            pending = list(failed)
            wait = tries.failed(failed)
            self.bill.retries += len(failed)
            self._watcher.tell(Retried(self._classifier.name, len(failed)))
            held = self._units(len(pending))
            self.bill.reserved += held
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._closed.wait()
                await self._until_affordable()
            except BaseException:
                self.bill.reserved -= held
                raise

    @contextlib.contextmanager
    def reserved(self, images: int) -> Iterator[None]:
        """Keep the money for asking about so many pictures later."""
        units = self._units(images)
        self.bill.reserved += units
        try:
            yield
        finally:
            self.bill.reserved -= units

    def _units(self, images: int) -> int:
        return self._classifier.traits.units(images)

    async def _call(self, payloads: list[Payload], held: int, turn: Turn) -> Sequence[Outcome]:
        """Make one call.

        Args:
            payloads: what is asked about.
            held: units that are reserved for it already; it sees to them from here on.
            turn: its place in the line; left once it has started, so that one that is asked again
                goes before all others.
        """
        units = self._units(len(payloads))
        reserved, billed, came = held, 0, time.monotonic()
        try:
            await turn.come()
            if self.bill.cap is not None:
                await self._covered(units)
            # A call that waits at the gate holds no money.
            permit = await self._admitted(len(payloads), 0 if held else units)
            turn.leave()
            self.bill.reserved += units - held
            reserved = billed = units  # one that ends in an exception may have been billed
            outcomes: Sequence[Outcome] | None = None
            self._in_flight += 1
            try:
                self.bill.calls += 1
                self.bill.images += len(payloads)
                outcomes = await self._watched(payloads, time.monotonic() - came)
            finally:
                self._in_flight -= 1
                if permit is not None:
                    permit.done(outcomes)
            billed = billed_units(outcomes, units)
            return outcomes
        finally:
            self.bill.reserved -= reserved
            self.bill.units += billed

    async def _covered(self, units: int) -> None:
        """Wait until units are noted, beside those of calls that wait for the same."""
        self._covering += units
        try:
            used = self.bill.units + self.bill.reserved + self._waiting + self._covering
            await self._allowance.cover(used)
        finally:
            self._covering -= units

    async def _admitted(self, images: int, units: int) -> Permit | None:
        """Wait for the gate; `units` more have to be affordable before and after."""
        self._check(units)
        self._waiting += units
        try:
            permit = await self._enter(images)
        finally:
            self._waiting -= units
        try:
            self._check(units)
        except AskingEndedError:
            if permit is not None:
                permit.unused()
            raise
        return permit

    def _check(self, units: int) -> None:
        if self._closed.is_set():
            raise AskingEndedError("the run has ended")
        if not self.bill.affordable(units):
            raise AskingEndedError("the next call could pass max_cost")

    async def _until_affordable(self) -> None:
        """Wait while calls in flight may turn out to cost less than is kept for them."""
        while (  # noqa: ASYNC110  rare, and the calls of siblings count too
            self._in_flight and not self._closed.is_set() and not self.bill.affordable(0)
        ):
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _enter(self, images: int) -> Permit | None:
        """Wait for the gate, unless the run ends first: no call may start after that."""
        if self._gate is None:
            return None
        entering = asyncio.ensure_future(self._gate.enter(images))
        closing = asyncio.ensure_future(self._closed.wait())
        permit: Permit | None = None
        try:
            either: set[asyncio.Future[Any]] = {entering, closing}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._closed.is_set():
                raise AskingEndedError("the run has ended")
            permit = entering.result()
            return permit
        finally:
            closing.cancel()
            if permit is None:
                entering.cancel()
                # Also if this task is cancelled once more while it waits below.
                entering.add_done_callback(_give_back)
                await asyncio.wait([entering])

    async def _watched(self, payloads: list[Payload], waited: float) -> Sequence[Outcome]:
        name, images, began = self._classifier.name, len(payloads), time.monotonic()
        outcomes: Sequence[Outcome] | None = None
        result: CallResult = "cancelled"
        with self._watcher.span("call", provider=name, images=images, waited=waited) as note:
            try:
                outcomes = await self._classify(payloads)
                result = _result(outcomes)
                return outcomes
            except Exception:
                result = "broken"
                raise
            finally:
                note(result=result)
                cost = billed_units(outcomes, self._units(images)) * self.bill.price
                seconds = time.monotonic() - began
                self._watcher.tell(Called(name, images, result, float(cost), waited, seconds))

    async def _classify(self, payloads: list[Payload]) -> Sequence[Outcome]:
        limit = self._classifier.traits.timeout + GRACE_SECONDS
        try:
            async with asyncio.timeout(limit) as timer:
                outcomes = await self._classifier.classify(payloads)
            many = len(outcomes)
            known = all(isinstance(outcome, Outcome) for outcome in outcomes)
        except TimeoutError as error:
            if not timer.expired():
                raise self._broken(error) from error
            return [Retry(f"no answer within {limit:g} s", billed=True)] * len(payloads)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Some SDKs let a cancellation of their own out; nobody has cancelled this run.
            raise ProviderFailed(f"{self._classifier.name} cancelled its own call") from None
        except (StopRun, CertificationError):
            raise
        except Exception as error:
            raise self._broken(error) from error
        if many != len(payloads):
            raise ProviderFailed(
                f"{self._classifier.name} gave {many} outcomes for "
                f"{len(payloads)} pictures: its adapter is broken"
            )
        if not known:
            raise ProviderFailed(
                f"{self._classifier.name} gave something else than outcomes: its adapter is broken"
            )
        return outcomes

    def _broken(self, error: Exception) -> ProviderFailed:
        kind = type(error).__name__  # its text may hold anything, a credential too
        return ProviderFailed(f"the adapter of {self._classifier.name} is broken: it raised {kind}")


def _result(outcomes: Sequence[Outcome]) -> CallResult:
    failed = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
    if any(outcome.throttled for outcome in failed):
        return "throttled"
    return "failing" if failed else "answered"


def _give_back(entering: asyncio.Future[Permit]) -> None:
    """Return a permit that came when nobody wanted it any more."""
    if not entering.cancelled() and entering.exception() is None:
        entering.result().unused()
