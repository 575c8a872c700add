"""An audit: asks the provider again about samples of a certificate, drawn at random.

    ledger ─► noise key ─┐
    picture ─────────────┴─ sample i ─ denoise ─ fit, encode ─ ask ─ rule ─► still vote i?

Nothing is revealed, so a ledger that is audited can go on; and nothing is written to it, whatever
the provider says now.
"""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal

from certification import canary, noise
from certification.asking import Asker, AskingEndedError
from certification.collecting import DRAIN_SECONDS, GRACE_SECONDS
from certification.errors import InvalidParameter, RunInterrupted
from certification.interrupt import Interrupt
from certification.machine import Machine
from certification.options import check_cost
from certification.pipeline import Failed, Pipeline
from certification.protocols import Answer, Pixels, Refusal
from certification.sampling import Sampler
from certification.spoken import is_other_version, spoken
from service.audit_ready import Ready
from service.audit_result import Audit, Difference, StopReason
from service.core import Surety

Said = Answer | Refusal

OnAsked = Callable[[int, int, Decimal], None]
"""Is told how many were asked about, how many differ, and what that cost."""


async def audit(
    surety: Surety,
    ready: Ready,
    *,
    max_cost: float | None = None,
    interrupt: Interrupt | None = None,
    on_asked: OnAsked = lambda *_: None,
) -> Audit:
    """Ask the provider again.

    Args:
        surety: an opened deployment.
        ready: what to ask about.
        max_cost: US dollars that are never passed.
        interrupt: ends it early, with what was found by then.
        on_asked: called whenever there are new answers.

    Raises:
        InvalidParameter: if `max_cost` is out of range, or does not pay for one answer.
        RunInterrupted: if it is interrupted before there is any answer.
        ProviderFailed, StopRun: if the provider gives no answer at all. Once it has, they are
            on the result.
    """
    check_cost(max_cost)
    interrupt = interrupt or Interrupt()
    meter = surety.meter(None, ready.smoothed.adapter.name)
    try:
        async with surety.machine.turn(interrupt):
            machine = surety.counted(meter)
            return await _Asking(machine, ready, max_cost, interrupt, on_asked).run()
    finally:
        await meter.close()


class _Rebuilt(Sampler):
    """Makes the samples that were drawn; to a pipeline they are number 0, 1, 2 and so on."""

    def __init__(self, ready: Ready) -> None:
        smoothed = ready.smoothed
        sigma = float(ready.certificate["proof"]["sigma"])
        super().__init__(
            ready.image, sigma, lambda: ready.key, smoothed.denoiser, smoothed.postprocess
        )
        self._indices = ready.indices

    def draw(self, start: int, count: int) -> Sequence[Pixels]:
        """Make samples, fewer than `count` at the end. Runs in a thread."""
        indices = self._indices[start : start + count]
        noisy = noise.draw_many(self._key(), indices, self.clean.shape, self._sigma)
        noisy += self.clean
        return list(self._denoiser.clean(noisy, self._sigma))


class _Asking:
    """One audit while it asks; see :func:`audit` for the arguments."""

    def __init__(
        self,
        machine: Machine,
        ready: Ready,
        max_cost: float | None,
        interrupt: Interrupt,
        on_asked: OnAsked,
    ) -> None:
        self._ready, self._interrupt, self._on_asked = ready, interrupt, on_asked
        adapter = ready.smoothed.adapter
        self._asker = Asker(
            adapter,
            max_cost=max_cost,
            patience=machine.patience,
            gate=machine.gates.of(adapter) if machine.gates else None,
        )
        self._sampler = _Rebuilt(ready)
        self._then: str | None = ready.certificate["proof"]["subject"]["provider"]["model_version"]
        self._asked = 0
        self._differences: list[Difference] = []
        self._versions: dict[str, None] = {}  # in order
        self._changed = False
        self._error: Exception | None = None

    async def run(self) -> Audit:
        """Ask to the end, or as far as it goes."""
        started = time.monotonic()
        if canary.is_canary(self._then):
            await self._ask_canary(self._then or "")
        reason = await self._ask_all()
        if not self._asked:
            self._nothing(reason)
        seconds = round(time.monotonic() - started, 3)
        return Audit(
            certificate=self._ready.certificate,
            seed=self._ready.seed,
            sample=len(self._ready.indices),
            asked=self._asked,
            differences=sorted(self._differences, key=lambda found: found.index),
            versions=list(self._versions),
            changed=self._changed,
            stop_reason=reason,
            accounting={**self._asker.bill.describe(), "seconds": seconds},
            error=self._error,
        )

    async def _ask_canary(self, then: str) -> None:
        """Of a model that tells no version, compare what it says about the clean picture."""
        payloads = await self._sampler.payloads([canary.picture_of(then, self._sampler.clean)])
        try:
            (answer,) = await self._interrupt.unless(self._asker.ask(payloads))
        except AskingEndedError:
            self._nothing("max_cost")
            return
        if answer.model_version is not None:
            self._note_version(answer)
        elif canary.same_model(then, answer):
            self._versions[then] = None
        else:
            self._versions[canary.version_of(answer, of_grey=canary.is_of_grey(then))] = None
            self._changed = True

    async def _ask_all(self) -> StopReason:
        total, traits = len(self._ready.indices), self._ready.smoothed.adapter.traits
        pipeline: Pipeline[Pixels, Said] = self._sampler.pipeline(self._ask, 0, traits)
        seconds = GRACE_SECONDS
        try:
            while self._asked < total and not self._interrupt.done:
                horizon = min(total, pipeline.next_ask + self._asker.affordable)
                if horizon <= self._asked:
                    break
                self._take(await pipeline.next(horizon, self._interrupt.future))
            seconds = DRAIN_SECONDS
        except AskingEndedError:
            seconds = DRAIN_SECONDS
        except Exception as error:  # noqa: BLE001  what was found is paid for: it is told too
            seconds, self._error = DRAIN_SECONDS, error
        finally:
            await self._wind_up(pipeline, seconds)
        if self._asked == total:
            return "complete"
        if self._error is not None:
            return "failed"
        return "cancelled" if self._interrupt.done else "max_cost"

    async def _wind_up(self, pipeline: Pipeline[Pixels, Said], seconds: float) -> None:
        """Wait for the calls in flight, which are paid for."""
        self._asker.close()
        try:
            await pipeline.settle(self._interrupt.future, seconds, GRACE_SECONDS)
        finally:
            self._take(await pipeline.close())

    async def _ask(self, samples: Sequence[Pixels]) -> list[Said | Failed]:
        return await self._asker.ask_each(await self._sampler.payloads(samples))

    def _take(self, answers: Sequence[Said]) -> None:
        smoothed, votes = self._ready.smoothed, self._ready.votes
        for answer in answers:
            index = self._ready.indices[self._asked]
            said, then = spoken(answer, smoothed.rule, smoothed.labels), votes[index]
            if said.vote != then:
                self._differences.append(Difference(index, then, said.vote, said.name))
            self._note_version(answer)
            self._asked += 1
        self._on_asked(self._asked, len(self._differences), self._asker.bill.cost)

    def _note_version(self, answer: Said) -> None:
        if answer.model_version is not None:
            self._versions[answer.model_version] = None
        self._changed |= is_other_version(answer, self._then)

    def _nothing(self, reason: StopReason) -> None:
        """End without a result."""
        if self._error is not None:
            raise self._error
        if reason == "max_cost":
            raise InvalidParameter(
                "max_cost does not pay for the first answer: raise it", "max_cost"
            )
        raise RunInterrupted("the audit was cancelled before it had any answer")
