"""How much may be on its way in: pictures by their bytes, archives by the disk's free space.

Both are asked before a body is read, so that what cannot be held is refused and not begun.
"""

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator

from fastapi import Request

from service.edges.places import Place, Places
from service.errors import NoRoom
from service.limits import FORM_OVERHEAD, declared_length
from service.settings import Settings

FREE_BYTES = 64 * 2**20  # are left on the disk
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last by the limit of a process


class Uploads:
    """What this process takes in.

    Args:
        settings: the deployment's.
    """

    def __init__(self, settings: Settings) -> None:
        self._largest = settings.max_upload_bytes + FORM_OVERHEAD
        most = max(settings.max_uploads_bytes, self._largest)
        self.memory = Places(most, "too many pictures are being taken in")
        self._on_disk = 0

    def picture(self, request: Request) -> Place:
        """Hold the memory for a picture, from before it is read until it is decoded.

        Args:
            request: its body has not been read.

        Raises:
            Overloaded: if there is not so much.
        """
        declared = declared_length(request.headers)
        return self.memory.take(self._largest if declared is None else min(declared, self._largest))

    @contextlib.contextmanager
    def file(self, request: Request) -> Iterator[None]:
        """See that the disk has room for a body, and hold it.

        Raises:
            NoRoom: if it has not, or if it runs full while the body arrives.
        """
        # Of a body that does not say, the disk itself decides.
        wanted = declared_length(request.headers) or 0
        free = shutil.disk_usage(tempfile.gettempdir()).free
        # What the others have written by now counts twice: too careful, never too bold.
        if free < wanted + self._on_disk + FREE_BYTES:
            raise NoRoom(f"there is no room for {wanted:,} bytes: try again later, or send less")
        self._on_disk += wanted
        try:
            with disk_full():
                yield
        finally:
            self._on_disk -= wanted


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
