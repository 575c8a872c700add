"""`surety jobs watch`: a job as it goes on."""

from typing import TYPE_CHECKING

import typer

from service.commands import arguments as a
from service.commands import jobs_arguments as j
from service.commands.opening import imported, opened

if TYPE_CHECKING:
    from service.exit_codes import ExitCode
    from service.settings import Settings


def watch(job: j.Id, no_work: j.NoWork = False, as_json: a.Json = False) -> None:
    """Follow a job to its end: pictures, rates, money, time left, the latest failures.

    While no worker is there for the job, it is worked on in this process. Ctrl-C ends the watching,
    not the job. --json prints a line for each change.

    Exit codes: 0 all pictures have a certificate, 3 some have none, 5 the provider stopped the
    job, 6 configuration, 130 cancelled, or Ctrl-C, 2 bad usage or no such job, 141 nobody reads
    the output, 1 internal error.
    """
    import asyncio

    from service.load_settings import load_settings

    imported()
    raise typer.Exit(asyncio.run(_watched(load_settings(), job, not no_work, as_json)))


async def _watched(settings: "Settings", name: str, work: bool, as_json: bool) -> "ExitCode":
    from service.commands.jobs_follow import (
        Display,
        code_of,
        follow_to_end,
        print_end,
        say_how_it_goes_on,
    )
    from service.commands.leaving import Leaving, Left
    from service.exit_codes import ExitCode
    from service.jobs.naming import job_called

    leaving = Leaving()
    with leaving.listening():
        async with opened(settings) as surety:
            job = await job_called(surety.state.jobs, name)
            display = Display(as_json=as_json)
            try:
                job = await leaving.unless(follow_to_end(surety, job, display, work=work))
            except Left:
                await say_how_it_goes_on(surety, job)
                return ExitCode.CANCELLED
            if not as_json:
                await print_end(surety, job)
            return code_of(job)
