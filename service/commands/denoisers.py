"""`surety denoisers`: what can clean the samples."""

from typing import Any

import typer

from service.commands.arguments import Json


def denoisers(as_json: Json = False) -> None:
    """List the installed denoisers, and whether they can be loaded."""
    import asyncio
    import json

    from rich import box
    from rich.table import Table

    from service.core import Surety
    from service.load_settings import load_settings
    from service.routes.catalog import list_denoisers
    from service.terminal import cell, output

    async def listed() -> dict[str, Any]:
        return await list_denoisers(Surety(load_settings()))

    found = asyncio.run(listed())
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("denoiser", "runs on", "weights (SHA-256)", "ready", "about"):
        table.add_column(heading)
    for entry in found["denoisers"]:
        mark = " (default)" if entry["name"] == found["default"] else ""
        weights = entry["weights_sha256"]
        table.add_row(
            cell(entry["name"], mark),
            entry["compute"] or "",
            "none" if weights is None else f"{weights[:12]}…",
            "[green]yes[/]" if entry["ready"] else "[red]no[/]",
            cell(entry["summary"] if entry["ready"] else entry["reason"]),
        )
    output().print(table)
