"""How much may be on its way in: pictures by their bytes, archives by the disk's free space.

Both are asked before a body is read, so that what cannot be held is refused and not begun.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fastapi import Request

from denoisers.control_groups import memory_left
from service.edges.places import RETRY_SECONDS, Place, Places
from service.edges.shares import OURS, Shares
from service.errors import NoRoom, Overloaded
from service.limits import FORM_OVERHEAD, declared_length
from service.settings import Settings

FREE_BYTES = 64 * 2**20  # are left on the disk
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last by the limit of a process


class Uploads:
    """What this process takes in.

    Args:
        settings: the deployment's.
        shares: how much of it one API key may take.
    """

    def __init__(self, settings: Settings, shares: Shares) -> None:
        self._largest = settings.max_upload_bytes + FORM_OVERHEAD
        self._largest_archive = settings.max_archive_bytes + FORM_OVERHEAD
        most = max(settings.max_uploads_bytes, self._largest)
        self.memory = Places(
            most, "too many pictures are being taken in", "memory for uploads", shares
        )
        self._shares = shares
        self._on_disk = Counter[str | None]()

    def picture(self, request: Request, owner: str | None) -> Place:
        """Hold the memory for a picture, from before it is read until it is decoded.

        Args:
            request: its body has not been read.
            owner: id of the API key that sends it; None for none.

        Raises:
            Overloaded: if there is not so much.
        """
        declared = declared_length(request.headers)
        share = self._largest if declared is None else min(declared, self._largest)
        return self.memory.take(owner, share)

    @contextlib.contextmanager
    def file(self, request: Request, owner: str | None) -> Iterator[None]:
        """See that the disk has room for a body, and hold it.

        Args:
            request: its body has not been read.
            owner: id of the API key that sends it; None for none.

        Raises:
            NoRoom: if it has not, or if it runs full while the body arrives.
            Overloaded: if it has none for this key.
        """
        # One that does not say may be as large as any: else it would go round all that is held.
        declared = declared_length(request.headers)
        wanted = self._largest_archive if declared is None else declared
        free = _free(Path(tempfile.gettempdir())) - FREE_BYTES
        # What has been written of them by now counts twice: too careful, never too bold.
        if free < wanted + self._on_disk.total():
            say = "" if declared is not None else ", or say how large it is (Content-Length)"
            raise NoRoom(
                f"there is no room for {wanted:,} bytes: try again later, or send less{say}"
            )
        if not self._shares.allow(owner, self._on_disk[owner], wanted, free):
            ours = OURS.format(what="disk for uploads")
            raise Overloaded(f"{ours}: try again later", RETRY_SECONDS)
        self._on_disk[owner] += wanted
        try:
            with disk_full():
                yield
        finally:
            self._on_disk[owner] -= wanted
            if not self._on_disk[owner]:
                del self._on_disk[owner]


@contextlib.contextmanager
def disk_full() -> Iterator[None]:
    """Say what a full disk means.

    Raises:
        NoRoom: in the place of the error of the operating system.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise NoRoom("the disk ran full while the upload arrived: try again later") from error
        raise


def _free(folder: Path) -> int:
    """Return the bytes that a folder has room for.

    What lies in memory, as a container's /tmp does, ends the whole process where it is full: of
    that, half stays for the work.
    """
    free = shutil.disk_usage(folder).free
    left = memory_left() if _is_memory(folder) else None
    return free if left is None else min(free, left // 2)


def _is_memory(folder: Path) -> bool:
    device = folder.stat().st_dev
    mine = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:  # another system than Linux
        return False
    found = [line.partition(" - ")[2].split(" ")[0] for line in lines if line.split(" ")[2] == mine]
    return any(kind in ("tmpfs", "ramfs") for kind in found)
