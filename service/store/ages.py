"""Indices by date: what in them is too old, or too much, and how it is dropped."""

from service.store.connection import Store

PAGE = 500


class Ages:
    """One index of the store: members by date.

    Args:
        store: the connection.
        index: its name.
        before: date, in seconds, before which a member is too old; None for any age.
        most: members that may be kept; None for any number.
    """

    def __init__(self, store: Store, index: str, before: float | None, most: int | None) -> None:
        self._store, self._key = store, store.key(index)
        self._bounds = ["" if bound is None else repr(bound) for bound in (before, most)]

    async def surplus(self) -> int:
        """Return how many of the oldest are too old, or more than may be kept."""
        count, _ = await self._store.brisk_script("surplus", [self._key], [*self._bounds, 0, 0])
        return int(count)

    async def page(self, start: int) -> list[tuple[str, float]]:
        """Return some of them and their dates, the oldest first, but for the first few."""
        args = [*self._bounds, start, PAGE]
        _, found = await self._store.brisk_script("surplus", [self._key], args)
        return [(found[i].decode(), float(found[i + 1])) for i in range(0, len(found), 2)]

    async def drop(self, member: str, date: float, entry: str) -> bool:
        """Drop an entry, unless its date has changed; tells whether it was this process."""
        args = [member, repr(date)]
        return bool(await self._store.brisk_script("expire", [self._key, entry], args))
