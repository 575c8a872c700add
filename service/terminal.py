"""The two ways to the user: results on standard output, everything else on standard error."""

import os
import sys
import traceback
import unicodedata
from typing import TextIO

from rich.console import Console
from rich.text import Text

from service.exit_codes import ExitCode, known, of_error


def prepare_streams() -> None:
    """Let a terminal without UTF-8 show a question mark where it has to, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def output() -> Console:
    """Return the console for results."""
    return _console(sys.stdout)


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

    Args:
        error: what happened.
        about: the file that it happened to.

    Returns:
        The exit code that stands for it.
    """
    if os.environ.get("SURETY_DEBUG") == "1":
        traceback.print_exception(error)
    if known(error):
        message = str(error)
    else:
        message = f"unexpected {type(error).__name__}: {error} (SURETY_DEBUG=1 shows where)"
    prefix = "" if about is None else f"{about}: "
    say(f"error: {prefix}{message}", "bold red")
    return of_error(error)
