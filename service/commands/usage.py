"""`surety usage`: what API keys have used, by day, key and provider."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.errors import BadRequest

if TYPE_CHECKING:
    from datetime import date

    from rich.console import RenderableType

    from service.usage.report import Report

HEADS = {
    "certificates": "certificates",
    "certified": "certified",
    "abstained": "abstained",
    "cached": "cached",
    "predictions": "predictions",
    "votes": "votes",
    "calls": "calls",
    "throttled": "throttled",
}

From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="First day of UTC; without it that of the month."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day, included; without it today.")
]
Key = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Of this API key; none for what was asked without one."),
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
    import json

    from service.commands.stored import with_store
    from service.terminal import output
    from service.usage.report import Asked, days, parsed, report
    from service.usage.table import csv_table

    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    begin, end = days(_day(first, "--from"), _day(last, "--to"))
    owners = None if key is None else [None if key == "none" else key]
    asked = Asked(begin, end, parsed(by), owners, provider)
    found = with_store(lambda state: report(state, asked))
    if as_json:
        typer.echo(json.dumps(found.describe()))
    elif as_csv:
        typer.echo(csv_table(found).replace("\r\n", "\n"), nl=False)
    else:
        output().print(_shown(found))


def _day(text: str | None, option: str) -> "date | None":
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{option} takes a day such as 2026-11-24") from None


def _shown(found: "Report") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    first, last = found.asked.first, found.asked.last
    parts: list[RenderableType] = [Text(f"{first} to {last}, days of UTC", style="dim")]
    if not found.lines:
        return Group(*parts, Text("nothing was used"), *_budgets(found))
    return Group(*parts, _table(found), Text(found.meaning), *_budgets(found))


def _table(found: "Report") -> "RenderableType":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    total = found.total.describe()
    heads = [name for name in HEADS if total[name] or name in ("certificates", "votes", "calls")]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=len(found.lines) > 1)
    by = found.asked.by
    for place, name in enumerate(by):
        table.add_column(name, footer="total" if not place else "", overflow="fold")
    for head in heads:
        table.add_column(HEADS[head], footer=f"{total[head]:,}", justify="right")
    table.add_column(
        "cost", footer=_money(found.total.spent, found.total.reserved), justify="right"
    )
    for line in found.lines:
        told = found.line(line)
        names = {
            "day": told["day"],
            "key": "(none)" if line.key is None else f"{line.key} {told['name'] or ''}".strip(),
            "provider": told["provider"],
        }
        counts = [f"{told[name]:,}" for name in heads]
        money = _money(line.counts.spent, line.counts.reserved)
        table.add_row(*(cell(names[name] or "") for name in by), *counts, money)
    return table


def _budgets(found: "Report") -> "list[RenderableType]":
    from rich.text import Text

    from service.terminal import plain
    from service.usage.budget import WORDS
    from service.usage.counts import written

    lines: list[RenderableType] = []
    for left in found.budgets:
        told = left.describe()
        words = WORDS[left.budget.period]
        renewed = told["renewed"]
        again = "" if renewed is None else f", renewed {renewed[:16].replace('T', ' ')} UTC"
        whose, budget = f"{told['key']} {plain(told['name'])}", written(told["budget"])
        rest = f"${written(told['left'])} left{again}"
        lines.append(Text(f"budget of {whose}: ${budget} {words}, {rest}"))
    return lines


def _money(spent: int, reserved: int) -> str:
    from service.usage.counts import NANO

    cost = f"${(spent - reserved) / NANO:,.4f}"
    return cost if not reserved else f"{cost} (at most ${spent / NANO:,.4f})"
