"""`surety usage`: what API keys have used, by day, key and provider."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.errors import BadRequest

if TYPE_CHECKING:
    from datetime import date

    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

    from service.state import State
    from service.usage.counts import Counts
    from service.usage.report import Line, Report

ALWAYS = ("certificates", "votes", "calls")
MORE = ("certified", "abstained", "cached", "predictions", "throttled")
"""What is shown where there is something."""

LEAST_WIDTH = 16  # characters that columns with names keep: those of an id
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
    from service.store.api_keys import NOBODY

    if key == NOBODY:
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
    """Return a table with a column for each count; with all counts in one if there is no room."""
    from rich.measure import Measurement

    total = found.total.describe()
    heads = [ALWAYS[0], *(name for name in MORE if total[name]), *ALWAYS[1:]]
    folded = _table(found, heads, LEAST_WIDTH)
    unbounded = console.options.update(max_width=MOST_WIDTH)
    fits = Measurement.get(console, unbounded, folded).maximum <= console.width
    return _table(found, heads) if fits else _words(found, heads)


def _table(found: "Report", heads: list[str], most: int | None = None) -> "Table":
    """Return a table with a column for each count.

    Args:
        found: what is shown.
        heads: names of the counts.
        most: characters of a line in the columns that may fold; None for as many as there is room.
    """
    total = found.total.describe()
    table = _begun(found)
    for column in table.columns:
        column.max_width = most
    for head in heads:
        table.add_column(head, footer=f"{total[head]:,}", justify="right", no_wrap=True)
    spent = _money(found.total.spent, found.total.reserved)
    table.add_column("cost", footer=spent, justify="right", no_wrap=True)
    for line in found.lines:
        told = found.line(line)
        counts = [f"{told[head]:,}" for head in heads]
        table.add_row(
            *_about(found, line), *counts, _money(line.counts.spent, line.counts.reserved)
        )
    return table


def _words(found: "Report", heads: list[str]) -> "Table":
    """Return a table whose last column has the counts as text, which wraps."""

    def text(counts: "Counts") -> str:
        told = counts.describe()
        named = [f"{head} {told[head]:,}" for head in heads if told[head]]
        return ", ".join([*named, f"cost {_money(counts.spent, counts.reserved)}"])

    table = _begun(found)
    table.add_column("used", footer=text(found.total))
    for line in found.lines:
        table.add_row(*_about(found, line), text(line.counts))
    return table


def _begun(found: "Report") -> "Table":
    """Return a table with the columns that a line is about."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=len(found.lines) > 1)
    for place, name in enumerate(found.asked.by):
        table.add_column(name, footer="total" if not place else "", overflow="fold")
    return table


def _about(found: "Report", line: "Line") -> "list[Text]":
    from service.terminal import cell

    told = found.line(line)
    names = {
        "day": told["day"],
        "key": "(none)" if line.key is None else f"{line.key} {told['name'] or ''}".strip(),
        "provider": told["provider"],
    }
    return [cell(names[name] or "") for name in found.asked.by]


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
