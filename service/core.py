"""Surety itself, without HTTP and without a terminal: both the API and the command line use it.

request ─► prepare (validates everything, spends nothing) ─► certify | predict
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import adapters.registry
import denoisers.registry
from adapters.interface import Adapter
from certification.canonical import CanonicalImage, Limits, canonicalise, parse_size
from certification.certify import certify
from certification.decision import LabelMap, normalise, parse_rule
from certification.engine import Machine, OnProgress
from certification.errors import InvalidParameter, RunInterrupted
from certification.interrupt import Interrupt
from certification.ledger import MemoryLedgers
from certification.options import Options
from certification.postprocess import PostProcess
from certification.predict import predict
from certification.protocols import Denoiser
from service.errors import BadRequest, Overloaded, UnknownLabel
from service.secret import deployment_secret
from service.settings import Settings


@dataclass(frozen=True)
class Prepared:
    """A request that has passed every check; nothing has been asked or kept yet."""

    image: CanonicalImage
    options: Options
    denoiser: Denoiser
    adapter: Adapter


class Surety:
    """One deployment in one process: ledgers, secret, loaded denoisers and adapters.

    Args:
        settings: the deployment's settings.

    Raises:
        ConfigurationError: if the data directory cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.machine = Machine(MemoryLedgers(), deployment_secret(settings))
        self._adapters: dict[str, Adapter] = {}
        self._denoisers: dict[str, Denoiser] = {}
        self._loading = asyncio.Lock()
        self._slots = asyncio.Semaphore(settings.max_runs)
        self._waiting = 0

    async def adapter(self, name: str) -> Adapter:
        """Return a provider's adapter, built on first use.

        Raises:
            AdapterError: if it is unknown, not installed or not configured.
        """
        async with self._loading:
            if name not in self._adapters:
                self._adapters[name] = await asyncio.to_thread(adapters.registry.load, name)
            return self._adapters[name]

    async def denoiser(self, name: str) -> Denoiser:
        """Return a denoiser, loaded on first use.

        Raises:
            DenoiserError: if it is unknown or its weights are broken.
        """
        async with self._loading:
            if name not in self._denoisers:
                self._denoisers[name] = await asyncio.to_thread(
                    denoisers.registry.load, name, self.settings.device
                )
            return self._denoisers[name]

    async def prepare(
        self,
        data: bytes,
        *,
        sigma: float,
        provider: str | None = None,
        denoiser: str | None = None,
        size: str | None = None,
        name: str | None = None,
        rule: str | dict[str, Any] = "top1",
        synonyms: dict[str, str] | None = None,
        **options: Any,  # noqa: ANN401  the fields of `Options`, checked there
    ) -> Prepared:
        """Check a request completely and make it ready. Asks nobody and keeps nothing.

        Args:
            data: the upload's bytes.
            sigma: standard deviation of the noise on the [0, 1] scale.
            provider: name of the adapter, None for the deployment's default.
            denoiser: name of the denoiser, None for the deployment's default.
            name: what the caller calls the picture; goes on the certificate.
            size: "224" or "320x240"; None for the provider's own.
            rule: decision rule, see :func:`certification.decision.parse_rule`.
            synonyms: label → label that it counts as.
            options: further fields of :class:`certification.options.Options`.

        Raises:
            CertificationError, AdapterError, DenoiserError, ServiceError: see their trees.
        """
        labels = LabelMap.of(synonyms or {})
        chosen = Options(sigma=sigma, rule=parse_rule(rule), labels=labels, **options)
        if chosen.max_votes > self.settings.max_votes:
            raise InvalidParameter(
                f"max_votes must be at most {self.settings.max_votes} on this deployment"
            )
        adapter = await self.adapter(provider or self.settings.provider)
        _check_labels(adapter, chosen)
        asked = parse_size(size) if size is not None else adapter.traits.input_size
        limits = Limits(self.settings.max_upload_bytes, self.settings.max_pixels)
        image = await asyncio.to_thread(canonicalise, data, size=asked, limits=limits, name=name)
        PostProcess.plan(image.height, image.width, adapter.traits)
        # Adapters that load a model do so here, before anything is promised.
        await asyncio.to_thread(lambda: adapter.options)
        return Prepared(
            image, chosen, await self.denoiser(denoiser or self.settings.denoiser), adapter
        )

    async def certify(
        self,
        prepared: Prepared,
        interrupt: Interrupt | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Run a certification; see :func:`certification.certify.certify`.

        Raises:
            Overloaded: if too many runs are waiting already.
            RunInterrupted: if it is cancelled while it waits for its turn.
        """
        async with self._slot(interrupt):
            return await certify(
                self.machine,
                prepared.image,
                prepared.options,
                denoiser=prepared.denoiser,
                classifier=prepared.adapter,
                interrupt=interrupt,
                on_progress=on_progress,
            )

    async def predict(
        self,
        prepared: Prepared,
        interrupt: Interrupt | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Run a prediction; see :func:`certification.predict.predict`.

        Raises:
            Overloaded: if too many runs are waiting already.
            RunInterrupted: if it is cancelled while it waits for its turn.
        """
        async with self._slot(interrupt):
            return await predict(
                self.machine,
                prepared.image,
                prepared.options,
                denoiser=prepared.denoiser,
                classifier=prepared.adapter,
                interrupt=interrupt,
                on_progress=on_progress,
            )

    def check_room(self) -> None:
        """Raise Overloaded if one more run could not even wait; for use before a response."""
        if self._slots.locked() and self._waiting >= self.settings.max_waiting:
            raise Overloaded("all runs are busy and the queue is full: try again later", 5)

    @contextlib.asynccontextmanager
    async def _slot(self, interrupt: Interrupt | None) -> AsyncIterator[None]:
        self.check_room()
        self._waiting += 1
        try:
            await self._turn(interrupt or Interrupt())
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _turn(self, interrupt: Interrupt) -> None:
        """Wait for a slot, but no longer than the run is wanted."""
        slot = asyncio.ensure_future(self._slots.acquire())
        try:
            either: set[asyncio.Future[Any]] = {slot, interrupt.future}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not slot.done():
                raise RunInterrupted("the run was cancelled while it waited for its turn")
        except BaseException:
            if slot.done() and not slot.cancelled():
                self._slots.release()
            raise
        finally:
            slot.cancel()
            await asyncio.gather(slot, return_exceptions=True)

    async def close(self) -> None:
        """Release what adapters hold open."""
        for adapter in self._adapters.values():
            await adapter.close()
        self._adapters.clear()


def _check_labels(adapter: Adapter, options: Options) -> None:
    """Refuse a label that the provider cannot give, where its labels are a closed set."""
    known = adapter.traits.labels
    if known is None:
        return
    allowed = {normalise(label) for label in known}
    allowed |= set(options.labels.synonyms.values()) | set(options.labels.synonyms)
    asked = list(getattr(options.rule, "labels", ()))
    if options.truth is not None:
        if not asked:
            asked.append(options.truth)
        elif normalise(options.truth) not in ("yes", "no"):
            raise BadRequest('with a yes/no rule the true label is "yes" or "no"', "label")
    for label in asked:
        if normalise(label) not in allowed:
            raise UnknownLabel(
                f"{adapter.name} knows no label {label[:60]!r}: it knows {', '.join(known)}"
            )
