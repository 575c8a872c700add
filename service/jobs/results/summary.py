"""A job as a person at a terminal wants to see it: the figures, and how far the radii go."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service.jobs.results.curve import AT
from service.jobs.results.gathering import Gathered
from service.jobs.results.report_bars import bins
from service.jobs.results.report_words import counted, duration, money, percent, share, stopped
from service.render import Bar, fact_table, panel
from service.terminal import plain

MOST_LINES = 12
_COLOURS = {"finished": "green", "running": "blue", "cancelled": "red"}


def summary(job: Mapping[str, Any], seen: Gathered) -> RenderableType:
    """Lay out a job.

    Args:
        job: what :meth:`service.jobs.job.Job.describe` says.
        seen: its rows.
    """
    colour = _COLOURS.get(job["state"], "yellow")
    head = Text.assemble(
        (f"{seen.certified:,} certified", "bold green"),
        f"  of {counted(seen.judged, 'picture')} judged, {percent(seen.certified, seen.judged)}",
    )
    facts = fact_table()
    states = ", ".join(f"{count:,} {state}" for state, count in seen.counts.most_common())
    facts.add_row("pictures", f"{seen.pictures:,}: {states}" if states else "none")
    if seen.truths:
        wrong = f"{seen.wrong:,} certified with a wrong label"
        facts.add_row("right", f"{seen.correct:,} of {seen.truths:,} with a true label; {wrong}")
    target = (job.get("arguments") or {}).get("target_radius")
    if target is not None and seen.judged:
        reach = seen.reach(target)
        words = f"{reach:,} of {seen.judged:,} reach {target:g}, {percent(reach, seen.judged)}"
        facts.add_row("target", words)
    facts.add_row("abstained", f"{seen.abstained:,}")
    if seen.problems:
        said = ", ".join(
            f"{plain(kind)} × {count:,}" for kind, count in seen.problems.most_common()
        )
        facts.add_row("failed", Text(said))
    curve, named = seen.accuracy, "accuracy"
    if curve is None:
        curve, named = seen.share_certified, "certified"
    if curve.total:
        facts.add_row(named, _shares([(f"r = {r:g}", share(curve.at(r))) for r in AT]))
    if seen.certified:
        facts.add_row("radii", _radii(seen))
    if seen.stop_reasons:
        kinds = seen.stop_reasons.most_common()
        said = ", ".join(f"{plain(stopped(kind))} × {count:,}" for kind, count in kinds)
        facts.add_row("stopped", Text(said))
    facts.add_row("votes", _votes(seen))
    facts.add_row("cost", _cost(job, seen))
    if (short := _short_of_money(job, seen)) is not None:
        facts.add_row("", Text(short))
    title = f"Job {plain(job.get('name') or job['id'])}: {plain(job['state'])}"
    return panel(Text(title), colour, head, Text(), facts)


def _shares(entries: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in entries:
        table.add_row(name, value)
    return table


def _radii(seen: Gathered) -> Table:
    radii = np.concatenate([seen.radii, seen.wrong_radii])
    limits = bins(radii, even=True, most=MOST_LINES)
    places = np.searchsorted(np.array(limits), radii, side="right") - 1
    counts = np.bincount(places, minlength=len(limits) - 1)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    for start, end, count in zip(limits, limits[1:], counts.tolist(), strict=False):
        line = Bar(count, int(counts.max()), "green")
        table.add_row(f"{start:g} – {end:g}", line, f"{count:,}")
    return table


def _votes(seen: Gathered) -> str:
    done = seen.counts["done"]
    each = f", {seen.votes / done:,.0f} a picture" if done else ""
    return f"{seen.votes:,}{each}; {seen.abstentions:,} without a label"


def _short_of_money(job: Mapping[str, Any], seen: Gathered) -> str | None:
    unpaid, cut = seen.counts["unpaid"], seen.stop_reasons["max_cost"]
    parts = [f"did not reach {counted(unpaid, 'picture')}"] if unpaid else []
    parts += [f"ended too early for {counted(cut, 'picture')}"] if cut else []
    if not parts:
        return None
    more = f"`surety jobs extend {plain(job['id'])} --max-cost N` goes on with more"
    return f"the money {' and '.join(parts)}; {more}"


def _cost(job: Mapping[str, Any], seen: Gathered) -> str:
    cost, cap = job.get("cost", seen.cost), job.get("max_cost")
    of = "" if cap is None else f" of {money(cap)}"
    calls = counted(job.get("calls", seen.calls), "call")
    return f"{money(cost)}{of} · {calls} · {duration(seen.seconds)} of all pictures together"
