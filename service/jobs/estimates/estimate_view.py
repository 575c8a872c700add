"""An estimate as a person wants to read it, made of its JSON as `render` is."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from service.terminal import plain

ROWS = ("votes", "images", "calls", "cost", "seconds", "reached")
NAMES = {"images": "pictures sent", "seconds": "time"}
CHANGES = {"target_radius": "target radius", "max_votes": "at most votes", "sigma": "sigma"}


def view(told: Mapping[str, Any]) -> RenderableType:
    """Lay out an estimate.

    Args:
        told: as `Estimate.describe` gives it.
    """
    count, guess = told["pictures"], told["basis"] == "reference"
    colour = "yellow" if guess else "green"
    cost, most = told["job"]["cost"], told["worst"]["cost"]
    head = Text.assemble(
        (f"about {money(cost['expected'])}", f"bold {colour}"),
        f"   {money(cost['low'])} to {money(cost['high'])}, at most {money(most)} if no call fails",
    )
    parts: list[RenderableType] = [head]
    if told["unreadable"]:
        parts.append(Text(_left_out(told["unreadable"]), style="yellow"))
    if told["pilot"] is not None:
        pilot = told["pilot"]
        parts.append(
            Text(
                f"The pilot of {pilot['pictures']:,} has cost {money(pilot['cost'])} of it; its "
                f"{pilot['votes']:,} votes are kept.",
                style="dim",
            )
        )
    parts += [Text(), _table(told), Text()]
    if told["budget"] is not None:
        parts += [_budget(told["budget"], count), Text()]
    parts += _cheaper(told)
    parts += [Text(f"Rests on {plain(line)}." if i == 0 else _sentence(line), style="dim")
              for i, line in enumerate(told["rests_on"])]  # fmt: skip
    word = "picture" if count == 1 else "pictures"
    return Panel(
        Group(*parts),
        title=Text(f"Estimate for {count:,} {word}"),
        title_align="left",
        border_style=colour,
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _left_out(unreadable: int) -> str:
    if unreadable == 1:
        return "1 further picture cannot be read: it will fail and costs nothing."
    return f"{unreadable:,} further pictures cannot be read: they will fail and cost nothing."


def money(dollars: float) -> str:
    """Write US dollars: cents, or three digits of less."""
    return f"${dollars:,.2f}" if dollars == 0 or dollars >= 0.1 else f"${dollars:.2g}"


def duration(seconds: float) -> str:
    """Write a time with its two largest units."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _table(told: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("whole job", justify="right", no_wrap=True)
    table.add_column("from – to (90 %)", justify="right", no_wrap=True)
    table.add_column("a picture", justify="right", no_wrap=True)
    table.add_column("at most", justify="right", no_wrap=True)
    count = told["pictures"]
    for name in ROWS:
        figure, one = told["job"][name], told["picture"][name]
        worst = told["worst"].get(name)
        share = name == "reached"
        if share:
            figure = {end: value / count for end, value in figure.items()}
        table.add_row(
            Text(_goal(told) if share else NAMES.get(name, name), style="dim"),
            _words(name, figure["expected"]),
            f"{_words(name, figure['low'])} – {_words(name, figure['high'])}",
            "" if share else _words(name, one["expected"], single=True),
            "" if worst is None else _words(name, worst),
        )
    return table


def _goal(told: Mapping[str, Any]) -> str:
    """Name what counts as success: the target radius, or any radius where there is none."""
    target = told["target_radius"]
    return "certified" if target is None else f"reach {target:g}"


def _words(name: str, value: float, *, single: bool = False) -> str:
    if name == "cost":
        return money(value)
    if name == "seconds":
        return duration(value)
    if name == "reached":
        return f"{100 * value:.0f} %"
    return f"{value:,.1f}" if single else f"{value:,.0f}"


def _budget(budget: Mapping[str, Any], count: int) -> Text:
    paid, chance = budget["pictures"], budget["completes"]
    return Text(
        f"{money(budget['max_cost'])} pay for about {paid['expected']:,} of {count:,} pictures "
        f"({paid['low']:,} to {paid['high']:,}); chance that the job completes: "
        f"{100 * chance['expected']:.0f} % ({100 * chance['low']:.0f} to "
        f"{100 * chance['high']:.0f} %)."
    )


def _cheaper(told: Mapping[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for one in told["cheaper"]:
        change = ", ".join(f"{CHANGES.get(k, plain(k))} {v:g}" for k, v in one["change"].items())
        lines.append(
            Text(
                f"With {change}: {one['votes']:,} votes, {money(one['cost'])}, "
                f"{100 * one['reached']:.0f} % {_goal({**told, **one['change']})}."
            )
        )
    return [*lines, Text()] if lines else []


def _sentence(line: str) -> str:
    said = plain(line)
    return f"{said[:1].upper()}{said[1:]}."
