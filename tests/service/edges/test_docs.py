"""The commands of docs/http-api.md about all this do what the page says."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.service.edges.sockets import limited
from tests.service.stranger import ROOT

PAGE = (ROOT / "docs" / "http-api.md").read_text()


def commands(title: str) -> str:
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    (found,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return str(found)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_the_commands(make_app: Any, tmp_path: Path) -> None:
    (tmp_path / "service").symlink_to(ROOT / "service")
    async with make_app() as app, limited(app) as port:

        async def say(title: str) -> str:
            script = commands(title).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            process = await asyncio.create_subprocess_exec(
                *("bash", "-e", "-c", script), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
            )
            told, _ = await process.communicate()
            assert process.returncode == 0
            return told.decode()

        run = json.loads(await say("Long runs"))
        assert run["state"] in ("running", "ended")
        text = await say("The same request again")
        first, headers = text.split("HTTP/1.1 ", 1)
        assert headers.startswith("200")
        assert "idempotency-replayed: true" in headers.lower()
        assert json.loads((tmp_path / "again.json").read_text()) == json.loads(first)
        text = await say("Request ids")
        assert "x-request-id: order-4711" in text.lower()
        assert '"request_id":"order-4711"' in text


def test_every_limit_is_told_with_its_default(make_app: Any) -> None:
    from service.settings import Settings

    for name in ("max_async_runs", "max_followers", "idempotency_hours", "grace_seconds"):
        default = Settings.model_fields[name].default
        assert re.search(rf"`SURETY_{name.upper()}` \({default:,}\)", PAGE)
