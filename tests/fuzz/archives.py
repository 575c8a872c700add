"""The same for the archives of jobs: zip and tar, taken apart as the service does."""

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from tests.fuzz.mutating import EXTREMES
from tests.fuzz.trying import MOST_SECONDS, Outcome, peak_memory
from tests.service.pictures import png

# Small, so that no honest archive of this size comes near them.
LIMITS = ArchiveLimits(200, 2**20, 8 * 2**20, 200, 2 * 2**20)
MOST_MEMORY = 64 * 2**20
NAMES = ("a.png", "cats/b.png", "../../etc/passwd", "/root/.ssh/id", "c:\\d.png", "labels.csv")
NAMES += ("\x1b[2J.png", "x" * 300 + ".png", ".hidden", "é\udcff.png", "a.png")


def archive_maker(run: int) -> Callable[[int], bytes]:
    """Return what makes the archive of a number."""
    picture = png()
    sound = [_zip(picture, how) for how in (0, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)]
    tars = [_tar(picture, form) for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, 1)]
    sound += tars
    sound += [pack(tars[0]) for pack in (gzip.compress, bz2.compress, lzma.compress)]
    sound += [gzip.compress(bytes(16 * 2**20)), _zip(bytes(16 * 2**20), zipfile.ZIP_DEFLATED)]
    packers = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}

    def make(number: int) -> bytes:
        rng = random.Random(f"{run}:archive:{number}")
        data = rng.choice(sound)
        pack = next((m for magic, m in packers.items() if data.startswith(magic)), None)
        if pack is not None and len(data) < 10_000 and rng.random() < 0.7:
            return bytes(pack.compress(_mutated(rng, pack.decompress(data))))
        return _mutated(rng, data)

    return make


def _mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        out = bytearray(data or b"\0")
        at, how = rng.randrange(len(out)), rng.randrange(6)
        if how == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice(EXTREMES) % 256**size
            out[at : at + size] = value.to_bytes(size, "little")
        elif how == 2:
            del out[at : at + rng.choice((1, 16, 512))]
        elif how == 3:
            out = out[:at] if rng.random() < 0.3 else out
        elif how == 4:
            out[at:at] = out[at : at + 600] * rng.choice((1, 3))
        else:
            at -= at % 512  # a block of a tar, its check sum repaired
            block = out[at : at + 512]
            if len(block) == 512:
                block[rng.choice((0, 100, 124, 156, 157, 257, 345))] = rng.randrange(256)
                block[148:156] = b" " * 8
                block[148:156] = b"%06o\0 " % sum(block)
                out[at : at + 512] = block
        data = bytes(out)
    return data


def _zip(content: bytes, how: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name in NAMES[:-2]:
            archive.writestr(name, content)
    whole = buffer.getvalue()
    encrypted = struct.pack("<H", 1)
    return (
        whole
        if how
        else whole.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0" + encrypted, 1)
    )


def _tar(content: bytes, form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, errors="surrogateescape") as archive:
        for name in NAMES:
            entry = tarfile.TarInfo(name[:90])
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            entry = tarfile.TarInfo("link.png")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    return buffer.getvalue()


def attempt_archive(data: bytes, base: int | None = None) -> Outcome:
    """Take an archive in twice, as a job does.

    Args:
        data: the file.
        base: `peak_memory` before; None leaves memory and time alone.
    """
    started, wrong = time.thread_time(), None
    kind = "archive"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upload")
        path.write_bytes(data)
        try:
            source = open_archive(path, LIMITS)
            first = [(entry.name, entry.sha256, entry.problem) for entry in source.entries()]
            if first != [(e.name, e.sha256, e.problem) for e in source.entries()]:
                wrong = "the second time it holds something else"
            if any(
                ".." in name.split("/") or name.startswith("/") for name, _, bad in first if not bad
            ):
                wrong = "a name that leads out"
        except (BadArchive, ArchiveTooLarge) as error:
            kind = type(error).__name__
        except BaseException as error:  # noqa: BLE001  that is what is looked for
            kind = type(error).__name__
            wrong = "".join(traceback.format_exception(error)[-4:])
        if wrong is None and [*Path(folder).iterdir()] != [path]:
            wrong = "it wrote a file"
    seconds = time.thread_time() - started
    if wrong is None and base is not None and seconds > MOST_SECONDS:
        wrong = f"{seconds:.1f} s of processor time"
    if wrong is None and base is not None and (peak := peak_memory() - base) > MOST_MEMORY:
        wrong = f"{peak / 2**20:,.0f} MiB of memory"
    return Outcome(kind, seconds, wrong)
