"""Ground truth: which label each picture should get, as far as somebody knows.

Three ways lead to it, and pictures that none of them tells about have no truth:

- a file `labels.csv` or `labels.jsonl` at the top of the archive or folder, or in a folder at the
  top; the names in it are relative to where it lies,
- such a file given beside; the names in it are those of the pictures,
- on request the folder that a picture lies in: "cat" for `cat/1.jpg` and for `pets/cat/1.jpg`.

The file has the columns `name` and `label`:

    name,label
    cats/1.jpg,cat

    {"name": "cats/1.jpg", "label": "cat"}
"""

from collections.abc import Container
from pathlib import Path
from typing import Self

from service.errors import BadRequest, UnreadablePicture
from service.jobs.intake.entries import LabelFile
from service.jobs.intake.names import LONGEST_LABEL, clean_label, clean_name
from service.jobs.intake.tables import Form, records

COLUMNS = ("name", "label")
MOST_NAMED = 5  # of the pictures that are missing


class Truths:
    """The ground truth of a job's pictures. Made by :meth:`choose` or :meth:`of_file`.

    Args:
        labels: by the picture's name; None if the folders tell.
        lines: where each of them stands in the file.
        where: what messages call the file.
    """

    def __init__(self, labels: dict[str, str] | None, lines: dict[str, int], where: str) -> None:
        self._labels, self._lines, self._where = labels, lines, where

    @classmethod
    def choose(
        cls,
        asked: str | bytes | Path | None = None,
        found: LabelFile | None = None,
    ) -> Self:
        """Take what the user asks for, else what lies beside the pictures, else nothing.

        Args:
            asked: "folders", or a file of labels or its content.
            found: `labels` of the archive or folder, after its last entry.

        Raises:
            BadRequest: if it is another word.
            BadTable: if the file is wrong; names line and column.
        """
        if asked == "folders":
            return cls(None, {}, "folders")
        if isinstance(asked, str):
            raise BadRequest('labels must be "folders" or a file of labels', "labels")
        if isinstance(asked, bytes | Path):
            return cls.of_file(asked, asked.name if isinstance(asked, Path) else "labels")
        if found is not None:
            return cls.of_file(found.data, found.name, found.name.rpartition("/")[0])
        return cls({}, {}, "labels")

    @classmethod
    def of_file(cls, source: bytes | Path, where: str, base: str = "") -> Self:
        """Read a file of labels.

        Args:
            source: CSV or JSONL.
            where: what messages call it.
            base: folder that its names are relative to, "" for the top.

        Raises:
            BadTable: if it is wrong; names line and column.
        """
        form = Form(where, "labels", COLUMNS, COLUMNS, ("name",))
        labels: dict[str, str] = {}
        lines: dict[str, int] = {}
        for line, cells in records(source, form):
            try:
                name = clean_name(cells["name"])
            except UnreadablePicture as error:
                form.refuse(str(error), line, "name")
            name = f"{base}/{name}" if base else name
            if name in lines:
                form.refuse(f"{name!r} is in line {lines[name]:,} already", line, "name")
            lines[name] = line
            label = cells.get("label", "")
            try:
                if label.strip():
                    labels[name] = clean_label(label)
            except ValueError as error:
                form.refuse(f"it {error}", line, "label")
        return cls(labels, lines, where)

    def get(self, name: str) -> str | None:
        """Return the truth of a picture, None if nobody tells."""
        if self._labels is not None:
            return self._labels.get(name)
        folder = name.rpartition("/")[0].rpartition("/")[2].strip()
        return folder[:LONGEST_LABEL] or None

    def check(self, names: Container[str]) -> None:
        """Make sure that all pictures of the file exist: a misspelt name would go unnoticed.

        Args:
            names: of all pictures of the job, those that cannot be read included.

        Raises:
            BadTable: names those that do not.
        """
        missing = [name for name in self._lines if name not in names]
        if not missing:
            return
        form = Form(self._where, "labels", COLUMNS, (), ())
        shown = ", ".join(repr(name) for name in missing[:MOST_NAMED])
        more = len(missing) - MOST_NAMED
        form.refuse(
            f"there is no picture {shown}" + (f", nor {more:,} more" if more > 0 else ""),
            self._lines[missing[0]],
            "name",
        )
