"""Azure's adapter of Computer Vision 3.2: its deprecated SDK against the emulator; its errors."""

import asyncio
import dataclasses
import json
import logging
import sys
import threading
import time

import pytest
import requests
import urllib3
from azure.core import exceptions as core
from msrest import exceptions as msrest

from adapters.azure_v32 import AzureV32Adapter, AzureV32Profile, of_msrest
from adapters.emulators.azure import AzureV32Emulator
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
    async with AzureV32Emulator(Brain(Plain()), key=KEY) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def adapter(emulator):
    async with AzureV32Adapter() as made:
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


async def asked(stub, operation="tags"):
    """Return the outcome of a picture, and the stub that was asked about it."""
    async with stub:
        profile = AzureV32Profile(endpoint=stub.url, operation=operation)
        async with AzureV32Adapter(profile) as adapter:
            return await ask(adapter), stub


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("surety-azure")]


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


async def test_tags_with_hints(adapter, emulator):
    assert await ask(adapter) == Answer(
        (
            Prediction("cat", pytest.approx(250 / 255, abs=1e-6), parents=("animal",)),
            Prediction("dog", pytest.approx(5 / 255, abs=1e-6), parents=("animal",)),
            Prediction("truck", 0.0, parents=("vehicle",)),
        ),
        model_version=emulator.desk.version,
    )
    assert (calls(emulator), emulator.desk.counts.answered.total()) == (1, 1)


async def test_adult_content(emulator):
    async with AzureV32Adapter(AzureV32Profile(operation="adult")) as adapter:
        answer = await ask(adapter)
    assert [p.name for p in answer.predictions] == ["adult", "racy", "gore"]
    assert [p.score for p in answer.predictions] == pytest.approx([250 / 255, 5 / 255, 0], abs=1e-6)
    assert answer.model_version == emulator.desk.version
    assert adapter.options["operation"] == "adult"


async def test_jpeg_and_several_pictures(adapter, emulator):
    both = await adapter.classify([encoded(250, kind="JPEG"), DARK])
    assert [max(one.predictions, key=lambda p: p.score).name for one in both] == ["cat", "dog"]
    assert calls(emulator) == 2


async def test_the_built_in_classifier(monkeypatch, one_thread):
    async with AzureV32Emulator(Brain(LocalModel())) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        async with AzureV32Adapter() as adapter:
            answer = await ask(adapter, noise(64))
    assert len(answer.predictions) == 10
    assert sum(p.score for p in answer.predictions) == pytest.approx(1, abs=1e-5)


async def test_a_version_can_be_pinned(emulator):
    first = emulator.desk.version
    emulator.desk.faults = Faults(change_version_after=1)
    async with (
        AzureV32Adapter() as latest,
        AzureV32Adapter(AzureV32Profile(model_version=first)) as pinned,
    ):
        versions = [(await ask(one)).model_version for one in (latest, latest, pinned)]
    assert versions == [first, f"{first}.1", first]


@pytest.mark.parametrize("profile", [{"model_version": "1999-12-31"}, {"language": "xx"}])
async def test_a_version_or_language_that_there_is_not(emulator, profile):
    async with AzureV32Adapter(AzureV32Profile(**profile)) as adapter:
        error = await ask(adapter)
    assert isinstance(error, CallRejected)
    assert calls(emulator) == 1


def test_options_and_account(configured):
    adapter = AzureV32Adapter()
    assert adapter.options == {"operation": "tags", "model_version": "latest", "language": "en"}
    assert KEY not in repr((adapter, adapter.account))


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
        b'{"tags": null}',
        b'{"tags": {}}',
        b'{"tags": [7]}',
        b'{"tags": [{"name": "cat"}]}',
        b'{"tags": [{"name": "", "confidence": 0.5}]}',
        b'{"tags": [{"name": "cat", "confidence": "high"}]}',
        b'{"tags": [{"name": "cat", "confidence": 1.5}]}',
        b'{"tags": [{"name": "cat", "confidence": NaN}]}',
    ],
)
@pytest.mark.parametrize("operation", ["tags", "adult"])
async def test_replies_that_hold_nothing(configured, body, operation):
    outcome, _ = await asked(Stub(200, body), operation)
    assert isinstance(outcome, Retry)
    assert outcome.billed


async def test_an_answer_without_tags_is_an_answer(configured):
    body = b'{"tags": [], "modelVersion": "2021-05-01"}'
    outcome, stub = await asked(Stub(200, body))
    assert outcome == Answer((), "2021-05-01")
    head, sent = stub.requests[0]
    assert sent == BRIGHT
    line = head.split(b"\r\n")[0].decode()
    assert line == "POST /vision/v3.2/tag?language=en&model-version=latest HTTP/1.1"


async def test_a_reply_cut_short(configured):
    for status in (200, 401, 500):
        outcome, _ = await asked(Stub(status, b'{"x": "' + b"x" * 100, cut=50))
        assert isinstance(outcome, Retry)
        assert outcome.billed


async def test_no_answer_in_time(adapter, emulator):
    adapter.traits = dataclasses.replace(adapter.traits, timeout=0.2)
    script(emulator, "timeout", timeout=5)
    started = time.monotonic()
    outcome = await ask(adapter)
    assert time.monotonic() - started < 1
    assert isinstance(outcome, Retry)
    assert outcome.billed
    assert calls(emulator) == 1


async def test_nobody_there(configured):
    async with AzureV32Adapter(AzureV32Profile(endpoint="http://127.0.0.1:1")) as adapter:
        outcome = await ask(adapter)
    assert isinstance(outcome, Retry)
    assert not outcome.billed
    assert "VISION_ENDPOINT" in outcome.reason


async def test_the_key_goes_nowhere_else(configured):
    async with Stub() as other:
        for status in (302, 307):
            outcome, _ = await asked(Stub(status, b"", {"Location": f"{other.url}/tag"}))
            assert kind(outcome) == "CallRejected"
        assert not other.requests


async def test_a_bad_key(emulator, monkeypatch):
    monkeypatch.setenv("VISION_KEY", "another")
    async with AzureV32Adapter() as adapter:
        assert isinstance(await ask(adapter), AuthenticationFailed)


async def test_limits(adapter, emulator):
    for picture in (
        b"no picture",
        b"",
        encoded(9, 50, 90),
        encoded(9, 16_000, 51),
        BRIGHT + bytes(4 * 2**20),
    ):
        assert kind(await ask(adapter, picture)) == "Refusal"
    assert kind(await ask(adapter, encoded(9, 51, 51))) == "Answer"
    assert kind(await ask(adapter, noise(1100))) == "Answer"  # 3.6 MB
    traits = adapter.traits
    assert (traits.min_side, traits.max_side, traits.max_bytes) == (51, 15_999, 4 * 2**20)
    assert emulator.desk.counts.refused.total() == 5


async def test_refused_pictures(adapter, emulator):
    emulator.desk.faults = Faults(refused=1)
    assert isinstance(await ask(adapter), Refusal)
    assert emulator.desk.counts.answered.total() == 0


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
async def test_the_key_is_never_shown(configured, caplog, status):
    caplog.set_level(logging.DEBUG)
    said = {"error": {"code": KEY, "message": f"the key {KEY} is", "innererror": {"code": KEY}}}
    outcome, _ = await asked(Stub(status, json.dumps(said).encode()))
    assert KEY not in f"{outcome} {outcome!r}"
    assert getattr(outcome, "__context__", None) is None
    assert getattr(outcome, "__cause__", None) is None
    assert KEY not in caplog.text


# Cancelling, closing, threads


async def test_cancelling(adapter, emulator):
    script(emulator, "timeout", timeout=0.4)
    call = asyncio.create_task(ask(adapter))
    await received(emulator)
    call.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - started < 0.2
    assert kind(await ask(adapter)) == "Answer"
    await adapter.close()
    await asyncio.sleep(0.45)
    assert not own_threads()


async def test_cancelled_calls_that_have_not_begun_are_never_made(adapter, emulator):
    adapter.traits = dataclasses.replace(adapter.traits, concurrency=1)
    script(emulator, "timeout", timeout=0.2)
    both = [asyncio.create_task(ask(adapter)) for _ in range(2)]
    await received(emulator)
    both[1].cancel()
    assert isinstance(await both[0], Retry)
    await asyncio.sleep(0.05)
    assert calls(emulator) == 1


async def test_closing_in_between(adapter, emulator):
    adapter.traits = dataclasses.replace(adapter.traits, concurrency=1)
    script(emulator, "timeout", timeout=0.2)
    both = [asyncio.create_task(ask(adapter)) for _ in range(2)]
    await received(emulator)
    await adapter.close()
    made, waiting = await asyncio.wait_for(asyncio.gather(*both), 1)
    assert isinstance(made, Retry)
    assert made.billed
    assert waiting == Retry("the adapter was closed before the call was made")
    assert kind(await ask(adapter)) == "Answer"  # it opens again


async def test_closing_twice_or_unused(configured):
    adapter = AzureV32Adapter()
    await adapter.close()
    await adapter.close()


async def test_as_many_calls_at_once_as_there_may_be(adapter, emulator):
    adapter.traits = dataclasses.replace(adapter.traits, concurrency=4)
    emulator.desk.faults = Faults(latency={"median": 0.02})
    outcomes = await asyncio.gather(*(ask(adapter, encoded(light)) for light in range(24)))
    assert {kind(outcome) for outcome in outcomes} == {"Answer"}
    assert 1 < len(own_threads()) <= 4
    assert len(adapter._sessions) == len(own_threads())  # one connection each, and reused


def test_one_loop_after_another(monkeypatch):
    async def certify(port):
        async with AzureV32Emulator(Brain(Plain()), key=KEY, port=port) as emulator:
            address = emulator.addresses["rest"]
            if not made:
                made.append(AzureV32Adapter(AzureV32Profile(endpoint=address)))
            assert kind(await ask(made[0])) == "Answer"
            await made[0].close()
        return int(address.rpartition(":")[2])

    monkeypatch.setenv("VISION_KEY", KEY)
    made = []
    port = asyncio.run(certify(0))
    assert asyncio.run(certify(port)) == port


# Set up


def test_what_is_missing(monkeypatch):
    monkeypatch.delenv("VISION_ENDPOINT", raising=False)
    monkeypatch.delenv("VISION_KEY", raising=False)
    with pytest.raises(NotConfigured, match="VISION_ENDPOINT and VISION_KEY not set"):
        AzureV32Adapter()


def test_the_extra_is_missing(configured, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.cognitiveservices.vision.computervision", None)
    monkeypatch.delattr(
        "azure.cognitiveservices.vision.computervision", raising=False
    )  # imported before
    with pytest.raises(MissingExtra, match=r'pip install "\.\[azure\]"'):
        AzureV32Adapter()


@pytest.mark.parametrize("wrong", [{"operation": "faces"}, {"model_version": "newest"}])
def test_profiles_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AzureV32Profile(**wrong)


# Every error of the SDK's

MAPPED = (Refusal, Retry, StopError)


def meant(error):
    """Say what an error of the SDK means."""
    try:
        return of_msrest(error, [KEY])
    except StopError as stop:
        return stop


class Undecided:
    """Takes the place of msrest's deserializer: it cannot read anything."""

    dependencies = {}

    def __call__(self, *_):
        raise core.DeserializationError("nothing")


def of_status(kind, status):
    reply = requests.Response()
    reply.status_code, reply._content, reply.reason = status, b"", "whatever"
    return kind(Undecided(), reply)


def all_of_msrest():
    # The SDK's own errors derive from msrest's.
    from azure.cognitiveservices.vision.computervision import models

    errors = subclasses(msrest.ClientException) | {
        core.SerializationError,
        core.DeserializationError,
    }
    assert {
        models.ComputerVisionErrorResponseException,
        models.ComputerVisionOcrErrorException,
    } <= errors
    return sorted(errors, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", all_of_msrest())
def test_each_of_msrests_errors_is_mapped(kind):
    if issubclass(kind, msrest.HttpOperationError):
        stops = {401: AuthenticationFailed, 403: PermissionDenied, 402: QuotaExceeded}
        for status in range(300, 600):
            assert isinstance(meant(of_status(kind, status)), stops.get(status, MAPPED))
        return
    text = f"something with {KEY}"
    error = kind("rule", "target", KEY) if kind is msrest.ValidationError else kind(text)
    outcome = meant(error)
    assert KEY not in str(outcome)
    expected = {
        msrest.AuthenticationError: AuthenticationFailed,
        msrest.TokenExpiredError: AuthenticationFailed,
        msrest.ValidationError: CallRejected,
        core.SerializationError: CallRejected,
    }.get(kind, Retry)
    assert isinstance(outcome, expected)
    assert not isinstance(outcome, Retry) or outcome.billed


def of_requests(kind):
    """Make an error of any of requests' classes."""
    if issubclass(kind, requests.exceptions.JSONDecodeError):
        return kind("something", "document", 0)
    return kind("something")


WRONG = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.URLRequired,
)
UNSENT = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
)


@pytest.mark.parametrize(
    "kind", sorted(subclasses(requests.RequestException), key=lambda kind: kind.__qualname__)
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_each_of_requests_errors_is_mapped(kind, wrapped):
    error = of_requests(kind)
    outcome = meant(msrest.ClientRequestError("failed", error) if wrapped else error)
    if issubclass(kind, WRONG):
        assert isinstance(outcome, CallRejected)
    elif issubclass(kind, requests.exceptions.InvalidHeader):
        assert isinstance(outcome, AuthenticationFailed)
    else:
        assert isinstance(outcome, Retry)
        assert outcome.billed is not issubclass(kind, UNSENT)


@pytest.mark.parametrize(
    ("reason", "billed"),
    [
        (urllib3.exceptions.NewConnectionError(None, "refused"), False),
        (urllib3.exceptions.NameResolutionError("name", None, OSError("unknown")), False),
        (urllib3.exceptions.ConnectTimeoutError("slow"), False),
        (urllib3.exceptions.ProtocolError("cut"), True),
    ],
)
def test_what_was_never_sent_is_not_billed(reason, billed):
    inner = urllib3.exceptions.MaxRetryError(None, "/tag", reason)
    outcome = meant(msrest.ClientRequestError("failed", requests.ConnectionError(inner)))
    assert isinstance(outcome, Retry)
    assert outcome.billed is billed


def test_a_server_that_is_not_trusted():
    inner = requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    assert isinstance(meant(msrest.ClientRequestError("failed", inner)), CallRejected)


def test_errors_that_are_not_the_sdks_are_bugs():
    with pytest.raises(KeyError):
        of_msrest(KeyError("ours"), [])
