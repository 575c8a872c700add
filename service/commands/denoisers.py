"""`surety denoisers`: what can clean the samples, and what the samples look like."""

from typing import TYPE_CHECKING, Any

import typer

from service.commands import arguments as a
from service.commands.show import show

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(invoke_without_command=True)
app.command()(show)


@app.callback()
def denoisers(context: typer.Context, as_json: a.Json = False) -> None:
    """List the installed denoisers, and whether they can be loaded; `show` draws their work.

    Exit codes: 0 the default one is ready, 6 configuration (it is not), 2 bad usage,
    141 nobody reads the output, 1 internal error.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


def _list(as_json: bool) -> None:
    import asyncio
    import json

    from service.commands.readiness import end_unless_ready, keep_quiet
    from service.core import Surety
    from service.load_settings import load_settings
    from service.routes.catalog import list_denoisers
    from service.terminal import output

    keep_quiet()
    surety = Surety(load_settings())
    found, defaults = asyncio.run(list_denoisers(surety)), surety.default_denoisers()
    if as_json:
        typer.echo(json.dumps(found))
    else:
        output().print(_table(found, defaults))
    end_unless_ready("denoiser", found["denoisers"], *defaults)


def _table(found: dict[str, Any], defaults: list[str]) -> "Table":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("denoiser", "runs on", "weights (SHA-256)", "ready", "about"):
        table.add_column(heading)
    for entry in found["denoisers"]:
        mark = " (default)" if entry["name"] in defaults else ""
        weights = entry["weights_sha256"]
        table.add_row(
            cell(entry["name"], mark),
            entry["compute"] or "",
            "none" if weights is None else f"{weights[:12]}…",
            "[green]yes[/]" if entry["ready"] else "[red]no[/]",
            cell(entry["summary"] if entry["ready"] else entry["reason"]),
        )
    return table
