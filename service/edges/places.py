"""A bounded number of places, of which each is taken by one and given back once."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from service.errors import Overloaded

RETRY_SECONDS = 5


class Place:
    """A share of something bounded; given back at the end of a `with`, unless it was kept.

    Args:
        give_back: is called once.

    Attributes:
        kept: True leaves it to somebody else to release it.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self.kept = False

    def release(self) -> None:
        """Give it back; the second time does nothing."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.kept:
            self.release()


class Places:
    """See the module's text.

    Args:
        most: how much there is.
        full: what whoever gets none is told.

    Attributes:
        taken: how much of it.
    """

    def __init__(self, most: int, full: str) -> None:
        self._most, self._full = most, full
        self.taken = 0

    def take(self, share: int = 1) -> Place:
        """Take a place, or a larger share.

        Raises:
            Overloaded: if there is not so much left.
        """
        if self.taken + share > self._most:
            raise Overloaded(f"{self._full}: try again later", RETRY_SECONDS)
        self.taken += share
        return Place(lambda: self._back(share))

    def _back(self, share: int) -> None:
        self.taken -= share
