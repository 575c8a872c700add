"""What `surety providers` and `surety denoisers` end with."""

import os
from collections.abc import Sequence
from typing import Any

import typer

from service import logs
from service.exit_codes import ExitCode
from service.terminal import say


def keep_quiet() -> None:
    """Leave the catalog's warnings out: the table gives the reasons."""
    logs.configure("warning" if os.environ.get("SURETY_DEBUG") == "1" else "error")


def end_unless_ready(kind: str, entries: Sequence[dict[str, Any]], *defaults: str) -> None:
    """End the command with an error if the default one cannot be used.

    Args:
        kind: provider or denoiser.
        entries: what is installed.
        defaults: the names that a request may get if it names none.
    """
    for default in defaults:
        entry = next((e for e in entries if e["name"] == default), None)
        if entry is None or not entry["ready"]:
            reason = "it is not installed" if entry is None else entry["reason"]
            say(f"error: the default {kind} {default!r} is not ready: {reason}", "bold red")
            raise typer.Exit(ExitCode.CONFIGURATION)
