"""Surety itself, without HTTP and without a terminal: both the API and the command line use it.

request ─► prepare (validates everything, spends nothing) ─► certify | predict
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
from service.edges.uploads import Uploads
from service.errors import Overloaded
from service.issued import Document, Issued
from service.parts import Parts
from service.prepared import Prepared, check_labels
from service.settings import Settings
from service.state import State

CANCELLED = "cancelled"  # stop reason of a run that was ended early


class LeftToOthers(Exception):
    """A run was ended early, and another process goes on with it. Stays in this package."""


class Surety(Parts):
    """One deployment in one process: ledgers, secret, loaded denoisers and adapters.

    Args:
        settings: the deployment's settings.

    Raises:
        NotConfigured: if the file of profiles cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._decoder = ThreadPoolExecutor(1, "decode")  # a large picture takes a gigabyte
        self.uploads = Uploads(settings)
        self._admitted = 0
        self._state: State | None = None
        self._machine: Machine | None = None

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
        try:
            surety._state = state = await State.open(settings)
            surety._machine = Machine(
                state.ledgers,
                state.keyring.current_secret,
                state.keyring.secrets,
                slots=asyncio.Semaphore(settings.max_runs),
                gates=AccountGates(state.limits.of_account),
            )
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
                functools.partial(canonicalise, image, size=asked, limits=limits, name=name),
            )
        PostProcess.plan(image.height, image.width, adapter.traits, chosen.encoding)
        # Adapters that load a model do so here, before anything is promised.
        await asyncio.to_thread(lambda: adapter.options)
        cleaner = await self.denoiser(denoiser, (image.height, image.width))
        # Some take pictures of certain sizes only, and say so when they are asked for a batch.
        await asyncio.to_thread(cleaner.batch_of, image.height, image.width)
        keep = keep_image or self.settings.keep_images
        return Prepared(image, chosen, cleaner, adapter, keep)

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
            CertificationError: see :func:`certification.certify.certify`.
            StoreError: if the certificate cannot be kept. Its votes are.
            LeftToOthers: if it was ended early, and is left to another process.
        """
        interrupt = interrupt or Interrupt()
        made = await self._run(certify, prepared, interrupt, on_progress, allowance)
        if left() and made["proof"]["stop_reason"] == CANCELLED:
            raise LeftToOthers
        return await self.issue(prepared, made, interrupt)

    async def collect(self, prepared: Prepared, interrupt: Interrupt, gates: Gates) -> Document:
        """Run a certification, but neither sign nor keep what comes of it.

        Args:
            prepared: the request.
            interrupt: ends it early.
            gates: through which calls go, in place of the deployment's own.

        Raises:
            CertificationError: see :func:`certification.certify.certify`.
        """
        return await self._run(certify, prepared, interrupt, None, None, gates)

    async def issue(self, prepared: Prepared, made: Document, interrupt: Interrupt) -> Issued:
        """Sign a certificate and keep it.

        Raises:
            StoreError: if it cannot be kept.
        """
        signed, state = self.state.keyring.signer.sign(made), self.state
        kept = await bounded(interrupt, state.certificates.put(signed))
        if prepared.keep_image:
            png = await asyncio.to_thread(prepared.image.png)
            await state.images.put(prepared.image.sha256, png)
        return Issued(kept, made["accounting"], again=kept != signed)

    async def predict(
        self,
        prepared: Prepared,
        interrupt: Interrupt | None = None,
        on_progress: OnProgress | None = None,
        allowance: Allowance | None = None,
        left: Callable[[], bool] = lambda: False,
    ) -> Issued:
        """Run a prediction; see `certify` and :func:`certification.predict.predict`."""
        interrupt = interrupt or Interrupt()
        made = await self._run(predict, prepared, interrupt, on_progress, allowance)
        if left() and made["stop_reason"] == CANCELLED:
            raise LeftToOthers
        return Issued(made, made["accounting"])

    async def _run(
        self,
        work: Callable[..., Awaitable[Document]],
        prepared: Prepared,
        interrupt: Interrupt,
        on_progress: OnProgress | None,
        allowance: Allowance | None,
        gates: Gates | None = None,
    ) -> Document:
        machine = self.machine
        return await work(
            machine if gates is None else dataclasses.replace(machine, gates=gates),
            prepared.image,
            prepared.options,
            denoiser=prepared.denoiser,
            classifier=prepared.adapter,
            interrupt=interrupt,
            on_progress=on_progress,
            allowance=allowance,
        )

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """Hold a place for one request, from before its upload is read until it is answered.

        Raises:
            Overloaded: if it could not even wait.
        """
        if self._admitted >= self.settings.max_runs + self.settings.max_waiting:
            raise Overloaded("all runs are busy and the queue is full: try again later", 5)
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def close(self) -> None:
        """Release what adapters hold open."""
        await self.close_adapters()
        self._decoder.shutdown(wait=False, cancel_futures=True)
        if self._state is not None:
            await self._state.close()
            self._state = None
