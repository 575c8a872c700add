"""Asks before something that cannot be undone."""

import sys

import typer

from service.errors import BadRequest
from service.exit_codes import ExitCode
from service.terminal import say


def confirm(question: str) -> None:
    """Ask on the terminal; end the command unless the answer is yes.

    Raises:
        BadRequest: if nobody can be asked.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadRequest("this cannot be undone, and nobody can be asked here: add --yes")
    try:
        confirmed = typer.confirm(f"This cannot be undone. {question}", err=True)
    except typer.Abort:
        confirmed = False
    if not confirmed:
        say("nothing was changed")
        raise typer.Exit(ExitCode.CANCELLED)
