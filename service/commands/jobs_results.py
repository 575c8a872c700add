"""`surety jobs results|report|compare`: what came of jobs, as files."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.commands import arguments as a
from service.commands import jobs_arguments as j
from service.errors import BadRequest

if TYPE_CHECKING:
    from service.jobs.job import Job
    from service.jobs.results.compare import Comparison
    from service.state import State

Format = Literal["jsonl", "csv", "parquet", "zip"]
BINARY = ("parquet", "zip")
PAGE, SVG, JSON = ".html", ".svg", ".json"


def results(
    job: j.Id,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="A row a picture as jsonl, csv or parquet; or a zip of all certificates and the "
            "table.",
            show_default="by the name of --output, else jsonl",
        ),
    ] = None,
    output: j.Output = None,
    force: j.Force = False,
) -> None:
    """Write a row for each picture: label, radius, truth, votes, calls, cost, certificate.

    At any time: of a job that goes on, as far as it is.

    Exit codes: 0 written, 2 bad usage or no such job, 6 configuration, the store is away or a
    package is missing, 141 nobody reads the output, 1 internal error.
    """
    from service.commands.stored import with_store
    from service.jobs.naming import job_called
    from service.output_file import check_output
    from service.terminal import say

    output = None if output == a.STDOUT else output
    wanted = format_ or _by_name(output)
    if output is not None:
        check_output(output, force=force)
    elif wanted in BINARY:
        _refuse_terminal(wanted)

    async def written(state: "State") -> int:
        found = await job_called(state.jobs, job)
        await _write(_chunks(state, found, wanted), output, force)
        return found.count

    count = with_store(written)
    if output is not None:
        say(f"{output}: {count:,} picture{'' if count == 1 else 's'}")


def report(job: j.Id, output: j.Output = None, force: j.Force = False) -> None:
    """Write a page for the browser: curve, histograms, costs, best and worst pictures.

    The page loads nothing else. Without --output it is called job-ID.html.

    Exit codes: 0 written, 2 bad usage or no such job, 6 configuration or the store is away,
    141 nobody reads the output, 1 internal error.
    """
    import asyncio

    from service.commands.opening import opened
    from service.jobs.naming import job_called
    from service.jobs.results.reporting import report_of
    from service.output_file import check_output

    if output is not None and output != a.STDOUT:
        check_output(output, force=force)

    async def made() -> tuple[str, str]:
        async with opened() as surety:
            found = await job_called(surety.state.jobs, job)
            return found.id, await report_of(surety, found)

    job_id, page = asyncio.run(made())
    target = output or Path(f"job-{job_id}{PAGE}")
    if output is None:
        check_output(target, force=force)
    _deliver(page, target, force)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Id of a job, as everywhere.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Of another.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write a page (.html), a picture (.svg) or JSON (.json) there."
        ),
    ] = None,
    force: j.Force = False,
    as_json: a.Json = False,
) -> None:
    """Put the certified accuracies of two jobs side by side, and compare picture by picture.

    Where not every picture has a true label, the shares that are certified.

    Exit codes: 0 compared, 2 bad usage or no such job, 6 configuration or the store is away,
    141 nobody reads the output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.jobs.results.compare_page import comparison_page, comparison_svg, comparison_table
    from service.output_file import check_output
    from service.terminal import output as console

    ways: dict[str, Callable[[Comparison], str]] = {
        PAGE: comparison_page,
        SVG: comparison_svg,
        JSON: lambda compared: json.dumps(compared.describe()) + "\n",
    }
    way = None
    if output is not None and output != a.STDOUT:
        way = ways.get(output.suffix.lower())
        if way is None:
            raise BadRequest(f"--output {output}: let it end in .html, .svg or .json", "output")
        check_output(output, force=force)
    compared = with_store(lambda state: _compared(state, first, second))
    if way is not None and output is not None:
        _deliver(way(compared), output, force)
    elif as_json:
        typer.echo(json.dumps(compared.describe()))
    else:
        console().print(comparison_table(compared))


async def _compared(state: "State", *names: str) -> "Comparison":
    from service.jobs.job_words import title
    from service.jobs.naming import job_called
    from service.jobs.results.compare import Comparison, Side

    jobs = [await job_called(state.jobs, name) for name in names]
    alike = len({job.spec.name for job in jobs}) < len(jobs)  # then their ids tell them apart
    sides = []
    for job in jobs:
        called = title(job) if alike else job.spec.name or job.id
        sides.append(await Side.of(called, state.pictures.all_rows(job)))
    return Comparison(sides)


def _chunks(state: "State", job: "Job", wanted: Format) -> AsyncIterator[bytes]:
    from service.jobs.results.export import FORMATS
    from service.jobs.results.export_zip import certificates_zip

    rows = state.pictures.all_rows(job)
    if wanted == "zip":
        return certificates_zip(rows, state.certificates.texts)
    return FORMATS[wanted].write(rows)


async def _write(chunks: AsyncIterator[bytes], output: Path | None, force: bool) -> None:
    import sys

    from service.output_file import streamed

    if output is None:
        async for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    with streamed(output, force=force) as file:
        async for chunk in chunks:
            file.write(chunk)


def _deliver(text: str, output: Path, force: bool) -> None:
    from service.output_file import write_output
    from service.terminal import say

    if output == a.STDOUT:
        typer.echo(text)
        return
    write_output(output, text, force=force)
    say(f"written to {output}")


def _by_name(output: Path | None) -> Format:
    known: dict[str, Format] = {
        ".jsonl": "jsonl",
        ".csv": "csv",
        ".parquet": "parquet",
        ".zip": "zip",
    }
    suffix = "" if output is None else output.suffix.lower()
    if suffix and suffix not in known:
        raise BadRequest(f"--output {output}: say with --format what it is to be", "format")
    return known.get(suffix, "jsonl")


def _refuse_terminal(wanted: str) -> None:
    import sys

    if sys.stdout.isatty():
        raise BadRequest(f"{wanted} is nothing for a terminal: name a file with --output")
