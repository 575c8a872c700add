"""`surety ledgers export` and `import`: ledgers on their way between deployments."""

import contextlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a
from service.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.state import State
    from service.transfer import Exported


def export(
    output: Annotated[
        Path, typer.Option("--output", help="The file; - writes to standard output.")
    ],
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUBJECT]…",
            help="Of each: SHA-256, its beginning, or a certificate; else all.",
        ),
    ] = None,
    skip_damaged: Annotated[
        bool,
        typer.Option("--skip-damaged", help="Leave damaged ones out; the file names them."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
) -> None:
    """Write ledgers to a file, signed with this deployment's key. No secret is in it, no picture.

    Exit codes: 0 written, 3 written without those that are damaged, 6 one is damaged, or
    configuration, 2 bad usage or no such ledger, 141 nobody reads the output, 1 internal error.
    """
    import asyncio

    from service.commands.stored import with_state
    from service.exit_codes import ExitCode
    from service.load_settings import load_settings
    from service.output_file import check_output
    from service.terminal import say

    settings = load_settings()
    if output != a.STDOUT:
        check_output(output, force=force)

    async def write(state: "State") -> "Exported":
        from service.kept_ledgers import find_subject
        from service.transfer import export_ledgers

        wanted = [await find_subject(state, one) for one in subjects] if subjects else None
        with _target(output, force=force) as out:
            return await export_ledgers(state, out, wanted, skip_damaged=skip_damaged)

    made = asyncio.run(with_state(settings, write))
    for one in made.left_out:
        say(f"left out: {one['reason']}", "bold red")
    say(f"{made.count} ledgers" + ("" if output == a.STDOUT else f" written to {output}"))
    raise typer.Exit(ExitCode.ABSTAINED if made.left_out else ExitCode.DONE)


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Of `surety ledgers export`; - is stdin.")
    ],
    trust: Annotated[
        list[str] | None,
        typer.Option(
            help="Public key of the deployment that wrote it, as you have it from a source that "
            "you trust: 64 hexadecimal digits, or a file with them, with a PEM, or with the JSON "
            "of GET /keys. May be given several times."
        ),
    ] = None,
    as_json: a.Json = False,
) -> None:
    """Take over ledgers from another deployment, if one that you name has signed the file.

    What is there stays: a ledger of the same subject is only ever extended by the votes that
    follow its own. It can be interrupted and repeated.

    Exit codes: 0 all were taken over or are there, 3 some were refused, 2 bad usage, or the file
    is not as it was signed, 6 configuration or the store is away, 141 nobody reads the output,
    1 internal error.
    """
    import asyncio
    import json
    from collections import Counter

    from service.commands.stored import with_state
    from service.exit_codes import ExitCode
    from service.load_settings import load_settings
    from service.terminal import say

    settings, keys = load_settings(), _trusted(trust or [])
    counts: Counter[str] = Counter()
    refused: list[dict[str, str]] = []

    async def take(state: "State") -> None:
        from service.transfer import import_ledgers

        with _source(file) as source:
            taken = import_ledgers(state, source, keys)
            async with contextlib.aclosing(taken):
                async for one in taken:
                    counts[one.outcome] += 1
                    if one.outcome == "refused":
                        refused.append({"subject_sha256": one.subject, "reason": one.detail})
                        say(f"refused: {one.subject}: {one.detail}", "bold red")

    asyncio.run(with_state(settings, take))
    told: dict[str, Any] = {k: counts[k] for k in ("added", "extended", "sealed", "left")}
    if as_json:
        typer.echo(json.dumps({**told, "refused": refused}))
    else:
        words = ", ".join(f"{count} {name}" for name, count in told.items())
        typer.echo(f"{words}, {len(refused)} refused")
    raise typer.Exit(ExitCode.ABSTAINED if refused else ExitCode.DONE)


def _trusted(given: list[str]) -> dict[str, bytes]:
    from certification.signing import parse_public_keys

    if not given:
        raise BadRequest(
            "say whose signature you trust: --trust with the public key of the deployment that "
            "wrote the file (surety keys show, there)",
            "trust",
        )
    keys: dict[str, bytes] = {}
    for one in given:
        keys |= parse_public_keys(a.key_or_file(one))
    return keys


@contextlib.contextmanager
def _target(path: Path, *, force: bool) -> "Iterator[IO[bytes]]":
    """Give a file that is there once it is whole, or a stream, which says by itself if it is."""
    import sys

    from service.output_file import streamed

    if path == a.STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with streamed(path, force=force) as file:
        yield file


@contextlib.contextmanager
def _source(path: Path) -> "Iterator[Any]":
    import sys

    if path == a.STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadRequest(f"{str(path)!r} cannot be read: {error.strerror}", "file") from None
    with file:
        yield file
