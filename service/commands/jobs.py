"""`surety jobs`: whole datasets, several machines, a rate limit and a budget."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.commands import jobs_arguments as j
from service.commands.jobs_actions import cancel, delete, extend, pause, resume, retry
from service.commands.jobs_results import compare, report, results
from service.commands.jobs_submit import submit
from service.commands.jobs_watch import watch

if TYPE_CHECKING:
    from rich.console import RenderableType

    from service.jobs.job import Job
    from service.state import State
    from service.store.workers import WorkerInfo

MOST = 500  # in one list

app = typer.Typer(no_args_is_help=True, help="Batch jobs: certify whole datasets.")
app.command()(submit)
app.command()(watch)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=MOST)] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Those that follow this one in the list.")
    ] = None,
    as_json: a.Json = False,
) -> None:
    """List the jobs, the latest first.

    Exit codes: 0 listed, 2 bad usage, 6 configuration or the store is away, 141 nobody reads the
    output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output, say

    found = with_store(lambda state: state.jobs.list(limit + 1, after))
    shown, further = found[:limit], found[limit - 1].id if len(found) > limit else None
    if as_json:
        typer.echo(json.dumps({"jobs": [job.describe() for job in shown], "next": further}))
        return
    if shown:
        output().print(_table(shown))
    else:
        say("no job yet: surety jobs submit begins one")
    if further is not None:
        say(f"there are more: --after {further}")


@app.command()
def show(job: j.Id, as_json: a.Json = False) -> None:
    """Show where a job stands, what it asks for, and what came of it so far.

    Exit codes: 0 shown, 2 bad usage or no such job, 6 configuration or the store is away,
    141 nobody reads the output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output

    async def shown(state: "State") -> "tuple[Job, RenderableType | None]":
        from service.jobs.naming import job_called

        found = await job_called(state.jobs, job)
        return found, None if as_json else await _details(state, found)

    found, details = with_store(shown)
    if details is None:
        typer.echo(json.dumps(found.describe()))
    else:
        output().print(details)


@app.command()
def workers(as_json: a.Json = False) -> None:
    """List who works on jobs now, and how fast.

    Exit codes: 0 listed, 2 bad usage, 6 configuration or the store is away, 141 nobody reads the
    output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output, say

    found = with_store(lambda state: state.workers.list())
    if as_json:
        typer.echo(json.dumps({"workers": [worker.describe() for worker in found]}))
    elif found:
        output().print(_workers(found))
    else:
        say("no worker is running: `surety worker` starts one")


for command in (pause, resume, cancel, retry, extend, delete, results, report, compare):
    app.command()(command)


async def _details(state: "State", job: "Job") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from service.jobs.following import Look
    from service.jobs.results.gathering import Gathered
    from service.jobs.results.summary import summary
    from service.jobs.view import view

    workers = await state.workers.covering(job.spec.compute)
    failures = await state.pictures.failures(job)
    seen = await Gathered.of(state.pictures.all_rows(job))
    look = Look(job, {}, tuple(workers if job.ended is None else ()), tuple(failures))
    parts: list[RenderableType] = [view(look)]
    if seen.counts["done"]:
        parts += [Text(), summary(job.describe(), seen)]
    return Group(*parts)


def _table(jobs: "list[Job]") -> "RenderableType":
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from service.jobs.job_words import hindered, progress, spent, standing
    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("job", no_wrap=True, min_width=16)
    table.add_column("name", overflow="ellipsis", no_wrap=True)
    for heading in ("state", "pictures", "money", "submitted (UTC)"):
        table.add_column(heading)
    for job in jobs:
        table.add_row(
            job.id,
            cell(job.spec.name or ""),
            standing(job),
            progress(job),
            spent(job),
            job.created[:16].replace("T", " "),
        )
    whys = [(job, why) for job in jobs if (why := hindered(job)) is not None]
    return Group(table, *(Text(f"{job.id} {why}", style="yellow") for job, why in whys))


def _workers(found: "list[WorkerInfo]") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from service.jobs.view import workers_table

    computes = sorted({compute for worker in found for compute in worker.computes})
    lines: list[RenderableType] = []
    for compute in computes:
        count = sum(compute in worker.computes for worker in found)
        lines.append(Text(f"{compute}: {count:,}", style="dim"))
    return Group(workers_table(tuple(found), most=None), Text(), *lines)
