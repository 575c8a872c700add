"""Azure's emulator on the wire: both REST APIs, as Azure writes them."""

import asyncio
import datetime
import io

import aiohttp
import numpy as np
import pytest

from adapters.emulators.azure import AzureEmulator, AzureV32Emulator
from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.registry import emulator_class
from tests.adapters.azure_stub import KEY, Plain, encoded

PICTURE = encoded(250, 64, 80)
ANALYZE = "/computervision/imageanalysis:analyze?api-version=2023-10-01&features=tags"
TAG, ANALYZE_32 = "/vision/v3.2/tag", "/vision/v3.2/analyze?visualFeatures=Adult,Tags"
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture
async def emulator():
    async with AzureEmulator(Brain(Plain()), key=KEY) as running:
        yield running


@pytest.fixture
def post(emulator):
    async def send(path, data=PICTURE, headers=BYTES, key=KEY):
        credential = {"Ocp-Apim-Subscription-Key": key} if key else {}
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                emulator.addresses["rest"] + path,
                data=io.BytesIO(data) if isinstance(data, bytes) else data,
                headers={**headers, **credential},
            ) as reply,
        ):
            text = await reply.read()
            return reply.status, reply.headers, await reply.json() if text else None

    return send


def plan(emulator, fault, **more):
    emulator.desk.faults = Faults(script=[fault], timeout=0.02, **more)


async def test_image_analysis_4(emulator, post):
    status, headers, body = await post(ANALYZE)
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["apim-request-id"]
    assert list(body) == ["modelVersion", "metadata", "tagsResult"]
    assert body["metadata"] == {"width": 64, "height": 80}
    assert body["tagsResult"]["values"][0] == {
        "name": "cat",
        "confidence": pytest.approx(250 / 255, abs=1e-6),
    }
    assert body["modelVersion"] == emulator.desk.version
    datetime.date.fromisoformat(body["modelVersion"])


async def test_computer_vision_3_2(emulator, post):
    status, _, body = await post(TAG + "?language=en&model-version=latest")
    assert status == 200
    assert list(body) == ["tags", "requestId", "metadata", "modelVersion"]
    assert body["tags"][0]["hint"] == "animal"
    assert body["metadata"] == {"height": 80, "width": 64, "format": "Png"}
    _, _, body = await post(ANALYZE_32, encoded(250, kind="JPEG"))
    assert body["metadata"]["format"] == "Jpeg"
    assert body["adult"] == {
        "isAdultContent": True,
        "isRacyContent": False,
        "isGoryContent": False,
        "adultScore": pytest.approx(250 / 255, abs=1e-6),
        "racyScore": pytest.approx(5 / 255, abs=1e-6),
        "goreScore": 0.0,
    }
    assert len(body["tags"]) == 3
    assert len(emulator.desk.counts.answered) == 2


async def test_a_form(post):
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(PICTURE), filename="a.png", content_type="image/png")
    status, _, body = await post(TAG, form, {})
    assert status == 200
    assert body["tags"]


@pytest.mark.parametrize(
    ("path", "data", "headers", "status", "code", "inner"),
    [
        (ANALYZE, b"no picture", BYTES, 400, "InvalidRequest", "InvalidImageFormat"),
        (ANALYZE, b"", BYTES, 400, "InvalidRequest", "InvalidImageSize"),
        (ANALYZE, encoded(9, 50, 90), BYTES, 400, "InvalidRequest", "InvalidImageSize"),
        (TAG, PICTURE + bytes(4 * 2**20), BYTES, 400, "InvalidRequest", "InvalidImageSize"),
        (
            ANALYZE,
            b'{"url": "http://x/a.png"}',
            {"Content-Type": "application/json"},
            400,
            "InvalidRequest",
            "InvalidImageUrl",
        ),
        (
            TAG,
            PICTURE,
            {"Content-Type": "image/png"},
            415,
            "InvalidRequest",
            "UnsupportedMediaType",
        ),
        (ANALYZE + "&language=xx", PICTURE, BYTES, 400, "InvalidRequest", "NotSupportedLanguage"),
        (ANALYZE + "&model-version=1", PICTURE, BYTES, 400, "InvalidRequest", "BadArgument"),
        (ANALYZE + ",nonsense", PICTURE, BYTES, 400, "InvalidRequest", "NotSupportedVisualFeature"),
        (ANALYZE + ",caption", PICTURE, BYTES, 400, "InvalidRequest", None),
        (
            "/vision/v3.2/analyze?visualFeatures=Smell",
            PICTURE,
            BYTES,
            400,
            "InvalidRequest",
            "NotSupportedVisualFeature",
        ),
        ("/vision/v3.2/analyze", PICTURE, BYTES, 400, "InvalidRequest", None),
        ("/vision/v3.1/tag", PICTURE, BYTES, 404, "404", None),
        ("/computervision/imageanalysis:analyze?features=tags", PICTURE, BYTES, 404, "404", None),
    ],
)
async def test_what_it_refuses(emulator, post, path, data, headers, status, code, inner):
    found, _, body = await post(path, data, headers)
    assert found == status
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    assert body["error"].get("innererror", {}).get("code") == inner
    assert emulator.desk.counts.answered.total() == 0
    assert emulator.desk.counts.refused.total() == (
        inner in ("InvalidImageFormat", "InvalidImageSize")
    )


async def test_credentials(emulator, post):
    for key in ("another", ""):
        status, headers, body = await post(ANALYZE, key=key)
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("AzureApiManagementKey")
        assert body["error"]["code"] == "401"
        assert body["error"]["message"].startswith("Access denied due to invalid subscription key")
    assert len(emulator.desk.counts.calls) == 2
    assert emulator.desk.counts.refused.total() == 0


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("throttle", 429, "429"),
        ("server_error", 500, "InternalServerError"),
        ("unavailable", 503, "ServiceUnavailable"),
        ("partial", 503, "ServiceUnavailable"),
        ("bad_credentials", 401, "401"),
        ("forbidden", 403, "403"),
        ("quota", 403, "403"),
    ],
)
@pytest.mark.parametrize("path", [ANALYZE, TAG])
async def test_faults_with_a_body(emulator, post, fault, status, code, path):
    plan(emulator, fault, retry_after=1)
    found, headers, body = await post(path)
    assert (found, body["error"]["code"]) == (status, code)
    assert headers.get("Retry-After") == ("1" if fault == "throttle" else None)
    assert "{" not in body["error"]["message"]
    assert emulator.desk.counts.answered.total() == 0


async def test_a_throttle_names_its_operation(emulator, post):
    plan(emulator, "throttle")
    _, headers, body = await post(TAG)
    assert "Retry-After" not in headers
    assert "Tag Image Operation under Computer Vision API (v3.2)" in body["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("timeout", aiohttp.ServerDisconnectedError),
        ("drop", aiohttp.ServerDisconnectedError),
        ("truncate", aiohttp.ClientPayloadError),
    ],
)
async def test_faults_of_the_connection(emulator, post, fault, error):
    plan(emulator, fault)
    with pytest.raises(error):
        await post(ANALYZE)
    assert emulator.desk.counts.answered.total() == (fault == "truncate")


async def test_a_success_that_holds_nothing(emulator, post):
    plan(emulator, "empty")
    status, _, body = await post(ANALYZE)
    assert (status, body) == (200, None)
    assert emulator.desk.counts.answered.total() == 0


async def test_refused_pictures_are_always_the_same(emulator, post):
    emulator.desk.faults = Faults(refused=0.5)
    pictures = [encoded(light) for light in range(20)]
    rounds = [[(await post(TAG, p))[0] for p in pictures] for _ in range(2)]
    assert rounds[0] == rounds[1]
    assert set(rounds[0]) == {200, 400}


async def test_versions(emulator, post):
    first = emulator.desk.version
    emulator.desk.faults = Faults(change_version_after=1)
    pinned = f"{ANALYZE}&model-version={first}"
    bodies = [(await post(path))[2] for path in (ANALYZE, ANALYZE, pinned)]
    assert [body["modelVersion"] for body in bodies] == [first, f"{first}.1", first]


def test_the_version_is_made_from_the_classifiers():
    other = Plain()
    other.version = "plain-2"
    versions = [AzureEmulator.first_version(Brain(model)) for model in (Plain(), Plain(), other)]
    assert versions[0] == versions[1] != versions[2]


async def test_many_labels():
    class Many(Plain):
        labels = tuple(f"label {i}" for i in range(60))

        def scores(self, pictures):
            return np.tile(np.arange(60, dtype=np.float32) / 60, (len(pictures), 1))

    from azure.ai.vision.imageanalysis.aio import ImageAnalysisClient
    from azure.core.credentials import AzureKeyCredential

    async with AzureEmulator(Brain(Many())) as emulator:
        endpoint, key = emulator.environment().values()
        async with ImageAnalysisClient(endpoint, AzureKeyCredential(key)) as client:
            result = await client.analyze(PICTURE, ["tags"])
    assert len(result.tags.list) == 50
    assert result.tags.list[0].name == "label 59"


async def test_the_plain_old_sdk(emulator):
    from azure.cognitiveservices.vision.computervision import ComputerVisionClient
    from msrest.authentication import CognitiveServicesCredentials

    def ask():
        endpoint, key = emulator.environment().values()
        client = ComputerVisionClient(endpoint, CognitiveServicesCredentials(key))
        with client:
            result = client.tag_image_in_stream(io.BytesIO(PICTURE))
            analysis = client.analyze_image_in_stream(io.BytesIO(PICTURE), ["Adult"])
            client.config.pipeline._sender.driver.session.close()
        return result, analysis

    result, analysis = await asyncio.to_thread(ask)
    assert [tag.name for tag in result.tags] == ["cat", "dog", "truck"]
    assert analysis.adult.is_adult_content
    assert result.model_version == analysis.model_version == emulator.desk.version


def test_both_names():
    assert emulator_class("azure") is AzureEmulator
    assert emulator_class("azure-v32") is AzureV32Emulator
    assert (AzureEmulator.provider, AzureV32Emulator.provider) == ("azure", "azure-v32")
