"""`surety certificates show|votes|image|picture`: what belongs to one certificate."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a
from service.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.issued import Document
    from service.state import State

ID = re.compile(r"[0-9a-f]{32}")

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the certificate.")]
Output = Annotated[Path | None, typer.Option(help="Write it there instead; - prints it.")]
Force = Annotated[bool, typer.Option("--force", help="Let --output replace a file.")]


def show(
    certificate_id: Id, as_json: a.Json = False, output: Output = None, force: Force = False
) -> None:
    """Show a certificate; as JSON it is in the canonical form in which it is signed.

    Exit codes: 0 shown, 2 bad usage, or it is not kept here, 6 configuration,
    141 nobody reads the output, 1 internal error.
    """
    import rfc8785

    from service import render
    from service.commands.stored import with_store
    from service.terminal import output as console

    _check_output(output, force=force)
    document = with_store(lambda state: state.certificates.get(certificate_id))
    if as_json or output is not None:
        _deliver(rfc8785.dumps(document) + b"\n", output, force=force)
    else:
        console().print(render.certificate(document, document["image"]["source"]["name"]))


def votes(certificate_id: Id, output: Output = None, force: Force = False) -> None:
    """Fetch a certificate's votes from its verified ledger, for `surety verify --votes`.

    Exit codes: 0 fetched, 2 bad usage, or they are not kept here, 6 configuration, or the
    ledger is damaged, 141 nobody reads the output, 1 internal error.
    """
    import rfc8785

    from service.commands.stored import with_store
    from service.lasting import votes_of

    _check_output(output, force=force)
    document = with_store(lambda state: votes_of(state, certificate_id))
    _deliver(rfc8785.dumps(document) + b"\n", output, force=force)


def image(
    certificate_id: Id,
    output: Annotated[Path, typer.Option(help="Write the PNG there; - prints it.")],
    force: Force = False,
) -> None:
    """Fetch a certificate's canonical picture, if it is kept.

    Exit codes: 0 fetched, 2 bad usage, or it is not kept here, 6 configuration,
    141 nobody reads the output, 1 internal error.
    """
    from service.commands.stored import with_store

    _check_output(output, force=force)
    _deliver(with_store(lambda state: _png(state, certificate_id)), output, force=force)


def picture(
    certificate: Annotated[
        str,
        typer.Argument(
            metavar="ID|FILE", help="Of the certificate, or its file; - reads it from stdin."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Write the SVG there; - prints it.")],
    thumbnail: Annotated[
        bool | None,
        typer.Option(
            "--thumbnail/--no-thumbnail",
            help="Show the picture that it is about.",
            show_default="if it is kept",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Draw a certificate as a page for people, A4. Of a file it needs no store.

    Exit codes: 0 drawn, 2 bad usage or input, or it is not kept here, 6 configuration,
    141 nobody reads the output, 1 internal error.
    """
    from service.commands.stored import with_store
    from service.picture import certificate_svg
    from service.terminal import say

    if ID.fullmatch(certificate):
        _check_output(output, force=force)
        document, png = with_store(lambda state: _drawn_from(state, certificate, thumbnail))
    else:
        path = Path(certificate)
        if thumbnail:
            raise BadRequest("--thumbnail: a file does not hold the picture: give the ID instead")
        a.check_pictures([path])
        _check_output(output, force=force, inputs=[path])
        document, png = _read(path), None
        say("its signature was not checked: that is what `surety verify` does", "yellow")
    page = certificate_svg(document, thumbnail_png=png)
    _deliver(page.encode(), output, force=force)


async def _png(state: "State", certificate_id: str) -> bytes:
    document = await state.certificates.get(certificate_id)
    return await state.images.get(document["image"]["sha256"])


async def _drawn_from(
    state: "State", certificate_id: str, thumbnail: bool | None
) -> "tuple[Document, bytes | None]":
    document = await state.certificates.get(certificate_id)
    if thumbnail is False:
        return document, None
    try:
        return document, await state.images.get(document["image"]["sha256"])
    except NotFound:
        if thumbnail:
            raise
        return document, None


def _read(path: Path) -> "Document":
    from certification.document import MOST_BYTES
    from certification.verifying import verify

    report = verify(a.read_file(path, MOST_BYTES))
    form = report.of("form")
    if report.certificate is None or form.status != "passed":
        raise BadRequest(f"{a.picture_name(path)} is no certificate: {form.detail}")
    return dict(report.certificate)


def _check_output(output: Path | None, *, force: bool, inputs: "Sequence[Path]" = ()) -> None:
    from service.output_file import check_output

    if output is not None and output != a.STDOUT:
        check_output(output, force=force, inputs=inputs)


def _deliver(content: bytes, output: Path | None, *, force: bool) -> None:
    from service.output_file import write_output
    from service.terminal import say

    if output is None or output == a.STDOUT:
        typer.echo(content, nl=False)
    else:
        write_output(output, content, force=force)
        say(f"written to {output}")
