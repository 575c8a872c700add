"""The engine: runs one certification from the clean answer to the certificate.

    upload ─ canonical image ─┐
                              ├─ noise(key, i) ─ denoise ─ fit, encode ─ ask ─ rule ─ vote i
                              └───── stop? ◄───── confidence process ◄───── ledger ◄─────┘

A run ends at the first n at which a stop rule that depends on votes alone holds, so chunking,
concurrency and the order of arrival change cost and speed, never the certificate.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from certification import canary, noise
from certification.asking import Asker, AskingEndedError
from certification.canary import Canary
from certification.canonical import CanonicalImage
from certification.errors import (
    InvalidParameter,
    LedgerConflict,
    ModelVersionChanged,
    ProviderFailed,
    RunInterrupted,
)
from certification.interrupt import Interrupt
from certification.machine import Machine
from certification.options import PREDICT_N, Options
from certification.pipeline import Failed, Pipeline
from certification.postprocess import PostProcess
from certification.progress import Meter, Progress
from certification.protocols import (
    Answer,
    Classifier,
    CleanAnswer,
    Denoiser,
    DrawsNoise,
    Header,
    Ledger,
    Payload,
    Pixels,
    Refusal,
    Vote,
)
from certification.spoken import Spoken, is_other_version, names, spoken
from certification.subject import Subject
from certification.tally import Tally

DRAIN_SECONDS = 10.0  # calls in flight at a stop are paid for, so their votes are waited for
GRACE_SECONDS = 1.0  # and this long once somebody is waiting for the end
MEMORY = 256 * 2**20  # bytes that samples on their way may take

OnProgress = Callable[[Progress], None]


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


class Engine:
    """Collects the votes of one subject for one run.

    Args:
        machine: ledgers and secret.
        image: the canonical image.
        options: what the caller asks for.
        denoiser: cleans the samples.
        classifier: is asked.
        interrupt: ends the run early.
        on_progress: called with every event, on the event loop.

    Raises:
        InvalidParameter: if the provider does not take samples of this size. Nothing has been
            asked by then.
    """

    def __init__(
        self,
        machine: Machine,
        image: CanonicalImage,
        options: Options,
        *,
        denoiser: Denoiser,
        classifier: Classifier,
        interrupt: Interrupt,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._machine, self._image, self._options = machine, image, options
        self._denoiser, self._classifier = denoiser, classifier
        self._interrupt = interrupt
        self._on_progress = on_progress or (lambda _: None)
        self._just_asked = False  # about the clean picture
        self._postprocess = PostProcess.plan(image.height, image.width, classifier.traits)
        self._asker = Asker(
            classifier,
            max_cost=options.max_cost,
            patience=machine.patience,
            gate=machine.gates.of(classifier) if machine.gates else None,
        )
        self.subject = Subject.of(
            image,
            sigma=options.sigma,
            denoiser=denoiser,
            classifier=classifier,
            postprocess=self._postprocess,
            rule=options.rule,
            labels=options.labels,
        )

    @property
    def accounting(self) -> dict[str, Any]:
        """Calls, retries and cost so far."""
        return self._asker.bill.describe()

    async def run(self, tally_of: Callable[[Header], Tally]) -> Collected:
        """Wait for the subject's turn, then feed a tally until it has seen enough.

        Args:
            tally_of: makes the tally, once it is known what the ledger's header fixes; may raise.

        Raises:
            RunInterrupted: if the run is interrupted, and its subject has no votes yet.
            CertificationError: as for :meth:`ledger` and :meth:`collect`.
        """
        ledgers, interrupt = self._machine.ledgers, self._interrupt
        with interrupt.deadline(self._options.max_seconds):
            try:
                async with (
                    ledgers.hold(self.subject.draft, interrupt.unless),
                    self._machine.turn(interrupt),
                ):
                    ledger = await self.ledger()
                    return await self.collect(ledger, tally_of)
            except RunInterrupted:
                # It never had its turn, but others may have collected votes of its subject.
                found = await ledgers.find(self.subject.draft)
                if found is None:
                    raise
                return await self.collect(found, tally_of)

    async def ledger(self) -> Ledger:
        """Return the subject's ledger; if it has none, ask about the clean picture and begin it.

        Raises:
            InvalidParameter: if `max_cost` does not even pay for the first call.
            LedgerConflict: if the ledger was begun under another deployment secret.
            ProviderFailed: if the provider refuses everything, so that its version stays unknown.
            RunInterrupted: if the run is interrupted before there is an answer.
        """
        ledger = await self._machine.ledgers.find(self.subject.draft)
        if ledger is None:
            ledger = await self._begin()
        self.subject = self.subject.at_version(ledger.header.clean.model_version)
        if noise.key_sha256(self._key()) != ledger.header.key_sha256:
            raise LedgerConflict(
                "this subject's votes were begun under another deployment secret, and further "
                "ones would come from other noise: give the service its old secret again"
            )
        return ledger

    async def _begin(self) -> Ledger:
        answer = await self._ask_first(self._image.pixels, "the first call")
        version = answer.model_version
        if isinstance(answer, Refusal) and version is None:
            # A plain grey picture tells what the refused one does not.
            grey = np.full_like(self._image.pixels, 128)
            told = await self._ask_first(grey, "the second call, which a refused picture needs")
            if isinstance(told, Refusal) and told.model_version is None:
                raise ProviderFailed(
                    f"{self._classifier.name} refuses this picture ({answer.reason}) and a plain "
                    "grey one of the same size too: nothing can be certified"
                )
            version = told.model_version
        if version is None:
            epoch = await self._machine.ledgers.spoiled(self.subject.draft)
            version = canary.version_of(answer, epoch)
            self._just_asked = True
        clean = spoken(answer, self._options.rule, self._options.labels)
        self.subject = self.subject.at_version(version)
        header = Header(
            subject=self.subject.describe(),
            clean=CleanAnswer(clean.vote, version),
            milestone=self._options.milestone,
            predict_n=self._options.predict_n or PREDICT_N,
            key_sha256=noise.key_sha256(self._key()),
        )
        ledger = await self._machine.ledgers.open(self.subject.draft, header)
        await ledger.remember(names([clean]))
        return ledger

    async def collect(self, ledger: Ledger, tally_of: Callable[[Header], Tally]) -> Collected:
        """Feed a tally the ledger's votes, then new ones, until it has seen enough.

        Raises:
            ModelVersionChanged: if the provider changed its model. The votes stay under the old
                version, and the next run begins a new subject.
            ProviderFailed: if the provider cannot be asked to the end; the votes are kept.
        """
        tally = tally_of(ledger.header)
        meter = Meter(self._options.sigma, self._asker.bill)
        watch = await self._watch(ledger)
        counted = await ledger.read()
        length = len(counted)
        if watch is not None and watch.vouched < length and not await self._vouch(watch, length):
            del counted[watch.vouched :]
        reused, reason = tally.feed(counted)
        unvouched = len(counted) < length
        del counted[reused:]
        self._on_progress(meter.event(tally, 0 if reason else tally.needed()))
        if reason is None and unvouched:
            reason = self._interrupt.reason if self._interrupt.done else "max_cost"
        if reason is None and watch is not None and not self._just_asked:
            await self._vouch(watch, length)  # else new votes might be of another model
        if reason is not None:
            return Collected(ledger.header, await ledger.names(), counted, reused, reason)
        with self._asker.reserved(1) if watch is not None else contextlib.nullcontext():
            reason, length = await self._ask_on(ledger, tally, counted, watch, meter)
        if watch is not None and not await self._vouch(watch, length):
            # Interrupted: only the votes up to the last canary are known to be of one model.
            del counted[watch.vouched :]
            tally = tally_of(ledger.header)
            tally.feed(counted)
            reused = min(reused, len(counted))
        self._on_progress(meter.event(tally, 0))
        return Collected(ledger.header, await ledger.names(), counted, reused, reason)

    async def _ask_on(
        self, ledger: Ledger, tally: Tally, counted: list[Vote], watch: Canary | None, meter: Meter
    ) -> tuple[str, int]:
        """Collect new votes; returns why it ended, and the ledger's length."""
        length, reason = len(counted), None
        pipeline = self._pipeline(length, ledger.header)
        unsaved: list[Spoken] = []
        late: list[Spoken] = []
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
                await self._keep(ledger, length, unsaved)
                votes, unsaved = [said.vote for said in unsaved], []
                length += len(votes)
                used, reason = tally.feed(votes)
                counted += votes[:used]
                if votes:
                    self._on_progress(meter.event(tally, 0 if reason else tally.needed()))
                if reason is None and watch is not None and watch.due(length):
                    await self._vouch(watch, length)
            patience = DRAIN_SECONDS
        except Exception as error:
            patience = DRAIN_SECONDS
            if isinstance(error, ModelVersionChanged):
                await self._void(watch)
            raise
        finally:
            ended = reason not in (None, "max_cost")
            late = await self._wind_up(pipeline, ledger, length, unsaved, patience)
        length += len(late)
        if not ended:  # such a run may stop anywhere, so the late votes count too
            votes = [said.vote for said in late]
            used, by_votes = tally.feed(votes)
            counted += votes[:used]
            reason = by_votes or reason
        return reason or self._interrupt.reason, length

    async def _watch(self, ledger: Ledger) -> Canary | None:
        """Return the canary of a ledger whose provider names no version."""
        if not canary.is_canary(ledger.header.clean.model_version):
            return None

        async def ask() -> Answer | Refusal:
            asker = self._asker.sibling()
            payload = await asyncio.to_thread(self._postprocess, self._image.pixels)
            (answer,) = await self._interrupt.unless(asker.ask([payload]))
            return answer

        return Canary(self._classifier.name, ledger, ask, await ledger.vouched())

    async def _vouch(self, watch: Canary, length: int) -> bool:
        """Ask the canary about the first `length` votes; tells whether there was an answer.

        Raises:
            ModelVersionChanged: if it is another one.
        """
        try:
            await watch.check(length)
        except (RunInterrupted, AskingEndedError):
            return False
        except ModelVersionChanged:
            await self._void(watch)
            raise
        return True

    async def _void(self, watch: Canary | None) -> None:
        """Let the next run begin a new ledger."""
        ledgers, draft = self._machine.ledgers, self.subject.draft
        await (ledgers.retire(draft) if watch is None else ledgers.spoil(draft))

    async def _wind_up(
        self,
        pipeline: Pipeline[Spoken],
        ledger: Ledger,
        length: int,
        unsaved: list[Spoken],
        patience: float,
    ) -> list[Spoken]:
        """Also on errors and cancellation, keep what was paid for, as far as no vote is missing."""
        self._asker.close()
        try:
            await pipeline.settle(self._interrupt.future, patience, GRACE_SECONDS)
        finally:
            late = unsaved + await pipeline.close()
            await self._keep(ledger, length, late)
        return late

    def _pipeline(self, start: int, header: Header) -> Pipeline[Spoken]:
        """Make the pipeline; large pictures get smaller batches, so that the memory suffices."""
        height, width, traits = self._image.height, self._image.width, self._classifier.traits
        sent_h, sent_w = self._postprocess.size or (height, width)
        room = max(1, MEMORY // (3 * max(height * width, sent_h * sent_w)))
        max_batch = min(traits.max_batch, room)
        return Pipeline(
            self._draw,
            lambda payloads: self._ask(payloads, header),
            start=start,
            chunk=self._denoiser.batch_of(height, width),
            max_batch=max_batch,
            concurrency=max(1, min(traits.concurrency, room // max_batch)),
        )

    async def _ask_first(self, pixels: Pixels, what: str) -> Answer | Refusal:
        try:
            asking = self._asker.ask([self._postprocess(pixels)])
            (answer,) = await self._interrupt.unless(asking)
        except AskingEndedError:
            raise InvalidParameter(
                f"max_cost does not pay for {what}: raise it", "max_cost"
            ) from None
        return answer

    async def _keep(self, ledger: Ledger, start: int, votes: Sequence[Spoken]) -> None:
        if votes:
            await ledger.append(start, [said.vote for said in votes])
            await ledger.remember(names(votes))

    def _draw(self, start: int, count: int) -> list[Payload]:
        """Make samples start … start+count−1, ready to send. Runs in a thread."""
        pixels, sigma = self._image.pixels, self._options.sigma
        if isinstance(self._denoiser, DrawsNoise) and self._denoiser.draws_noise:
            cleaned = self._denoiser.clean_drawn(pixels, self._key(), start, count, sigma)
        else:
            noisy = noise.draw_many(self._key(), range(start, start + count), pixels.shape, sigma)
            noisy += pixels
            cleaned = self._denoiser.clean(noisy, sigma)
        return [self._postprocess(sample) for sample in cleaned]

    def _key(self) -> bytes:
        return noise.derive_key(self._machine.secret, self.subject.canonical())

    async def _ask(self, payloads: Sequence[Payload], header: Header) -> list[Spoken | Failed]:
        expected = header.clean.model_version
        found: list[Spoken | Failed] = []
        for answer in await self._asker.ask_each(payloads):
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
