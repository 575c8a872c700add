"""`surety keys show|rotate`: the deployment's secret and signing key, by their ids."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from rich.table import Table

    from service.keyring import Keyring

NEW_NOISE = (
    "A new secret: ledgers that are begun from now on draw their noise from it. Those that exist "
    "go on under the secret that they were begun with, so no picture gets a second draw; for that "
    "the old one is kept, and one that has leaked stays leaked for them."
)
NEW_SIGNATURE = (
    "A new signing key: certificates that are issued from now on are signed with it. The old "
    "public key stays known, so earlier ones can still be checked. Give the new one to those who "
    "keep your public keys."
)
RESTART = (
    "Start the services and workers that run now again: until then they use the old one, and with "
    "an old secret they take no API key any more."
)

app = typer.Typer(
    no_args_is_help=True,
    help="The deployment's secret, that noise is derived from, and the key it signs with.",
)


@app.command()
def show(as_json: a.Json = False) -> None:
    """List the secrets by id and the public keys; nothing here is secret.

    The JSON is good as a file of public keys, too. On first start the keys are made.

    Exit codes: 0 listed, 6 configuration (the keys cannot be used), 2 bad usage,
    141 nobody reads the output, 1 internal error.
    """
    import asyncio
    import json

    from service.keys import load_keyring
    from service.load_settings import load_settings
    from service.store.unclaimed import check_unclaimed

    settings = load_settings()
    asyncio.run(check_unclaimed(settings))
    keyring = load_keyring(settings)
    if as_json:
        typer.echo(json.dumps(_listed(keyring)))
    else:
        _print(keyring)


@app.command()
def rotate(
    secret: Annotated[
        bool, typer.Option("--secret", help="Begin new ledgers under a new secret.")
    ] = False,
    signing: Annotated[
        bool, typer.Option("--signing", help="Sign new certificates with a new key.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make a new secret, a new signing key, or both; the old ones stay known for good.

    Exit codes: 0 rotated, 6 configuration (they come from the environment, or cannot be
    written), 2 bad usage, 130 not confirmed, 141 nobody reads the output, 1 internal error.
    """
    import asyncio

    from service.commands.confirm import confirm
    from service.errors import BadRequest
    from service.keys import check_rotation
    from service.keys import rotate as rotate_keys
    from service.load_settings import load_settings
    from service.store.unclaimed import check_unclaimed
    from service.terminal import say

    if not (secret or signing):
        raise BadRequest("say what to rotate: --secret, --signing, or both")
    settings = load_settings()
    check_rotation(settings, secret=secret, signing=signing)
    asyncio.run(check_unclaimed(settings))
    for asked, follows in ((secret, NEW_NOISE), (signing, NEW_SIGNATURE)):
        if asked:
            say(follows)
    say(RESTART)
    if not yes:
        confirm("Rotate?")
    _print(rotate_keys(settings, secret=secret, signing=signing))


def _listed(keyring: "Keyring") -> dict[str, Any]:
    return {
        "secrets": [
            {"id": key.id, "created": key.created, "current": key.current, "origin": key.origin}
            for key in keyring.known_secrets
        ],
        "keys": [{**key.describe(), "origin": key.origin} for key in keyring.public_keys],
    }


def _print(keyring: "Keyring") -> None:
    from service.terminal import cell, output

    output().print(_table(keyring))
    for key in keyring.public_keys:
        # A line of its own, so that it can be copied whole.
        output().print(cell(f"public key {key.id}: {key.public.hex()}"), soft_wrap=True)


def _table(keyring: "Keyring") -> "Table":
    from rich import box
    from rich.table import Table

    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("what", "id", "created", "current", "from"):
        table.add_column(heading, overflow="fold")  # an id that is cut short names nothing
    for what, known in (("secret", keyring.known_secrets), ("signing key", keyring.public_keys)):
        for key in known:
            current = "[green]yes[/]" if key.current else "no, kept"
            day = "not known" if key.created is None else key.created[:10]
            table.add_row(what, key.id, day, current, cell(key.origin))
    return table
