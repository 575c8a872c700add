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

import adapters.errors
import adapters.registry
import denoisers.errors
import denoisers.files
import denoisers.registry
from adapters.interface import Adapter
from adapters.policy.gate import AccountGates
from adapters.profiles import Profiles, read_profiles
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
from certification.protocols import Denoiser
from service.errors import Overloaded
from service.issued import Document, Issued
from service.prepared import Prepared, check_labels
from service.settings import Settings
from service.state import State

SMALL, SMALL_SIZE, OTHERS = "cifar", (32, 32), "photo"  # what "auto" stands for


class Surety:
    """One deployment in one process: ledgers, secret, loaded denoisers and adapters.

    Args:
        settings: the deployment's settings.

    Attributes:
        settings: as given.
        profiles: the operator's, by the names that requests give.

    Raises:
        NotConfigured: if the file of profiles cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        file = settings.providers_file
        self.profiles = Profiles() if file is None else read_profiles(file)
        self._adapters: dict[str, Adapter] = {}
        self._denoisers: dict[str, Denoiser] = {}
        self._loading = asyncio.Lock()
        self._decoder = ThreadPoolExecutor(1, "decode")  # a large picture takes a gigabyte
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

    async def adapter(self, name: str | None) -> Adapter:
        """Return a provider's adapter, built on first use.

        Args:
            name: None for the deployment's default.

        Raises:
            AdapterError: if it is unknown, not installed or not configured.
        """
        chosen = self.settings.provider if name is None else name
        async with self._loading:
            if chosen not in self._adapters:
                try:
                    made = await asyncio.to_thread(adapters.registry.load, chosen, self.profiles)
                except adapters.errors.UnknownAdapter as error:
                    if name is not None:
                        raise
                    raise adapters.errors.NotConfigured(f"SURETY_PROVIDER: {error}") from None
                self._adapters[chosen] = made
            return self._adapters[chosen]

    def default_denoisers(self) -> list[str]:
        """Return the names that a request may get if it names none."""
        given = self.settings.denoiser
        return [SMALL, OTHERS] if given == denoisers.registry.AUTO else [given]

    async def denoiser(self, name: str | None, size: tuple[int, int] = SMALL_SIZE) -> Denoiser:
        """Return a denoiser, loaded on first use.

        Args:
            name: None for the deployment's default.
            size: height and width of the picture, which "auto" goes by.

        Raises:
            DenoiserError: if it is unknown or its weights are broken.
        """
        chosen = self.settings.denoiser if name is None else name
        if chosen == denoisers.registry.AUTO:
            chosen = SMALL if size == SMALL_SIZE else OTHERS
        async with self._loading:
            if chosen not in self._denoisers:
                try:
                    made = await asyncio.to_thread(self._load_denoiser, chosen)
                except denoisers.errors.UnknownDenoiser as error:
                    if name is not None:
                        raise
                    raise denoisers.errors.NotUsable(f"SURETY_DENOISER: {error}") from None
                self._denoisers[chosen] = made
            return self._denoisers[chosen]

    def denoiser_names(self) -> list[str]:
        """Return the names of all denoisers, installed or from files of the settings, sorted."""
        return sorted({*denoisers.registry.names(), *self.settings.denoiser_files})

    def provider_names(self) -> list[str]:
        """Return the names of all providers, installed or from the operator's file, sorted."""
        return adapters.registry.names(self.profiles)

    def _load_denoiser(self, name: str) -> Denoiser:
        named, device = self.settings.denoiser_files, self.settings.device
        if name in named:
            return denoisers.files.load(name, named[name], device)
        try:
            return denoisers.registry.load(name, device)
        except denoisers.errors.UnknownDenoiser as error:
            if not named:
                raise
            known = ", ".join(sorted(named))
            raise denoisers.errors.UnknownDenoiser(f"{error}; from files: {known}") from None

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
    ) -> Issued:
        """Run a certification, sign the certificate and keep it.

        Raises:
            CertificationError: see :func:`certification.certify.certify`.
            StoreError: if the certificate cannot be kept. Its votes are.
        """
        interrupt = interrupt or Interrupt()
        made = await self._run(certify, prepared, interrupt, on_progress, allowance)
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
    ) -> Issued:
        """Run a prediction; see :func:`certification.predict.predict`."""
        interrupt = interrupt or Interrupt()
        made = await self._run(predict, prepared, interrupt, on_progress, allowance)
        return Issued(made, made["accounting"])

    async def _run(
        self,
        work: Callable[..., Awaitable[Document]],
        prepared: Prepared,
        interrupt: Interrupt,
        on_progress: OnProgress | None,
        allowance: Allowance | None,
    ) -> Document:
        return await work(
            self.machine,
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
        closing = (adapter.close() for adapter in self._adapters.values())
        await asyncio.gather(*closing, return_exceptions=True)  # one that fails stops no other
        self._adapters.clear()
        self._decoder.shutdown(wait=False, cancel_futures=True)
        if self._state is not None:
            await self._state.close()
            self._state = None
