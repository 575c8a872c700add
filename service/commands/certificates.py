"""`surety certificates`: finds those that were issued."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.commands.certificate_parts import image, picture, show, votes
from service.errors import BadRequest

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table
    from rich.text import Text

    from service.issued import Document
    from service.store.certificates import Search

MOST = 500  # in one list
# Of the list, with the room that each needs.
COLUMNS = {
    "certificate": 32,
    "label": 8,
    "radius": 6,
    "votes": 5,
    "issued (UTC)": 16,
    "provider": 8,
    "picture": 8,
}
FIRST = 4  # that fit into `terminal.LEAST_WIDTH`
SHA256 = re.compile(r"[0-9a-f]{64}")

app = typer.Typer(
    invoke_without_command=True, help="Certificates that were issued, and what belongs to each."
)
for command in (show, votes, image, picture):
    app.command()(command)

Image = Annotated[
    str | None,
    typer.Option(
        metavar="SHA256|FILE",
        help="Of this picture: the SHA-256 of the upload or of the canonical picture, or the file "
        "that was uploaded.",
    ),
]
Label = Annotated[str | None, typer.Option(help="With this certified label, by its key.")]
Provider = Annotated[str | None, typer.Option(help="Of this provider.")]
Since = Annotated[
    str | None, typer.Option(metavar="DATE", help="Issued then or later: 2026-11-24, or with time.")
]
Until = Annotated[
    str | None, typer.Option(metavar="DATE", help="Issued then or before; UTC if no zone is given.")
]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1, max=MOST)]
After = Annotated[
    str | None, typer.Option(metavar="NEXT", help="Go on after a page, with what it gave as next.")
]


@app.callback()
def certificates(
    context: typer.Context,
    image: Image = None,
    label: Label = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    as_json: a.Json = False,
) -> None:
    """List certificates, the latest first.

    Exit codes: 0 listed, 2 bad usage, 6 configuration, 141 nobody reads the output,
    1 internal error.
    """
    if context.invoked_subcommand is None:
        _list(_search(image, label, provider, since, until, limit, after), as_json)


@app.command("list")
def list_(
    image: Image = None,
    label: Label = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    as_json: a.Json = False,
) -> None:
    """List certificates, the latest first; the same as without a subcommand."""
    _list(_search(image, label, provider, since, until, limit, after), as_json)


def _search(
    image: str | None,
    label: str | None,
    provider: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    after: str | None,
) -> "Search":
    from service.store.certificates import Search

    return Search(
        None if image is None else _sha256(image),
        label,
        provider,
        None if since is None else _when(since, "since"),
        None if until is None else _when(until, "until"),
        limit,
        after,
    )


def _list(wanted: "Search", as_json: bool) -> None:
    import json

    from service.commands.stored import with_store
    from service.store.certificates import summary
    from service.terminal import output, say

    found, further = with_store(lambda state: state.certificates.search(wanted))
    lines = [summary(document) for document in found]
    if as_json:
        typer.echo(json.dumps({"certificates": lines, "next": further}))
        return
    if lines:
        console = output()
        console.print(_table(found, console.width))
    else:
        say("no certificate was found")
    if further is not None:
        say(f"there may be more: --after {further}")


def _table(found: "list[Document]", width: int) -> "Table":
    """Lay out as many columns as there is room for; the first ones are always there."""
    from itertools import accumulate

    from rich import box
    from rich.table import Table

    fit = sum(end <= width for end in accumulate(least + 2 for least in COLUMNS.values()))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading, least in [*COLUMNS.items()][: max(fit, FIRST)]:
        table.add_column(
            heading,
            justify="right" if heading in ("radius", "votes") else "left",
            overflow="ellipsis",
            no_wrap=True,
            min_width=least,
        )
    for document in found:
        table.add_row(*_cells(document)[: len(table.columns)])
    return table


def _cells(document: "Document") -> "list[Text]":
    from service.render import radius_words
    from service.store.certificates import summary
    from service.terminal import cell

    line, names = summary(document), document["label_names"]
    label, radius = line["label"], line["radius"]
    return [
        cell(line["id"]),
        cell("none" if label is None else names.get(label, label)),
        cell("" if radius is None else radius_words(radius)),
        cell(f"{line['n']:,}"),
        cell(_utc(line["created"])),
        cell(line["provider"]),
        cell(line["image_name"] or ""),
    ]


def _utc(created: str) -> str:
    from datetime import UTC, datetime

    return datetime.fromisoformat(created).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _sha256(given: str) -> str:
    """Take the digits themselves, else those of the file of that name."""
    import hashlib

    if SHA256.fullmatch(given.lower()):
        return given.lower()
    path = Path(given)
    a.check_pictures([path])
    from service.load_settings import load_settings

    most = load_settings().max_upload_bytes
    data = a.read_file(path, most)
    if len(data) > most:
        raise BadRequest(f"--image {given[:200]}: more than the {most:,} bytes of an upload")
    return hashlib.sha256(data).hexdigest()


def _when(text: str, option: str) -> "datetime":
    """Read a date; the end of that day, where it is the last one."""
    from datetime import UTC, datetime, time

    try:
        when = datetime.fromisoformat(text.strip())
        if len(text.strip()) <= len("2026-11-24") and option == "until":
            when = datetime.combine(when, time.max)
    except ValueError:
        raise BadRequest(
            f"--{option} {text[:40]!r} is no date: write 2026-11-24 or 2026-11-24T18:30", option
        ) from None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
