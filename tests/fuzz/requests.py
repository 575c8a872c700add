"""Mutated pictures by HTTP: each gets a certificate, or a problem that blames the picture."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

import httpx
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings
from tests.fuzz.mutating import mutant
from tests.fuzz.seeds import seeds

BLAMES = {"/problems/not-an-image": 422, "/problems/unsupported-image": 422}
BLAMES |= {"/problems/too-large": 413}
FORM = {"max_votes": "1", "denoiser": "none"}


async def certify_them(run: int, count: int, out: TextIO) -> int:
    """Send pictures to a service of its own, in this process.

    Args:
        run: the seed of the whole run.
        count: how many.
        out: where to write what came of it.

    Returns:
        How many answers were none of those that may be.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder, "data"), log_level="error", provider="local")
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            return await send_them(app, run, range(count), out)


async def send_them(app: FastAPI, run: int, numbers: range, out: TextIO, **form: Any) -> int:
    """Send pictures to an application whose lifespan runs; see `certify_them`."""
    sound, bad, statuses = seeds(), 0, Counter[int]()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for number in numbers:
            picture = mutant(sound, run, number).data
            answer = await client.post(
                "/certify", files={"image": ("x", picture)}, data=FORM | form
            )
            statuses[answer.status_code] += 1
            if wrong := _wrong(answer):
                bad += 1
                print(f"http {number}: {wrong}", file=out, flush=True)
    counts = ", ".join(f"{status} {number:,}" for status, number in sorted(statuses.items()))
    print(f"http: {len(numbers):,} in all; {counts}", file=out, flush=True)
    return bad


def _wrong(answer: httpx.Response) -> str | None:
    body = answer.json()
    if answer.status_code == 200:
        return None if body.get("signature") else "a certificate without a signature"
    if BLAMES.get(body.get("type")) != answer.status_code:
        return f"{answer.status_code} {body}"
    return None
