"""Surety itself, without HTTP and without a terminal: both the API and the command line use it.

request ─► prepare (validates everything, spends nothing) ─► certify | predict
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from adapters.policy.gate import AccountGates
from certification.bill import Allowance
from certification.bounded_ledger import bounded
from certification.canonical import CanonicalImage, Limits, canonicalise, parse_size
from certification.certify import certify
from certification.collecting import OnProgress
from certification.decision import LabelMap, parse_rule
from certification.errors import InvalidParameter
from certification.interrupt import Interrupt
from certification.machine import Machine
from certification.options import Options
from certification.postprocess import PostProcess
from certification.predict import predict
from certification.protocols import Gates
from certification.radius import written_up
from certification.watching import Attribute, Concluded, Watchers
from service.access.token import scrubbed
from service.edges.places import Places
from service.edges.shares import Shares
from service.edges.slots import Slots
from service.edges.uploads import Uploads
from service.issued import Document, Issued
from service.loaders import in_loader
from service.parts import Parts
from service.prepared import Prepared, check_labels
from service.seeing.known_secrets import of_keyring, of_settings
from service.seeing.scrubbing import SCRUBBER
from service.settings import Settings
from service.state import State
from service.usage.budget import Budgets
from service.usage.counts import Counts
from service.usage.gates import KeyGates, Money
from service.usage.last_call import as_one, going_on, wants_last_call
from service.usage.meter import Meter, Meters

CANCELLED = "cancelled"  # stop reason of a run that was ended early


class LeftToOthers(Exception):
    """A run was ended early, and another process goes on with it. Stays in this package."""


class Surety(Parts):
    """One deployment in one process: ledgers, secret, loaded denoisers and adapters.

    Args:
        settings: the deployment's settings.

    Attributes:
        shares: how much of what is bounded here one API key may take.
        uploads: what is being taken in.
        requests: places for requests, from before an upload is read until the answer.
        watchers: are told what its runs do.

    Raises:
        NotConfigured: if the file of profiles cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._decoder = ThreadPoolExecutor(1, "decode")  # a large picture takes a gigabyte
        self.shares = Shares()
        self.uploads = Uploads(settings, self.shares)
        self.requests = Places(
            settings.max_runs + settings.max_waiting,
            "all runs are busy and the queue is full",
            "places for requests",
            self.shares,
        )
        self._slots = Slots(settings.max_runs, self.shares)
        self.watchers = Watchers()
        self._state: State | None = None
        self._machine: Machine | None = None
        self._meters: Meters | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Self]:
        """Open a deployment with all that lasts, and close it at the end.

        Raises:
            NotConfigured: if the file of profiles cannot be read.
            ConfigurationError: if the keys or the data directory cannot be used, or the store
                belongs to another deployment.
            StoreError: if the store does not answer.
        """
        surety = cls(settings)
        SCRUBBER.remember(of_settings(settings))
        try:
            surety._state = state = await State.open(settings)
            SCRUBBER.remember(of_keyring(state.keyring))
            surety._machine = Machine(
                state.ledgers,
                state.keyring.current_secret,
                state.keyring.secrets,
                slots=surety._slots.of(None),
                gates=AccountGates(state.limits.of_account),
                watcher=surety.watchers,
            )
            surety._meters = Meters(state.usage, Budgets(state.api_keys.get))
            yield surety
        finally:
            await surety.close()

    @property
    def state(self) -> State:
        """Keys, ledgers, certificates, runs and pictures; there in an opened deployment."""
        assert self._state is not None, "open the deployment first"  # noqa: S101
        return self._state

    @property
    def machine(self) -> Machine:
        """What it certifies with; there in an opened deployment."""
        assert self._machine is not None, "open the deployment first"  # noqa: S101
        return self._machine

    def meter(self, owner: str | None, provider: str) -> Meter:
        """Return what counts one run for an API key; see :class:`service.usage.meter.Meter`.

        Args:
            owner: id of the key; None for none.
            provider: who is asked.
        """
        assert self._meters is not None, "open the deployment first"  # noqa: S101
        return self._meters.of(owner, provider)

    def counted(self, meter: Meter, gates: Gates | None = None, money: Money = "all") -> Machine:
        """Return what it certifies with, for one run whose calls and votes are counted.

        Args:
            meter: of the run.
            gates: through which calls go, in place of the deployment's own.
            money: that they may take, see :class:`service.usage.gates.KeyGates`.
        """
        machine = self.machine
        chosen = gates or machine.gates
        assert chosen is not None  # noqa: S101  an opened deployment has them
        return dataclasses.replace(
            machine,
            gates=KeyGates(chosen, meter, money),
            slots=self._slots.of(meter.owner),
            watcher=Watchers(self.watchers, meter),
        )

    async def prepare(
        self,
        data: bytes | CanonicalImage,
        *,
        sigma: float,
        provider: str | None = None,
        denoiser: str | None = None,
        size: str | None = None,
        name: str | None = None,
        rule: str | dict[str, Any] = "top1",
        synonyms: dict[str, str] | None = None,
        keep_image: bool = False,
        owner: str | None = None,
        **options: Any,  # noqa: ANN401  the fields of `Options`, checked there
    ) -> Prepared:
        """Check a request completely and make it ready. Asks nobody and keeps nothing.

        Args:
            data: the upload's bytes, or a canonical image that was made of them before.
            sigma: standard deviation of the noise on the [0, 1] scale.
            provider: name of the adapter, None for the deployment's default.
            denoiser: name of the denoiser, None for the deployment's default.
            name: what the caller calls the picture; goes on the certificate.
            size: "224" or "320x240"; None for the provider's own.
            rule: decision rule, see :func:`certification.decision.parse_rule`.
            synonyms: label → label that it counts as.
            keep_image: whether the canonical picture is kept with the certificate.
            owner: id of the API key that asks.
            options: further fields of :class:`certification.options.Options`.

        Raises:
            CertificationError, AdapterError, DenoiserError, ServiceError: see their trees.
        """
        most = self.settings.max_votes
        if options.get("max_votes") is None:
            options["max_votes"] = min(Options.max_votes, most)
        for field in ("max_votes", "predict_n"):
            if (options.get(field) or 0) > most:
                raise InvalidParameter(f"{field} must be at most {most} on this deployment", field)
        if options.get("target_radius") is not None:
            options["target_radius"] = written_up(options["target_radius"])
        labels = LabelMap.of(synonyms or {})
        chosen = Options(sigma=sigma, rule=parse_rule(rule), labels=labels, **options)
        adapter = await self.adapter(provider)
        if adapter.synonyms:
            both = LabelMap.of({**LabelMap.of(adapter.synonyms).synonyms, **labels.synonyms})
            chosen = dataclasses.replace(chosen, labels=both)
        check_labels(adapter, chosen, labels)
        image = data
        if not isinstance(image, CanonicalImage):
            asked = parse_size(size) if size is not None else adapter.traits.input_size
            limits = Limits(self.settings.max_upload_bytes, self.settings.max_pixels)
            image = await asyncio.get_running_loop().run_in_executor(
                self._decoder,
                functools.partial(
                    # Names stay on certificates, and somebody will paste a key as one.
                    canonicalise,
                    image,
                    size=asked,
                    limits=limits,
                    name=name and scrubbed(name),
                ),
            )
        PostProcess.plan(image.height, image.width, adapter.traits, chosen.encoding)
        # Adapters that load a model do so here, before anything is promised.
        await asyncio.to_thread(lambda: adapter.options)
        cleaner = await self.denoiser(denoiser, (image.height, image.width))
        # Some take pictures of certain sizes only, and say so when they are asked for a batch.
        await in_loader(lambda: cleaner.batch_of(image.height, image.width))
        keep = keep_image or self.settings.keep_images
        return Prepared(image, chosen, cleaner, adapter, keep, owner)

    async def certify(
        self,
        prepared: Prepared,
        interrupt: Interrupt | None = None,
        on_progress: OnProgress | None = None,
        allowance: Allowance | None = None,
        left: Callable[[], bool] = lambda: False,
    ) -> Issued:
        """Run a certification, sign the certificate and keep it.

        Args:
            prepared: the request.
            interrupt: ends it early.
            on_progress: is told where it stands.
            allowance: what it may have spent before, and who notes it.
            left: tells whether a run that was ended early is left to another process.

        Raises:
            BudgetSpent: if the API key's budget does not pay for a single vote.
            CertificationError: see :func:`certification.certify.certify`.
            StoreError: if the certificate cannot be kept. Its votes are.
            LeftToOthers: if it was ended early, and is left to another process.
        """
        interrupt = interrupt or Interrupt()
        meter = self.meter(prepared.owner, prepared.adapter.name)
        made = await self._run(certify, prepared, interrupt, meter, on_progress, allowance)
        if left() and made["proof"]["stop_reason"] == CANCELLED:
            raise LeftToOthers
        if meter.refused is not None and not made["proof"]["votes"]["n"]:
            raise meter.refused
        return await self.issue(prepared, made, interrupt)

    async def collect(self, prepared: Prepared, interrupt: Interrupt, gates: Gates) -> Document:
        """Run a certification, but neither sign nor keep what comes of it.

        Args:
            prepared: the request.
            interrupt: ends it early.
            gates: through which calls go, in place of the deployment's own.

        Raises:
            BudgetSpent: if the API key's budget ended it; what it has paid for is kept.
            CertificationError: see :func:`certification.certify.certify`.
        """
        meter = self.meter(prepared.owner, prepared.adapter.name)
        made = await self._run(certify, prepared, interrupt, meter, gates=gates)
        if meter.refused is not None and made["proof"]["stop_reason"] == "max_cost":
            raise meter.refused
        return made

    async def issue(self, prepared: Prepared, made: Document, interrupt: Interrupt) -> Issued:
        """Sign a certificate and keep it.

        Raises:
            StoreError: if it cannot be kept.
        """
        signed, state = self.state.keyring.signer.sign(made), self.state
        kept = await bounded(interrupt, state.certificates.put(signed, prepared.owner))
        if prepared.keep_image:
            png = await asyncio.to_thread(prepared.image.png)
            await state.images.put(prepared.image.sha256, png)
        proof, again = kept["proof"], kept != signed
        z = None if proof["abstained"] else proof["radius"] / proof["sigma"]
        self.watchers.tell(
            Concluded("certificate", proof["stop_reason"], z, proof["abstained"], again)
        )
        return Issued(kept, made["accounting"], again=again)

    async def predict(
        self,
        prepared: Prepared,
        interrupt: Interrupt | None = None,
        on_progress: OnProgress | None = None,
        allowance: Allowance | None = None,
        left: Callable[[], bool] = lambda: False,
    ) -> Issued:
        """Run a prediction; see `certify` and :func:`certification.predict.predict`.

        Raises:
            BudgetSpent: if the API key's budget does not pay for a single vote.
            CertificationError: see there.
            LeftToOthers: see `certify`.
        """
        interrupt = interrupt or Interrupt()
        meter = self.meter(prepared.owner, prepared.adapter.name)
        made = await self._run(predict, prepared, interrupt, meter, on_progress, allowance)
        if left() and made["stop_reason"] == CANCELLED:
            raise LeftToOthers
        if meter.refused is not None and not made["n"]:
            raise meter.refused
        self.watchers.tell(Concluded("prediction", made["stop_reason"], None, made["abstained"]))
        return Issued(made, made["accounting"])

    async def count(self, prepared: Prepared, counts: Counts) -> None:
        """Count what came of a run that no record is kept of."""
        await self.state.usage.count(prepared.owner, prepared.adapter.name, counts)

    async def _run(
        self,
        work: Callable[..., Awaitable[Document]],
        prepared: Prepared,
        interrupt: Interrupt,
        meter: Meter,
        on_progress: OnProgress | None = None,
        allowance: Allowance | None = None,
        gates: Gates | None = None,
    ) -> Document:
        told: dict[str, Attribute] = {
            "kind": work.__name__,
            "provider": prepared.adapter.name,
            "denoiser": prepared.denoiser.name,
            "sigma": prepared.options.sigma,
        }

        async def done(money: Money, tell: OnProgress | None) -> Document:
            return await work(
                self.counted(meter, gates, money),
                prepared.image,
                prepared.options,
                denoiser=prepared.denoiser,
                classifier=prepared.adapter,
                interrupt=interrupt,
                on_progress=tell,
                allowance=allowance,
            )

        try:
            with self.watchers.span("run", **told) as note:
                # A job's pictures wait for the budget, with their votes.
                document = await done("keeping" if gates is None else "all", on_progress)
                if wants_last_call(document, meter):
                    votes = meter.votes
                    last = await done("kept", going_on(on_progress, document))
                    document = as_one(document, last, votes)
                note(stop_reason=(document.get("proof") or document)["stop_reason"])
                return document
        except InvalidParameter as error:
            if error.field == "max_cost" and meter.refused is not None:
                raise meter.refused from None  # it is not the request's own budget
            raise
        finally:
            await meter.close()

    async def close(self) -> None:
        """Release what adapters hold open."""
        await self.close_adapters()
        self._decoder.shutdown(wait=False, cancel_futures=True)
        if self._meters is not None:
            await self._meters.close()
            self._meters = None
        if self._state is not None:
            await self._state.close()
            self._state = None
