"""A bounded number of places, of which each is taken by one and given back once."""

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from service.edges.shares import OURS, Shares
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
        what: what there is, for an API key that has its share of it.
        shares: how much of it one key may take.

    Attributes:
        taken: how much of it.
    """

    def __init__(self, most: int, full: str, what: str, shares: Shares) -> None:
        self._most, self._full, self._what, self._shares = most, full, what, shares
        self.taken = 0
        self._held = Counter[str | None]()

    def take(self, owner: str | None, share: int = 1) -> Place:
        """Take a place, or a larger share.

        Args:
            owner: id of the API key that it is for; None for none.
            share: how much.

        Raises:
            Overloaded: if there is not so much left, or not for this key.
        """
        if self.taken + share > self._most:
            raise Overloaded(f"{self._full}: try again later", RETRY_SECONDS)
        if not self._shares.allow(owner, self._held[owner], share, self._most):
            ours = OURS.format(what=self._what)
            raise Overloaded(f"{ours}: try again later", RETRY_SECONDS)
        self.taken += share
        self._held[owner] += share
        return Place(lambda: self._back(owner, share))

    def _back(self, owner: str | None, share: int) -> None:
        self.taken -= share
        self._held[owner] -= share
        if not self._held[owner]:
            del self._held[owner]
