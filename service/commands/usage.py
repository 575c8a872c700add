"""`surety usage`: what API keys have used, by day, key and provider."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.errors import BadRequest

if TYPE_CHECKING:
    from datetime import date

    from rich.console import Console, RenderableType
    from rich.table import Table

    from service.state import State
    from service.usage.report import Report

ALWAYS = ("certificates", "votes", "calls")
# What is shown where there is something, and left out first, from the end, where there is no room.
MORE = ("certified", "abstained", "cached", "predictions", "throttled")

MOST_WIDTH = 1000

From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="First day of UTC; without it that of the month."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day, included; without it today.")
]
Key = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Of this API key; none for what was asked without one."),
]
Provider = Annotated[str | None, typer.Option(help="Of this provider.")]
By = Annotated[
    str,
    typer.Option(metavar="day,key,provider", help="What a line is about; the rest is added up."),
]


def usage(
    first: From = None,
    last: To = None,
    key: Key = None,
    provider: Provider = None,
    by: By = "key,provider",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table.")] = False,
    as_json: a.Json = False,
) -> None:
    """Show what was used: certificates, votes, calls and money, and what is left of budgets.

    Exit codes: 0 shown, 2 bad usage, 6 configuration or the store is away, 141 nobody reads the
    output, 1 internal error.
    """
    import dataclasses
    import json

    from service.commands.stored import with_store
    from service.terminal import output
    from service.usage.report import Asked, days, parsed, report
    from service.usage.table import csv_table

    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    begin, end = days(_day(first, "--from"), _day(last, "--to"))
    asked = Asked(begin, end, parsed(by), None, provider)

    async def work(state: "State") -> "Report":
        owners = None if key is None else [await _owner(state, key)]
        return await report(state, dataclasses.replace(asked, owners=owners))

    found = with_store(work)
    if as_json:
        typer.echo(json.dumps(found.describe()))
    elif as_csv:
        typer.echo(csv_table(found).replace("\r\n", "\n"), nl=False)
    else:
        console = output()
        console.print(_shown(found, console))


async def _owner(state: "State", key: str) -> str | None:
    from service.access.naming import key_called
    from service.access.token import is_id
    from service.errors import NotFound

    if key == "none":
        return None
    try:
        return key_called(await state.api_keys.list(), key).id
    except NotFound:
        if is_id(key):  # keys that were cleared are not there, what they have used is
            return key
        raise


def _day(text: str | None, option: str) -> "date | None":
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{option} takes a day such as 2026-11-24") from None


def _shown(found: "Report", console: "Console") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    first, last = found.asked.first, found.asked.last
    parts: list[RenderableType] = [Text(f"{first} to {last}, days of UTC", style="dim")]
    if not found.lines:
        return Group(*parts, Text("nothing was used"), *_budgets(found))
    return Group(*parts, _fitting(found, console), Text(found.meaning), *_budgets(found))


def _fitting(found: "Report", console: "Console") -> "Table":
    """Return the table with as many columns as there is room for."""
    from rich.measure import Measurement

    total = found.total.describe()
    more = [name for name in MORE if total[name]]
    while True:
        table = _table(found, [ALWAYS[0], *more, *ALWAYS[1:]])
        unbounded = console.options.update(max_width=MOST_WIDTH)
        if not more or Measurement.get(console, unbounded, table).maximum <= console.width:
            return table
        more.pop()


def _table(found: "Report", heads: list[str]) -> "Table":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    total, by = found.total.describe(), found.asked.by
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=len(found.lines) > 1)
    for place, name in enumerate(by):
        table.add_column(name, footer="total" if not place else "", overflow="fold")
    for head in heads:
        table.add_column(head, footer=f"{total[head]:,}", justify="right", no_wrap=True)
    spent = _money(found.total.spent, found.total.reserved)
    table.add_column("cost", footer=spent, justify="right", no_wrap=True)
    for line in found.lines:
        told = found.line(line)
        names = {
            "day": told["day"],
            "key": "(none)" if line.key is None else f"{line.key} {told['name'] or ''}".strip(),
            "provider": told["provider"],
        }
        counts = [f"{told[head]:,}" for head in heads]
        money = _money(line.counts.spent, line.counts.reserved)
        table.add_row(*(cell(names[name] or "") for name in by), *counts, money)
    return table


def _budgets(found: "Report") -> "list[RenderableType]":
    from rich.text import Text

    from service.access.api_key import PERIOD_WORDS
    from service.terminal import plain
    from service.usage.counts import written

    lines: list[RenderableType] = []
    for left in found.budgets:
        told = left.describe()
        words = PERIOD_WORDS[left.budget.period]
        renewed = told["renewed"]
        again = "" if renewed is None else f", renewed {renewed[:16].replace('T', ' ')} UTC"
        whose, budget = f"{told['key']} {plain(told['name'])}", written(told["budget"])
        rest = f"${written(told['left'])} left{again}"
        lines.append(Text(f"budget of {whose}: ${budget} {words}, {rest}"))
    return lines


def _money(spent: int, reserved: int) -> str:
    from service.billionths import NANO

    cost = f"${(spent - reserved) / NANO:,.4f}"
    return cost if not reserved else f"{cost} to ${spent / NANO:,.4f}"
