"""What Cloud Vision's emulator says, over REST as text and over gRPC with the plain SDK."""

import base64
import io
import json

import aiohttp
import grpc
import numpy as np
import pytest
from google.api_core import exceptions as api
from google.cloud import vision
from PIL import Image

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults, Rate
from adapters.emulators.google import API_KEY, MOST_BYTES, GoogleEmulator


class Plain:
    labels = ("Cat", "Dog", "Frog")
    size = (4, 4)
    version = "plain-1"
    max_batch = 32

    def scores(self, pictures):
        return np.tile(np.array([[0.25, 0.625, 0.125]], np.float32), (len(pictures), 1))


def png(light, side=4):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), light, np.uint8)).save(file, "PNG")
    return file.getvalue()


def asked(*pictures, kind="LABEL_DETECTION", **feature):
    return {
        "requests": [
            {
                "image": {"content": base64.b64encode(picture).decode()},
                "features": [{"type": kind, **feature}],
            }
            for picture in pictures
        ]
    }


@pytest.fixture
async def emulator():
    async with GoogleEmulator(Brain(Plain())) as running:
        yield running


@pytest.fixture
async def post(emulator):
    async with aiohttp.ClientSession() as session:

        async def send(document, key=API_KEY, **headers):
            url = f"{emulator.addresses['rest']}/v1/images:annotate"
            params = {"key": key} if key else {}
            body = io.BytesIO(json.dumps(document).encode())
            async with session.post(url, data=body, params=params, headers=headers) as reply:
                return reply.status, await reply.json()

        yield send


@pytest.fixture
async def client(emulator):
    channel = grpc.aio.insecure_channel(emulator.addresses["grpc"])
    kind = vision.ImageAnnotatorAsyncClient.get_transport_class("grpc_asyncio")
    made = vision.ImageAnnotatorAsyncClient(transport=kind(channel=channel))
    yield made
    await made.transport.close()


async def annotate(client, *pictures, kind=vision.Feature.Type.LABEL_DETECTION, **feature):
    requests = [
        vision.AnnotateImageRequest(
            image=vision.Image(content=picture),
            features=[vision.Feature(type_=kind, **feature)],
        )
        for picture in pictures
    ]
    return await client.batch_annotate_images(
        requests=requests, retry=None, timeout=5, metadata=[("x-goog-api-key", API_KEY)]
    )


async def test_labels_over_rest(post):
    assert await post(asked(png(1), maxResults=2)) == (
        200,
        {
            "responses": [
                {
                    "labelAnnotations": [
                        {
                            "mid": "/m/0x5tgv0",
                            "description": "Dog",
                            "score": 0.625,
                            "topicality": 0.625,
                        },
                        {
                            "mid": "/m/0lu70lz",
                            "description": "Cat",
                            "score": 0.25,
                            "topicality": 0.25,
                        },
                    ]
                }
            ]
        },
    )


async def test_safe_search_over_rest(post):
    assert await post(asked(png(1), kind="SAFE_SEARCH_DETECTION")) == (
        200,
        {
            "responses": [
                {
                    "safeSearchAnnotation": {
                        "adult": "UNLIKELY",
                        "spoof": "LIKELY",
                        "medical": "VERY_UNLIKELY",
                    }
                }
            ]
        },
    )


async def test_the_plain_sdk(client):
    reply = await annotate(client, png(1), b"junk")
    good, bad = reply.responses
    assert [(one.description, one.score) for one in good.label_annotations] == [
        ("Dog", 0.625),
        ("Cat", 0.25),
        ("Frog", 0.125),
    ]
    assert (bad.error.code, bad.error.message) == (3, "Bad image data.")


async def test_both_protocols_stand_at_one_desk(emulator, post, client):
    await post(asked(png(1)))
    await annotate(client, png(1), png(2), b"junk")
    counts = emulator.desk.counts.describe()
    assert (counts["calls"], counts["images_received"]) == (2, 4)
    assert (counts["images_answered"], counts["images_refused"]) == (3, 1)


@pytest.mark.parametrize(
    ("fault", "status", "name", "reason"),
    [
        ("throttle", 429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
        ("quota", 429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
        ("bad_credentials", 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        ("forbidden", 403, "PERMISSION_DENIED", "API_KEY_SERVICE_BLOCKED"),
        ("server_error", 500, "INTERNAL", None),
        ("unavailable", 503, "UNAVAILABLE", None),
    ],
)
async def test_errors_are_the_same_over_both(emulator, post, client, fault, status, name, reason):
    emulator.desk.faults = Faults(script=[fault] * 2, retry_after=2)
    found, document = await post(asked(png(1)))
    error = document["error"]
    assert (found, error["code"], error["status"]) == (status, status, name)
    with pytest.raises(api.GoogleAPICallError) as caught:
        await annotate(client, png(1))
    assert caught.value.grpc_status_code.name == name
    assert caught.value.message == error["message"]
    assert caught.value.reason == reason
    details = {one["@type"].rpartition(".")[2]: one for one in error.get("details", [])}
    assert (details["ErrorInfo"]["reason"] if reason else None) == reason
    assert details.get("RetryInfo", {}).get("retryDelay") == ("2s" if fault == "throttle" else None)
    assert emulator.desk.counts.answered.total() == 0


async def test_an_error_as_google_writes_it(emulator, post):
    assert await post(asked(png(1)), key="wrong") == (
        400,
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "API_KEY_INVALID",
                        "domain": "googleapis.com",
                        "metadata": {"service": "vision.googleapis.com"},
                    }
                ],
            }
        },
    )


async def test_credentials(emulator, post):
    assert (await post(asked(png(1)), key="", **{"X-Goog-Api-Key": API_KEY}))[0] == 200
    status, document = await post(asked(png(1)), key="")
    assert (status, document["error"]["status"]) == (403, "PERMISSION_DENIED")
    status, document = await post(asked(png(1)), key="", Authorization="Bearer nonsense")
    assert (status, document["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert document["error"]["details"][0]["reason"] == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    assert len(emulator.desk.counts.calls) == 3


async def test_limits(post, client, monkeypatch):
    with pytest.raises(api.InvalidArgument, match="Too many images"):
        await annotate(client, *[png(light) for light in range(17)])
    with pytest.raises(api.InvalidArgument, match="exceeds the limit: 10485760 bytes"):
        await annotate(client, b"x" * MOST_BYTES)
    status, document = await post(asked(b"x" * (3 * MOST_BYTES // 4)))
    assert (status, document["error"]["status"]) == (400, "INVALID_ARGUMENT")
    monkeypatch.setattr("adapters.emulators.google.MOST_PIXELS", 100)
    reply = await annotate(client, png(1, 10), png(1, 11))
    assert [one.error.code for one in reply.responses] == [0, 3]


async def test_malformed_requests(post):
    status, document = await post({"requests": [{"image": {"content": "AAAA"}}]})
    assert status == 200
    error = document["responses"][0]["error"]
    assert error["code"] == 3
    assert error["message"].endswith("Arguments must specify image and features!")
    status, document = await post(asked(png(1), model="builtin/other"))
    assert "Unsupported model" in document["responses"][0]["error"]["message"]
    status, document = await post({"demands": []})
    assert (status, document["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert await post({}) == (200, {})


async def test_what_cannot_be_sent_again_over_rest(emulator, post):
    emulator.desk.faults = Faults(script=["drop", "timeout"], timeout=0.05)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(asked(png(1)))
    emulator.desk.faults = Faults(script=["truncate", "empty"])
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(asked(png(1)))
    assert await post(asked(png(1))) == (200, {})
    assert len(emulator.desk.counts.calls) == 4
    assert emulator.desk.counts.answered.total() == 1  # the truncated one


async def test_rate(emulator, post):
    emulator.desk.faults = Faults(rate=Rate(limit=3, per_seconds=60))
    assert (await post(asked(png(1), png(2))))[0] == 200
    assert (await post(asked(png(1), png(2))))[0] == 429
    assert (await post(asked(png(1))))[0] == 200


async def test_some_of_a_batch(emulator, post):
    emulator.desk.faults = Faults(script=["partial"])
    _, document = await post(asked(png(1), png(2)))
    first, second = document["responses"]
    assert first["error"] == {"code": 14, "message": "The service is currently unavailable."}
    assert "labelAnnotations" in second


async def test_another_model(emulator, post):
    emulator.desk.faults = Faults(change_version_after=1)

    async def best():
        _, document = await post(asked(png(1)))
        return document["responses"][0]["labelAnnotations"][0]["description"]

    assert [await best(), await best()] == ["Dog", "Cat"]


async def test_environment(emulator):
    assert emulator.environment() == {
        "GOOGLE_API_KEY": API_KEY,
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "SURETY_GOOGLE_ENDPOINT": emulator.addresses["grpc"],
    }
