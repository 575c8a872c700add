"""The log of a training: a CSV with one line for every `log_steps` steps."""

import csv
import io
from pathlib import Path

from denoisers.training.files import told, write_whole

COLUMNS = ("step", "loss", "metric", "rate", "pictures_per_second", "seconds")


def read_log(path: Path, up_to: int | None = None) -> list[list[float]]:
    """Read the whole lines of a log; half a line, which a kill may leave, is none.

    Args:
        path: the file; if there is none, the log is empty.
        up_to: the last step that counts.

    Returns:
        Rows of numbers in the order of `COLUMNS`, by step.
    """
    rows: dict[float, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.reader(file):
                try:
                    numbers = [float(cell) for cell in row]
                except ValueError:  # the head
                    continue
                if len(numbers) == len(COLUMNS) and (up_to is None or numbers[0] <= up_to):
                    rows[numbers[0]] = numbers
    except FileNotFoundError:
        return []
    return [rows[step] for step in sorted(rows)]


class Log:
    """Writes a log line by line.

    Args:
        path: the CSV.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, step: int) -> None:
        """Keep what an earlier run wrote up to a step, and nothing of what it wrote after that."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(_row(*row) for row in (read_log(self._path, step) if step else []))
        write_whole(self._path, text.getvalue().encode())

    def line(self, step: int, *numbers: float) -> None:
        """Add a line; it is in the file before this returns."""
        with told(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(_row(step, *numbers))


def _row(step: float, *numbers: float) -> list[str]:
    return [str(int(step)), *(f"{number:.6g}" for number in numbers)]
