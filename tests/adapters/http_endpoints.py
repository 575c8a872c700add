"""Endpoints for the tests of the adapter http, and profiles for them."""

import contextlib
import io
import tomllib

import numpy as np
from aiohttp import web
from PIL import Image

from adapters import registry
from adapters.http import HttpAdapter
from adapters.http_profile import HttpProfile
from adapters.profiles import Profiles

SECRET = "s3cr3t-value"  # noqa: S105
PLAIN = {"label": "predictions[*].label", "score": "predictions[*].score"}
URL = "https://models.example.com/v1/classify"


class Shades:
    labels = ("bright", "dark")
    size = (4, 4)
    version = "shades-1"
    max_batch = 16

    def scores(self, pictures):
        bright = pictures.mean((1, 2, 3)) / 255
        return np.stack([bright, 1 - bright], 1).astype(np.float32)


def png(shade=0, side=4, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), shade, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def made(**fields):
    return HttpAdapter(HttpProfile.model_validate({"url": URL, "reply": PLAIN, **fields}))


def loaded(emulator, style="bytes", **more):
    tables = tomllib.loads(emulator.profile(style))
    tables["emulated"] |= more
    return registry.load("emulated", Profiles(tables))


@contextlib.asynccontextmanager
async def endpoint(answer, **options):
    """A server whose every POST is answered by a function."""
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, **options).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/ask"
    finally:
        await runner.cleanup()


async def empty(_):
    return web.json_response({"predictions": []})
