"""From an archive, a folder or a manifest to the pictures of a job.

All of it is gone through twice: first to see that it is whole and to read the true labels, so that
nothing begins that would break off; then picture by picture, of which a few are in memory.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from certification.canonical import Limits, check_header
from certification.errors import ImageError
from service.errors import BadTable
from service.jobs.intake.entries import Entry, Source
from service.jobs.intake.manifest import Listed, read_manifest
from service.jobs.intake.truths import Truths
from service.jobs.submit import Handed
from service.store.uploads import RedisUploads

MOST_TOLD = 5  # problems
TOGETHER, TOGETHER_BYTES = 64, 8 * 2**20  # read in one go, since each needs a hop to a thread

Labels = Literal["folders"] | bytes | Path | None
T = TypeVar("T")


@dataclass(frozen=True)
class Intake:
    """Pictures that can be handed in.

    Attributes:
        count: how many, those that cannot be read included.
        skipped: files that were passed over, being hidden or clutter by their names.
        truths: the true labels that there are.
        pictures: makes an iterator over them; reads files.
        unreadable: numbers of those that cannot be read, as far as looking through has shown.
        problems: name and problem of the first of these.
    """

    count: int
    skipped: int
    truths: frozenset[str]
    pictures: Callable[[], Iterator[Handed]]
    unreadable: frozenset[int] = frozenset()
    problems: tuple[tuple[str, str], ...] = ()

    def readable(self) -> list[int]:
        """Return the numbers of all the others."""
        return [number for number in range(self.count) if number not in self.unreadable]

    async def with_headers_read(self, limits: Limits) -> "Intake":
        """Return it after another look at each picture: what its header tells against it counts.

        One picture at a time is in memory. Those that were uploaded before were decoded then.

        Args:
            limits: of a picture.
        """
        numbers, told = {*self.unreadable}, [*self.problems]

        def look() -> None:
            for number, one in enumerate(self.pictures()):
                if number in numbers or not isinstance(one.data, bytes):
                    continue
                try:
                    check_header(one.data, limits)
                except ImageError as error:
                    numbers.add(number)
                    if len(told) < MOST_TOLD:
                        told.append((one.name, str(error)))

        await asyncio.to_thread(look)
        return dataclasses.replace(self, unreadable=frozenset(numbers), problems=tuple(told))

    async def handed(self) -> AsyncIterator[Handed]:
        """Yield the pictures, for :func:`service.jobs.submit.submit`."""
        pictures = self.pictures()
        while chunk := await asyncio.to_thread(_some, pictures):
            for one in chunk:
                yield one


async def from_source(source: Source, labels: Labels = None) -> Intake:
    """Look an archive or a folder through.

    Args:
        source: see there.
        labels: "folders", a file of labels or its content; None for what lies beside the pictures.

    Raises:
        BadArchive, ArchiveTooLarge, BadTable: what is wrong with it.
    """
    looked = _Unreadable()

    def look() -> tuple[list[str], Truths]:
        names = list[str]()
        for entry in source.entries():
            looked.at(len(names), entry)
            names.append(entry.name)
        truths = Truths.choose(labels, source.labels)
        truths.check({*names})
        return names, truths

    names, truths = await asyncio.to_thread(look)

    def pictures() -> Iterator[Handed]:
        for entry in source.entries():
            yield Handed(entry.name, entry.data, entry.problem, truths.get(entry.name))

    known = frozenset(truth for name in names if (truth := truths.get(name)) is not None)
    return Intake(
        len(names), source.skipped, known, pictures, frozenset(looked.numbers), tuple(looked.told)
    )


async def from_manifest(
    manifest: bytes | Path,
    uploads: RedisUploads,
    labels: Labels = None,
    *,
    owner: str | None = None,
    most_bytes: int = 0,
    **more: Any,  # noqa: ANN401  of `read_manifest`
) -> Intake:
    """Look a manifest through.

    Args:
        manifest: the file or its content.
        uploads: where the pictures that were uploaded before are.
        labels: "folders", a file of labels or its content, for pictures whose line has none.
        owner: the API key that must have uploaded them; None for anybody.
        most_bytes: of a picture on this machine.
        more: of :func:`service.jobs.intake.manifest.read_manifest`.

    Raises:
        BadTable: if it, or the file of labels, is wrong or names a picture that is not there.
        StoreError: if the store is away.
    """

    def lines() -> Iterator[Listed]:
        return read_manifest(manifest, **more)

    looked = _Unreadable()

    def looked_at() -> Iterator[Listed]:
        for number, one in enumerate(lines()):
            if one.sha256 is None:
                looked.at(number, one.read(most_bytes))
            yield one

    names, known = list[str](), set[str]()
    truths = await asyncio.to_thread(Truths.choose, labels)
    reading = looked_at()
    while chunk := await asyncio.to_thread(_next, reading, 1000):
        named = [one.sha256 for one in chunk if one.sha256]
        missing = {*await uploads.missing(named, owner)}
        for one in chunk:
            if one.sha256 in missing:
                raise BadTable(
                    f"manifest, line {one.line:,}, column image: no upload of this SHA-256 is "
                    "kept: upload the picture first",
                    "manifest",
                    one.line,
                    "image",
                )
            names.append(one.name)
            if (truth := one.truth or truths.get(one.name)) is not None:
                known.add(truth)
    truths.check({*names})

    def pictures() -> Iterator[Handed]:
        for one in lines():
            truth = one.truth or truths.get(one.name)
            if one.sha256 is not None:
                yield Handed(one.name, one.sha256, None, truth)
            else:
                entry = one.read(most_bytes)
                yield Handed(one.name, entry.data, entry.problem, truth)

    return Intake(
        len(names), 0, frozenset(known), pictures, frozenset(looked.numbers), tuple(looked.told)
    )


class _Unreadable:
    """What looking through has shown that cannot be read.

    Attributes:
        numbers: of these pictures.
        told: name and problem of the first of them.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.told: list[tuple[str, str]] = []

    def at(self, number: int, entry: Entry) -> None:
        if entry.problem is None:
            return
        self.numbers.append(number)
        if len(self.told) < MOST_TOLD:
            self.told.append((entry.name, entry.problem))


def _some(pictures: Iterator[Handed]) -> list[Handed]:
    chunk, size = list[Handed](), 0
    while len(chunk) < TOGETHER and size < TOGETHER_BYTES:
        one = next(pictures, None)
        if one is None:
            break
        chunk.append(one)
        size += len(one.data) if isinstance(one.data, bytes) else 0
    return chunk


def _next(items: Iterator[T], most: int) -> list[T]:
    return [item for _, item in zip(range(most), items, strict=False)]
