"""Finds denoisers by entry point (group `surety.denoisers`): name → function of the device."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from denoisers.errors import DenoiserError, NotUsable, UnknownDenoiser

if TYPE_CHECKING:
    from typing import Protocol

    class Denoiser(Protocol):
        """What a denoiser offers, see `denoisers.runtime.Runtime`."""

        name: str
        summary: str
        weights_sha256: str | None
        compute: str

        def batch_of(self, height: int, width: int) -> int:
            """Return how many pictures of this size go through it together."""
            ...

        def clean(self, noisy: NDArray[np.int16], sigma: float) -> NDArray[np.uint8]:
            """Clean a batch."""
            ...


GROUP = "surety.denoisers"
OWN = ("cifar", "cifar-stable", "none", "photo")  # those that come with Surety
AUTO = "auto"  # in place of a name: the service chooses by the size of the picture


def names() -> list[str]:
    """Return the names of all installed denoisers, sorted. Imports none of them."""
    return sorted(_entries())


def taken(name: str) -> bool:
    """Tell whether a name stands for something already, so that no file may have it."""
    return name == AUTO or name in names()


def load(name: str, device: str = "cpu") -> "Denoiser":
    """Make a denoiser ready to use.

    Args:
        name: one of :func:`names`.
        device: where it runs.

    Raises:
        UnknownDenoiser: if there is none of this name.
        BrokenWeights: if its weights cannot be used.
        NotUsable: if its package is broken, or not the only one of this name, or the device cannot
            be used.
    """
    entry = _entries().get(name)
    if entry is None:
        known = ", ".join(names()) or "none"
        raise UnknownDenoiser(f"unknown denoiser {name[:60]!r}: installed are {known}")
    claims = {other.value for other in entry_points(group=GROUP, name=name)}
    if len(claims) > 1 and name not in OWN:  # which wins would differ from machine to machine
        both = " and ".join(sorted(claims))
        raise NotUsable(f"the denoiser {name!r} is both {both}: uninstall one of them")
    try:
        make: Callable[[str], Denoiser] = entry.load()
        made = make(device)
    except DenoiserError:
        raise
    except Exception as error:  # a stranger's package may raise anything, paths included
        raise NotUsable(
            f"the denoiser {name!r} cannot be loaded ({type(error).__name__})"
        ) from error
    # Both stand in the subject: two denoisers of one name could share their votes.
    called, compute = getattr(made, "name", None), getattr(made, "compute", None)
    if called != name:
        raise NotUsable(f"the denoiser of the entry point {name!r} calls itself {called!r}")
    if not isinstance(compute, str) or not compute:
        raise NotUsable(f"the denoiser {name!r} has {compute!r} for its compute type, not a word")
    for said in ("weights_sha256", "summary", "batch_of", "clean"):  # what all is listed with
        if not hasattr(made, said):
            raise NotUsable(f"the denoiser {name!r} has no `{said}`")
    return made


def cifar(device: str) -> "Denoiser":
    """Load the built-in denoiser for 32×32 pictures."""
    return _shipped("cifar", device, "U-shaped network for 32×32 pictures, sigma 0.05 to 1")


def cifar_stable(device: str) -> "Denoiser":
    """Load the one that was also trained to keep classifiers' answers: for strong noise."""
    return _shipped(
        "cifar-stable", device, "the same network, trained to keep the answers of classifiers"
    )


def photo(device: str) -> "Denoiser":
    """Load the built-in denoiser for photographs."""
    return _shipped(
        "photo", device, "U-shaped network for photographs of any size, sigma 0.05 to 1"
    )


def none(device: str) -> "Denoiser":
    """Return the baseline that only clips."""
    from denoisers.none import NoDenoiser  # noqa: PLC0415

    return NoDenoiser()


def _shipped(name: str, device: str, summary: str) -> "Denoiser":
    from denoisers.runtime import Runtime  # noqa: PLC0415  torch is slow to import
    from denoisers.weights import load_shipped  # noqa: PLC0415

    network, sha256 = load_shipped(name)
    return Runtime(name, network, sha256, device=device, summary=summary)


def _entries() -> dict[str, EntryPoint]:
    """Return what stands behind each name; one of Surety's is Surety's, whoever else claims it."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.module == __name__)
    return {entry.name: entry for entry in found}
