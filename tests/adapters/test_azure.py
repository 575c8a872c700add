"""Azure's adapter of Image Analysis 4.0, its real SDK against the emulator, and its errors."""

import asyncio
import dataclasses
import io
import json
import logging
import ssl
import subprocess
import sys
import time

import aiohttp
import numpy as np
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey
from azure.core import exceptions as core
from PIL import Image

from adapters import azure_errors
from adapters.azure import AzureAdapter, AzureProfile, of_core
from adapters.azure_errors import Trouble, judged
from adapters.emulators.azure import AzureEmulator
from adapters.emulators.brain import Brain, LocalModel
from adapters.emulators.faults import FAULTS, Faults
from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    MissingExtra,
    NotConfigured,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.interface import Answer, Prediction, Refusal, Retry
from tests.adapters.azure_stub import EMPTY, KEY, REPLIES, Plain, Stub, encoded, noise, subclasses

BRIGHT, DARK = encoded(250), encoded(5)
ENDPOINT = "https://name.cognitiveservices.azure.com"


@pytest.fixture
async def emulator(monkeypatch):
    async with AzureEmulator(Brain(Plain()), key=KEY) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def adapter(emulator):
    async with AzureAdapter() as made:
        yield made


@pytest.fixture
def configured(monkeypatch):
    monkeypatch.setenv("VISION_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("VISION_KEY", KEY)


def calls(emulator):
    return len(emulator.desk.counts.calls)


def script(emulator, *faults, **more):
    emulator.desk.faults = Faults(script=list(faults), **({"timeout": 0.05} | more))


async def ask(adapter, picture=BRIGHT):
    """Return the outcome of one picture, or the error that ends the run."""
    try:
        (outcome,) = await adapter.classify([picture])
    except StopError as error:
        return error
    return outcome


async def asked(stub):
    """Return the outcome of a picture, and the stub that was asked about it."""
    async with stub, AzureAdapter(AzureProfile(endpoint=stub.url)) as adapter:
        return await ask(adapter), stub


async def received(emulator):
    """Wait for a call to come in."""
    for _ in range(300):
        await asyncio.sleep(0.01)
        if calls(emulator):
            return


def kind(outcome):
    throttled = isinstance(outcome, Retry) and outcome.throttled
    return "Throttle" if throttled else type(outcome).__name__


# What it answers


async def test_tags(adapter, emulator):
    assert await ask(adapter) == Answer(
        (
            Prediction("cat", pytest.approx(250 / 255, abs=1e-6)),
            Prediction("dog", pytest.approx(5 / 255, abs=1e-6)),
            Prediction("truck", 0.0),
        ),
        model_version=emulator.desk.version,
    )
    assert (calls(emulator), emulator.desk.counts.answered.total()) == (1, 1)


async def test_jpeg_and_several_pictures(adapter, emulator):
    both = await adapter.classify([encoded(250, kind="JPEG"), DARK])
    assert [max(one.predictions, key=lambda p: p.score).name for one in both] == ["cat", "dog"]
    assert calls(emulator) == 2


async def test_the_built_in_classifier(monkeypatch, one_thread):
    model = LocalModel()
    async with AzureEmulator(Brain(model)) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        pixels = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
        picture = np.repeat(np.repeat(pixels, 2, 1), 2, 2)
        small = emulator.brain.pixels(_png(picture[0]))[None]
        async with AzureAdapter() as adapter:
            (answer,) = await adapter.classify([_png(picture[0])])
    scores = {p.name: p.score for p in answer.predictions}
    assert scores == pytest.approx(
        dict(zip(model.labels, model.scores(small)[0].tolist(), strict=True)), abs=1e-6
    )


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


async def test_a_version_can_be_pinned(emulator):
    first = emulator.desk.version
    emulator.desk.faults = Faults(change_version_after=1)
    async with (
        AzureAdapter() as latest,
        AzureAdapter(AzureProfile(model_version=first)) as pinned,
    ):
        versions = [(await ask(one)).model_version for one in (latest, latest, pinned)]
    assert versions == [first, f"{first}.1", first]


@pytest.mark.parametrize("profile", [{"model_version": "1999-12-31"}, {"language": "xx"}])
async def test_a_version_or_language_that_there_is_not(emulator, profile):
    async with AzureAdapter(AzureProfile(**profile)) as adapter:
        error = await ask(adapter)
    assert isinstance(error, CallRejected)
    assert "check model_version, language" in str(error)
    assert calls(emulator) == 1


def test_options_and_account(configured, monkeypatch):
    adapter = AzureAdapter()
    assert adapter.options == {
        "operation": "tags",
        "model_version": "latest",
        "language": "en",
    }
    other = AzureAdapter(AzureProfile(endpoint="http://127.0.0.1:8080/", language="de"))
    assert other.options["endpoint"] == "http://127.0.0.1:8080"
    assert other.options["language"] == "de"
    monkeypatch.setenv("VISION_ENDPOINT", f" {ENDPOINT}/ ")
    assert AzureAdapter().account == adapter.account != other.account
    assert KEY not in repr((adapter, adapter.account, vars(adapter)["_access"]))


# What goes wrong


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_one_call(adapter, emulator, fault):
    script(emulator, fault, retry_after=7)
    outcome = await ask(adapter)
    assert kind(outcome) == {
        "ok": "Answer",
        "throttle": "Throttle",
        "bad_credentials": "AuthenticationFailed",
        "forbidden": "PermissionDenied",
        "quota": "QuotaExceeded",
    }.get(fault, "Retry")
    if isinstance(outcome, Retry):
        assert outcome.billed is (fault in ("timeout", "drop", "truncate", "empty"))
        assert outcome.after == (7 if fault == "throttle" else None)
    assert calls(emulator) == 1
    assert emulator.desk.counts.answered.total() == (fault in ("ok", "truncate"))
    assert kind(await ask(adapter)) == "Answer"


@pytest.mark.parametrize(("status", "body", "expected"), REPLIES)
async def test_replies_with_an_error(configured, status, body, expected):
    outcome, stub = await asked(Stub(status, body, {"Location": "http://127.0.0.1:1/elsewhere"}))
    assert kind(outcome) == expected
    assert len(stub.requests) == 1


@pytest.mark.parametrize("content", ["text/html", "application/xml", "application/weird", ""])
async def test_replies_of_any_content_type(configured, content):
    outcome, _ = await asked(Stub(429, b"<nonsense", {"Retry-After": "5"}, content))
    assert outcome.throttled
    assert outcome.after == 5


@pytest.mark.parametrize(
    "body",
    [
        *EMPTY,
        b'{"tagsResult": null}',
        b'{"tagsResult": {"values": null}}',
        b'{"tagsResult": {"values": {}}}',
        b'{"tagsResult": {"values": [7]}}',
        b'{"tagsResult": {"values": [{"name": "cat"}]}}',
        b'{"tagsResult": {"values": [{"name": "", "confidence": 0.5}]}}',
        b'{"tagsResult": {"values": [{"name": "cat", "confidence": "high"}]}}',
        b'{"tagsResult": {"values": [{"name": "cat", "confidence": 1.5}]}}',
        b'{"tagsResult": {"values": [{"name": "cat", "confidence": NaN}]}}',
    ],
)
@pytest.mark.parametrize("content", ["application/json", "text/html"])
async def test_replies_that_hold_nothing(configured, body, content):
    outcome, _ = await asked(Stub(200, body, kind=content))
    assert isinstance(outcome, Retry)
    assert outcome.billed


async def test_an_answer_without_tags_is_an_answer(configured):
    body = b'{"modelVersion": "2023-10-01", "tagsResult": {"values": []}}'
    outcome, stub = await asked(Stub(200, body))
    assert outcome == Answer((), "2023-10-01")
    head, sent = stub.requests[0]
    assert sent == BRIGHT
    line = head.split(b"\r\n")[0].decode()
    assert line.startswith("POST /computervision/imageanalysis:analyze?")
    for part in ("api-version=2023-10-01", "features=tags", "language=en", "model-version=latest"):
        assert part in line


async def test_a_reply_cut_short(configured):
    outcome, _ = await asked(Stub(500, b"x" * 100, cut=50))
    assert isinstance(outcome, Retry)
    assert outcome.billed


async def test_no_answer_in_time(adapter, emulator):
    adapter.traits = _quick(adapter)
    script(emulator, "timeout", timeout=5)
    started = time.monotonic()
    outcome = await ask(adapter)
    assert time.monotonic() - started < 1
    assert outcome == Retry("no answer within 0.15 s", billed=True) or outcome.billed
    assert calls(emulator) == 1


def _quick(adapter, seconds=0.15):
    return dataclasses.replace(adapter.traits, timeout=seconds)


async def test_nobody_there(configured):
    async with AzureAdapter(AzureProfile(endpoint="http://127.0.0.1:1")) as adapter:
        outcome = await ask(adapter)
    assert isinstance(outcome, Retry)
    assert not outcome.billed
    assert "VISION_ENDPOINT" in outcome.reason


async def test_the_key_goes_nowhere_else(configured):
    async with Stub() as other:
        headers = {"Location": f"{other.url}/computervision/imageanalysis:analyze"}
        outcome, _ = await asked(Stub(307, b"", headers))
        assert kind(outcome) == "CallRejected"
        assert not other.requests


async def test_a_bad_key(emulator, monkeypatch):
    monkeypatch.setenv("VISION_KEY", "another")
    async with AzureAdapter() as adapter:
        error = await ask(adapter)
    assert isinstance(error, AuthenticationFailed)
    assert "VISION_KEY" in str(error)


async def test_a_wrong_address(emulator):
    endpoint = f"{emulator.addresses['rest']}/somewhere"
    async with AzureAdapter(AzureProfile(endpoint=endpoint)) as adapter:
        error = await ask(adapter)
    assert isinstance(error, CallRejected)
    assert "endpoint" in str(error)


async def test_limits(adapter, emulator):
    for picture in (
        b"no picture",
        b"",
        encoded(9, 50, 90),
        encoded(9, 90, 50),
        encoded(9, 16_000, 51),
        BRIGHT + bytes(20 * 2**20),
    ):
        assert kind(await ask(adapter, picture)) == "Refusal"
    for picture in (encoded(9, 51, 51), encoded(9, 15_999, 51)):
        assert kind(await ask(adapter, picture)) == "Answer"
    traits = adapter.traits
    assert (traits.min_side, traits.max_side, traits.max_bytes) == (51, 15_999, 20 * 2**20)
    assert emulator.desk.counts.refused.total() == 6


async def test_large_pictures_pass(adapter):
    assert kind(await ask(adapter, noise(1500))) == "Answer"


async def test_refused_pictures(adapter, emulator):
    emulator.desk.faults = Faults(refused=1)
    outcome = await ask(adapter)
    assert isinstance(outcome, Refusal)
    assert "NotSupportedImage" in outcome.reason
    assert emulator.desk.counts.answered.total() == 0


# Secrets


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
async def test_the_key_is_never_shown(configured, caplog, status):
    caplog.set_level(logging.DEBUG)
    said = {"error": {"code": KEY, "message": f"the key {KEY} is", "innererror": {"code": KEY}}}
    outcome, _ = await asked(Stub(status, json.dumps(said).encode(), {"X-Echo": KEY}))
    assert KEY not in f"{outcome} {outcome!r}"
    assert getattr(outcome, "__context__", None) is None
    assert getattr(outcome, "__cause__", None) is None
    assert KEY not in caplog.text


# Cancelling, closing, loops


async def test_cancelling(adapter, emulator):
    script(emulator, "timeout", timeout=5)
    before = asyncio.all_tasks()
    call = asyncio.create_task(ask(adapter))
    await received(emulator)
    call.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - started < 0.3
    assert kind(await ask(adapter)) == "Answer"
    await adapter.close()
    await asyncio.sleep(0.02)
    left = [repr(task.get_coro()) for task in asyncio.all_tasks() - before]
    assert not [coroutine for coroutine in left if "RequestHandler" not in coroutine]


async def test_closing_cuts_calls_off(adapter, emulator):
    script(emulator, "timeout", timeout=5)
    call = asyncio.create_task(ask(adapter))
    await received(emulator)
    await adapter.close()
    outcome = await asyncio.wait_for(call, 1)
    assert isinstance(outcome, Retry)
    assert outcome.billed
    assert kind(await ask(adapter)) == "Answer"  # it opens again


async def test_closing_twice_or_unused(configured):
    adapter = AzureAdapter()
    await adapter.close()
    await adapter.close()


async def test_connections_are_reused(adapter, emulator):
    for _ in range(3):
        await asyncio.gather(*(ask(adapter) for _ in range(8)))
    (line,) = adapter._lines.values()
    session = line.client._client._pipeline._transport.session
    assert len(session.connector._conns) == 1  # one host
    assert 1 <= sum(map(len, session.connector._conns.values())) <= 8


def test_one_loop_after_another(monkeypatch):
    async def certify(port):
        async with AzureEmulator(Brain(Plain()), key=KEY, port=port) as emulator:
            address = emulator.addresses["rest"]
            if not made:
                made.append(AzureAdapter(AzureProfile(endpoint=address)))
            assert kind(await ask(made[0])) == "Answer"
            await made[0].close()
        return int(address.rpartition(":")[2])

    monkeypatch.setenv("VISION_KEY", KEY)
    made = []
    port = asyncio.run(certify(0))
    assert asyncio.run(certify(port)) == port
    assert not made[0]._lines


# Set up


@pytest.mark.parametrize(
    ("endpoint", "key", "words"),
    [
        ("", "", "VISION_ENDPOINT and VISION_KEY not set"),
        ("", KEY, "VISION_ENDPOINT not set"),
        (ENDPOINT, " ", "VISION_KEY not set"),
        (ENDPOINT, "two words", "copy it again"),
        (ENDPOINT, "ключ", "copy it again"),
        ("name.cognitiveservices.azure.com", KEY, "must look like"),
        ("ftp://name.cognitiveservices.azure.com", KEY, "must look like"),
        (f"{ENDPOINT}?key=1", KEY, "must look like"),
        ("https://", KEY, "must look like"),
        ("https://name:99999", KEY, "must look like"),
        ("https://me@name", KEY, "must look like"),
        (f"{ENDPOINT}/{{x}}", KEY, "must look like"),
        ("http://name.cognitiveservices.azure.com", KEY, "must begin with https://"),
    ],
)
def test_what_is_missing_or_wrong(monkeypatch, endpoint, key, words):
    monkeypatch.setenv("VISION_ENDPOINT", endpoint)
    monkeypatch.setenv("VISION_KEY", key)
    with pytest.raises(NotConfigured, match=words) as caught:
        AzureAdapter()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://westeurope.api.cognitive.microsoft.com/",
        "http://localhost:1",
        "http://[::1]:1",
        "http://10.0.0.7:8080",
        "http://emulator:8080",
        "https://gateway.example.org/vision",
    ],
)
def test_addresses_that_are_taken(configured, endpoint):
    assert AzureAdapter(AzureProfile(endpoint=endpoint)).account


@pytest.mark.parametrize(
    "wrong", [{"model_version": "newest"}, {"language": "English"}, {"region": "x"}]
)
def test_profiles_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AzureProfile(**wrong)


@pytest.mark.parametrize("module", ["azure.ai.vision.imageanalysis", "aiohttp"])
def test_the_extra_is_missing(configured, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r'pip install "\.\[azure\]"'):
        AzureAdapter()


def test_importing_it_imports_no_sdk():
    program = (
        "import sys, adapters.azure, adapters.azure_v32\n"
        "loaded = {'aiohttp', 'azure', 'msrest', 'requests', 'urllib3'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# Every error of the SDK's

MAPPED = (Refusal, Retry, StopError)


def meant(error):
    """Say what an error of the SDK means."""
    try:
        return of_core(error, [KEY])
    except StopError as stop:
        return stop


class Reply:
    """What azure-core hands over with an error."""

    reason = "whatever"

    def __init__(self, status, body=b"", headers=None):
        self.status_code, self.content, self.headers = status, body, headers or {}

    def text(self):
        return self.content.decode()


def of_azure_core(kind, reply=None):
    """Make an error of any of azure-core's classes."""
    if issubclass(kind, core.TooManyRedirectsError):
        return kind([], response=reply)
    if issubclass(
        kind, core.StreamConsumedError | core.StreamClosedError | core.ResponseNotReadError
    ):
        return kind(type("Response", (), {"request": "request"})())
    if issubclass(kind, core.HttpResponseError):
        return kind(response=reply)
    return kind(f"something with {KEY}")


def all_of_azure_core():
    errors = subclasses(core.AzureError) | {core.SerializationError, core.DeserializationError}
    return sorted(errors, key=lambda kind: kind.__qualname__)


def test_all_of_azure_cores_errors_are_walked():
    names = {kind.__name__ for kind in all_of_azure_core()}
    assert {name for name in core.__all__ if name.endswith("Error")} <= names
    assert {"IncompleteReadError", "ServiceResponseTimeoutError"} <= names


@pytest.mark.parametrize("kind", all_of_azure_core())
def test_each_of_azure_cores_errors_is_mapped(kind):
    if issubclass(kind, core.HttpResponseError):
        stops = {401: AuthenticationFailed, 403: PermissionDenied, 402: QuotaExceeded}
        for status in range(300, 600):
            outcome = meant(of_azure_core(kind, Reply(status)))
            assert isinstance(outcome, stops.get(status, MAPPED))
        plain = meant(of_azure_core(kind, None))
        assert isinstance(plain, Retry)
        assert plain.billed
        return
    outcome = meant(of_azure_core(kind))
    assert KEY not in str(outcome)
    if kind is core.SerializationError:
        assert isinstance(outcome, CallRejected)
        return
    assert isinstance(outcome, Retry)
    assert outcome.billed is not issubclass(kind, core.ServiceRequestError)
    assert not outcome.throttled


def of_aiohttp(kind):
    """Make an error of any of aiohttp's classes."""
    key = ConnectionKey("name", 443, True, True, None, None, None)
    info = aiohttp.RequestInfo("http://name", "POST", {}, "http://name")
    made = [
        (aiohttp.ClientConnectorCertificateError, (key, ssl.SSLError(1, "not trusted"))),
        (client_exceptions.UnixClientConnectorError, ("/path", key, OSError(111, "refused"))),
        (aiohttp.ClientConnectorError, (key, OSError(111, "refused"))),
        (aiohttp.ServerFingerprintMismatch, (b"1", b"2", "name", 443)),
        (aiohttp.ClientResponseError, (info, ())),
    ]
    arguments = next((given for base, given in made if issubclass(kind, base)), ("http://name",))
    return kind(*arguments)


UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ClientHttpProxyError,
)


@pytest.mark.parametrize(
    "kind", sorted(subclasses(aiohttp.ClientError), key=lambda kind: kind.__qualname__)
)
@pytest.mark.parametrize(
    "wrapper",
    [None, core.ServiceRequestError, core.ServiceResponseError, core.ServiceRequestTimeoutError],
)
def test_each_of_aiohttps_errors_is_mapped(kind, wrapper):
    error = of_aiohttp(kind)
    outcome = meant(error if wrapper is None else wrapper(error, error=error))
    if issubclass(kind, aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
        assert isinstance(outcome, CallRejected)
        return
    assert isinstance(outcome, Retry)
    assert outcome.billed is not issubclass(kind, UNSENT)


def test_errors_that_are_not_the_sdks_are_bugs():
    with pytest.raises(KeyError):
        of_core(KeyError("ours"), [])


# Every code


def of_code(code, status=400, outer="InvalidRequest"):
    error = {"code": outer, "message": "text", "innererror": {"code": code, "message": "more"}}
    try:
        return judged(Trouble.read(status, {}, json.dumps({"error": error})), [])
    except StopError as stop:
        return stop


def test_each_documented_code_is_mapped():
    from azure.cognitiveservices.vision.computervision import models

    inner = {code.value for code in models.ComputerVisionInnerErrorCodeValue}
    known = azure_errors.OF_PICTURE | azure_errors.OF_CALL | azure_errors.PASSING
    assert inner - known == {"BadArgument"}  # the message tells what it is about
    for code in inner:
        expected = "CallRejected"
        if code in azure_errors.OF_PICTURE:
            expected = "Refusal"
        elif code in azure_errors.PASSING:
            expected = "Retry"
        assert kind(of_code(code)) == expected
        assert kind(of_code(code, 500, "InternalServerError")) == "Retry"
    for code in models.ComputerVisionErrorCodes:
        passing = code.value in azure_errors.PASSING
        assert kind(of_code("", outer=code.value)) == ("Retry" if passing else "CallRejected")


def test_codes_of_the_future():
    assert kind(of_code("SomethingNew")) == "CallRejected"
    assert kind(of_code("SomethingNew", 500)) == "Retry"
    assert kind(of_code("SomethingNew", 403)) == "PermissionDenied"


@pytest.mark.parametrize(
    ("headers", "text", "after"),
    [
        ({"Retry-After": "12"}, "", 12),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"Retry-After-Ms": "250"}, "", 0.25),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 0),
        ({"Retry-After": "soon"}, "", None),
        ({"Retry-After": "-1"}, "", None),
        ({}, "Please retry after 55 seconds.", 55),
        ({}, "Please retry after 1 minute.", 60),
        ({}, "Rate limit is exceeded. Try again in 86400 seconds.", 86400),
        ({}, "Try again in 2 hours.", 7200),
        ({"Retry-After": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, "", None),
        ({}, "", None),
    ],
)
def test_the_time_that_azure_names(headers, text, after):
    body = json.dumps({"error": {"code": "429", "message": text}})
    assert judged(Trouble.read(429, headers, body), []).after == after
