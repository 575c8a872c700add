"""Where the pictures of a job come from: an archive or a folder, one entry in memory at a time."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.errors import ArchiveTooLarge, BadArchive, UnreadablePicture
from service.jobs.intake.looks import no_picture
from service.jobs.intake.names import clean_name, is_clutter, shown_name

LABEL_FILES = ("labels.csv", "labels.jsonl")


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive or a folder may hold.

    Attributes:
        max_entries: files, folders and whatever else it lists.
        max_entry_bytes: of one picture; larger ones fail alone.
        max_total_bytes: of all together, unpacked.
        max_ratio: unpacked bytes by bytes of the archive. Pictures hardly compress.
        free_bytes: unpacked bytes that are not held against `max_ratio`.
    """

    max_entries: int = 100_000
    max_entry_bytes: int = 20 * 2**20
    max_total_bytes: int = 20 * 2**30
    max_ratio: int = 200
    free_bytes: int = 256 * 2**20

    def unpacked(self, packed: int) -> int:
        """Return how many bytes may come out of an archive of `packed` bytes."""
        return min(self.max_total_bytes, max(self.free_bytes, self.max_ratio * packed))


@dataclass(frozen=True)
class Entry:
    """One picture as it was handed in, or why it cannot be read.

    Attributes:
        name: relative POSIX path, clean enough for files, pages and terminals. Unique among
            the entries without a problem.
        data: the file's bytes; None where there is a problem.
        problem: what is wrong and how to mend it.
    """

    name: str
    data: bytes | None
    problem: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, "" where there are none; entries of equal bytes share it."""
        return "" if self.data is None else hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Member:
    """What an archive or a folder lists, before it is judged.

    Attributes:
        name: as it is written there.
        read: returns the bytes, or raises UnreadablePicture or OSError. None for a folder.
    """

    name: str
    read: Callable[[], bytes] | None


@dataclass(frozen=True)
class LabelFile:
    """A file of ground truth that lay beside the pictures.

    Attributes:
        name: where it lies; the names in it are relative to its folder.
        data: its bytes.
    """

    name: str
    data: bytes


class Source(ABC):
    """Pictures on their way in.

    Nothing is ever written to disk under a name from inside.

    Attributes:
        limits: see there.
        skipped: hidden files and clutter passed over by `entries` so far; not folders.
        labels: the file of ground truth that `entries` came across; whole after the last entry.
    """

    what = "archive"

    def __init__(self, limits: ArchiveLimits) -> None:
        self.limits = limits
        self.skipped = 0
        self.labels: LabelFile | None = None

    @abstractmethod
    def _members(self) -> Iterator[Member]:
        """Yield what is listed, in order; a member must be read before the next is asked for."""

    def entries(self) -> Iterator[Entry]:
        """Yield the pictures in order; may be called again. Reads files: not for an event loop.

        Raises:
            BadArchive: if it is damaged as a whole, or there is no picture in it. An archive
                that is cut off is found out only at its end, after many entries.
            ArchiveTooLarge: if it holds more than `limits` allow.
        """
        self.skipped, self.labels = 0, None
        seen: set[str] = set()
        listed = found = total = 0
        for member in self._members():
            listed += 1
            if listed > self.limits.max_entries:
                raise too_many(self.what, self.limits.max_entries)
            entry = self._entry(member, seen)
            if entry is None:
                continue
            found += 1
            total += len(entry.data or b"")
            if total > self.limits.max_total_bytes:
                raise too_large(self.what, self.limits.max_total_bytes)
            yield entry
            del entry  # the next one may be as large
        if not found:
            raise BadArchive(
                f"there is no picture in the {self.what}"
                + (f", only hidden files ({self.skipped:,})" if self.skipped else "")
                + ": put JPEG, PNG or other pictures into it"
            )

    def _entry(self, member: Member, seen: set[str]) -> Entry | None:
        if member.read is None:
            return None
        try:
            name = clean_name(member.name)
        except UnreadablePicture as error:
            return Entry(shown_name(member.name), None, str(error))
        if is_clutter(name):
            self.skipped += 1
            return None
        if name in seen:
            return Entry(
                name,
                None,
                f"the {self.what} holds this name more than once, and only the first counts: "
                "give each picture a name of its own",
            )
        seen.add(name)
        if _is_label_file(name):
            self._take_labels(name, member.read)
            return None
        return judged(name, member.read)

    def _take_labels(self, name: str, read: Callable[[], bytes]) -> None:
        if self.labels is not None:
            raise BadArchive(
                f"the {self.what} holds two files of labels, {self.labels.name} and {name}: "
                "leave one, or rename it"
            )
        try:
            data = read()
        except (UnreadablePicture, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadArchive(f"the file of labels {name} cannot be read: {reason}") from None
        self.labels = LabelFile(name, data)


def judged(name: str, read: Callable[[], bytes]) -> Entry:
    """Read a picture and take a first look at it.

    Args:
        name: a clean one.
        read: see Member.
    """
    try:
        data = read()
    except UnreadablePicture as error:
        return Entry(name, None, str(error))
    except OSError as error:
        return Entry(name, None, f"it cannot be read: {error.strerror}")
    reason = no_picture(data)
    return Entry(name, data) if reason is None else Entry(name, None, reason)


def _is_label_file(name: str) -> bool:
    """Tell whether it is a file of labels: at the top, or in a folder at the top."""
    folder, _, last = name.rpartition("/")
    return last in LABEL_FILES and "/" not in folder


def too_many(what: str, most: int) -> ArchiveTooLarge:
    """Return the error of too many entries."""
    return ArchiveTooLarge(
        f"the {what} holds more than {most:,} entries: submit it as several jobs"
    )


def too_large(what: str, most: int) -> ArchiveTooLarge:
    """Return the error of too many bytes."""
    return ArchiveTooLarge(
        f"the {what} holds more than {most:,} bytes of files: submit it as several jobs"
    )


def too_long(size: int, most: int) -> UnreadablePicture:
    """Return the problem of one file that is too large."""
    return UnreadablePicture(
        f"it has {size:,} bytes, the limit is {most:,}: make the picture smaller"
    )


def unpacks_too_far(limits: ArchiveLimits, packed: int) -> ArchiveTooLarge:
    """Return the error of an archive that unpacks to more than `limits.unpacked(packed)`."""
    most = limits.unpacked(packed)
    if most >= limits.max_total_bytes:
        return too_large("archive", most)
    return ArchiveTooLarge(
        f"the archive of {packed:,} bytes unpacks to more than {most:,} bytes, which pictures "
        "never do: pack the files as they are, without compression"
    )
