"""`surety jobs submit`: a folder, an archive or a manifest becomes a job."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a
from service.commands import jobs_arguments as j

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


def submit(
    pictures: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|ARCHIVE|MANIFEST",
            help="A folder of pictures; a zip or tar; or a CSV or JSONL file that lists them.",
        ),
    ],
    provider: a.Provider = None,
    sigma: a.Sigma = 0.25,
    denoiser: a.Denoiser = None,
    alpha: a.Alpha = 0.001,
    target_radius: a.TargetRadius = None,
    max_votes: a.MaxVotes = None,
    good_enough: a.GoodEnough = a.GOOD_ENOUGH,
    no_good_enough: a.NoGoodEnough = False,
    milestone: a.Milestone = None,
    max_cost: j.MaxCost = None,
    rate: j.Rate = None,
    priority: j.JobPriority = "normal",
    allocate: Annotated[
        j.Allocation,
        typer.Option(
            help="in_order finishes one picture after the other; closest spends the next votes on "
            "the pictures nearest to --target-radius, so that a fixed --max-cost decides most."
        ),
    ] = "in_order",
    name: Annotated[str | None, typer.Option(help="What you call the job.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|folders",
            help="True labels: a CSV or JSONL file with name and label, or the word folders: each "
            "picture's is the folder that it lies in.",
            show_default="labels.csv or labels.jsonl beside the pictures",
        ),
    ] = None,
    outside: Annotated[
        bool,
        typer.Option(
            "--outside", help="Let a manifest name files outside of its own folder: trust it."
        ),
    ] = False,
    size: a.Size = None,
    encoding: a.Encoding = None,
    rule: a.Rule = "top1",
    synonyms: a.Synonyms = None,
    label_map: a.LabelMapFile = None,
    keep_image: a.KeepImage = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only check everything, and estimate votes, calls, money and time."
        ),
    ] = False,
    pilot: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="With --dry-run: really certify so many of the pictures first, and estimate from "
            "these. That costs money; the votes are kept for the job.",
        ),
    ] = None,
    pilot_max_cost: Annotated[
        float | None,
        typer.Option(
            help="US dollars that the pilot may cost; never passed.", show_default="--max-cost"
        ),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Print the job's id and leave it to workers, or a service."),
    ] = False,
    no_work: j.NoWork = False,
    as_json: a.Json = False,
) -> None:
    """Certify many pictures as a job, and follow it to its end.

    While no worker is there for the job, it is worked on in this process. Ctrl-C ends the watching,
    not the job: with workers it goes on, else `surety jobs watch` goes on with it.

    Exit codes: 0 all pictures have a certificate (or: submitted, estimated), 3 some have none,
    5 the provider stopped the job, 6 configuration, 130 Ctrl-C, or cancelled, 2 bad usage or
    input, 141 nobody reads the output, 1 internal error.
    """
    import asyncio

    from service.errors import BadRequest
    from service.jobs.rate_text import parse_rate
    from service.load_settings import load_settings

    if not dry_run and (pilot is not None or pilot_max_cost is not None):
        raise BadRequest("--pilot belongs to --dry-run: it estimates before a job is submitted")
    if pilot is None and pilot_max_cost is not None:
        raise BadRequest("--pilot-max-cost: say with --pilot of how many pictures")
    settings, denoiser_name = a.with_denoiser_file(load_settings(), denoiser)
    if denoiser_name != denoiser:
        _warn_of_file(settings, denoiser_name)
    order = Order(
        pictures,
        labels,
        outside,
        {
            "provider": provider,
            "sigma": sigma,
            "denoiser": denoiser_name,
            "alpha": alpha,
            "target_radius": target_radius,
            "max_votes": max_votes,
            "good_enough": None if no_good_enough else good_enough,
            "milestone": milestone,
            "size": size,
            "encoding": encoding,
            "rule": a.parse_rule(rule),
            "synonyms": a.parse_synonyms(synonyms, label_map),
            "keep_image": keep_image,
        },
        {
            "name": name,
            "max_cost": max_cost,
            "rate": None if rate is None else parse_rate(rate),
            "priority": priority,
            "allocation": allocate,
        },
        pilot,
        pilot_max_cost if pilot_max_cost is not None else max_cost,
    )
    if dry_run:
        raise typer.Exit(asyncio.run(_estimated(settings, order, not no_work, as_json)))
    raise typer.Exit(asyncio.run(_submitted(settings, order, detach, not no_work, as_json)))


async def _submitted(
    settings: "Settings", order: Order, detach: bool, work: bool, as_json: bool
) -> "ExitCode":
    import json

    from service.commands import jobs_follow as f
    from service.commands.leaving import Leaving, Left
    from service.core import Surety
    from service.exit_codes import ExitCode
    from service.terminal import say

    leaving, job = Leaving(), None
    with leaving.listening():
        async with Surety.opened(settings) as surety:
            try:
                job = await leaving.unless(_taken_in(surety, order))
                if detach:
                    typer.echo(json.dumps(job.describe()) if as_json else job.id)
                    await f.say_who_works(surety, job)
                    return ExitCode.DONE
                say(f"job {job.id}: {job.count:,} picture{'' if job.count == 1 else 's'}")
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


async def _estimated(settings: "Settings", order: Order, work: bool, as_json: bool) -> "ExitCode":
    import json

    from service import exit_codes
    from service.commands.leaving import Leaving, Left
    from service.core import Surety
    from service.exit_codes import ExitCode
    from service.jobs.estimates.estimate_view import view
    from service.jobs.estimates.estimating import estimate_of
    from service.jobs.estimates.pilot import PilotStopped
    from service.terminal import output, say

    leaving = Leaving()
    with leaving.listening():
        async with Surety.opened(settings) as surety:
            try:
                batch = await leaving.unless(_batch_of(surety, order))
                rows = await leaving.unless(_piloted(surety, batch, order, work))
            except Left:
                say("nothing was submitted; votes of the pilot are kept")
                return ExitCode.CANCELLED
            except PilotStopped as stopped:
                say(f"error: the pilot was stopped: {stopped}", "bold red")
                return exit_codes.of_job("paused", {}, stopped.problem)
            found = await estimate_of(surety, batch.spec, batch.intake.count, rows)
    told = found.describe()
    if as_json:
        typer.echo(json.dumps(told))
    else:
        output().print(view(told))
    return ExitCode.DONE


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
    from service.jobs.estimates.estimate import pilot_numbers
    from service.jobs.estimates.pilot import run_pilot
    from service.live_bar import LiveBar

    if order.pilot is None:
        return []
    price = (await surety.adapter(batch.spec.arguments["provider"])).traits.price
    if price and order.pilot_max_cost is None:
        raise BadRequest("--pilot: say with --pilot-max-cost what it may cost")
    if not work and not await surety.state.workers.covering(batch.spec.compute):
        raise BadRequest("--pilot: no worker is running, and --no-work leaves it to one")
    numbers = {*pilot_numbers(batch.intake.count, order.pilot)}
    with LiveBar("pilot") as bar:
        bar.note(f"certifying {len(numbers):,} of {batch.intake.count:,} pictures …")
        async with Helper(surety, batch.spec.compute, work=work) as helper:
            return await helper.beside(run_pilot(surety, batch, numbers, order.pilot_max_cost))


def _warn_of_file(settings: "Settings", name: str | None) -> None:
    from service.terminal import say

    if name is not None:
        path = settings.denoiser_files[name]
        say(f"workers elsewhere need this denoiser too: SURETY_DENOISER_FILES={name}={path}")
