"""`surety providers`: who can be asked."""

from typing import TYPE_CHECKING, Any

import typer

from service.commands.arguments import Json

if TYPE_CHECKING:
    from rich.table import Table


def providers(as_json: Json = False) -> None:
    """List the installed providers: what they take and cost, and whether they are ready.

    Exit codes: 0 the default one is ready, 6 configuration (it is not), 2 bad usage,
    141 nobody reads the output, 1 internal error.
    """
    import asyncio
    import json

    from service.commands.readiness import end_unless_ready, keep_quiet
    from service.core import Surety
    from service.load_settings import load_settings
    from service.routes.catalog import list_providers
    from service.terminal import output

    async def listed() -> dict[str, Any]:
        surety = Surety(load_settings())
        try:
            return await list_providers(surety)
        finally:
            await surety.close()

    keep_quiet()
    found = asyncio.run(listed())
    if as_json:
        typer.echo(json.dumps(found))
    else:
        output().print(_table(found))
    end_unless_ready("provider", found["providers"], found["default"])


def _table(found: dict[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("provider", "takes", "$ per 1,000", "labels", "ready", "about"):
        table.add_column(heading)
    for entry in found["providers"]:
        mark = " (default)" if entry["name"] == found["default"] else ""
        about = entry["summary"] if entry["ready"] else entry["reason"]
        ready = "[green]yes[/]" if entry["ready"] else "[red]no[/]"
        table.add_row(cell(entry["name"], mark), *_traits(entry["traits"]), ready, cell(about))
    return table


def _traits(traits: dict[str, Any] | None) -> tuple[str, str, str]:
    if traits is None:
        return "", "", ""
    size = traits["input_size"]
    takes = "any size" if size is None else f"{size[1]}×{size[0]}"
    if traits["max_batch"] > 1:
        takes += f", {traits['max_batch']} a call"
    unit = "" if traits["unit"] == "image" else " calls"
    labels = "open" if traits["labels"] is None else f"{len(traits['labels']):,}"
    return takes, f"{1000 * traits['price']:.2f}{unit}", labels
