"""`surety providers`: who can be asked, at what price, and whether a call really works."""

from typing import TYPE_CHECKING, Any

import typer

from service.commands import arguments as a
from service.commands.check import check

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(invoke_without_command=True)
app.command()(check)


@app.callback()
def providers(context: typer.Context, as_json: a.Json = False) -> None:
    """List the providers: what they take, cost and allow, and whether they are ready.

    Those of the file SURETY_PROVIDERS_FILE among them. Nobody is called; `check` calls one.

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
    from service.routes.catalog import describe_providers
    from service.terminal import cell, output

    async def listed() -> dict[str, Any]:
        surety = Surety(load_settings())
        try:
            return await describe_providers(surety)
        finally:
            await surety.close()

    keep_quiet()
    found = asyncio.run(listed())
    if as_json:
        typer.echo(json.dumps(found))
    else:
        output().print(_table(found))
        for entry in found["providers"]:
            if not entry["ready"]:
                output().print(cell(f"{entry['name']}: {entry['reason']}"))
    end_unless_ready("provider", found["providers"], found["default"])


def _table(found: dict[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("provider", "takes", "$ per 1,000", "a second", "labels", "ready", "about"):
        table.add_column(heading)
    for entry in found["providers"]:
        mark = " (default)" if entry["name"] == found["default"] else ""
        ready = "[green]yes[/]" if entry["ready"] else "[red]no[/]"
        table.add_row(cell(entry["name"], mark), *_figures(entry), ready, cell(entry["summary"]))
    dates = sorted({e["terms"]["as_of"] for e in found["providers"] if e["terms"]})
    if dates:
        table.caption = f"Prices and quotas as published on {dates[0]}, or as you have set them."
        table.caption_justify = "left"
    return table


def _figures(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return what it takes, costs, allows and knows; of one that is not ready, what is known."""
    traits = entry["traits"]
    figures = traits or entry["terms"]
    if figures is None:
        return "", "", "", ""
    unit = "" if figures["unit"] == "image" else " calls"
    price = f"{1000 * figures['price']:.2f}{unit}"
    per = "" if figures["rate_unit"] == "image" else " calls"
    rate = "" if figures["rate"] is None else f"{figures['rate']:g}{per}"
    if traits is None:
        return "", price, rate, ""
    size = traits["input_size"]
    takes = "any size" if size is None else f"{size[1]}×{size[0]}"
    if traits["max_batch"] > 1:
        takes += f", {traits['max_batch']} a call"
    labels = "open" if traits["labels"] is None else f"{len(traits['labels']):,}"
    return takes, price, rate, labels
