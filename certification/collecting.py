"""Collects the votes of one ledger: those it has, then new ones, until a stop rule holds."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from certification import canary
from certification.asking import Asker, AskingEndedError
from certification.canary import Canary
from certification.errors import ModelVersionChanged
from certification.interrupt import Interrupt
from certification.options import Options
from certification.pipeline import Failed, Pipeline
from certification.progress import Meter, Progress
from certification.protocols import (
    Answer,
    Classifier,
    Header,
    Ledger,
    Pixels,
    Refusal,
    Vote,
)
from certification.sampling import Sampler
from certification.spoken import Spoken, is_other_version, names, spoken
from certification.tally import Tally
from certification.watching import NOBODY, Voted, Watcher

DRAIN_SECONDS = 10.0  # calls in flight at a stop are paid for, so their votes are waited for
GRACE_SECONDS = 1.0  # and this long once somebody is waiting for the end

OnProgress = Callable[[Progress], None]
TallyOf = Callable[[Header], Tally]


@dataclass(frozen=True)
class Collected:
    """Votes of a run that has ended.

    Attributes:
        header: the ledger's fixed choices.
        names: label key → the provider's spelling.
        votes: the counted ones, in index order.
        reused: how many of them the ledger already had.
        reason: why the run ended.
    """

    header: Header
    names: Mapping[str, str]
    votes: list[Vote]
    reused: int
    reason: str


class Collector:
    """Collects votes for one run.

    Args:
        ledger: to begin with, and to add to.
        tally_of: makes the tally, once it is known what the ledger's header fixes; may raise.
        options: what the caller asks for.
        classifier: is asked.
        asker: the run's way to it.
        sampler: makes the samples.
        interrupt: ends the run early.
        on_progress: called with every event.
        just_asked: whether the clean picture has been asked about in this run.
        watcher: is told of new votes.
    """

    def __init__(
        self,
        ledger: Ledger,
        tally_of: TallyOf,
        options: Options,
        *,
        classifier: Classifier,
        asker: Asker,
        sampler: Sampler,
        interrupt: Interrupt,
        on_progress: OnProgress,
        just_asked: bool = False,
        watcher: Watcher = NOBODY,
    ) -> None:
        self._ledger, self._tally_of, self._options = ledger, tally_of, options
        self._classifier, self._asker, self._sampler = classifier, asker, sampler
        self._interrupt, self._on_progress = interrupt, on_progress
        self._just_asked, self._watcher = just_asked, watcher

    async def collect(self) -> Collected:
        """Feed a tally the ledger's votes, then new ones, until it has seen enough.

        Raises:
            ModelVersionChanged: if the provider changed its model. The votes stay under the old
                version, and the next run begins a new subject.
            ProviderFailed: if the provider cannot be asked to the end; the votes are kept.
        """
        ledger = self._ledger
        await ledger.spend(self._options.alpha)
        tally = self._tally_of(ledger.header)
        meter = Meter(self._options.sigma, self._asker.bill)
        watch = await self._watch()
        counted = await ledger.read()
        length = len(counted)
        fresh = self._just_asked
        if watch is not None and watch.vouched < length:
            fresh = await watch.vouch(length)
            if not fresh:
                del counted[watch.vouched :]
        reused, reason = tally.feed(counted)
        unvouched = len(counted) < length
        del counted[reused:]
        self._on_progress(meter.event(tally, 0 if reason else tally.needed()))
        if reason is None and unvouched:
            reason = self._interrupt.reason if self._interrupt.done else "max_cost"
        if reason is None and watch is not None and not fresh:
            await watch.vouch(length)  # else new votes might be of another model
        if reason is not None:
            return Collected(ledger.header, await ledger.names(), counted, reused, reason)
        await ledger.append(length, [])  # a sealed one says so before anything is paid for
        with self._asker.reserved(1) if watch is not None else contextlib.nullcontext():
            reason, length = await self._ask_on(tally, counted, watch, meter)
        if watch is not None and not await watch.vouch(length):
            # Interrupted: only the votes up to the last canary are known to be of one model.
            del counted[watch.vouched :]
            tally = self._tally_of(ledger.header)
            used, by_votes = tally.feed(counted)
            del counted[used:]
            reason = by_votes or (self._interrupt.reason if self._interrupt.done else "max_cost")
            reused = min(reused, used)
        self._on_progress(meter.event(tally, 0))
        return Collected(ledger.header, await ledger.names(), counted, reused, reason)

    async def _ask_on(
        self, tally: Tally, counted: list[Vote], watch: Canary | None, meter: Meter
    ) -> tuple[str, int]:
        """Collect new votes; returns why it ended, and the ledger's length."""
        length, reason = len(counted), None
        pipeline = self._sampler.pipeline(self._ask, length, self._classifier.traits)
        unsaved: list[Spoken] = []
        patience = GRACE_SECONDS
        try:
            while reason is None and not self._interrupt.done:
                horizon = min(
                    length + tally.needed(),
                    pipeline.next_ask + self._asker.affordable,
                )
                if horizon <= length:
                    reason = "max_cost"
                    break
                try:
                    unsaved = await pipeline.next(horizon, self._interrupt.future)
                except AskingEndedError:
                    reason = "max_cost"
                    break
                await self._keep(length, unsaved)
                votes, unsaved = [said.vote for said in unsaved], []
                length += len(votes)
                used, reason = tally.feed(votes)
                counted += votes[:used]
                if votes:
                    self._on_progress(meter.event(tally, 0 if reason else tally.needed()))
                if reason is None and watch is not None and watch.due(length):
                    await watch.vouch(length)
            patience = DRAIN_SECONDS
        except Exception:
            patience = DRAIN_SECONDS
            raise
        finally:
            ended = reason not in (None, "max_cost")
            late = await self._wind_up(pipeline, length, unsaved, patience)
        length += len(late)
        if not ended:  # such a run may stop anywhere, so the late votes count too
            votes = [said.vote for said in late]
            used, by_votes = tally.feed(votes)
            counted += votes[:used]
            reason = by_votes or reason
        return reason or self._interrupt.reason, length

    async def _watch(self) -> Canary | None:
        """Return the canary of a ledger whose provider names no version."""
        version = self._ledger.header.clean.model_version
        if version is None or not canary.is_canary(version):
            return None
        picture = canary.picture_of(version, self._sampler.clean)

        async def ask() -> Answer | Refusal:
            asker = self._asker.sibling()
            payloads = await self._sampler.payloads([picture])
            (answer,) = await self._interrupt.unless(asker.ask(payloads))
            return answer

        vouched = await self._ledger.vouched()
        return Canary(self._classifier.name, self._ledger, ask, vouched)

    async def _wind_up(
        self,
        pipeline: Pipeline[Pixels, Spoken],
        length: int,
        unsaved: list[Spoken],
        patience: float,
    ) -> list[Spoken]:
        """Also on errors and cancellation, keep what was paid for, as far as no vote is missing."""
        self._asker.close()
        try:
            await pipeline.settle(self._interrupt.future, patience, self._grace)
        finally:
            late = unsaved + await pipeline.close()
            await self._keep(length, late)
        return late

    def _grace(self) -> float:
        grace = self._interrupt.grace  # may be told while calls are waited for
        return GRACE_SECONDS if grace is None else grace

    async def _keep(self, start: int, votes: Sequence[Spoken]) -> None:
        if votes:
            with self._watcher.span("append", votes=len(votes)):
                await self._ledger.append(start, [said.vote for said in votes], names(votes))
            abstentions = sum(said.vote is None for said in votes)
            self._watcher.tell(Voted(self._classifier.name, len(votes), abstentions))

    async def _ask(self, samples: Sequence[Pixels]) -> list[Spoken | Failed]:
        expected = self._ledger.header.clean.model_version
        with self._asker.turn() as turn:  # writing a picture may take longer than the next one
            payloads = await self._sampler.payloads(samples)
            answers = await self._asker.ask_each(payloads, turn)
        found: list[Spoken | Failed] = []
        for answer in answers:
            if isinstance(answer, Failed):
                found.append(answer)
            elif is_other_version(answer, expected):
                found.append(Failed(self._changed(answer.model_version, expected)))
            else:
                found.append(spoken(answer, self._options.rule, self._options.labels))
        return found

    def _changed(self, found: str | None, expected: str | None) -> ModelVersionChanged:
        return ModelVersionChanged(
            f"{self._classifier.name} answered with model version {found!r} after {expected!r}: "
            "the run is void. Its votes stay under the old version; ask again to begin with the "
            "new one"
        )
