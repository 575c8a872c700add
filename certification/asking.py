"""Asks a classifier until every picture of a batch has its answer, and keeps the bill.

A picture that failed is asked again with the same bytes, alone with the others that failed;
it is never skipped, since failures may depend on the picture. Money is reserved before a call
and settled after it, so the cap holds with calls in flight too.
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from certification.errors import (
    CertificationError,
    ProviderFailed,
    ProviderUnreliable,
    StopRun,
)
from certification.pipeline import Failed
from certification.protocols import Answer, Classifier, Outcome, Payload, Refusal, Retry


class AskingEndedError(CertificationError):
    """No further call is made: the run has ended, or the next call could pass the cap."""


@dataclass
class Bill:
    """What a run has cost so far.

    Attributes:
        price: US dollars per unit.
        cap: US dollars that must not be passed, None for no cap.
        calls: calls made.
        images: pictures sent, those asked again counted again.
        retries: pictures asked again.
        units: billed units of answered calls.
        reserved: units of calls in flight.
    """

    price: Decimal
    cap: Decimal | None = None
    calls: int = 0
    images: int = 0
    retries: int = 0
    units: int = 0
    reserved: int = 0

    @property
    def cost(self) -> Decimal:
        """US dollars billed so far."""
        return self.units * self.price

    def affordable(self, units: int) -> bool:
        """Tell whether `units` more stay under the cap even if all calls in flight are billed."""
        return self.cap is None or (self.units + self.reserved + units) * self.price <= self.cap

    def describe(self) -> dict[str, Any]:
        """Return the entry of the certificate."""
        return {
            "calls": self.calls,
            "images": self.images,
            "retries": self.retries,
            "cost": float(self.cost),
            "currency": "USD",
        }


@dataclass
class Patience:
    """How long to go on asking for a picture that keeps failing.

    Attributes:
        attempts: calls for one picture.
        first_wait: seconds before the second call; doubled each time, with full jitter.
        longest_wait: seconds that a wait is limited to, unless the provider names more.
    """

    attempts: int = 8
    first_wait: float = 0.25
    longest_wait: float = 20.0

    def wait(self, attempt: int, after: float | None) -> float:
        """Seconds to wait before the next attempt (attempt counts from 1)."""
        backoff = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        # Jitter spreads the callers of a provider that throttled all of them at once.
        return max(after or 0.0, backoff * random.uniform(0.5, 1.0))  # noqa: S311


class Asker:
    """One run's way to its classifier."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        max_cost: float | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._classifier = classifier
        self._patience = patience or Patience()
        cap = None if max_cost is None else Decimal(str(max_cost))
        self.bill = Bill(price=Decimal(str(classifier.traits.price)), cap=cap)
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Make no further call; calls in flight may end, failed pictures are not asked again."""
        self._closed.set()

    @property
    def affordable(self) -> int:
        """Pictures that may still be asked about under the cap, beside those in flight."""
        bill, traits = self.bill, self._classifier.traits
        if bill.cap is None or not bill.price:
            return sys.maxsize
        units = int((bill.cap - bill.cost) / bill.price) - bill.reserved
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

    async def ask_each(self, payloads: Sequence[Payload]) -> list[Answer | Refusal | Failed]:
        """Ask as :meth:`ask` does, but keep what was answered where some came to nothing.

        Returns:
            One entry per picture, in the same order; `Failed` where there is no answer and
            there will be none.
        """
        settled: dict[int, Answer | Refusal] = {}
        try:
            await self._settle(payloads, settled)
        except Exception as error:  # noqa: BLE001  handed on, at the place of each picture
            return [settled.get(i, Failed(error)) for i in range(len(payloads))]
        return [settled[i] for i in range(len(payloads))]

    async def _settle(
        self, payloads: Sequence[Payload], settled: dict[int, Answer | Refusal]
    ) -> None:
        pending = list(range(len(payloads)))
        attempt = 0
        while True:
            attempt += 1
            outcomes = await self._call([payloads[i] for i in pending])
            failed: list[int] = []
            last: Retry | None = None
            after = 0.0
            for i, outcome in zip(pending, outcomes, strict=True):
                if isinstance(outcome, Retry):
                    failed.append(i)
                    last = outcome
                    after = max(after, outcome.after or 0.0)
                else:
                    settled[i] = outcome
            if last is None:
                return
            if attempt >= self._patience.attempts:
                raise ProviderUnreliable(
                    f"{self._classifier.name} failed {attempt} times on one sample "
                    f"({last.reason}), and a sample may not be skipped: ask again later"
                )
            self.bill.retries += len(failed)
            pending = failed
            with self._reserved(len(pending)), contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.wait(attempt, after)):
                    await self._closed.wait()

    @contextlib.contextmanager
    def _reserved(self, images: int) -> Iterator[None]:
        """Keep the money for asking again: later samples are worth nothing without this one."""
        units = self._units(images)
        self.bill.reserved += units
        try:
            yield
        finally:
            self.bill.reserved -= units

    def _units(self, images: int) -> int:
        return images if self._classifier.traits.unit == "image" else 1

    async def _call(self, payloads: list[Payload]) -> Sequence[Outcome]:
        units = self._units(len(payloads))
        if self._closed.is_set():
            raise AskingEndedError("the run has ended")
        if not self.bill.affordable(units):
            raise AskingEndedError("the next call could pass max_cost")
        self.bill.reserved += units
        billed = units  # a call that ends in an exception may have been billed
        try:
            self.bill.calls += 1
            self.bill.images += len(payloads)
            outcomes = await self._classify(payloads)
            if len(outcomes) != len(payloads):
                raise ProviderFailed(
                    f"{self._classifier.name} gave {len(outcomes)} outcomes for "
                    f"{len(payloads)} pictures: its adapter is broken"
                )
            charged = sum(not isinstance(o, Retry) or o.billed for o in outcomes)
            billed = min(units, charged)
            return outcomes
        finally:
            self.bill.reserved -= units
            self.bill.units += billed

    async def _classify(self, payloads: list[Payload]) -> Sequence[Outcome]:
        try:
            return await self._classifier.classify(payloads)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Some SDKs let a cancellation of their own out; nobody has cancelled this run.
            raise ProviderFailed(f"{self._classifier.name} cancelled its own call") from None
        except (StopRun, CertificationError):
            raise
        except Exception as error:
            # Its text may hold anything, a credential too.
            kind = type(error).__name__
            raise ProviderFailed(
                f"the adapter of {self._classifier.name} is broken: it raised {kind}"
            ) from error
