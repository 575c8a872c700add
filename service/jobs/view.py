"""A running job as a person at a terminal watches it."""

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from service.jobs.following import Look
from service.jobs.job import Job
from service.jobs.job_words import (
    COLOURS,
    asks,
    gone,
    left,
    progress,
    spent,
    standing,
    title,
    why_not,
)
from service.render import fact_table
from service.store.workers import WorkerInfo
from service.terminal import cell, plain

MOST_WORKERS = 8
LONGEST = 160  # characters of a failure's reason


class StatesBar:
    """Pictures by state as one bar over the whole width; in ASCII where blocks are lacking."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        marks = dict.fromkeys(COLOURS, "█") | {"waiting": "░", "working": "▒"}
        if options.ascii_only:
            marks = dict(zip(COLOURS, "#x$/-.", strict=True))
        bar, begin, sum_ = Text(no_wrap=True, end="\n"), 0, 0
        for state, colour in COLOURS.items():
            sum_ += self._job.counts[state]  # type: ignore[index]
            end = options.max_width * sum_ // max(1, self._job.count)
            bar.append(marks[state] * (end - begin), colour)
            begin = end
        yield bar


def view(look: Look) -> RenderableType:
    """Lay out where a job stands."""
    job, pace = look.job, look.pace
    head = Text.assemble(
        ("Job ", "dim"), (title(job), "bold"), "  ", (standing(job), _colour(job.state)), "  "
    )
    head.append(asks(job), "dim")
    head.truncate(400)
    facts = fact_table()
    facts.add_row("pictures", _pictures(job))
    facts.add_row("images", _images(look))
    facts.add_row("money", spent(job))
    times = [gone(job), left(pace)]
    facts.add_row("time", " · ".join(part for part in times if part is not None))
    parts: list[RenderableType] = [head, StatesBar(job), facts]
    if look.workers:
        parts.append(workers_table(look.workers, look.own))
    for row in look.failures:
        problem = row.problem or {}
        reason = plain(problem.get("detail") or problem.get("title") or "")
        told = Text.assemble(("failed  ", "red"), plain(row.name), ": ", reason)
        told.truncate(LONGEST, overflow="ellipsis")
        parts.append(told)
    if (why := why_not(look)) is not None:
        parts.append(Text(why, style="yellow"))
    return Group(*parts)


def workers_table(
    workers: tuple[WorkerInfo, ...], own: str | None = None, most: int | None = MOST_WORKERS
) -> Table:
    """Lay out workers and their rates.

    Args:
        workers: as they tell of themselves.
        own: id of the one in this process.
        most: shown; None for all.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("worker", overflow="fold")
    for heading in ("at work", "ended", "images/s", "calls/s", "throttled/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    busiest = sorted(workers, key=lambda w: -w.rates.get("images", 0.0))
    for worker in busiest[:most]:
        where = ", here" if worker.id == own else ", inside a service" if worker.inside else ""
        rates = [f"{worker.rates.get(n, 0.0):,.1f}" for n in ("images", "calls", "throttled")]
        at_work = f"{worker.busy:,} of {worker.pictures:,}"
        table.add_row(cell(worker.host, where), at_work, f"{worker.done:,}", *rates)
    more = 0 if most is None else len(workers) - most
    if more > 0:
        table.add_row(f"… {more:,} more", "", "", "", "", "")
    return table


def _pictures(job: Job) -> str:
    parts = [progress(job)]
    parts += [f"{job.counts[s]:,} {s}" for s in ("working", "waiting") if job.counts[s]]
    return ", ".join(parts)


def _images(look: Look) -> str:
    job, pace = look.job, look.pace
    parts = [f"{job.images:,} sent in {job.calls:,} call{'' if job.calls == 1 else 's'}"]
    if pace.get("images_per_second"):
        parts.append(f"{pace['images_per_second']:,.1f}/s")
    if job.throttled:
        throttled = f"{job.throttled:,} throttled"
        if pace.get("throttled_per_second"):
            throttled += f", {pace['throttled_per_second']:,.1f}/s now"
        parts.append(throttled)
    return " · ".join(parts)


def _colour(state: str) -> str:
    return {"finished": "green", "running": "blue", "cancelled": "red"}.get(state, "yellow")
