"""`surety apikeys`: who may use the HTTP API, and how much of it."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from rich.console import RenderableType

    from service.access.api_key import ApiKey
    from service.state import State

FIRST = "From now on the HTTP API needs a key; the command line never does."
ONCE = "It cannot be shown again. Clients send the header Authorization: Bearer surety_…"
SOON = "It counts within two seconds in every running process."
MOST_JOBS = 500  # that are looked at
SHOWN_JOBS = 5

app = typer.Typer(
    no_args_is_help=True, help="API keys: who may use the HTTP API, and how much of it."
)

Called = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="Its id, at least four digits of its beginning, or its name."
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="90d, 2027-12-31 (the end of that day of UTC), or never."),
]
Rate = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="Requests: 5/s, 600/min, 20/h, or none for no limit."),
]
Budget = Annotated[
    str | None,
    typer.Option(metavar="DOLLARS", help="40/month, 5/day, 100/total, or none for no limit."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    scopes: Annotated[
        str,
        typer.Option(help="Some of certify, jobs, read, admin, separated by commas."),
    ] = "certify,jobs",
    expires: Expires = None,
    rate: Rate = None,
    budget: Budget = None,
    as_json: a.Json = False,
) -> None:
    """Make a key and print it, this once.

    certify may use /certify and /predict, jobs batch jobs, each with what it began itself; read
    may look at everything, admin may do everything.

    Exit codes: 0 made, 2 bad usage or another key has the name, 6 configuration or the store is
    away, 141 nobody reads the output, 1 internal error.
    """
    from service.access.texts import parse_scopes
    from service.commands.stored import with_store
    from service.terminal import say

    limits = _limits(expires, rate, budget)
    chosen = parse_scopes(scopes)

    async def made(state: "State") -> "tuple[bool, ApiKey, str]":
        first = not await state.api_keys.any()
        return first, *await state.api_keys.create(name, chosen, **limits)

    first, key, text = with_store(made)
    _hand_out(key, text, as_json)
    if first:
        say(FIRST)


@app.command("list")
def list_(as_json: a.Json = False) -> None:
    """List the keys, the oldest first.

    Exit codes: 0 listed, 2 bad usage, 6 configuration or the store is away, 141 nobody reads the
    output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output, say

    keys = with_store(lambda state: state.api_keys.list())
    if as_json:
        typer.echo(json.dumps({"api_keys": [key.describe() for key in keys]}))
    elif keys:
        output().print(_table(keys))
    else:
        say("no API key yet: only this machine may use the HTTP API, without one")


@app.command()
def show(key: Called, as_json: a.Json = False) -> None:
    """Show what a key may do, and whether it counts.

    Exit codes: 0 shown, 2 bad usage or no such key, 6 configuration or the store is away,
    141 nobody reads the output, 1 internal error.
    """
    import json

    from service.commands.stored import with_store
    from service.terminal import output

    found = with_store(lambda state: _called(state, key))
    if as_json:
        typer.echo(json.dumps(found.describe()))
    else:
        output().print(_facts(found))


@app.command()
def change(
    key: Called,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help="Some of certify, jobs, read, admin, in place of its own.")
    ] = None,
    expires: Expires = None,
    rate: Rate = None,
    budget: Budget = None,
    as_json: a.Json = False,
) -> None:
    """Change a key's name, scopes, expiry or limits; what is not given stays.

    Exit codes: 0 changed, 2 bad usage, no such key, a revoked one or another one has the name,
    6 configuration or the store is away, 141 nobody reads the output, 1 internal error.
    """
    import json

    from service.access.texts import parse_scopes
    from service.commands.stored import with_store
    from service.errors import BadRequest
    from service.terminal import output, say

    changes = _limits(expires, rate, budget)
    changes |= {} if name is None else {"name": name}
    changes |= {} if scopes is None else {"scopes": parse_scopes(scopes)}
    if not changes:
        raise BadRequest("say what is to change: --name, --scopes, --expires, --rate or --budget")

    async def changed(state: "State") -> "ApiKey":
        return await state.api_keys.change((await _called(state, key)).id, **changes)

    found = with_store(changed)
    if as_json:
        typer.echo(json.dumps(found.describe()))
    else:
        output().print(_facts(found))
        say(SOON)


@app.command()
def revoke(key: Called, yes: Yes = False, as_json: a.Json = False) -> None:
    """Have a key count no more, for good. What it has begun goes on.

    Exit codes: 0 revoked, 2 bad usage or no such key, 6 configuration or the store is away,
    130 not confirmed, 141 nobody reads the output, 1 internal error.
    """
    import json

    from service.commands.confirm import confirm
    from service.commands.stored import with_store
    from service.terminal import output, say

    found = with_store(lambda state: _called(state, key))
    if not yes:
        confirm(f"Revoke {found.name} ({found.id}) for good?")

    async def revoked(state: "State") -> "tuple[ApiKey, list[str], bool]":
        ended = await state.api_keys.revoke(found.id)
        jobs = await state.jobs.list(MOST_JOBS, owner=found.id)
        left = any(other.state() == "active" for other in await state.api_keys.list())
        return ended, [job.id for job in jobs if job.ended is None], left

    ended, jobs, left = with_store(revoked)
    if as_json:
        typer.echo(json.dumps({**ended.describe(), "jobs": jobs}))
        return
    output().print(_facts(ended))
    say(SOON)
    if jobs:
        shown = ", ".join(jobs[:SHOWN_JOBS]) + (", …" if len(jobs) > SHOWN_JOBS else "")
        say(f"jobs of it that go on: {shown}. `surety jobs cancel ID` ends one")
    if not left:
        say("no key counts any more: the HTTP API answers nobody until there is another one")


@app.command()
def rotate(
    key: Called,
    overlap: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="For so long the present secret counts too: 24h, 7d."),
    ] = None,
    yes: Yes = False,
    as_json: a.Json = False,
) -> None:
    """Give a key another secret, and print it, this once; its id, scopes and limits stay.

    Exit codes: 0 rotated, 2 bad usage, no such key or a revoked one, 6 configuration or the store
    is away, 130 not confirmed, 141 nobody reads the output, 1 internal error.
    """
    from service.access.texts import parse_span
    from service.commands.confirm import confirm
    from service.commands.stored import with_store

    span = timedelta() if overlap is None else parse_span(overlap, "overlap")
    found = with_store(lambda state: _called(state, key))
    if not yes and not span:
        confirm(f"Whoever uses {found.name} ({found.id}) now is refused at once. Rotate?")
    _hand_out(*with_store(lambda state: state.api_keys.rotate(found.id, span)), as_json)


@app.command()
def clear(yes: Yes = False) -> None:
    """Forget all keys, once none counts any more, so that none is needed again.

    This machine alone may then use the HTTP API, without a key. A service that runs goes on to
    need one until it is started again. Usage reports no longer know the keys' names.

    Exit codes: 0 forgotten, 2 bad usage or a key still counts, 6 configuration or the store is
    away, 130 not confirmed, 1 internal error.
    """
    from service.commands.confirm import confirm
    from service.commands.stored import with_store
    from service.terminal import say

    if not yes:
        confirm("Forget all keys and need none again?")
    count = with_store(lambda state: state.api_keys.forget())
    say(f"{count:,} keys are forgotten. Start the service again, and it needs none")


async def _called(state: "State", name: str) -> "ApiKey":
    from service.access.naming import key_called

    return key_called(await state.api_keys.list(), name)


def _limits(expires: str | None, rate: str | None, budget: str | None) -> dict[str, Any]:
    from service.access.texts import parse_budget, parse_expiry, parse_key_rate

    limits: dict[str, Any] = {}
    if expires is not None:
        limits["expires"] = parse_expiry(expires)
    if rate is not None:
        limits["rate"] = parse_key_rate(rate)
    if budget is not None:
        limits |= parse_budget(budget)
    return limits


def _hand_out(key: "ApiKey", text: str, as_json: bool) -> None:
    """Print a key: its secret alone on standard output, so that a script can take it."""
    import json

    from service.terminal import errors, say

    if as_json:
        typer.echo(json.dumps({**key.describe(), "key": text}))
        return
    errors().print(_facts(key))
    typer.echo(text)
    say(ONCE)


def _table(keys: "list[ApiKey]") -> "RenderableType":
    from rich import box
    from rich.table import Table

    from service.access.words import budget_words, rate_words, scope_words, when_words
    from service.terminal import cell

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("key", no_wrap=True, min_width=16)
    table.add_column("name", overflow="fold")
    for heading in ("state", "scopes", "rate", "budget", "expires (UTC)"):
        table.add_column(heading)
    for key in keys:
        state = key.state()
        table.add_row(
            key.id,
            cell(key.name),
            f"[green]{state}[/]" if state == "active" else f"[dim]{state}[/]",
            scope_words(key),
            rate_words(key),
            budget_words(key),
            when_words(key.expires),
        )
    return table


def _facts(key: "ApiKey") -> "RenderableType":
    from service.access.words import budget_words, rate_words, scope_words, when_words
    from service.render import fact_table
    from service.terminal import cell

    facts = fact_table()
    facts.add_row("key", f"{key.id}, {key.state()}")
    facts.add_row("name", cell(key.name))
    facts.add_row("scopes", scope_words(key))
    facts.add_row("rate", rate_words(key))
    facts.add_row("budget", budget_words(key))
    facts.add_row("made", when_words(key.created))
    facts.add_row("expires", when_words(key.expires))
    if key.revoked is not None:
        facts.add_row("revoked", when_words(key.revoked))
    if key.overlap is not None:
        facts.add_row("old secret", f"counts until {when_words(key.overlap)}")
    return facts
