"""Whether anybody still waits for what a thread computes.

A thread cannot be cancelled. So a run that ends says here that it has gone, and whoever does long
work for it looks before each part of it.
"""

import threading
from contextvars import ContextVar

_GONE: ContextVar[threading.Event | None] = ContextVar("surety_gone", default=None)


class NobodyWaits(Exception):
    """What was asked for is not wanted any more."""


def set_gone(event: threading.Event) -> None:
    """Say what will be set when nobody waits any more; counts in this context and its copies."""
    _GONE.set(event)


def gone() -> threading.Event | None:
    """Return what is set when nobody waits for this context's work; None if that is not known."""
    return _GONE.get()
