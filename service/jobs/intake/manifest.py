"""A manifest: the pictures of a job, one a line, instead of an archive.

    {"image": "sha256:3f…", "name": "cats/1.jpg", "label": "cat"}
    {"image": "photos/2.jpg"}

or the same as CSV with the header `image,name,label`. `image` is the SHA-256 of a picture that was
uploaded before or, on the command line alone, a path relative to the manifest's folder. `name`
(the path, else "sha256-…") is what results call the picture, and must be unique; `label` is the
ground truth, where there is one.

A path may not lead out of the manifest's folder, not even by a link: a manifest that somebody else
wrote could name any file of this machine. Who wrote it oneself may allow it (`outside`); then
absolute paths, ".." and links are good, too.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.errors import ArchiveTooLarge, BadTable, UnreadablePicture
from service.jobs.intake.entries import Entry, judged
from service.jobs.intake.folder import read_file
from service.jobs.intake.names import clean_label, clean_name, shown_name
from service.jobs.intake.tables import Form, records

COLUMNS = ("image", "name", "label")
MOST_LINES = 1_000_000
_UPLOADED = "sha256:"
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Listed:
    """A line of a manifest.

    Attributes:
        line: counted from 1.
        name: unique, a clean relative POSIX path.
        sha256: of the bytes of a picture that was uploaded; None where `path` is given.
        path: of a file on this machine.
        truth: its label, if the manifest tells.
        root: resolved folder that a link at `path` may not lead out of.
    """

    line: int
    name: str
    sha256: str | None = None
    path: Path | None = None
    truth: str | None = None
    root: Path | None = None

    def read(self, most: int) -> Entry:
        """Read the file at `path`; one that cannot be read fails alone.

        Args:
            most: bytes it may have.
        """
        path = self.path
        assert path is not None, "an uploaded picture is not on this machine"  # noqa: S101
        return judged(self.name, lambda: read_file(path, most, self.root))


def read_manifest(
    source: bytes | Path,
    *,
    folder: Path | None = None,
    outside: bool = False,
    most: int = MOST_LINES,
    where: str = "manifest",
) -> Iterator[Listed]:
    """Yield the pictures line by line; only their names stay in memory.

    Args:
        source: the manifest.
        folder: what paths are relative to. None refuses them, as for what comes over HTTP.
        outside: whether paths may lead out of the folder.
        most: lines that it may have.
        where: what messages call it.

    Raises:
        BadTable: at the first wrong line; names it, and the column. A path with no file is wrong.
        ArchiveTooLarge: if there are more than `most` lines.
    """
    form = Form(where, "manifest", COLUMNS, ("image",), ("image",))
    root = None if folder is None else Path(os.path.realpath(folder))
    names: set[str] = set()
    for line, cells in records(source, form):
        image, label = cells["image"], cells.get("label")
        if len(names) >= most:
            raise ArchiveTooLarge(
                f"{where}: it lists more than {most:,} pictures: submit them as several jobs"
            )
        sha256 = path = None
        if image.startswith(_UPLOADED):
            sha256 = _digest(image, line, form)
            name = f"sha256-{sha256}"
        elif root is None:
            form.refuse(
                "name a picture that was uploaded before, as sha256: and 64 hexadecimal digits; "
                "paths are for the command line",
                line,
                "image",
            )
        else:
            path, name = _path(image, root, outside, line, form)
        column = "name" if "name" in cells else "image"
        try:
            name = clean_name(cells["name"]) if "name" in cells else name
        except UnreadablePicture as error:
            form.refuse(str(error), line, column)
        if name in names:
            form.refuse(f"{name!r} is the name of a picture before: give it another", line, column)
        names.add(name)
        try:
            truth = None if label is None or not label.strip() else clean_label(label)
        except ValueError as error:
            form.refuse(f"it {error}", line, "label")
        yield Listed(line, name, sha256, path, truth, None if outside else root)
    if not names:
        form.refuse("it lists no picture")


def not_uploaded(listed: Listed, where: str = "manifest") -> BadTable:
    """Return the error of a line whose picture nobody has uploaded.

    Args:
        listed: the line.
        where: what messages call the manifest.
    """
    return BadTable(
        f"{where}, line {listed.line:,}, column image: nobody has uploaded a picture of this "
        "SHA-256: upload it first",
        "manifest",
        listed.line,
        "image",
    )


def _digest(image: str, line: int, form: Form) -> str:
    digits = image.removeprefix(_UPLOADED).strip().lower()
    if not _SHA256.fullmatch(digits):
        form.refuse("sha256: is followed by 64 hexadecimal digits", line, "image")
    return digits


def _path(image: str, root: Path, outside: bool, line: int, form: Form) -> tuple[Path, str]:
    """Return where a file is, and the name that it gets without one of its own."""
    try:
        name = clean_name(image)
    except UnreadablePicture as error:
        if not outside:
            form.refuse(f"{error}, or allow files outside of the manifest's folder", line, "image")
        name = shown_name(image)
    # As it was written first: names on disk need not be in the form that results use.
    for path in (root / image, root / name):
        try:
            if path.is_file():
                return path, name
        except (OSError, ValueError):  # too long, or no path at all
            continue
    form.refuse(f"there is no file {name!r}", line, "image")
