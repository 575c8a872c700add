"""What the pictures of jobs may take in the store, by the API key whose they are and in all.

    pictures:bytes    owner → bytes kept for it; "all" in all, "-" for what is nobody's

An upload counts with its bytes, once in all and once for each owner that needs it; the table of a
job with what it holds. It is counted in the step that writes, and given back in the step that
drops, so that it is right whatever dies. No key may have more than half, even if it is the only
one: what it has put there would still be there when another one comes.
"""

from service.edges.shares import half
from service.errors import NotFound, StoredTooMuch
from service.store.connection import Store

BESIDE = 1024  # bytes that the store needs beside each upload, and beside each row of a table
ALL, NOBODY = "all", "-"
MEBIBYTE = 2**20


class Stored:
    """See the module's text.

    Args:
        store: the connection.
        most: bytes that may be kept in all.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._store, self._most = store, most

    @property
    def key(self) -> str:
        """Where it is counted."""
        return self._store.key("pictures:bytes")

    def limits(self, owner: str | None) -> list[str | int]:
        """Return what the scripts that write need: owner, most in all, most of the owner."""
        return [owner_name(owner), self._most, "" if owner is None else half(self._most)]

    def check(self, told: bytes, job_id: str = "") -> bool:
        """Read what a script that writes says; tells whether it has written something.

        Args:
            told: its answer.
            job_id: for which job, if it is for one.

        Raises:
            StoredTooMuch: if there is no room.
            NotFound: if the job is not being taken in any more.
        """
        what = told.decode()
        if what == "gone":
            raise NotFound(f"the job {job_id} was deleted meanwhile")
        if what in ("full", "share"):
            most = self._most if what == "full" else half(self._most)
            whose = "" if what == "full" else " of one API key"
            raise StoredTooMuch(
                f"the pictures{whose} that are kept here may take {most / MEBIBYTE:,.4g} MiB, and "
                "these would be more: delete jobs that have ended, or send fewer pictures. Uploads "
                "that no job has named go after a day, and ended jobs as the deployment is set"
            )
        return what == "new"

    async def figures(self) -> dict[str, int]:
        """Return the bytes that are kept: by the ids of API keys, and as `all` and `-`."""
        found = await self._store.brisk(lambda redis: redis.hgetall(self.key))
        return {name.decode(): int(count) for name, count in found.items()}


def owner_name(owner: str | None) -> str:
    """Return how an owner is called where it is counted."""
    return owner or NOBODY
