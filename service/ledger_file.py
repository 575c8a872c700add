"""A file of ledgers: JSON lines between a manifest and a signature over all of them.

    {"schema":"surety.ledgers/1","count":2,"deployment":KEYID, …}
    {a ledger}
    {a ledger}
    {"schema":"surety.ledgers-end/1","sha256":…,"signature":{…}}

The SHA-256 is that of all bytes before the last line, so that a file that was cut off, edited or
put into another order is refused as a whole.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any, BinaryIO, NoReturn

from certification import document as documents
from certification.certificate import software
from certification.checks.kinds import digits, exactly, list_of, map_of, record, text, whole
from certification.errors import InvalidParameter
from certification.signing import Outcome, Signer, check_signature
from service.ledger_entry import MOST_BYTES

SCHEMA, END_SCHEMA = "surety.ledgers/1", "surety.ledgers-end/1"
LEAST_BYTES = 256  # of a ledger's line: the hashes alone take more
MOST_END_BYTES = 4096
DIGEST_BYTES = 16
IN_MEMORY = 1 << 20

_MANIFEST = record(
    {
        "schema": exactly(SCHEMA),
        "created": text,
        "software": map_of(text),
        "deployment": digits(16),
        "count": whole(),
        "left_out": list_of(record({"subject_sha256": digits(64), "reason": text})),
    }
)
_END = record({"schema": exactly(END_SCHEMA), "sha256": digits(64), "signature": map_of(text)})


class Writer:
    """Writes such a file, line by line.

    Args:
        out: is not closed here.
        signer: of the deployment.
    """

    def __init__(self, out: IO[bytes], signer: Signer) -> None:
        self._out, self._signer, self._hash = out, signer, hashlib.sha256()

    def begin(self, count: int, left_out: Sequence[Mapping[str, str]]) -> None:
        """Write the manifest.

        Args:
            count: ledgers that will follow.
            left_out: subjects that were asked for and are damaged, each with the reason.
        """
        manifest = {
            "schema": SCHEMA,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": software(),
            "deployment": self._signer.key_id,
            "count": count,
            "left_out": [dict(one) for one in left_out],
        }
        self.add(documents.canonical(manifest))

    def add(self, line: bytes) -> None:
        """Write one line."""
        self._hash.update(line + b"\n")
        self._out.write(line + b"\n")

    def end(self) -> None:
        """Sign what was written."""
        end = {"schema": END_SCHEMA, "sha256": self._hash.hexdigest()}
        self._out.write(documents.canonical(self._signer.sign(end)) + b"\n")


class SignedFile:
    """A file of ledgers whose signature is good. Made by :func:`opened`.

    Attributes:
        manifest: its first line.
    """

    def __init__(self, file: IO[bytes], start: int, manifest: dict[str, Any], seen: bytes) -> None:
        self._file, self._start, self.manifest, self._seen = file, start, manifest, seen

    def lines(self) -> Iterator[bytes]:
        """Yield the ledgers' lines; several may be on their way through the file at once.

        Raises:
            InvalidParameter: if the file has changed since its signature was checked.
        """
        at = self._start
        for place in range(self.manifest["count"]):
            self._file.seek(at)
            line = _read_line(self._file, f"line {place + 2}")
            at += len(line)
            if _digest(line) != self._seen[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]:
                _refuse(f"line {place + 2} was changed while the file was read")
            yield line

    def find(self, subject: str) -> bytes | None:
        """Return the line of a subject, None if there is none."""
        mark = f'"subject_sha256":"{subject}"'.encode()
        return next((line for line in self.lines() if mark in line), None)


@contextlib.contextmanager
def opened(file: BinaryIO, trusted: Mapping[str, bytes]) -> Iterator[SignedFile]:
    """Read a whole file and check its signature, before anything is made of it.

    Args:
        file: at its beginning; one that cannot be read twice is copied to a temporary file.
        trusted: public keys by id, of deployments that the operator has named.

    Raises:
        InvalidParameter: if it is none, no such deployment has signed it, or it was changed.
    """
    with contextlib.ExitStack() as stack:
        source: IO[bytes] = file
        copy: IO[bytes] | None = None
        if not file.seekable():
            spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  closed by the stack
            copy = source = stack.enter_context(spool)
        yield _checked(file, source, copy, trusted)


def _checked(
    file: BinaryIO, source: IO[bytes], copy: IO[bytes] | None, trusted: Mapping[str, bytes]
) -> SignedFile:
    origin = 0 if copy is not None else file.tell()
    first = _read_line(file, "the first line")
    manifest = _manifest(first, trusted)
    hashed, seen = hashlib.sha256(first), bytearray()
    if copy is not None:
        copy.write(first)
    for place in range(manifest["count"]):
        line = _read_line(file, f"line {place + 2}")
        if len(line) < LEAST_BYTES:
            _refuse(f"line {place + 2} is no ledger: it is cut off, or was changed")
        hashed.update(line)
        seen += _digest(line)
        if copy is not None:
            copy.write(line)
    last = _read_line(file, "the last line", MOST_END_BYTES)
    _check_end(last, hashed.hexdigest(), manifest["deployment"], trusted)
    if file.read(1):
        _refuse("something stands behind its last line")
    return SignedFile(source, origin + len(first), manifest, bytes(seen))


def _manifest(line: bytes, trusted: Mapping[str, bytes]) -> dict[str, Any]:
    found = _parsed(line, _MANIFEST, "its first line is no manifest")
    if found["deployment"] not in trusted:
        named = ", ".join(sorted(trusted)) or "none"
        _refuse(
            f"the deployment with the key {found['deployment']} says that it has written it, and "
            f"you have named {named}: name it with its public key (--trust), if you trust it"
        )
    return found


def _check_end(line: bytes, sha256: str, deployment: str, trusted: Mapping[str, bytes]) -> None:
    what = "its last line is no signature: it is cut off, or was changed"
    found = _parsed(line, _END, what)
    if line != documents.canonical(found) + b"\n":
        _refuse("its last line was changed")
    check = check_signature(found, {deployment: trusted[deployment]})
    if check.outcome is not Outcome.GOOD:
        _refuse(f"of its last line, {check.detail}")
    if found["sha256"] != sha256:
        _refuse(
            "it is not what its deployment has signed: lines were changed, left out, added or put "
            "into another order"
        )


def _parsed(line: bytes, kind: Any, what: str) -> dict[str, Any]:  # noqa: ANN401
    try:
        found: dict[str, Any] = documents.read(line, what="file")
    except InvalidParameter as error:
        _refuse(f"{what} ({error})")
    wrong = next(kind(found, ""), None)
    if wrong is not None:
        _refuse(f"{what} ({wrong})")
    return found


def _read_line(file: IO[bytes], where: str, most: int = MOST_BYTES) -> bytes:
    try:
        line = file.readline(most + 1)
    except OSError as error:
        _refuse(f"it cannot be read: {error.strerror}")
    if len(line) > most:
        _refuse(f"{where} has more than {most:,} bytes")
    if not line.endswith(b"\n"):
        _refuse(f"it is cut off: {where} has no end" if line else f"it is cut off before {where}")
    return line


def _digest(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()[:DIGEST_BYTES]


def _refuse(why: str) -> NoReturn:
    raise InvalidParameter(f"this file of ledgers is not taken: {why}", "file")
