"""The plain classifier behind HTTP, asked by httpx as anybody would ask it."""

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.http import MOST_BYTES, MOST_PICTURES, PATH, VARIABLE, HttpEmulator


class Shades:
    """Tells bright pictures from dark ones."""

    labels = ("bright", "dark")
    size = (4, 4)
    version = "shades-1"
    max_batch = 16

    def scores(self, pictures):
        bright = pictures.mean((1, 2, 3)) / 255
        return np.stack([bright, 1 - bright], 1).astype(np.float32)


def png(shade, side=4):
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
async def emulator():
    async with HttpEmulator(Brain(Shades())) as started:
        yield started


@pytest.fixture
async def client(emulator):
    headers = {"Authorization": f"Bearer {emulator.environment()[VARIABLE]}"}
    async with httpx.AsyncClient(base_url=emulator.addresses["rest"], headers=headers) as made:
        yield made


def encoded(*shades):
    return [base64.b64encode(png(shade)).decode() for shade in shades]


@pytest.mark.parametrize(
    "sent",
    [
        {"content": png(255), "headers": {"Content-Type": "image/png"}},
        {"content": png(255), "headers": {"Content-Type": "application/octet-stream"}},
        {"json": {"image": encoded(255)[0]}},
        {"files": {"image": ("any.png", png(255), "image/png")}},
    ],
)
async def test_a_picture_may_come_in_three_ways(client, emulator, sent):
    reply = await client.post(PATH, **sent)
    assert reply.json() == {
        "model": {"name": "emulated", "version": "shades-1"},
        "predictions": [{"label": "bright", "score": 1.0}, {"label": "dark", "score": 0.0}],
    }
    assert reply.headers["X-Model-Version"] == "shades-1"
    assert emulator.desk.counts.answered.total() == 1


async def test_several_pictures_have_a_result_each(client, emulator):
    sent = {"images": [*encoded(0, 255), base64.b64encode(b"no picture").decode()]}
    first, second, third = (await client.post(PATH, json=sent)).json()["results"]
    assert first["predictions"][0]["label"] == "dark"
    assert second["predictions"][0]["label"] == "bright"
    assert third["error"]["code"] == "not_an_image"
    counts = emulator.desk.counts
    assert (len(counts.calls), counts.received.total(), counts.answered.total()) == (1, 3, 2)
    assert counts.refused.total() == 1


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b"no picture", "headers": {"Content-Type": "image/png"}}, 415, "not_an_image"),
        (
            {"content": png(0) + bytes(MOST_BYTES), "headers": {"Content-Type": "image/png"}},
            413,
            "image_too_large",
        ),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 406, "bad_request"),
        ({"json": {"picture": ""}}, 400, "bad_request"),
        ({"json": ["image"]}, 400, "bad_request"),
        ({"json": {"image": "no base64!"}}, 400, "bad_request"),
        ({"json": {"images": encoded(0) * (MOST_PICTURES + 1)}}, 400, "bad_request"),
        ({"json": {"images": []}}, 400, "bad_request"),
        ({"files": {"other": b"x"}}, 400, "bad_request"),
    ],
)
async def test_what_it_does_not_take(client, emulator, sent, status, code):
    reply = await client.post(PATH, **sent)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert emulator.desk.counts.answered.total() == 0


async def test_calls_need_the_token(emulator):
    async with httpx.AsyncClient(base_url=emulator.addresses["rest"]) as client:
        for headers in ({}, {"Authorization": "Bearer other"}):
            for content in (png(0), b""):
                reply = await client.post(
                    PATH, content=content, headers={**headers, "Content-Type": "image/png"}
                )
                assert reply.status_code == 401
                assert reply.headers["WWW-Authenticate"] == "Bearer"
    async with HttpEmulator(Brain(Shades()), token=None) as opened:
        assert opened.environment() == {}
        async with httpx.AsyncClient(base_url=opened.addresses["rest"]) as client:
            reply = await client.post(PATH, content=png(0), headers={"Content-Type": "image/png"})
            assert reply.status_code == 200


async def test_both_forms_of_retry_after(client, emulator):
    emulator.desk.faults = Faults(script=["throttle", "unavailable"], retry_after=7)
    sent = {"content": png(0), "headers": {"Content-Type": "image/png"}}
    throttled, unavailable = await client.post(PATH, **sent), await client.post(PATH, **sent)
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "7")
    assert unavailable.status_code == 503
    assert unavailable.headers["Retry-After"].endswith("GMT")


async def test_the_version_changes_when_it_is_told_to(client, emulator):
    emulator.desk.faults = Faults(change_version_after=1)
    sent = {"content": png(0), "headers": {"Content-Type": "image/png"}}
    versions = [(await client.post(PATH, **sent)).json()["model"]["version"] for _ in range(2)]
    assert versions == ["shades-1", "shades-1.1"]
