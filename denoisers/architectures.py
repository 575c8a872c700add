"""Finds architectures by entry point (group `surety.architectures`): name → class.

An architecture is a torch module, called as network(noisy, sigma): float32 (N, 3, H, W) on [0, 1]
plus noise, any height and width, and float32 (N,) to float32 (N, 3, H, W). It has the attributes
`architecture`, its name here, and `arguments`, small whole numbers that its class is called with.
Optionally `folded()` returns the same function in a form that runs faster, `grown(arguments)` the
same in a larger network, to be trained further, and `finished(finish)` the same network, to be used
as :class:`denoisers.finish.Finish` says. It and its parts may have `fused()`, see
:mod:`denoisers.fused`.
"""

from collections.abc import Callable
from importlib.metadata import entry_points

from torch import nn

from denoisers.errors import NotUsable, UnknownArchitecture

GROUP = "surety.architectures"
OWN = f"{__package__}."  # beginning of our own modules' names


def names() -> list[str]:
    """Return the names of all installed architectures, sorted. Imports none of them."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def find(name: str) -> Callable[..., nn.Module]:
    """Return an architecture's class; one of Surety's is Surety's, whoever else claims its name.

    Args:
        name: one of :func:`names`.

    Raises:
        UnknownArchitecture: if there is none of this name.
        NotUsable: if its package cannot be imported, or two packages claim the name.
    """
    entries = {entry.value: entry for entry in entry_points(group=GROUP, name=name)}
    entries = {v: e for v, e in entries.items() if e.module.startswith(OWN)} or entries
    if not entries:
        known = ", ".join(names()) or "none"
        raise UnknownArchitecture(f"unknown architecture {name[:60]!r}: installed are {known}")
    if len(entries) > 1:
        # The same weights would mean one function here and another there.
        claimed = " and ".join(sorted(entries))
        raise NotUsable(f"the architecture {name!r} is both {claimed}: uninstall one of them")
    (entry,) = entries.values()
    try:
        made: Callable[..., nn.Module] = entry.load()
    except Exception as error:
        raise NotUsable(
            f"the architecture {name!r} cannot be imported ({type(error).__name__})"
        ) from error
    return made
