"""The engine: runs one certification from the clean answer to the certificate.

    upload ─ canonical image ─┐
                              ├─ noise(key, i) ─ denoise ─ fit, encode ─ ask ─ rule ─ vote i
                              └───── stop? ◄───── confidence process ◄───── ledger ◄─────┘

A run ends at the first n at which a stop rule that depends on votes alone holds, so chunking,
concurrency and the order of arrival change cost and speed, never the certificate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from certification import noise
from certification.asking import Asker, AskingEndedError, Patience
from certification.canonical import CanonicalImage
from certification.errors import InvalidParameter, ModelVersionChanged
from certification.interrupt import Interrupt
from certification.options import PREDICT_N, Options
from certification.pipeline import Pipeline
from certification.postprocess import PostProcess
from certification.progress import Meter, Progress
from certification.protocols import (
    Answer,
    Classifier,
    CleanAnswer,
    Denoiser,
    Header,
    Ledger,
    Ledgers,
    Payload,
    Pixels,
    Refusal,
    Vote,
)
from certification.subject import Subject
from certification.tally import Tally

DRAIN_SECONDS = 30.0  # calls in flight at a stop are paid for, so their votes are waited for
DRAIN_SECONDS_INTERRUPTED = 1.0

OnProgress = Callable[[Progress], None]


@dataclass
class Machine:
    """What a deployment certifies with.

    Attributes:
        ledgers: where votes are kept.
        secret: the deployment secret that noise keys are derived from.
        patience: how long to go on asking for a sample that fails.
    """

    ledgers: Ledgers
    secret: bytes = field(repr=False)
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Collected:
    """Votes of a run that has ended.

    Attributes:
        votes: the counted ones, in index order.
        reused: how many of them the ledger already had.
        reason: why the run ended.
    """

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
        self._postprocess = PostProcess.plan(image.height, image.width, classifier.traits)
        self._asker = Asker(classifier, max_cost=options.max_cost, patience=machine.patience)
        self._names: dict[str, str] = {}
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

    async def ledger(self) -> Ledger:
        """Return the subject's ledger; if it has none, ask about the clean picture and begin it.

        Raises:
            InvalidParameter: if `max_cost` does not even pay for the first call.
            RunInterrupted: if the run is interrupted before there is an answer.
        """
        found = await self._machine.ledgers.find(self.subject.draft)
        if found is not None:
            self.subject = self.subject.at_version(found.header.clean.model_version)
            return found
        answer = await self._ask_first(self._image.pixels)
        if isinstance(answer, Answer):
            version = answer.model_version
        else:  # a refusal does not tell the version, so a plain grey picture has to
            grey = await self._ask_first(np.full_like(self._image.pixels, 128))
            version = grey.model_version if isinstance(grey, Answer) else None
        self.subject = self.subject.at_version(version)
        header = Header(
            subject=self.subject.describe(),
            clean=CleanAnswer(self._vote(answer), version),
            milestone=self._options.milestone,
            predict_n=self._options.predict_n or PREDICT_N,
            key_sha256=noise.key_sha256(self._key()),
        )
        ledger = await self._machine.ledgers.open(self.subject.draft, header)
        await ledger.remember(self._names)
        return ledger

    async def collect(self, ledger: Ledger, tally: Tally) -> Collected:
        """Feed a tally the ledger's votes, then new ones, until it has seen enough.

        Raises:
            ModelVersionChanged: if the provider changed its model. The votes stay under the old
                version, and the next run begins a new subject.
            ProviderFailed: if the provider cannot be asked to the end; the votes are kept.
        """
        meter = Meter(self._options.sigma, self._asker.bill)
        counted = await ledger.read()
        length = len(counted)
        reused, reason = tally.feed(counted)
        del counted[reused:]
        self._on_progress(meter.event(tally, 0 if reason else tally.needed()))
        if reason is not None:
            return Collected(counted, reused, reason)

        pipeline = Pipeline(
            self._draw,
            lambda payloads: self._ask(payloads, ledger.header),
            start=length,
            chunk=self._denoiser.batch,
            max_batch=self._classifier.traits.max_batch,
            concurrency=self._classifier.traits.concurrency,
        )
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
                    votes = await pipeline.next(horizon, self._interrupt.future)
                except AskingEndedError:
                    reason = "max_cost"
                    break
                await self._keep(ledger, length, votes)
                length += len(votes)
                used, reason = tally.feed(votes)
                counted += votes[:used]
                if votes:
                    self._on_progress(meter.event(tally, 0 if reason else tally.needed()))
        except ModelVersionChanged:
            await self._machine.ledgers.retire(self.subject.draft)
            raise
        finally:
            # Also on errors and cancellation: what was paid for goes into the ledger.
            self._asker.close()
            ended = reason not in (None, "max_cost")
            late = await pipeline.drain(
                DRAIN_SECONDS if reason is not None else DRAIN_SECONDS_INTERRUPTED
            )
            await self._keep(ledger, length, late)
        if not ended:  # such a run may stop anywhere, so the late votes count too
            used, by_votes = tally.feed(late)
            counted += late[:used]
            reason = by_votes or reason
            self._on_progress(meter.event(tally, 0))
        return Collected(counted, reused, reason or self._interrupt.reason)

    async def _ask_first(self, pixels: Pixels) -> Answer | Refusal:
        try:
            asking = self._asker.ask([self._postprocess(pixels)])
            (answer,) = await self._interrupt.unless(asking)
        except AskingEndedError:
            raise InvalidParameter("max_cost does not pay for the first call: raise it") from None
        return answer

    async def _keep(self, ledger: Ledger, start: int, votes: Sequence[Vote]) -> None:
        if votes:
            await ledger.append(start, votes)
            await ledger.remember(self._names)

    def _draw(self, start: int, count: int) -> list[Payload]:
        """Make samples start … start+count−1, ready to send. Runs in a thread."""
        pixels, sigma = self._image.pixels, self._options.sigma
        noisy = noise.draw_many(self._key(), range(start, start + count), pixels.shape, sigma)
        noisy += pixels
        cleaned = self._denoiser.clean(noisy, sigma)
        return [self._postprocess(sample) for sample in cleaned]

    def _key(self) -> bytes:
        return noise.derive_key(self._machine.secret, self.subject.canonical())

    async def _ask(self, payloads: Sequence[Payload], header: Header) -> list[Vote]:
        answers = await self._asker.ask(payloads)
        expected = header.clean.model_version
        for answer in answers:
            if isinstance(answer, Answer) and answer.model_version != expected:
                raise ModelVersionChanged(
                    f"{self._classifier.name} answered with model version "
                    f"{answer.model_version!r} after {expected!r}: the run is void. Its votes "
                    "stay under the old version; ask again to begin with the new one"
                )
        return [self._vote(answer) for answer in answers]

    def _vote(self, answer: Answer | Refusal) -> Vote:
        if isinstance(answer, Refusal):
            return None
        for prediction in answer.predictions:
            self._names.setdefault(self._options.labels.key(prediction), prediction.name)
        return self._options.rule(answer.predictions, self._options.labels)
