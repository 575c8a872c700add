"""`surety reveal ID`: hand out a noise key, and seal its ledger for good."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from service.issued import Document
    from service.settings import Settings

MEANING = (
    "With the noise key of a certificate anybody can rebuild its samples and ask about them again. "
    "Its ledger is sealed first, for good: it takes no more votes, so no certificate can count "
    "more than it holds now. Otherwise a provider that knows the key could fit its answers to the "
    "samples to come. The certificates that exist stay as they are. To check votes without giving "
    "the key away, use `surety audit`."
)


def reveal(
    certificate_id: Annotated[str, typer.Argument(metavar="ID", help="Of the certificate.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the key there; - prints it, as without it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
) -> None:
    """Reveal the noise key of a certificate, for `surety verify --noise-key`; seal its ledger.

    For the operator. A ledger that is sealed already gives the same key again.

    Exit codes: 0 revealed, 2 bad usage, no such certificate, or a run adds to the ledger,
    6 configuration, 130 not confirmed, 141 nobody reads the output, 1 internal error.
    """
    import asyncio

    import rfc8785

    from service.commands.confirm import confirm
    from service.load_settings import load_settings
    from service.output_file import check_output, write_output
    from service.terminal import say

    settings = load_settings()
    if output is not None and output != a.STDOUT:
        check_output(output, force=force)
    say(MEANING)
    if not yes:
        confirm(f"Reveal the noise key of {certificate_id[:40]}?")
    text = rfc8785.dumps(asyncio.run(_revealed(settings, certificate_id)))
    if output is None or output == a.STDOUT:
        typer.echo(text)
    else:
        write_output(output, text + b"\n", force=force)
        say(f"written to {output}")


async def _revealed(settings: "Settings", certificate_id: str) -> "Document":
    from service import lasting
    from service.core import Surety

    async with Surety.opened(settings) as surety:
        return await lasting.reveal(surety.state, surety.machine, certificate_id)
