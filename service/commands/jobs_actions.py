"""`surety jobs pause|resume|cancel|retry|extend|delete`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.commands import jobs_arguments as j
from service.commands.opening import opened

if TYPE_CHECKING:
    from service.core import Surety
    from service.jobs.job import Job

    Action = Callable[[Surety, str], Awaitable[Job]]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def pause(job: j.Id, as_json: a.Json = False) -> None:
    """Hand out no more pictures of a job; those at work wait again within a second.

    Exit codes: 0 paused, 2 it does not run, or there is no such job, 6 configuration or the store
    is away, 141 nobody reads the output, 1 internal error.
    """
    from service.jobs import actions

    _act(job, actions.pause, as_json)


def resume(job: j.Id, as_json: a.Json = False) -> None:
    """Go on with a paused job.

    Exit codes: 0 it goes on, 2 it is not paused, or there is no such job, 6 configuration or the
    store is away, 141 nobody reads the output, 1 internal error.
    """
    from service.jobs import actions

    _act(job, actions.resume, as_json)


def cancel(job: j.Id, as_json: a.Json = False) -> None:
    """End a job: within a second no call starts any more. What has a certificate keeps it.

    Exit codes: 0 cancelled, 2 it has ended, or there is no such job, 6 configuration or the store
    is away, 141 nobody reads the output, 1 internal error.
    """
    from service.jobs import actions

    _act(job, actions.cancel, as_json)


def retry(job: j.Id, as_json: a.Json = False) -> None:
    """Ask again about the pictures of an ended job that failed, were not paid for or cancelled.

    Exit codes: 0 it goes on, 2 it has not ended, there is nothing to retry or no money for it, or
    there is no such job, 6 configuration or the store is away, 141 nobody reads the output,
    1 internal error.
    """
    from service.jobs import actions

    async def retried(surety: "Surety", job_id: str) -> "Job":
        found = await actions.retry(surety, job_id)
        await _warn_of_shortage(surety, found)
        return found

    _act(job, retried, as_json)


def extend(
    job: j.Id,
    max_cost: j.MaxCost = None,
    target_radius: a.TargetRadius = None,
    max_votes: a.MaxVotes = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Probability that the answer is false.", show_default="as before"),
    ] = None,
    good_enough: Annotated[
        float | None,
        typer.Option(
            help="Without a target: stop once the radius is this part of what --max-votes would "
            "give.",
            show_default="as before",
        ),
    ] = None,
    rate: j.Rate = None,
    priority: Annotated[
        j.Priority | None, typer.Option(help="Share of the workers.", show_default="as before")
    ] = None,
    as_json: a.Json = False,
) -> None:
    """Go on with an ended job under a larger budget or target; only new votes are paid for.

    What is left out stays as it was.

    Exit codes: 0 it goes on, 2 bad usage, it has not ended, or there is no such job,
    6 configuration or the store is away, 141 nobody reads the output, 1 internal error.
    """
    from service.errors import BadRequest
    from service.jobs import actions
    from service.jobs.rate_text import parse_rate

    given = {
        "max_cost": max_cost,
        "target_radius": target_radius,
        "max_votes": max_votes,
        "alpha": alpha,
        "good_enough": good_enough,
        "rate": None if rate is None else parse_rate(rate),
        "priority": priority,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise BadRequest(f"say what is to change: {options}")

    async def extended(surety: "Surety", job_id: str) -> "Job":
        found = await actions.extend(surety, job_id, changes)
        await _warn_of_shortage(surety, found)
        return found

    _act(job, extended, as_json)


def delete(job: j.Id, yes: Yes = False, as_json: a.Json = False) -> None:
    """Delete a job that does not run, its pictures and its table; votes and certificates stay.

    Exit codes: 0 deleted, 2 it runs, there is no such job, or nobody could be asked,
    6 configuration or the store is away, 130 answered no, 141 nobody reads the output,
    1 internal error.
    """
    import json

    from service.commands.confirm import confirm
    from service.commands.stored import with_store
    from service.jobs.job_words import title
    from service.jobs.naming import job_called

    found = with_store(lambda state: job_called(state.jobs, job))
    if not yes:
        confirm(f"Delete the job {title(found)} with the table of its {found.count:,} pictures?")
    with_store(lambda state: state.pictures.delete(found))
    if as_json:
        typer.echo(json.dumps({"deleted": found.id}))
    else:
        typer.echo(f"job {found.id} is deleted")


async def _warn_of_shortage(surety: "Surety", job: "Job") -> None:
    from service.jobs.actions import shortage
    from service.terminal import say

    if (short := await shortage(surety, job)) is not None:
        more = f"`surety jobs extend {job.id} --max-cost N` gives more, once the job has ended"
        say(f"{short}. {more}", "yellow")


def _act(name: str, action: "Action", as_json: bool) -> None:
    import asyncio
    import json

    from service.commands.jobs_follow import say_who_works
    from service.jobs.job_words import progress, title
    from service.jobs.naming import job_called

    async def acted() -> "Job":
        async with opened() as surety:
            job = await job_called(surety.state.jobs, name)
            job = await action(surety, job.id)
            await say_who_works(surety, job)
            return job

    job = asyncio.run(acted())
    if as_json:
        typer.echo(json.dumps(job.describe()))
    else:
        typer.echo(f"job {title(job)} is {job.state}: {progress(job)}")
