"""`surety ledgers`: look at them, check them, have noise drawn anew, carry them elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.state import State

REROLL = (
    "The noise of this subject will be drawn anew: its next request begins a new ledger under a "
    "new key. Every later certificate of it says so, with the alpha that was spent before, and "
    "what was proved from the old votes stays proved."
)
SHORTEST = 8  # digits of a subject that name it

app = typer.Typer(no_args_is_help=True, help="Ledgers: all votes, kept for good.")

Subject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT",
        help="SHA-256 of a subject, its first 8 digits or more, or a certificate's id.",
    ),
]
Subjects = Annotated[
    list[str] | None, typer.Argument(metavar="[SUBJECT]...", help="All, if none is named.")
]


@app.command("list")
def list_(as_json: a.Json = False) -> None:
    """List the ledgers.

    Exit codes: 0 listed, 6 configuration, 2 bad usage, 141 nobody reads, 1 internal error.
    """
    _print(_with(_described, None), as_json)


@app.command()
def show(subject: Subject, as_json: a.Json = False) -> None:
    """Show a ledger: what its header fixed, and what it holds.

    Exit codes: 0 shown, 2 there is none, 6 configuration, 141 nobody reads, 1 internal error.
    """
    _print(_with(_described, [subject]), as_json)


@app.command()
def check(subjects: Subjects = None, as_json: a.Json = False) -> None:
    """Verify every vote of all ledgers, or of some.

    Exit codes: 0 all are as they were written, 3 one is not, 2 bad usage, 6 configuration,
    141 nobody reads, 1 internal error.
    """
    from service.exit_codes import ExitCode

    found = _with(_described, subjects)
    _print(found, as_json)
    raise typer.Exit(ExitCode.ABSTAINED if any(f["damage"] for f in found) else ExitCode.DONE)


@app.command()
def reroll(
    subject: Subject,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Have a subject's noise drawn anew; every later certificate of it says so.

    Exit codes: 0 done, 2 there is none, or nobody can be asked, 6 configuration, 130 not
    confirmed, 1 internal error.
    """
    from service.commands.confirm import confirm
    from service.terminal import say

    say(REROLL)
    if not yes:
        confirm("Draw the noise anew?")

    async def work(state: "State", names: "Sequence[str]") -> Any:  # noqa: ANN401
        ledger = await state.ledgers.of_subject(names[0])
        assert ledger is not None  # noqa: S101  it was found by its name
        return await state.ledgers.reroll(ledger.draft)

    done = _with(work, [subject])
    say(f"drawn anew {done.count} times; alpha spent before: {done.alpha_spent:g}")


@app.command()
def export(
    subjects: Subjects = None,
    *,
    output: Annotated[Path, typer.Option(help="The file, JSON lines, signed.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave them out, and say so in the file.")
    ] = False,
) -> None:
    """Write ledgers to a file that is signed by this deployment.

    Exit codes: 0 written, 6 configuration (also a damaged ledger), 2 bad usage, 1 internal error.
    """
    import tempfile

    from service.output_file import check_output, write_output
    from service.terminal import say
    from service.transfer import export_ledgers

    check_output(output, force=force)

    async def work(state: "State", names: "Sequence[str]") -> Any:  # noqa: ANN401
        with tempfile.TemporaryFile() as file:
            told = await export_ledgers(state, file, names, skip_damaged=skip_damaged)
            file.seek(0)
            write_output(output, file.read(), force=force)
            return told

    told = _with(work, subjects)
    say(f"{told.count} ledgers written to {output}")
    for one in told.left_out:
        say(f"left out: {one['subject_sha256'][:16]}…: {one['reason']}", "yellow")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An exported file.")],
    trust: Annotated[
        str,
        typer.Option(
            help="Public key of the deployment that you trust: 64 hexadecimal digits, or a file "
            "with them, with a PEM, or with the JSON of GET /keys."
        ),
    ],
    as_json: a.Json = False,
) -> None:
    """Take over ledgers that another deployment has exported and signed.

    Exit codes: 0 all taken over or here already, 3 some refused, 2 bad usage or signature,
    6 configuration, 1 internal error.
    """
    from dataclasses import asdict

    from certification.signing import parse_public_keys
    from service.commands.verify import text_or_file
    from service.exit_codes import ExitCode
    from service.transfer import import_ledgers

    keys = parse_public_keys(text_or_file(trust))

    async def work(state: "State", _: "Sequence[str]") -> list[dict[str, Any]]:
        with file.open("rb") as opened:
            return [asdict(one) async for one in import_ledgers(state, opened, keys)]

    told = _with(work, [])
    _print(told, as_json)
    refused = any(one["outcome"] == "refused" for one in told)
    raise typer.Exit(ExitCode.ABSTAINED if refused else ExitCode.DONE)


def _with(work: Any, named: "Sequence[str] | None") -> Any:  # noqa: ANN401
    """Open the store, find the subjects that are named, and do something with them."""
    import asyncio

    from service.commands.stored import with_state
    from service.load_settings import load_settings

    async def found(state: "State") -> Any:  # noqa: ANN401
        known = await state.ledgers.subjects()
        if named is None:
            return await work(state, known)
        return await work(state, [await _subject(state, name, known) for name in named])

    return asyncio.run(with_state(load_settings(), found))


async def _subject(state: "State", name: str, known: "Sequence[str]") -> str:
    from service.errors import BadRequest, NotFound

    fitting = [subject for subject in known if len(name) >= SHORTEST and subject.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        raise BadRequest(f"{name} names {len(fitting)} ledgers: write more digits")
    try:
        document = await state.certificates.get(name)
    except NotFound:
        raise NotFound(f"there is no ledger and no certificate {name[:64]!r} here") from None
    return str(document["proof"]["subject_sha256"])


async def _described(state: "State", subjects: "Sequence[str]") -> list[dict[str, Any]]:
    from certification.errors import LedgerConflict, LedgerDamaged
    from service.lasting import whole

    found = []
    for subject in subjects:
        told: dict[str, Any] = {"subject_sha256": subject, "damage": None}
        try:
            ledger = await state.ledgers.of_subject(subject)
            if ledger is None:
                raise LedgerDamaged("it is gone from the store")
            header = ledger.header
            votes = await whole(ledger)
            told |= {
                "provider": header.subject.get("provider", {}).get("name"),
                "image_sha256": header.subject.get("image", {}).get("sha256"),
                "sigma": header.subject.get("sigma"),
                "votes": len(votes),
                "clean_answer": header.clean.vote,
                "model_version": header.clean.model_version,
                "milestone": header.milestone,
                "predict_n": header.predict_n,
                "secret_id": header.secret_id,
                "alpha_spent": await ledger.spent(),
                "sealed": ledger.sealed or None,
            }
        except (LedgerDamaged, LedgerConflict) as error:
            told["damage"] = str(error)
        found.append(told)
    return found


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    import json

    from rich.table import Table
    from rich.text import Text

    from service.terminal import output, plain

    if as_json:
        for one in found:
            typer.echo(json.dumps(one))
        return
    if not found:
        output().print(Text("no ledgers"))
        return
    for one in found:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in one.items():
            if value is not None:
                style = "bold red" if name == "damage" else ""
                table.add_row(name.replace("_", " "), Text(plain(str(value)), style))
        output().print(table)
        output().print()
