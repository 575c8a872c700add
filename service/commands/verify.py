"""`surety verify CERTIFICATE`: check a certificate, offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"passed": "green", "failed": "bold red", "not checked": "dim"}
MOST_BYTES = 64 * 2**20


def verify(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERTIFICATE", help="The certificate; - reads it from stdin.")
    ],
    image: Annotated[
        Path | None, typer.Option(help="The picture that was uploaded, or the canonical PNG.")
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(help="Its votes: GET /certificates/ID/votes, surety votes.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Public key that you trust: 64 hexadecimal digits, or a file with them, with a "
            "PEM, or with the JSON of GET /keys. Default: those in this data directory."
        ),
    ] = None,
    noise_key: Annotated[
        str | None, typer.Option(help="The revealed noise key: its file, or 32 hexadecimal digits.")
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Check the ledger of this deployment too.")
    ] = False,
    as_json: a.Json = False,
) -> None:
    """Check a certificate with whatever is at hand, and say which levels of checking passed.

    Needs no network, no account and, but for the public key, nothing of ours.

    Exit codes: 0 verified, 3 something failed, or no trusted key signed it, 2 bad usage or
    input, 6 configuration, 141 nobody reads the output, 1 internal error.
    """
    import asyncio
    import json

    from certification.signing import parse_public_keys
    from certification.verifying import verify as check
    from service.commands.stored import trusted_keys, with_state
    from service.exit_codes import ExitCode
    from service.lasting import check_ledger
    from service.load_settings import load_settings
    from service.terminal import output

    settings = load_settings()
    document = _read(certificate)
    keys = trusted_keys(settings) if key is None else parse_public_keys(a.key_or_file(key))
    report = check(
        document,
        keys=keys,
        image=None if image is None else _read(image),
        votes=None if votes is None else _read(votes),
        noise_key=None if noise_key is None else a.key_or_file(noise_key),
    )
    told = report.describe()
    if ledger:
        found = asyncio.run(with_state(settings, lambda state: check_ledger(state, report)))
        told["checks"].append(found)
        told["verified"] = told["verified"] and found["status"] != "failed"
    if as_json:
        typer.echo(json.dumps(told))
    else:
        output().print(_table(told))
    raise typer.Exit(ExitCode.DONE if told["verified"] else ExitCode.ABSTAINED)


def _table(told: dict[str, Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from service.terminal import plain

    verdict = ("verified", "bold green") if told["verified"] else ("not verified", "bold red")
    table = Table(
        title=Text.assemble("certificate ", plain(told["certificate"] or "?"), ": ", verdict),
        title_justify="left",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in told["checks"]:
        style = _STYLES[check["status"]]
        table.add_row(check["level"], Text(check["status"], style), Text(plain(check["detail"])))
    return table


def _read(path: Path) -> bytes:
    return a.read_file(path, MOST_BYTES)
