"""Archives of all sorts, also such as no tool would write."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits, Entry
from tests.service.pictures import png

PNG = png(4, 4)
Files = Iterable[tuple[str, bytes]]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


PACKERS: dict[str, Callable[[Files], bytes]] = {
    "deflate": zipped,
    "stored": lambda files: zipped(files, zipfile.ZIP_STORED),
    "bzip2": lambda files: zipped(files, zipfile.ZIP_BZIP2),
    "lzma": lambda files: zipped(files, zipfile.ZIP_LZMA),
    "pax": tarred,
    "gnu": lambda files: tarred(files, tarfile.GNU_FORMAT),
    "ustar": lambda files: tarred(files, tarfile.USTAR_FORMAT),
    "tar.gz": lambda files: gzip.compress(tarred(files), 1),
    "tar.bz2": lambda files: bz2.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files)),
}


@dataclass(frozen=True)
class Raw:
    """An entry of a zip, written by hand; what is not given is true."""

    name: bytes
    data: bytes
    flags: int = 0
    method: int = 0
    system: int = 3
    attributes: int = 0
    packed: bytes | None = None
    size: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    extra: bytes = b""
    start: int | None = None

    @property
    def body(self) -> bytes:
        return self.data if self.packed is None else self.packed

    def local(self) -> bytes:
        name = self.name if self.local_name is None else self.local_name
        flags = self.flags if self.local_flags is None else self.local_flags
        head = struct.pack(
            "<4s2B4HL2L2H", b"PK\3\4", 20, 0, flags, self.method, 0, 0, 0, 0, 0, len(name), 0
        )
        return head + name + self.body

    def record(self, start: int) -> bytes:
        size = len(self.data) if self.size is None else self.size
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        head = struct.pack(
            "<4s4B4HL2L5H2L",
            *(b"PK\1\2", 20, self.system, 20, 0, self.flags, self.method, 0, 0, crc),
            *(len(self.body), size, len(self.name), len(self.extra), 0, 0, 0),
            *(self.attributes << 16, start if self.start is None else self.start),
        )
        return head + self.name + self.extra


def raw_zip(entries: Iterable[Raw], comment: bytes = b"") -> bytes:
    body, records, at, count = [], [], 0, 0
    for entry in entries:
        local = entry.local()
        records.append(entry.record(at))
        body.append(local)
        at += len(local)
        count += 1
    directory = b"".join(records)
    count &= 0xFFFF
    counts = (0, 0, count, count, len(directory), at, len(comment))
    end = struct.pack("<4s4H2LH", b"PK\5\6", *counts)
    return b"".join([*body, directory, end, comment])


def write(folder: Path, data: bytes, name: str = "upload.bin") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def unpack(folder: Path, data: bytes, limits: ArchiveLimits | None = None) -> list[Entry]:
    return list(open_archive(write(folder, data), limits).entries())
