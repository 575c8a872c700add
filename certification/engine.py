"""The engine: runs one certification from the clean answer to the certificate.

    upload ─ canonical image ─┐
                              ├─ noise(key, i) ─ denoise ─ fit, encode ─ ask ─ rule ─ vote i
                              └───── stop? ◄───── confidence process ◄───── ledger ◄─────┘

A run ends at the first n at which a stop rule that depends on votes alone holds, so chunking,
concurrency and the order of arrival change cost and speed, never the certificate.
"""

import asyncio
from typing import Any

from certification import canary, noise
from certification.asking import Asker, AskingEndedError
from certification.bill import Allowance
from certification.bounded_ledger import BoundedLedger, bounded
from certification.canonical import CanonicalImage
from certification.collecting import Collected, Collector, OnProgress, TallyOf
from certification.deployment_secret import secret_id
from certification.errors import (
    ClaimLost,
    InvalidParameter,
    ModelVersionChanged,
    ProviderFailed,
    RunInterrupted,
)
from certification.following import Enough, Follower
from certification.interrupt import Interrupt
from certification.machine import Machine
from certification.options import PREDICT_N, Options
from certification.postprocess import PostProcess
from certification.progress import Meter
from certification.protocols import (
    Answer,
    Classifier,
    CleanAnswer,
    Denoiser,
    Header,
    Ledger,
    Pixels,
    Refusal,
)
from certification.sampling import Sampler
from certification.spoken import names, spoken
from certification.subject import Subject
from certification.watching import Reused


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
        allowance: carries what the run spends over a restart.

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
        allowance: Allowance | None = None,
    ) -> None:
        self._machine, self._image, self._options = machine, image, options
        self._denoiser, self._classifier = denoiser, classifier
        self._interrupt = interrupt
        self._on_progress = on_progress or (lambda _: None)
        self._just_asked = False  # about the clean picture
        self._postprocess = PostProcess.plan(
            image.height, image.width, classifier.traits, options.encoding
        )
        self._asker = Asker(
            classifier,
            max_cost=options.max_cost,
            patience=machine.patience,
            gate=machine.gates.of(classifier) if machine.gates else None,
            allowance=allowance,
            watcher=machine.watcher,
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

    async def run(self, tally_of: TallyOf) -> Collected:
        """Wait for the subject's turn, then feed a tally until it has seen enough.

        Args:
            tally_of: makes the tally, once it is known what the ledger's header fixes; may raise.

        Raises:
            RunInterrupted: if the run is interrupted, and its subject has no votes yet.
            CertificationError: as for :meth:`ledger` and :meth:`Collector.collect`.
        """
        with self._machine.activity.run():
            collected = await self._run(tally_of)
        if collected.reused:
            self._machine.watcher.tell(Reused(self._classifier.name, collected.reused))
        return collected

    async def _run(self, tally_of: TallyOf) -> Collected:
        ledgers, interrupt = self._machine.ledgers, self._interrupt
        with interrupt.deadline(self._options.max_seconds):
            try:
                while True:
                    try:
                        return await self._in_turn(tally_of)
                    except ClaimLost:  # then it waits for its turn again, on the same bill
                        self._asker = self._asker.sibling()
            except Enough as enough:
                return enough.collected
            except RunInterrupted:
                # It never had its turn, but others may have collected votes of its subject.
                found = await bounded(interrupt, ledgers.find(self.subject.draft))
                if found is None:
                    raise
                return await self._collector(found, tally_of).collect()

    async def _in_turn(self, tally_of: TallyOf) -> Collected:
        ledgers, interrupt = self._machine.ledgers, self._interrupt
        follower = Follower(
            ledgers,
            self.subject.draft,
            tally_of,
            alpha=self._options.alpha,
            meter=Meter(self._options.sigma, self._asker.bill),
            on_progress=self._on_progress,
            interrupt=interrupt,
        )
        async with (
            ledgers.hold(self.subject.draft, follower.unless),
            self._machine.turn(interrupt),
        ):
            ledger = await self.ledger()
            try:
                return await self._collector(ledger, tally_of).collect()
            except ModelVersionChanged:
                # While nobody else may use it: the next one could be answered by the old model
                # again, and vouch for votes of both.
                await asyncio.shield(self._give_up())
                raise

    async def _give_up(self) -> None:
        """Stop using the ledger, whose votes may be of two models where a canary told."""
        if canary.is_canary(self.subject.model_version):
            await self._machine.ledgers.spoil(self.subject.draft)
        else:
            await self._machine.ledgers.retire(self.subject.draft)

    async def ledger(self) -> Ledger:
        """Return the subject's ledger; if it has none, ask about the clean picture and begin it.

        Raises:
            InvalidParameter: if `max_cost` does not even pay for the first call.
            ProviderFailed: if the provider refuses everything, so that its version stays unknown.
            RunInterrupted: if the run is interrupted before there is an answer.
        """
        finding = self._machine.ledgers.find(self.subject.draft)
        ledger = await bounded(self._interrupt, finding)
        return await self._begin() if ledger is None else ledger

    async def _begin(self) -> Ledger:
        answer = await self._ask_first(self._image.pixels, "the first call")
        version, told = answer.model_version, answer
        if isinstance(answer, Refusal) and version is None:
            # A plain grey picture tells what the refused one does not.
            grey = canary.grey_like(self._image.pixels)
            told = await self._ask_first(grey, "the second call, which a refused picture needs")
            if isinstance(told, Refusal) and told.model_version is None:
                raise ProviderFailed(
                    f"{self._classifier.name} refuses this picture ({answer.reason}) and a plain "
                    "grey one of the same size too: nothing can be certified"
                )
            version = told.model_version
        if version is None:
            spoiled = self._machine.ledgers.spoiled(self.subject.draft)
            epoch = await bounded(self._interrupt, spoiled)
            # A refusal would be given by any model: then the grey picture tells them apart.
            version = canary.version_of(told, epoch, of_grey=isinstance(answer, Refusal))
            self._just_asked = True
        clean = spoken(answer, self._options.rule, self._options.labels)
        rerolls = self._machine.ledgers.rerolls(self.subject.draft)
        self.subject = self.subject.at_version(version, await bounded(self._interrupt, rerolls))
        secret = self._machine.secret
        key = noise.derive_key(secret, self.subject.canonical())
        header = Header(
            subject=self.subject.describe(),
            clean=CleanAnswer(clean.vote, version),
            milestone=self._options.milestone,
            predict_n=self._options.predict_n or PREDICT_N,
            key_sha256=noise.key_sha256(key),
            secret_id=secret_id(secret),
        )
        opening = self._machine.ledgers.open(self.subject.draft, header, names([clean]))
        return await bounded(self._interrupt, opening)

    async def _ask_first(self, pixels: Pixels, what: str) -> Answer | Refusal:
        try:
            asking = self._asker.ask([self._postprocess(pixels)])
            (answer,) = await self._interrupt.unless(asking)
        except AskingEndedError:
            raise InvalidParameter(
                f"max_cost does not pay for {what}: raise it", "max_cost"
            ) from None
        return answer

    def _collector(self, ledger: Ledger, tally_of: TallyOf) -> Collector:
        self.subject = self.subject.of_header(ledger.header)
        sampler = Sampler(
            self._image,
            self._options.sigma,
            lambda: self._machine.noise_key(ledger.header),  # votes are counted without it
            self._denoiser,
            self._postprocess,
            self._machine.watcher,
        )
        return Collector(
            BoundedLedger(ledger, self._interrupt),
            tally_of,
            self._options,
            classifier=self._classifier,
            asker=self._asker,
            sampler=sampler,
            interrupt=self._interrupt,
            on_progress=self._on_progress,
            just_asked=self._just_asked,
            watcher=self._machine.watcher,
        )
