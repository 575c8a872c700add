"""What `surety jobs submit` does with an order: looks it through, then submits or estimates it."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from service.commands import arguments as a
from service.commands.opening import opened

if TYPE_CHECKING:
    from service.core import Surety
    from service.exit_codes import ExitCode
    from service.jobs.batch import Batch
    from service.jobs.job import Job
    from service.jobs.rows import Row
    from service.jobs.submit import Handed
    from service.settings import Settings

FOLDERS = "folders"
TELL_EVERY = 20  # pictures


@dataclass(frozen=True)
class Order:
    """What the user asks for.

    Attributes:
        pictures: a folder, an archive or a manifest.
        labels: a file, or "folders".
        outside: whether a manifest may name files outside of its folder.
        arguments: of `Surety.prepare`.
        fields: further fields of a JobSpec.
        pilot: pictures of a pilot.
        pilot_max_cost: US dollars that it may cost.
    """

    pictures: Path
    labels: str | None
    outside: bool
    arguments: dict[str, Any]
    fields: dict[str, Any]
    pilot: int | None
    pilot_max_cost: float | None


async def submitted(
    settings: "Settings", order: Order, detach: bool, work: bool, as_json: bool
) -> "ExitCode":
    """Submit a job, and follow it to its end.

    Args:
        settings: of the deployment.
        order: what the user asks for.
        detach: leave it to others as soon as it is there.
        work: work on it in this process while nobody else does.
        as_json: print JSON.
    """
    import json

    from service.commands import jobs_follow as f
    from service.commands.leaving import Leaving, Left
    from service.exit_codes import ExitCode
    from service.jobs.results.report_words import counted
    from service.terminal import say

    leaving, job = Leaving(), None
    with leaving.listening():
        async with opened(settings) as surety:
            try:
                job = await leaving.unless(_taken_in(surety, order))
                if detach:
                    typer.echo(json.dumps(job.describe()) if as_json else job.id)
                    await f.say_who_works(surety, job)
                    return ExitCode.DONE
                say(f"job {job.id}: {counted(job.count, 'picture')}{_passed_over(job)}")
                display = f.Display(quiet=as_json)
                job = await leaving.unless(f.follow_to_end(surety, job, display, work=work))
            except Left:
                if job is None:
                    say("nothing was submitted")
                else:
                    await f.say_how_it_goes_on(surety, job)
                return ExitCode.CANCELLED
            if as_json:
                typer.echo(json.dumps(job.describe()))
            else:
                await f.print_end(surety, job)
            return f.code_of(job)


async def estimated(settings: "Settings", order: Order, work: bool, as_json: bool) -> "ExitCode":
    """Estimate a job, and keep nothing of it but the votes of a pilot; see `submitted`."""
    import json

    from service import exit_codes
    from service.commands.leaving import Leaving, Left
    from service.exit_codes import ExitCode
    from service.jobs.estimates.estimate_view import view
    from service.jobs.estimates.estimating import estimate_batch, looked_into
    from service.jobs.estimates.pilot import PilotStopped
    from service.terminal import output, say

    leaving = Leaving()
    with leaving.listening():
        async with opened(settings) as surety:
            try:
                batch = await leaving.unless(_batch_of(surety, order))
                batch = await leaving.unless(looked_into(surety, batch))
                _tell_unreadable(batch)
                rows = await leaving.unless(_piloted(surety, batch, order, work))
                found = await leaving.unless(estimate_batch(surety, batch, rows))
            except Left:
                say("nothing was submitted; votes of the pilot are kept")
                return ExitCode.CANCELLED
            except PilotStopped as stopped:
                say(f"error: the pilot was stopped: {stopped}", "bold red")
                return exit_codes.of_job("paused", {}, stopped.problem)
    told = found.describe()
    if as_json:
        typer.echo(json.dumps(told))
    else:
        output().print(view(told))
    return ExitCode.DONE


def _passed_over(job: "Job") -> str:
    from service.jobs.results.report_words import counted

    return f"; {counted(job.skipped, 'hidden file')} passed over" if job.skipped else ""


def _tell_unreadable(batch: "Batch") -> None:
    from service.terminal import say

    intake = batch.intake
    for name, problem in intake.problems:
        say(f"would fail: {name}: {problem}", "yellow")
    if (more := len(intake.unreadable) - len(intake.problems)) > 0:
        say(f"would fail: {more:,} more that cannot be read", "yellow")


async def _batch_of(surety: "Surety", order: Order) -> "Batch":
    from service.jobs.batch import Batch
    from service.jobs.intake.intake import Labels
    from service.jobs.intake.local_intake import local_intake
    from service.jobs.submit import check_truths, spec_of

    spec = await spec_of(surety, order.arguments, **order.fields)
    labels: Labels = None
    if order.labels == FOLDERS:
        labels = "folders"
    elif order.labels is not None:
        labels = Path(order.labels)
        a.check_pictures([labels])
    found = await local_intake(surety, order.pictures, labels, outside=order.outside)
    await check_truths(surety, spec, found.truths)
    return Batch(spec, found)


async def _taken_in(surety: "Surety", order: Order) -> "Job":
    from service.live_bar import LiveBar

    with LiveBar(order.pictures.name or str(order.pictures)) as bar:
        bar.note("looking through it …")
        batch = await _batch_of(surety, order)
        intake, count = batch.intake, f"{batch.intake.count:,}"

        def told() -> "Iterator[Handed]":
            for number, one in enumerate(intake.pictures()):
                if number % TELL_EVERY == 0:
                    bar.note(f"taking in … {number:,} of {count}")
                yield one

        counted = dataclasses.replace(intake, pictures=told)
        return await dataclasses.replace(batch, intake=counted).submit(surety)


async def _piloted(surety: "Surety", batch: "Batch", order: Order, work: bool) -> "list[Row]":
    from service.errors import BadRequest
    from service.jobs.engine.helper import Helper
    from service.jobs.estimates.pilot import pilot_of, run_pilot
    from service.live_bar import LiveBar

    if order.pilot is None:
        return []
    price = (await surety.adapter(batch.spec.arguments["provider"])).traits.price
    if price and order.pilot_max_cost is None:
        raise BadRequest("--pilot: say with --pilot-max-cost what it may cost")
    if not work and not await surety.state.workers.covering(batch.spec.compute):
        raise BadRequest("--pilot: no worker is running, and --no-work leaves it to one")
    numbers = pilot_of(batch.intake, order.pilot)
    with LiveBar("pilot") as bar:
        bar.note(f"certifying {len(numbers):,} of {batch.intake.count:,} pictures …")
        async with Helper(surety, batch.spec.compute, work=work) as helper:
            return await helper.beside(run_pilot(surety, batch, numbers, order.pilot_max_cost))
