"""What `surety jobs submit` and `watch` share: following a job, and working on it if need be."""

import json
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from service import exit_codes
from service.terminal import errors, output, say

if TYPE_CHECKING:
    from service.core import Surety
    from service.exit_codes import ExitCode
    from service.jobs.following import Look
    from service.jobs.job import Job

LINE_SECONDS = 10.0  # between two lines where no terminal is
PER_SECOND = 4  # times that a terminal is written anew


class Display:
    """Shows where a job stands: a live view on a terminal, else a line now and then.

    A context manager. Log lines appear above the view, which is never torn.

    Args:
        as_json: print a line of JSON on standard output for each change instead.
        quiet: show nothing where no terminal is.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        from rich.live import Live

        console = errors()
        self._json, self._quiet, self._told = as_json, quiet, ""
        self._said, self._state = 0.0, ""
        self._live = None
        if console.is_terminal and not as_json:
            self._live = Live(
                console=console,
                transient=True,
                refresh_per_second=PER_SECOND,
                redirect_stdout=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, look: "Look") -> None:
        """Show a look at the job."""
        from service.jobs.job_words import line, why_not
        from service.jobs.view import view

        if self._json:
            told = json.dumps(look.describe())
            if told != self._told:
                typer.echo(told)
            self._told = told
        elif self._live is not None:
            self._live.update(view(look))
        elif not self._quiet:
            state = f"{look.job.state} {why_not(look)}"
            if state != self._state or time.monotonic() - self._said >= LINE_SECONDS:
                self._said, self._state = time.monotonic(), state
                say(line(look))


async def follow_to_end(surety: "Surety", job: "Job", display: Display, *, work: bool) -> "Job":
    """Show a job until it is over, and work on it while nobody else does.

    Cancelling this ends the work in order.
    """
    from service.jobs.engine.helper import Helper
    from service.jobs.following import follow

    async with Helper(surety, job.spec.compute, work=work) as helper:
        with display:
            async for look in follow(surety, job.id, helper):
                job = look.job
                display.show(look)
    return job


async def goes_on_elsewhere(surety: "Surety", job: "Job") -> bool:
    """Tell whether somebody else works on a job."""
    from service.errors import StoreError

    try:
        found = await surety.state.workers.covering(job.spec.compute)
    except StoreError:
        return False
    return any(w.id != surety.state.process.id for w in found)


async def say_how_it_goes_on(surety: "Surety", job: "Job") -> None:
    """Tell who works on a job that this process leaves."""
    if await goes_on_elsewhere(surety, job):
        say(f"job {job.id} goes on: workers are at it. `surety jobs watch {job.id}` shows it again")
        return
    say(
        f"job {job.id} is kept, but nobody works on it now: `surety jobs watch {job.id}` goes on "
        "with it here, `surety worker` or the service anywhere"
    )


async def say_who_works(surety: "Surety", job: "Job") -> None:
    """Tell, after something that a job goes on with, if nobody is there to do so."""
    if job.state == "running" and not await goes_on_elsewhere(surety, job):
        say(
            f"no worker is running: `surety worker`, the service, or `surety jobs watch {job.id}` "
            "works on it"
        )


async def print_end(surety: "Surety", job: "Job") -> None:
    """Print what came of a job."""
    from service.jobs.results.gathering import Gathered
    from service.jobs.results.summary import summary

    seen = await Gathered.of(surety.state.pictures.all_rows(job))
    output().print(summary(job.describe(), seen))
    for row in await surety.state.pictures.failures(job):
        problem = row.problem or {}
        say(f"failed: {row.name}: {problem.get('detail') or problem.get('title')}")
    if job.problem is not None:
        say(str(job.problem.get("detail") or job.problem.get("title")), "bold red")
    if job.state == "paused":
        say(f"`surety jobs resume {job.id}` goes on with it once that is mended")


def code_of(job: "Job") -> "ExitCode":
    """Return the exit code of a job."""
    return exit_codes.of_job(job.state, job.counts, job.problem)  # type: ignore[arg-type]
