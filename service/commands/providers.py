"""`surety providers`: who can be asked."""

from typing import Any

import typer

from service.commands.arguments import Json


def providers(as_json: Json = False) -> None:
    """List the installed providers: what they take and cost, and whether they are ready."""
    import asyncio
    import json

    from rich import box
    from rich.table import Table

    from service.core import Surety
    from service.load_settings import load_settings
    from service.routes.catalog import list_providers
    from service.terminal import cell, output

    async def listed() -> dict[str, Any]:
        surety = Surety(load_settings())
        try:
            return await list_providers(surety)
        finally:
            await surety.close()

    found = asyncio.run(listed())
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("provider", "takes", "$ per 1,000", "labels", "ready", "about"):
        table.add_column(heading)
    for entry in found["providers"]:
        mark = " (default)" if entry["name"] == found["default"] else ""
        about = entry["summary"] if entry["ready"] else entry["reason"]
        ready = "[green]yes[/]" if entry["ready"] else "[red]no[/]"
        table.add_row(cell(entry["name"], mark), *_traits(entry["traits"]), ready, cell(about))
    output().print(table)


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
