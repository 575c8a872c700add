"""The demonstration of `surety serve --sample`: a picture through POST /certify, over HTTP."""

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
from rich.text import Text

from service.live_bar import LiveBar
from service.render import certificate
from service.terminal import complain, output, plain, say

_LINE_END = re.compile(r"\r\n|\n|\r")


def sample_picture() -> Path:
    """Return the picture that comes with Surety: the cat Chelsea."""
    return Path(str(resources.files("service").joinpath("samples", "cat.png")))


async def demonstrate(address: str, picture: Path, token: str | None = None) -> None:
    """Certify a picture as any client would, print the certificate and what to try next.

    Args:
        address: where the service answers.
        picture: a file.
        token: what to show where API keys are needed.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    # Proxies of the environment have no business on the loopback.
    async with httpx.AsyncClient(
        base_url=address,
        headers=headers,
        timeout=None,  # noqa: S113
        trust_env=False,
    ) as client:
        try:
            await _certify(client, picture)
        except httpx.HTTPError as error:
            say(f"error: the sample was not certified: {type(error).__name__}", "bold red")
        except Exception as error:  # noqa: BLE001  the service goes on without it
            complain(error, "the sample was not certified")
    _what_next(address, picture, with_key=token is not None)


async def _certify(client: httpx.AsyncClient, picture: Path) -> None:
    data = await asyncio.to_thread(picture.read_bytes)
    with LiveBar(picture.name) as bar:
        await client.get("/health/ready")  # loads the weights; what is wrong is told below
        request = client.stream(
            "POST",
            "/certify",
            files={"image": (plain(picture.name), data)},  # no surrogates over HTTP
            headers={"Accept": "text/event-stream"},
        )
        async with request as response:
            if response.is_error:
                _complain(_problem(await response.aread()))
                return
            async for name, data in events(response):
                if name == "progress":
                    bar.update(data)
                elif name == "certificate":
                    bar.stop()
                    output().print(certificate(data, picture.name))
                elif name == "problem":
                    bar.stop()
                    _complain(data)


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Read server-sent events whose data are JSON: (name, data)."""
    name, data = "message", []
    async for line in _lines(response):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line and data:
            yield name, json.loads("\n".join(data))
            name, data = "message", []


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Split where the standard says: httpx also splits at U+2028 and others, which JSON may hold.

    What follows the last line end is no line yet.
    """
    rest, after_return = "", False
    async for text in response.aiter_text():
        if not text:
            continue
        # Half of a CRLF may have come before.
        rest += text.removeprefix("\n") if after_return else text
        after_return = text.endswith("\r")
        *lines, rest = _LINE_END.split(rest)
        for line in lines:
            yield line


def _problem(content: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(content)
    except ValueError:
        found = {"detail": content[:200].decode(errors="replace")}
    return found


def _complain(problem: dict[str, Any]) -> None:
    say(f"error: the sample was not certified: {problem['detail']}", "bold red")


def _what_next(address: str, picture: Path, *, with_key: bool) -> None:
    shown, here = picture.absolute(), Path.cwd()
    if shown.is_relative_to(here):
        shown = shown.relative_to(here)
    key = '-H "Authorization: Bearer $SURETY_API_KEY" ' if with_key else ""
    command = f"curl {key}-F image=@{shlex.quote(str(shown))} -F sigma=0.25 {address}/certify"
    console = output()
    console.print()
    for word, value in (("API", address), ("docs", f"{address}/docs"), ("try", command)):
        line = Text.assemble((f"  {word:<6}", "dim"), (plain(value), "cyan"))
        console.print(line, soft_wrap=True)
    console.print(Text("\n  The service keeps running. Ctrl-C ends it.", style="dim"))
