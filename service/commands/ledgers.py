"""`surety ledgers`: the votes that are kept, and what an operator may do with them."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.commands.ledgers_file import export, import_

if TYPE_CHECKING:
    from rich.console import RenderableType

    from service.kept_ledgers import Checked, Document
    from service.state import State

NEW_DRAW = (
    "A re-roll gives this picture, with this provider, noise level and so on, a new noise key and "
    "an empty ledger: all votes are asked and paid for again. The ledger so far is kept, and takes "
    "no more votes. Every later certificate of the subject tells how often it was re-rolled and "
    "the alpha that was spent before, since each draw is another chance for luck. Where votes are "
    "merely too few, ask for more instead: that costs the new ones alone."
)

app = typer.Typer(no_args_is_help=True, help="The votes that are kept: list, check, move, re-roll.")
app.command()(export)
app.command("import")(import_)

Subject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT|CERTIFICATE",
        help="SHA-256 of a subject, the first 8 or more digits of it, or a certificate's id.",
    ),
]


@app.command("list")
def list_(as_json: a.Json = False) -> None:
    """List all ledgers; their votes are counted, but not verified (`check` does that).

    Exit codes: 0 listed, 6 configuration or the store is away, 2 bad usage, 141 nobody reads
    the output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output

    async def all_of(state: "State") -> "list[Document]":
        from service.kept_ledgers import glance

        return [await glance(state, subject) for subject in await state.ledgers.subjects()]

    found = with_store(all_of)
    if as_json:
        typer.echo(json.dumps({"ledgers": found}))
    elif found:
        output().print(_table(found))
    else:
        typer.echo("no ledger yet: surety certify begins one")


@app.command()
def show(subject: Subject, as_json: a.Json = False) -> None:
    """Show one ledger: what was fixed before its first vote, and its votes, verified.

    Exit codes: 0 shown, 6 it is damaged, or configuration, 2 bad usage or no such ledger,
    141 nobody reads the output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output

    async def one(state: "State") -> "Document":
        from service.kept_ledgers import details, find_subject

        return await details(state, await find_subject(state, subject))

    found = with_store(one)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        output().print(_sheet(found))


@app.command()
def check(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SUBJECT]…", help="Of each: SHA-256 or its beginning; else all."),
    ] = None,
    as_json: a.Json = False,
) -> None:
    """Verify ledgers, vote by vote, and say where a damaged one is not as it was written.

    Exit codes: 0 all are whole, 3 some are not, or cannot be verified, 6 configuration,
    2 bad usage or no such ledger, 141 nobody reads the output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.exit_codes import ExitCode
    from service.terminal import cell, output

    async def all_of(state: "State") -> "list[Checked]":
        from service.kept_ledgers import check as check_one
        from service.kept_ledgers import find_subject

        chosen = [await find_subject(state, given) for given in subjects or ()]
        wanted = [*dict.fromkeys(chosen)] if subjects else await state.ledgers.subjects()
        return [await check_one(state, subject) for subject in wanted]

    found = with_store(all_of)
    bad = [one for one in found if one.status != "whole"]
    if as_json:
        told = [
            {"subject_sha256": x.subject, "status": x.status, "detail": x.detail} for x in found
        ]
        typer.echo(json.dumps({"checked": len(found), "whole": not bad, "ledgers": told}))
    else:
        for one in bad:
            output().print(cell(f"{one.subject}: {one.detail}"), style="red", soft_wrap=True)
        typer.echo(f"{len(found) - len(bad)} of {len(found)} ledgers are whole")
    raise typer.Exit(ExitCode.ABSTAINED if bad else ExitCode.DONE)


@app.command()
def reroll(
    subject: Subject,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: a.Json = False,
) -> None:
    """Have the noise of a subject drawn anew; every later certificate of it says so.

    Exit codes: 0 re-rolled, 2 bad usage, no such ledger, it is in use no more, or a run adds to
    it, 6 it is damaged, or configuration, 130 not confirmed, 141 nobody reads the output,
    1 internal error.
    """
    import json

    from service.commands.confirm import confirm
    from service.commands.stored import with_store
    from service.terminal import say

    async def spent(state: "State") -> "tuple[str, str, float, int]":
        from service.kept_ledgers import find_subject, in_use

        ledger = await in_use(state, await find_subject(state, subject))
        votes, alpha = await ledger.read(), await ledger.spent()
        before = await state.ledgers.rerolls(ledger.draft)
        total = alpha + (0.0 if before is None else before.alpha_spent)
        return ledger.subject_sha256, ledger.draft, total, len(votes)

    found, draft, alpha, votes = with_store(spent)
    say(NEW_DRAW)
    say(f"{found}: {votes} votes, alpha {alpha:g} spent with this draw and those before")
    if not yes:
        confirm("Re-roll?")
    told = with_store(lambda state: state.ledgers.reroll(draft)).describe()
    if as_json:
        typer.echo(json.dumps({"subject_sha256": found, **told}))
    else:
        typer.echo(f"re-rolled: {told['count']} so far, alpha spent before {told['alpha_spent']:g}")


def _table(found: "list[Document]") -> "RenderableType":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("subject", "provider", "image", "σ", "votes", "secret", "alpha", "sealed"):
        table.add_column(heading, overflow="fold")
    for one in found:
        short = one["subject_sha256"][:12]
        if "problem" in one:
            table.add_row(short, cell(one["problem"]), style="red")
            continue
        table.add_row(
            short,
            cell(one["provider"]),
            cell(one["image_sha256"][:8]),
            cell(f"{one['sigma']:g}"),
            cell(one["n"]),
            cell(one["secret_id"]),
            cell(f"{one['alpha_spent']:g}"),
            cell((one["sealed"] or "")[:10]),
        )
    return table


def _sheet(found: "Document") -> "RenderableType":
    from rich.table import Table

    from service.terminal import cell

    subject, provider = found["subject"], found["subject"]["provider"]
    rerolls = found["rerolls_of_draft"]
    version = provider["model_version"] or "not told"
    votes = ", ".join(f"{label} {count}" for label, count in found["counts"].items())
    rows = {
        "subject": found["subject_sha256"],
        "in use": "yes" if found["in_use"] else "no more: its votes are kept",
        "picture": subject["image"]["sha256"],
        "provider": f"{provider['name']}, model version {version}",
        "sigma": f"{subject['sigma']:g}",
        "clean answer": found["clean"]["vote"] or "abstained",
        "milestone": found["milestone"] or "none",
        "n of predictions": found["predict_n"],
        "votes": f"{found['n']}: {votes or 'none'}, {found['abstentions']} abstentions",
        "alpha spent": f"{found['alpha_spent']:g}",
        "re-rolls": "none"
        if rerolls is None
        else f"{rerolls['count']}, alpha {rerolls['alpha_spent']:g} spent before",
        "sealed": found["sealed"] or "no",
        "noise key": f"SHA-256 {found['key_sha256']}",
        "begun under": found["secret_id"]
        + ("" if found["secret_known"] else ", which is not known here: it takes no more votes"),
    }
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, cell(value))
    return table
