"""Opens an archive of pictures, told apart by what is in the file and never by its name."""

from pathlib import Path

from service.errors import BadArchive
from service.jobs.intake.entries import ArchiveLimits, Source
from service.jobs.intake.inflating import BROKEN
from service.jobs.intake.looks import known_kind, no_picture
from service.jobs.intake.tar_archive import COMPRESSIONS, TarArchive
from service.jobs.intake.tar_headers import BLOCK, is_header
from service.jobs.intake.zip_archive import ZipArchive
from service.jobs.intake.zip_directory import END, LOCAL, find_directory

Archive = Source

_HEAD = 4096


def open_archive(path: Path, limits: ArchiveLimits | None = None) -> Archive:
    """Find out what sort of archive a file is. Nothing is held open.

    Args:
        path: a zip, or a tar: plain or compressed by gzip, bzip2 or xz.
        limits: what may come out of it.

    Raises:
        BadArchive: if it is none, or is empty.
    """
    limits = limits or ArchiveLimits()
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise BadArchive(f"the archive cannot be read: {error.strerror}") from None
    if not head:
        raise BadArchive("the archive is empty (0 bytes): send a zip or a tar of pictures")
    if head.startswith((LOCAL, END)):
        return ZipArchive(path, limits)
    magic = next((magic for magic in COMPRESSIONS if head.startswith(magic)), None)
    if magic is not None:
        _require_tar(head, magic)
        return TarArchive(path, limits, magic)
    if _is_tar(head):
        return TarArchive(path, limits)
    if _is_zip(path):  # behind something else, such as a program that unpacks it
        return ZipArchive(path, limits)
    raise BadArchive(f"{_seen(head)}: send a zip or a tar (plain, gzip, bzip2 or xz) of pictures")


def _is_tar(head: bytes) -> bool:
    block = head[:BLOCK]
    return len(block) == BLOCK and (not block.strip(b"\0") or is_header(block))


def _require_tar(head: bytes, magic: bytes) -> None:
    """Refuse what is compressed but no tar, as far as the beginning tells."""
    inflater, plain = COMPRESSIONS[magic](), b""
    try:
        while len(plain) < BLOCK and not inflater.eof and (head or not inflater.needs_input):
            plain += inflater.decompress(head, BLOCK - len(plain))
            head = b""
    except BROKEN:
        raise BadArchive("the archive is damaged at its beginning: send it again") from None
    if len(plain) == BLOCK and not _is_tar(plain):
        raise BadArchive("the file is compressed, but no tar: send a zip, or a tar of pictures")


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            find_directory(file, file.seek(0, 2))
    except (BadArchive, OSError):
        return False
    return True


def _seen(head: bytes) -> str:
    if no_picture(head) is None:
        return "the file is a single picture, not an archive"
    kind = known_kind(head)
    return "the file is no archive that is read here" + (f" ({kind.split(':')[0]})" if kind else "")
