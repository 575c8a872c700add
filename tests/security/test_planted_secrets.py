"""Requests with deliberate errors of all kinds to a real service, and no secret anywhere.

A few dozen in the suite, a thousand in `make soak`.
"""

import asyncio
import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.store.embedded import EmbeddedServer
from tests.fuzz.mutating import mutant
from tests.fuzz.seeds import seeds
from tests.security.echoing import echoing
from tests.security.planting import files_under, leaks, spellings, word
from tests.service.command import PATIENCE
from tests.service.pictures import png
from tests.soak.place import times

PROVIDERS = ("own", "aws", "azure", "azure-v32", "google", "clarifai")
PROFILES = """
[own]
adapter = "http"
url = "{echo}/classify"
query = {{ key = "${{OWN_QUERY}}" }}
headers = {{ Authorization = "Bearer ${{OWN_TOKEN}}" }}
body = "bytes"
[own.reply]
label = "labels[*].name"
score = "labels[*].score"
"""


def planted() -> dict[str, str]:
    """Return a value for every secret that a deployment may be given."""
    return {
        "SURETY_SECRET": secrets.token_hex(32),
        "SURETY_OLD_SECRETS": secrets.token_hex(32),
        "SURETY_SIGNING_KEY": secrets.token_hex(32),
        "redis password": word(24),
        "OWN_TOKEN": word(),
        "OWN_QUERY": word(),
        "AWS_ACCESS_KEY_ID": "AKIA" + word(16).upper(),
        "AWS_SECRET_ACCESS_KEY": word(),
        "AWS_SESSION_TOKEN": word(60),
        "VISION_KEY": word(32),
        "GOOGLE_API_KEY": "AIza" + word(35),
        "CLARIFAI_PAT": word(32),
    }


class Deployment:
    """A real service at the most talkative level, with a store that asks for a password."""

    def __init__(self, folder: Path, values: dict[str, str], echo: str) -> None:
        self.folder, self.values, self.echo = folder, values, echo
        self.server = EmbeddedServer(folder / "store")
        self.said: list[bytes] = []
        self.address = ""

    async def begin(self) -> None:
        """Start both, and wait until the service answers."""
        store = self.server.start()
        password = self.values["redis password"]
        with redis.Redis(unix_socket_path=store) as admin:
            admin.execute_command(
                "ACL", "SETUSER", "u", "reset", "on", f">{password}", "~*", "&*", "+@all"
            )
        profiles = self.folder / "providers.toml"
        profiles.write_text(PROFILES.format(echo=self.echo))
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SURETY_")}
        given = {
            k: v for k, v in self.values.items() if k.isupper() or k.startswith(("AWS", "OWN"))
        }
        host = self.echo.removeprefix("http://")
        environment = kept | given | {
            "SURETY_DATA_DIR": str(self.folder / "data"),
            "SURETY_REDIS_URL": f"unix://u:{password}@{store}",
            "SURETY_PROVIDERS_FILE": str(profiles),
            "SURETY_DENOISER": "none",
            "SURETY_LOG_LEVEL": "debug",
            "SURETY_MAX_VOTES": "60",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_REKOGNITION": self.echo,
            "VISION_ENDPOINT": self.echo,
            "SURETY_GOOGLE_ENDPOINT": host,
            "CLARIFAI_USER_ID": "somebody",
            "CLARIFAI_APP_ID": "app",
            "CLARIFAI_API_BASE": self.echo,
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.cli", "serve", "--port", "0"),
            env=environment,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.environment = environment
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while not self.address:
                line = await self.process.stdout.readline()
                assert line, b"".join(self.said)
                self.said.append(line)
                if found := re.search(rb"http://[\d.]+:\d+", line):
                    self.address = found[0].decode()
        self.reading = asyncio.create_task(self._read(self.process.stdout))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(65_536):
            self.said.append(data)

    async def make_key(self) -> str:
        """Make an API key on the command line, as an operator does."""
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.cli", "apikeys", "create", "x", "--scopes", "admin"),
            env=self.environment,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, said = await made.communicate()
        self.said.append(said)
        return out.decode().strip()

    async def end(self) -> None:
        """Stop both."""
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), PATIENCE)
        await self.reading
        self.server.stop()


def requests(key: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield what to send: sound and unsound, with keys that are right, wrong, cut and misplaced."""
    sound = seeds()
    shown = {"Authorization": f"Bearer {key}"}
    for number in range(count):
        provider = PROVIDERS[number % len(PROVIDERS)]
        form = {"provider": provider, "max_votes": "3", "max_seconds": "1", "keep_image": "true"}
        picture = {"image": ("x.png", png(90, 90))}
        kind = 0 if number >= count - 6 else number // len(PROVIDERS) % 8  # the store is away then
        base: dict[str, Any] = {"method": "POST", "url": "/certify", "headers": shown}
        if kind in (0, 1):
            yield base | {"files": picture, "data": form}
        elif kind == 2:
            odd = mutant(sound, 3, number).data
            yield base | {"files": {"image": (key, odd)}, "data": form}
        elif kind == 3:
            wrong = {"Authorization": f"Bearer {key[:-1]}{'0' if key[-1] != '0' else '1'}"}
            yield base | {"headers": wrong, "files": picture, "data": form}
        elif kind == 4:
            headers = {"Authorization": f"Basic {key}", "X-Api-Key": key, "Cookie": f"key={key}"}
            yield base | {"headers": headers, "files": picture}
        elif kind == 5:
            yield base | {"files": picture, "data": form | {"label": key, "sigma": key[:60]}}
        elif kind == 6:
            yield {"method": "GET", "url": f"/certificates?label={key}&limit=x", "headers": shown}
        else:
            yield base | {"url": "/predict", "content": key.encode(), "headers": shown}


def test_every_spelling_is_found() -> None:
    value = word()
    for spelling in spellings(value):
        assert [*leaks({"it": value}, "a text", b"before " + spelling + b" behind")]
    assert not [*leaks({"it": value}, "a text", word(4000).encode())]


@pytest.mark.timeout(times(120, 1500))
async def test_no_secret_comes_out(tmp_path: Path) -> None:
    values, answers = planted(), []
    with echoing() as echo:
        deployment = Deployment(tmp_path, values, echo)
        await deployment.begin()
        try:
            key = await deployment.make_key()
            count = times(54, 1000)
            async with httpx.AsyncClient(base_url=deployment.address, timeout=60) as client:
                for number, request in enumerate(requests(key, count)):
                    if number == count - 6:
                        with redis.Redis(unix_socket_path=deployment.server.start()) as admin:
                            stored = dump(admin)
                            admin.save()
                        deployment.server.stop()  # the last ones find no store
                    try:
                        answer = await client.request(**request)
                    except httpx.TimeoutException:
                        continue
                    answers.append((answer.status_code, answer.content, answer.headers.raw))
        finally:
            await deployment.end()
    secret = values | {"API key": key.rpartition("_")[2]}
    # A client's own fields come back to itself where they are wrong: not the keys of others.
    told = b"\n".join(
        content + b"".join(b"".join(pair) for pair in headers) for _, content, headers in answers
    )
    found = [*leaks(values, "the answers", told)]
    found += leaks(secret, "the log", b"".join(deployment.said))
    found += leaks(secret, "the store", stored)
    for name, data in files_under(tmp_path):
        found += leaks(secret, name, data)
    assert not found, "\n".join(found)
    statuses = {status for status, *_ in answers}
    assert {401, 422, 502} <= statuses
    assert 503 in statuses


def dump(admin: "redis.Redis[bytes]") -> bytes:
    """Return all that the store holds, as a thief would have it: names and values."""
    parts = []
    for name in admin.scan_iter(count=1000):
        kind = admin.type(name)
        parts.append(name)
        if kind == b"string":
            parts.append(admin.get(name))
        elif kind == b"hash":
            parts += [piece for pair in admin.hgetall(name).items() for piece in pair]
        elif kind == b"zset":
            parts += admin.zrange(name, 0, -1)
        elif kind == b"set":
            parts += admin.smembers(name)
        elif kind == b"list":
            parts += admin.lrange(name, 0, -1)
        elif kind == b"stream":
            parts.append(repr(admin.xrange(name)).encode())
    return b"\n".join(part for part in parts if part)
