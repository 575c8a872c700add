"""The few best of many, without holding the others."""

import heapq

from service.jobs.rows import Row


class Few:
    """Holds the rows with the largest keys.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[tuple[float, ...], Row]] = []

    def offer(self, key: tuple[float, ...], row: Row) -> None:
        """Hold a row if its key is among the largest; no two keys may be equal."""
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (key, row))
        elif key > self._heap[0][0]:
            heapq.heapreplace(self._heap, (key, row))

    def rows(self) -> list[Row]:
        """Return what is held, the largest key first."""
        return [row for _, row in sorted(self._heap, key=lambda held: held[0], reverse=True)]
