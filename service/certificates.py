"""Certificates that were issued, by id. Kept in this process; a lasting store has its methods."""

from collections import OrderedDict
from typing import Any, Protocol

from service.errors import NotFound


class Certificates(Protocol):
    """A store of certificates."""

    async def put(self, certificate: dict[str, Any]) -> None:
        """Keep a certificate under its id; what is kept under the same id already stays."""
        ...

    async def get(self, certificate_id: str) -> dict[str, Any]:
        """Return a certificate.

        Raises:
            NotFound: if there is none of this id.
        """
        ...


class MemoryCertificates:
    """The latest certificates of this process.

    Args:
        most: how many are kept; the one put longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, dict[str, Any]] = OrderedDict()

    async def put(self, certificate: dict[str, Any]) -> None:
        """See :meth:`Certificates.put`."""
        name = certificate["id"]
        # The same id says the same; only the cost of asking again differs, which is none.
        self._kept.setdefault(name, certificate)
        self._kept.move_to_end(name)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def get(self, certificate_id: str) -> dict[str, Any]:
        """See :meth:`Certificates.get`."""
        found = self._kept.get(certificate_id)
        if found is None:
            raise NotFound(
                f"no certificate {certificate_id[:40]!r} is kept here: certify the picture again, "
                "which costs nothing while its votes are kept"
            )
        return found
