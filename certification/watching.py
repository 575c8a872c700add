"""What the engine tells of its work, to whoever watches. No library stands behind it.

A *span* begins and ends: draw, denoise, encode, call, append. An *event* has happened: so many
votes, a call and what it cost. Both say how much and how long, never what: no picture, no label,
no key, no text of a provider.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

Attribute = str | int | float | bool

CallResult = Literal["answered", "failing", "throttled", "broken", "cancelled"]
"""All pictures were answered or refused; some have to be asked again; the provider only wants
fewer calls; it raised; the run was ended meanwhile."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call has ended.

    Attributes:
        provider: its name.
        images: pictures sent.
        result: what came of it.
        cost: US dollars that it was billed, as far as anybody knows.
        waited: seconds until it might start.
        seconds: that it took.
    """

    provider: str
    images: int
    result: CallResult
    cost: float
    waited: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Retried:
    """Pictures will be asked about again.

    Attributes:
        provider: its name.
        images: how many.
    """

    provider: str
    images: int


@dataclass(frozen=True, slots=True)
class Voted:
    """New votes are in the ledger.

    Attributes:
        provider: its name.
        votes: how many, abstentions too.
        abstentions: those for no label.
    """

    provider: str
    votes: int
    abstentions: int


@dataclass(frozen=True, slots=True)
class Reused:
    """A run has counted votes that the ledger already had.

    Attributes:
        provider: its name.
        votes: how many.
    """

    provider: str
    votes: int


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Samples have been denoised.

    Attributes:
        denoiser: its name.
        compute: compute type.
        pictures: how many.
        seconds: that it took, the wait for its turn included.
    """

    denoiser: str
    compute: str
    pictures: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Concluded:
    """A run has ended with a certificate or prediction.

    Attributes:
        kind: which of them.
        stop_reason: why its run ended.
        z: radius in units of sigma; None if it abstained, or for a prediction.
        abstained: whether it names no label.
        again: whether the same one had been issued before.
    """

    kind: Literal["certificate", "prediction"]
    stop_reason: str
    z: float | None
    abstained: bool
    again: bool = False


Event = Called | Retried | Voted | Reused | Cleaned | Concluded


class Note(Protocol):
    """Adds to a span what is known only later."""

    def __call__(self, **attributes: Attribute) -> None:
        """Add attributes."""
        ...


class Watcher(Protocol):
    """Is told what happens; from the event loop and from threads. It must not raise or wait."""

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Note]:
        """Return a context that lasts as long as something does.

        Args:
            name: of what is done.
            attributes: how much of it.
        """
        ...

    def tell(self, event: Event) -> None:
        """Note that something has happened."""
        ...


def _unnoted(**_: Attribute) -> None:
    pass


NO_SPAN: AbstractContextManager[Note] = nullcontext(_unnoted)
"""For watchers that only count; may be entered any number of times."""

Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], bool]

log = logging.getLogger(__name__)


class Watchers:
    """Several watchers as one; those that fail disturb nobody. Without any it does nothing."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers: Sequence[Watcher] = watchers

    def add(self, watcher: Watcher) -> None:
        """Tell another one too, from now on."""
        self._watchers = (*self._watchers, watcher)

    def remove(self, watcher: Watcher) -> None:
        """Tell one no more."""
        self._watchers = [other for other in self._watchers if other is not watcher]

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Note]:
        """See :class:`Watcher`."""
        if not self._watchers:
            return NO_SPAN
        spans = []
        for watcher in self._watchers:
            with _undisturbed():
                if (span := watcher.span(name, **attributes)) is not NO_SPAN:
                    spans.append(span)
        return _together(spans) if spans else NO_SPAN

    def tell(self, event: Event) -> None:
        """See :class:`Watcher`."""
        for watcher in self._watchers:
            with _undisturbed():
                watcher.tell(event)


NOBODY: Watcher = Watchers()
"""Watches nothing."""


@contextlib.contextmanager
def _together(spans: Sequence[AbstractContextManager[Note]]) -> Iterator[Note]:
    notes: list[Note] = []

    def note(**attributes: Attribute) -> None:
        for each in notes:
            with _undisturbed():
                each(**attributes)

    with ExitStack() as entered:
        for span in spans:
            with _undisturbed():
                notes.append(span.__enter__())
                entered.push(_leaving(span))
        yield note


def _leaving(span: AbstractContextManager[Note]) -> Exit:
    def leave(
        kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        with _undisturbed():
            span.__exit__(kind, error, trace)
        return False

    return leave


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """What watches must not break what is watched: that is paid for."""
    try:
        yield
    except Exception:
        log.exception("a watcher failed")
