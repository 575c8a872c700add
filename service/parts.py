"""What a deployment loads on first use: adapters and denoisers."""

import asyncio

import structlog

import adapters.errors
import adapters.registry
import denoisers.errors
import denoisers.files
import denoisers.registry
from adapters.interface import Adapter
from adapters.profiles import Profiles, read_profiles
from certification.protocols import Denoiser
from service.loaders import in_loader
from service.seeing.scrubbing import SCRUBBER
from service.settings import Settings

WITHOUT_DEVICE = ("cpu/int16", "cpu/onnx-float32")  # compute types of denoisers that need none
SMALL, SMALL_SIZE, OTHERS = "cifar", (32, 32), "photo"  # what "auto" stands for

log = structlog.get_logger("surety.parts")


class Parts:
    """See the module's text.

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
        self._loading, self._loading_denoisers = asyncio.Lock(), asyncio.Lock()

    async def adapter(self, name: str | None) -> Adapter:
        """Return a provider's adapter, built on first use.

        Args:
            name: None for the deployment's default.

        Raises:
            AdapterError: if it is unknown, not installed or not configured.
        """
        chosen = self.settings.provider if name is None else name
        if chosen in self._adapters:
            return self._adapters[chosen]  # whatever else is being loaded
        async with self._loading:
            if chosen not in self._adapters:
                try:
                    made = await asyncio.to_thread(adapters.registry.load, chosen, self.profiles)
                except adapters.errors.UnknownAdapter as error:
                    if name is not None:
                        raise
                    raise adapters.errors.NotConfigured(f"SURETY_PROVIDER: {error}") from None
                SCRUBBER.remember(getattr(made, "secrets", ()))
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
        if chosen in self._denoisers:
            return self._denoisers[chosen]
        async with self._loading_denoisers:
            if chosen not in self._denoisers:
                try:
                    made = await in_loader(lambda: self._load_denoiser(chosen))
                except denoisers.errors.UnknownDenoiser as error:
                    if name is not None:
                        raise
                    raise denoisers.errors.NotUsable(f"SURETY_DENOISER: {error}") from None
                self._denoisers[chosen] = made
            return self._denoisers[chosen]

    async def compute_types(self) -> list[str]:
        """Return the compute types that this process's denoisers have, as far as is known.

        Those that come with Surety are not loaded for it. What others bring may be run in a way of
        its own: it counts once it is loaded, see :meth:`load_others`.

        Raises:
            NotUsable: if the device is not here.
        """
        own = await asyncio.to_thread(_own_compute_types, self.settings.device)
        loaded = [denoiser.compute for denoiser in self.loaded_denoisers()]
        return [*dict.fromkeys([*own, *WITHOUT_DEVICE, *loaded])]

    async def load_others(self) -> None:
        """Load what others bring: installed denoisers and files. One that fails is left out."""
        for name in self.others():
            try:
                await self.denoiser(name)
            except denoisers.errors.DenoiserError as error:
                log.warning("a denoiser cannot be loaded", denoiser=name, error=str(error))

    def loaded_adapters(self) -> list[Adapter]:
        """Return those that have been used."""
        return [*self._adapters.values()]

    def loaded_denoisers(self) -> list[Denoiser]:
        """Return those that have been used."""
        return [*self._denoisers.values()]

    def denoiser_names(self) -> list[str]:
        """Return the names of all denoisers, installed or from files of the settings, sorted."""
        return sorted({*denoisers.registry.names(), *self.settings.denoiser_files})

    def others(self) -> list[str]:
        """Return the names of those denoisers that do not come with Surety, sorted."""
        return [name for name in self.denoiser_names() if name not in denoisers.registry.OWN]

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

    async def close_adapters(self) -> None:
        """Release what they hold open."""
        closing = (adapter.close() for adapter in self._adapters.values())
        await asyncio.gather(*closing, return_exceptions=True)  # one that fails stops no other
        self._adapters.clear()


def _own_compute_types(device: str) -> list[str]:
    from denoisers.device import compute_types  # noqa: PLC0415  torch is slow to import

    return compute_types(device)
