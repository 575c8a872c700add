"""`surety jobs submit`: a folder, an archive or a manifest becomes a job."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.commands import jobs_arguments as j
from service.commands.opening import imported

if TYPE_CHECKING:
    from service.settings import Settings


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

    from service.commands.jobs_order import Order, estimated, submitted
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
    imported()
    if dry_run:
        raise typer.Exit(asyncio.run(estimated(settings, order, not no_work, as_json)))
    raise typer.Exit(asyncio.run(submitted(settings, order, detach, not no_work, as_json)))


def _warn_of_file(settings: "Settings", name: str | None) -> None:
    from service.terminal import say

    if name is not None:
        path = settings.denoiser_files[name]
        say(f"workers elsewhere need this denoiser too: SURETY_DENOISER_FILES={name}={path}")
