"""The two ways to the user: results on standard output, everything else on standard error."""

import codecs
import errno
import io
import os
import re
import stat
import sys
import traceback
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from rich.console import Console
from rich.text import Text

from service.errors import ConfigurationError
from service.exit_codes import ExitCode, known, of_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_FULL = (errno.ENOSPC, errno.EDQUOT)
LEAST_WIDTH = 60  # with less, tables would leave out what they are about
_NEAREST = {"×": "x", "·": "-", "…": "."}  # as wide as what they stand for: borders stay straight
_OPTIONS = {
    "predict_n": "--n",
    "max_votes": "--max-votes",
    "max_cost": "--max-cost",
    "max_seconds": "--max-seconds",
    "target_radius": "--target-radius",
    "good_enough": "--good-enough",
}
# Words of everyday English name an option only where a message begins with them.
_FIRST_WORDS = re.compile(r"^(sigma|alpha|milestone|size|label|encoding)(?= (?:must|is|lies|'))")
_FIELDS = re.compile(rf"(?<![\w'\"-])(?:{'|'.join(_OPTIONS)})\b")


class ReaderGone(Exception):
    """Nobody reads the results any more, as with `| head`."""


class _Stream(io.FileIO):
    """A standard stream whose reader may leave.

    Attributes:
        forgiving: go on without a reader; else ReaderGone is raised, once, and ConfigurationError
            where the disk is full.
    """

    def __init__(self, descriptor: int, *, forgiving: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.forgiving = forgiving
        self._terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # A terminal that was closed is no reason to lose the file of --output.
            closed = error.errno == errno.EIO and self._terminal
            lost = error.errno == errno.EPIPE
            if closed or lost or not self.forgiving:
                self._mute()  # or Python would fail once more when it flushes at the end
            if closed or (lost and self.forgiving):
                return memoryview(data).nbytes
            if lost:
                raise ReaderGone from None
            if error.errno in _FULL and not self.forgiving:
                raise ConfigurationError(
                    f"standard output cannot be written: {error.strerror}"
                ) from None
            raise

    def _mute(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def prepare_streams() -> None:
    """Make the standard streams bear what may happen to them.

    Closed ones are replaced by empty ones, a reader that leaves ends the command quietly, and
    where the encoding lacks a character its nearest one is printed.
    """
    # In this order each takes the lowest free descriptor, which is its own.
    sys.stdin = sys.stdin or _nothing("r")
    codecs.register_error("surety", _nearest)
    sys.stdout = _prepared(sys.stdout, forgiving=False) if sys.stdout else _nothing("w")
    sys.stderr = _prepared(sys.stderr, forgiving=True) if sys.stderr else _nothing("w")
    if os.environ.get("COLUMNS", "").strip("0") == "":  # a width of 0 would print nothing
        os.environ.pop("COLUMNS", None)


def outlive_readers() -> None:
    """From now on do without a reader of the results: a service goes on."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Stream):
        raw.forgiving = True


def _nothing(mode: Literal["r", "w"]) -> TextIO:
    return Path(os.devnull).open(mode, encoding="utf-8")


def _prepared(stream: TextIO, *, forgiving: bool) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="surety")
    try:
        raw = _Stream(stream.fileno(), forgiving=forgiving)
    except OSError:  # in memory, as in tests
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="surety",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_NEAREST.get(c, "?") for c in lacking), error.end


def output() -> Console:
    """Return the console for results, at least 60 columns wide."""
    console = _console(sys.stdout)
    console.width = max(console.width, LEAST_WIDTH)
    return console


def errors() -> Console:
    """Return the console for progress and errors."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    # Not on a terminal rich assumes 80 columns, which would cut tables that go into a file.
    width = None if stream.isatty() or "COLUMNS" in os.environ else 100
    return Console(file=stream, width=width, highlight=False)


def plain(text: object) -> str:
    """Make a name from outside safe to print: no control characters, so no terminal escapes."""
    return "".join("�" if unicodedata.category(c)[0] == "C" else c for c in str(text))


def cell(text: object, mark: str = "") -> Text:
    """Return a name from outside as rich's own text, in which [brackets] mean nothing."""
    return Text(plain(text) + mark)


def say(message: str, style: str = "") -> None:
    """Print one line on standard error."""
    errors().print(Text(plain(message), style=style), soft_wrap=True)


def complain(error: BaseException, about: str | None = None) -> ExitCode:
    """Tell the user about an error in one red line; with SURETY_DEBUG=1 in full.

    What is wrong with the deployment may take several lines, such as a command to be copied; other
    messages may hold names from outside, which shall not look like lines of ours.

    Args:
        error: what happened.
        about: the file that it happened to.

    Returns:
        The exit code that stands for it.
    """
    if os.environ.get("SURETY_DEBUG") == "1":
        traceback.print_exception(error)
    if known(error):
        message = as_options(str(error))
    else:
        message = f"unexpected {type(error).__name__}: {error} (SURETY_DEBUG=1 shows where)"
    prefix = "" if about is None else f"{about}: "
    text = f"error: {prefix}{message}"
    for line in text.splitlines() if isinstance(error, ConfigurationError) else [text]:
        say(line, "bold red")
    return of_error(error)


def as_options(message: str) -> str:
    """Name options as they are typed: messages name them as the API does."""
    message = re.sub(r"^label map(?=:)", "--synonyms", message)
    message = _FIRST_WORDS.sub(r"--\1", message)
    return _FIELDS.sub(lambda found: _OPTIONS[found[0]], message)
