"""Google's adapter with its real SDK against the emulator, and the map of its errors."""

import asyncio
import contextlib
import datetime
import io
import json
import logging
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from google.api import error_reason_pb2
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.protobuf import duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from PIL import Image

import adapters.google
from adapters import google_errors
from adapters.emulators.brain import Brain, LocalModel
from adapters.emulators.faults import FAULTS, Faults
from adapters.emulators.google import API_KEY, NO_BILLING, NOT_ENABLED, GoogleEmulator
from adapters.emulators.words import mid
from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    MissingExtra,
    NotConfigured,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.google import MOST_BYTES, GoogleAdapter, GoogleProfile
from adapters.interface import Answer, Prediction, Refusal, Retry


class Plain:
    """Scores by the mean brightness."""

    labels = ("cat", "dog", "frog", "bird", "ship", "truck")
    size = (8, 8)
    version = "plain-1"
    max_batch = 32

    def scores(self, pictures):
        light = pictures.reshape(len(pictures), -1).mean(1) / 255
        parts = [light, 1 - light, light / 2, light / 5, light / 10, 0 * light]
        scores = np.stack(parts, 1)
        return (scores / scores.sum(1, keepdims=True)).astype(np.float32)


def png(light, side=8):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), light, np.uint8)).save(file, "PNG")
    return file.getvalue()


BRIGHT, DARK = png(250), png(5)


@pytest.fixture
def clean(monkeypatch):
    for name in ("GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "SURETY_GOOGLE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def emulator(clean, monkeypatch):
    async with GoogleEmulator(Brain(Plain())) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def adapter(emulator):
    async with GoogleAdapter() as made:
        yield made


def calls(emulator):
    return len(emulator.desk.counts.calls)


def script(emulator, *faults, **more):
    emulator.desk.faults = Faults(script=list(faults), **({"timeout": 0.05} | more))


# What it answers


async def test_labels(adapter, emulator):
    bright, dark = await adapter.classify([BRIGHT, DARK])
    assert [p.name for p in bright.predictions] == ["cat", "frog", "bird", "ship", "dog", "truck"]
    assert bright.model_version is None
    best = dark.predictions[0]
    assert (best.name, best.id, best.parents) == ("dog", mid("dog"), ())
    assert best.score == pytest.approx(0.96, abs=0.02)
    assert calls(emulator) == 1
    assert emulator.desk.counts.answered.total() == 2


async def test_at_most_so_many_labels(emulator):
    async with GoogleAdapter(GoogleProfile(max_results=2)) as adapter:
        (answer,) = await adapter.classify([BRIGHT])
    assert [p.name for p in answer.predictions] == ["cat", "frog"]


async def test_safe_search(emulator):
    async with GoogleAdapter(GoogleProfile(operation="safe_search")) as adapter:
        (answer,) = await adapter.classify([DARK])
    assert answer == Answer(
        (
            Prediction("adult", 0.0),
            Prediction("spoof", 1.0),
            Prediction("medical", 0.0),
            Prediction("violence", 0.0),
            Prediction("racy", 0.0),
        )
    )


async def test_unknown_likelihoods_are_left_out(emulator, monkeypatch):
    monkeypatch.setattr(Plain, "labels", ("racy", "adult", "other"))
    monkeypatch.setattr(Plain, "scores", lambda _, p: np.array([[0.5, 0.1, 0.4]], np.float32))
    async with GoogleAdapter(GoogleProfile(operation="safe_search")) as adapter:
        (answer,) = await adapter.classify([DARK])
    assert {p.name: p.score for p in answer.predictions} == {
        "adult": 0.0,
        "spoof": 0.0,
        "medical": 0.5,
        "racy": 0.5,
    }


async def test_the_built_in_classifier(clean, monkeypatch, one_thread):
    brain = Brain(LocalModel())
    picture = png(99, 32)
    async with GoogleEmulator(brain) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        async with GoogleAdapter() as adapter:
            (answer,) = await adapter.classify([picture])
    expected = await brain.classify(picture)
    assert [(p.name, p.score) for p in answer.predictions] == [
        (label, pytest.approx(score)) for label, score in expected
    ]


async def test_jpeg_is_taken_too(adapter):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG")
    assert isinstance((await adapter.classify([file.getvalue()]))[0], Answer)


async def test_a_changed_model_answers_differently(adapter, emulator):
    emulator.desk.faults = Faults(change_version_after=1)
    (before,) = await adapter.classify([BRIGHT])
    (after,) = await adapter.classify([BRIGHT])
    assert before.predictions[0].name == "cat"
    assert after.predictions[0].name == "frog"
    assert after.model_version is None


def test_options_and_account(clean, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "one-key")
    plain = GoogleAdapter()
    assert plain.options == {"operation": "labels", "model": "builtin/stable", "max_results": 10}
    other = GoogleAdapter(
        GoogleProfile(operation="safe_search", model="builtin/latest", endpoint="eu-vision.x.com")
    )
    assert other.options == {
        "operation": "safe_search",
        "model": "builtin/latest",
        "endpoint": "eu-vision.x.com:443",
    }
    assert plain.account == GoogleAdapter().account != other.account
    assert "one-key" not in plain.account
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key")
    assert GoogleAdapter().account != plain.account
    assert (plain.traits.price, plain.traits.rate, plain.traits.max_batch) == (0.0015, 30.0, 16)


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("throttle", {"throttled": True, "billed": False, "after": 1.5}),
        ("server_error", {"throttled": False, "billed": False, "after": None}),
        ("unavailable", {"throttled": False, "billed": False, "after": None}),
        ("timeout", {"throttled": False, "billed": True, "after": None}),
        ("drop", {"throttled": False, "billed": True, "after": None}),
        ("truncate", {"throttled": False, "billed": True, "after": None}),
        ("empty", {"throttled": False, "billed": True, "after": None}),
    ],
)
async def test_asked_again(adapter, emulator, fault, expected):
    script(emulator, fault, retry_after=1.5)
    for pictures in ([BRIGHT], [BRIGHT, DARK, png(1)]):
        script(emulator, fault, retry_after=1.5)
        outcomes = await adapter.classify(pictures)
        assert len(outcomes) == len(pictures)
        for outcome in outcomes:
            assert isinstance(outcome, Retry)
            assert {name: getattr(outcome, name) for name in expected} == expected
            assert outcome.reason
        await asyncio.sleep(0.05)  # a call at once could still go out over the lost connection
    assert calls(emulator) == 2  # no more than ours: all other retries are off


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("bad_credentials", AuthenticationFailed, "GOOGLE_API_KEY"),
        ("forbidden", PermissionDenied, "restrictions"),
        ("quota", QuotaExceeded, "project 100000000001 is spent"),
    ],
)
async def test_the_run_ends(adapter, emulator, fault, kind, says):
    script(emulator, fault)
    with pytest.raises(kind, match=says) as caught:
        await adapter.classify([BRIGHT, DARK])
    assert type(caught.value) is kind
    assert caught.value.__context__ is None
    assert calls(emulator) == 1
    assert emulator.desk.counts.answered.total() == 0


@pytest.mark.parametrize(
    ("said", "kind", "says"),
    [
        (NO_BILLING, QuotaExceeded, "billing is not enabled for project 100000000001"),
        (NOT_ENABLED, PermissionDenied, "gcloud services enable vision.googleapis.com"),
    ],
)
async def test_what_to_do_about_the_project(adapter, emulator, said, kind, says):
    emulator.says["forbidden"] = said
    script(emulator, "forbidden")
    with pytest.raises(kind, match=says):
        await adapter.classify([BRIGHT])


def test_every_fault_is_covered():
    covered = {"ok", "throttle", "server_error", "unavailable", "timeout", "drop", "truncate"}
    covered |= {"empty", "partial", "bad_credentials", "forbidden", "quota"}
    assert covered == set(FAULTS)


async def test_in_a_batch_only_some_fail(adapter, emulator):
    script(emulator, "partial")
    first, second = await adapter.classify([BRIGHT, DARK])
    assert isinstance(first, Retry)
    assert (first.billed, first.throttled) == (False, False)
    assert isinstance(second, Answer)


async def test_refused_pictures(adapter, emulator):
    nothing, answer = await adapter.classify([b"no picture", BRIGHT])
    assert nothing == Refusal("Bad image data.")
    assert isinstance(answer, Answer)
    emulator.desk.faults = Faults(refused=1.0)
    assert await adapter.classify([BRIGHT]) == [Refusal("Bad image data.")]


async def test_the_deadline_is_kept(adapter, emulator):
    script(emulator, "timeout", timeout=5)
    adapter.traits = adapter.traits.__class__(timeout=0.1)
    began = time.monotonic()
    (outcome,) = await adapter.classify([BRIGHT])
    assert time.monotonic() - began < 1
    assert isinstance(outcome, Retry)
    assert outcome.billed
    assert "DEADLINE_EXCEEDED" in outcome.reason


async def test_nobody_listens(clean, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "key")
    async with GoogleAdapter(GoogleProfile(endpoint="127.0.0.1:1")) as adapter:
        (outcome,) = await adapter.classify([BRIGHT])
    assert isinstance(outcome, Retry)
    assert not outcome.billed


async def test_a_connection_comes_back(adapter, emulator):
    script(emulator, "drop", "drop", "drop")
    for _ in range(3):
        assert isinstance((await adapter.classify([BRIGHT]))[0], Retry)
        await asyncio.sleep(0.15)
    assert isinstance((await adapter.classify([BRIGHT]))[0], Answer)


async def test_one_connection_serves_many_calls(adapter, emulator):
    script(emulator, latency={"median": 0.05})
    found = await asyncio.gather(*(adapter.classify([png(i)]) for i in range(40)))
    assert all(isinstance(outcomes[0], Answer) for outcomes in found)
    assert len(emulator._server._relay._connections) == 1


def clients_tasks():
    """Return all tasks but those in which the emulator waits for the next call."""
    return {t for t in asyncio.all_tasks() if not t.done() and "AioServer" not in repr(t)}


@pytest.mark.parametrize("wait", [0, 0.1])
async def test_cancelled(adapter, emulator, wait):
    await adapter.classify([BRIGHT])
    before = clients_tasks()
    script(emulator, latency={"median": 5.0})
    task = asyncio.create_task(adapter.classify([BRIGHT]))
    await asyncio.sleep(wait)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 0.5
    await asyncio.sleep(0.1)
    assert clients_tasks() <= before
    script(emulator)
    assert isinstance((await adapter.classify([BRIGHT]))[0], Answer)


async def test_closed_during_a_call(adapter, emulator):
    script(emulator, latency={"median": 5.0})
    task = asyncio.create_task(adapter.classify([BRIGHT]))
    await asyncio.sleep(0.1)
    await adapter.close()
    assert await task == [Retry("the call was cut off", billed=True)]
    script(emulator)
    assert isinstance((await adapter.classify([BRIGHT]))[0], Answer)  # it connects again


def test_one_adapter_in_several_loops(clean, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", API_KEY)

    async def ask(adapter, emulator):
        async with emulator:
            (answer,) = await adapter.classify([BRIGHT])
        return answer.predictions[0].name

    async def port():
        async with GoogleEmulator(Brain(Plain())) as emulator:
            return emulator.addresses["grpc"]

    address = asyncio.run(port())
    adapter = GoogleAdapter(GoogleProfile(endpoint=address))
    number = int(address.rpartition(":")[2])
    for _ in range(2):  # the first loop ends without a close
        emulator = GoogleEmulator(Brain(Plain()), port=number)
        assert asyncio.run(ask(adapter, emulator)) == "cat"
    assert len(adapter._clients) == 1
    asyncio.run(adapter.close())
    assert not adapter._clients


# Large pictures


def noise(size):
    """Return a picture of about this many bytes."""
    side = int((size / 3) ** 0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


async def test_several_requests_if_they_are_too_large(adapter, emulator):
    large = noise(3_000_000)
    outcomes = await adapter.classify([large, large, large, large, BRIGHT])
    assert [type(outcome) for outcome in outcomes] == [Answer] * 5
    assert outcomes[4].predictions[0].name == "cat"
    assert [len(call.images) for call in emulator.desk.counts.calls] == [2, 3]


async def test_no_more_requests_after_a_failed_one(adapter, emulator):
    large = noise(3_000_000)
    script(emulator, "throttle", retry_after=2)
    outcomes = await adapter.classify([large, large, large])
    assert [(o.throttled, o.after, o.billed) for o in outcomes] == [(True, 2.0, False)] * 3
    script(emulator, "drop")
    outcomes = await adapter.classify([large, large, large])
    assert [o.billed for o in outcomes] == [True, True, False]
    assert calls(emulator) == 2


async def test_all_requests_share_the_time(adapter, emulator):
    large = noise(4_000_000)
    adapter.traits = adapter.traits.__class__(timeout=0.2)
    script(emulator, latency={"median": 0.12})
    first, second = await adapter.classify([large, large])
    assert isinstance(first, Answer | Retry)
    assert isinstance(second, Retry)


async def test_what_was_answered_is_kept_if_something_ends_the_run(clean, monkeypatch):
    from google.cloud import vision

    monkeypatch.setenv("GOOGLE_API_KEY", "the-key")
    fine, denied = vision.AnnotateImageResponse(), vision.AnnotateImageResponse()
    denied.error.code = code_pb2.PERMISSION_DENIED
    replies = [[fine, denied], [denied, denied], [fine, fine], "QUOTA", "QUOTA"]

    async def answer(_, context):
        reply = replies.pop(0)
        if reply == "QUOTA":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        made = vision.BatchAnnotateImagesResponse(responses=reply)
        return vision.BatchAnnotateImagesResponse.serialize(made)

    handler = grpc.unary_unary_rpc_method_handler(answer)
    service = "google.cloud.vision.v1.ImageAnnotator"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"BatchAnnotateImages": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with GoogleAdapter(GoogleProfile(endpoint=f"127.0.0.1:{port}")) as adapter:
        outcomes = await adapter.classify([BRIGHT, DARK])
        assert [type(outcome) for outcome in outcomes] == [Answer, Retry]
        with pytest.raises(PermissionDenied):
            await adapter.classify([BRIGHT, DARK])
        monkeypatch.setattr(adapters.google, "MOST_BYTES", 2 * len(BRIGHT) + 1)
        outcomes = await adapter.classify([BRIGHT] * 5)  # in two requests or more
        assert [type(outcome) for outcome in outcomes] == [Answer] * 2 + [Retry] * 3
        with pytest.raises(PermissionDenied):
            await adapter.classify([BRIGHT])
    await server.stop(None)


def test_a_full_request_stays_below_the_limit():
    as_json = MOST_BYTES * 4 / 3 + 16 * 200
    assert as_json < 10_000_000
    assert GoogleAdapter.traits.max_bytes == MOST_BYTES


# Configuration


def test_missing_extra(clean, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "key")
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    monkeypatch.delitem(sys.modules, "google.cloud.vision", raising=False)
    with pytest.raises(MissingExtra, match=r'pip install "\.\[google\]"'):
        GoogleAdapter()


def test_no_credential(clean, monkeypatch):
    with pytest.raises(NotConfigured) as caught:
        GoogleAdapter()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value)
    assert "GOOGLE_API_KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        ("{", "no JSON"),
        ("[]", "no JSON of a credential"),
        ('{"type": "service_account", "private_key": "hush"}', "no complete key"),
        ('{"type": "authorized_user", "refresh_token": "hush"}', "no complete key"),
        ('{"type": "external_account"}', "surety cannot use"),
        ("{}", "of the type 'None'"),
    ],
)
def test_unusable_files(clean, monkeypatch, tmp_path, content, says):
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(NotConfigured, match=says) as caught:
        GoogleAdapter()
    assert "hush" not in str(caught.value)
    assert str(path) not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "target", "secure"),
    [
        (None, "vision.googleapis.com:443", True),
        ("eu-vision.googleapis.com", "eu-vision.googleapis.com:443", True),
        ("https://127.0.0.1:5", "127.0.0.1:5", True),
        ("127.0.0.1:5", "127.0.0.1:5", False),
        ("localhost:5", "localhost:5", False),
        ("[::1]:5", "[::1]:5", False),
        ("http://emulator:5/", "emulator:5", False),
        ("10.0.0.1:5", "10.0.0.1:5", True),
    ],
)
def test_endpoints(clean, monkeypatch, address, target, secure):
    monkeypatch.setenv("GOOGLE_API_KEY", "key")
    if address:
        monkeypatch.setenv("SURETY_GOOGLE_ENDPOINT", address)
    adapter = GoogleAdapter()
    assert (adapter._target, adapter._secure) == (target, secure)


@pytest.mark.parametrize(
    "address", ["ftp://host", "host:port", "host/path", "http://", "unix:/a", "u@host", "h:99999"]
)
def test_wrong_endpoints(clean, monkeypatch, address):
    monkeypatch.setenv("GOOGLE_API_KEY", "key")
    with pytest.raises(NotConfigured, match="endpoint"):
        GoogleAdapter(GoogleProfile(endpoint=address))


def test_importing_it_imports_no_sdk():
    code = (
        "import sys, adapters.google, adapters.emulators.google\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('google', 'grpc', 'proto')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Service accounts


@pytest.fixture(scope="module")
def key_pair():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.fixture
def key_file(key_pair, tmp_path, clean, monkeypatch):
    path = tmp_path / "key.json"
    info = {
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "1",
        "private_key": key_pair[0],
        "client_email": "surety@a-project.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:1/token",
    }
    path.write_text(json.dumps(info))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return path, info


@contextlib.asynccontextmanager
async def a_google(public_key):
    async with GoogleEmulator(Brain(Plain()), public_key=public_key) as emulator:
        profile = GoogleProfile(endpoint=emulator.addresses["grpc"])
        async with GoogleAdapter(profile) as adapter:
            yield emulator, adapter


async def test_a_service_account(key_pair, key_file):
    async with a_google(key_pair[1]) as (emulator, adapter):
        assert isinstance((await adapter.classify([BRIGHT]))[0], Answer)
        script(emulator, "forbidden")
        with pytest.raises(PermissionDenied, match="gcloud services enable"):
            await adapter.classify([BRIGHT])
    async with a_google(None) as (_, adapter):
        with pytest.raises(AuthenticationFailed, match="make a new key"):
            await adapter.classify([BRIGHT])


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_wrong_clock(key_pair, key_file, monkeypatch, hours):
    from google.auth import _helpers

    async with a_google(key_pair[1]) as (_, adapter):
        right = _helpers.utcnow
        wrong = datetime.timedelta(hours=hours)
        with monkeypatch.context() as patch:
            patch.setattr(_helpers, "utcnow", lambda: right() + wrong)
            token = dict(adapter._metadata())["authorization"]
        monkeypatch.setattr(adapter, "_metadata", lambda: [("authorization", token)])
        with pytest.raises(AuthenticationFailed, match="set this machine's clock right"):
            await adapter.classify([BRIGHT])


@pytest.fixture
async def over_tls(key_pair, monkeypatch):
    """A server that takes every credential and notes it, with a certificate that is trusted."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID
    from google.cloud import vision

    key = serialization.load_pem_private_key(key_pair[0].encode(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    trusted = grpc.ssl_channel_credentials(certificate)
    monkeypatch.setattr(
        grpc,
        "compute_engine_channel_credentials",
        lambda call: grpc.composite_channel_credentials(trusted, call),
    )
    seen = []

    async def answer(_, context):
        seen.append(dict(context.invocation_metadata()))
        reply = vision.BatchAnnotateImagesResponse(responses=[vision.AnnotateImageResponse()])
        return vision.BatchAnnotateImagesResponse.serialize(reply)

    handler = grpc.unary_unary_rpc_method_handler(answer)
    service = "google.cloud.vision.v1.ImageAnnotator"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"BatchAnnotateImages": handler}),)
    )
    both = [(key_pair[0].encode(), certificate)]
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials(both))
    await server.start()
    yield GoogleProfile(endpoint=f"https://localhost:{port}"), seen
    await server.stop(None)


async def test_a_key_over_tls(over_tls, clean, monkeypatch):
    profile, seen = over_tls
    monkeypatch.setenv("GOOGLE_API_KEY", "the-key")
    async with GoogleAdapter(profile) as adapter:
        assert await adapter.classify([BRIGHT]) == [Answer(())]
    assert [call["x-goog-api-key"] for call in seen] == ["the-key"]


async def test_a_service_account_over_tls(over_tls, key_pair, key_file):
    from google.auth import jwt

    profile, seen = over_tls
    async with GoogleAdapter(profile) as adapter:
        assert await adapter.classify([BRIGHT]) == [Answer(())]
    (call,) = seen
    token = call["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, certs=key_pair[1], audience="https://vision.googleapis.com/")
    assert claims["sub"] == "surety@a-project.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, AuthenticationFailed), (None, None)], ids=["refused", "away"]
)
async def test_a_person_over_tls(over_tls, clean, monkeypatch, tmp_path, status, kind):
    from aiohttp import web

    profile, seen = over_tls

    async def refuse(_):
        said = {"error": "invalid_grant", "error_description": "Token has been revoked."}
        return web.json_response(said, status=status)

    application = web.Application()
    application.add_routes([web.post("/token", refuse)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1] if status else 1
    monkeypatch.setattr(
        "google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"http://127.0.0.1:{port}/token"
    )
    path = tmp_path / "key.json"
    person = {"type": "authorized_user", "client_id": "a", "client_secret": "hush"}
    path.write_text(json.dumps(person | {"refresh_token": "quiet"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    async with GoogleAdapter(profile) as adapter:
        if kind is not None:
            with pytest.raises(kind, match="revoked"):
                await adapter.classify([BRIGHT])
        else:
            (outcome,) = await adapter.classify([BRIGHT])
            assert isinstance(outcome, Retry)
            assert (outcome.billed, outcome.throttled) == (False, False)
    await runner.cleanup()
    assert seen == []


def test_the_quota_is_the_projects(key_file):
    path, info = key_file
    account = GoogleAdapter().account
    path.write_text(json.dumps(info | {"client_email": "other@a-project.example"}))
    assert GoogleAdapter().account == account
    path.write_text(json.dumps(info | {"project_id": "another"}))
    assert GoogleAdapter().account != account


def test_a_persons_token_is_not_sent_in_the_clear(clean, monkeypatch, tmp_path):
    path = tmp_path / "key.json"
    person = {"type": "authorized_user", "client_id": "a", "client_secret": "b"}
    path.write_text(json.dumps(person | {"refresh_token": "c"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    GoogleAdapter()
    with pytest.raises(NotConfigured, match="not sent without TLS"):
        GoogleAdapter(GoogleProfile(endpoint="localhost:5"))


# Secrets


@pytest.mark.parametrize("code", [3, 7, 8, 13, 14, 16])
async def test_secrets_stay_secret(adapter, emulator, caplog, code):
    caplog.set_level(logging.DEBUG)
    emulator.says["server_error"] = (code, f"you sent {API_KEY}, and no", "", {})
    script(emulator, "server_error")
    try:
        (outcome,) = await adapter.classify([BRIGHT])
        text = repr(outcome)
    except StopError as error:
        text = f"{error!r} {error}"
    assert "you sent ***" in text
    assert API_KEY not in text + repr(adapter) + str(vars(adapter._profile)) + caplog.text


async def test_a_token_stays_secret(key_pair, key_file):
    async with a_google(key_pair[1]) as (emulator, adapter):
        await adapter.classify([BRIGHT])
        token = adapter._credential.value.token.decode()
        emulator.says["server_error"] = (13, f"you sent {token} and {key_pair[0]}", "", {})
        script(emulator, "server_error")
        (outcome,) = await adapter.classify([BRIGHT])
    assert outcome.reason == "INTERNAL: you sent *** and ***"
    assert "PRIVATE" not in repr(adapter._credential)


# The map of errors is complete

RETRY, THROTTLED = "retry", "throttled"
STATUS = {
    "OK": RETRY,
    "CANCELLED": RETRY,
    "UNKNOWN": RETRY,
    "INVALID_ARGUMENT": CallRejected,
    "DEADLINE_EXCEEDED": RETRY,
    "NOT_FOUND": CallRejected,
    "ALREADY_EXISTS": CallRejected,
    "PERMISSION_DENIED": PermissionDenied,
    "RESOURCE_EXHAUSTED": THROTTLED,
    "FAILED_PRECONDITION": CallRejected,
    "ABORTED": RETRY,
    "OUT_OF_RANGE": CallRejected,
    "UNIMPLEMENTED": CallRejected,
    "INTERNAL": RETRY,
    "UNAVAILABLE": RETRY,
    "DATA_LOSS": RETRY,
    "UNAUTHENTICATED": AuthenticationFailed,
}
CLASSES = {
    "GoogleAPICallError": RETRY,
    "Redirection": RETRY,
    "MovedPermanently": CallRejected,
    "NotModified": CallRejected,
    "TemporaryRedirect": CallRejected,
    "ResumeIncomplete": CallRejected,
    "ClientError": RETRY,
    "BadRequest": CallRejected,
    "InvalidArgument": CallRejected,
    "FailedPrecondition": CallRejected,
    "OutOfRange": CallRejected,
    "Unauthorized": AuthenticationFailed,
    "Unauthenticated": AuthenticationFailed,
    "Forbidden": PermissionDenied,
    "PermissionDenied": PermissionDenied,
    "NotFound": CallRejected,
    "MethodNotAllowed": CallRejected,
    "Conflict": RETRY,
    "AlreadyExists": CallRejected,
    "Aborted": RETRY,
    "LengthRequired": CallRejected,
    "PreconditionFailed": CallRejected,
    "RequestRangeNotSatisfiable": CallRejected,
    "TooManyRequests": THROTTLED,
    "ResourceExhausted": THROTTLED,
    "Cancelled": RETRY,
    "ServerError": RETRY,
    "InternalServerError": RETRY,
    "Unknown": RETRY,
    "DataLoss": RETRY,
    "MethodNotImplemented": CallRejected,
    "BadGateway": RETRY,
    "ServiceUnavailable": RETRY,
    "GatewayTimeout": RETRY,
    "DeadlineExceeded": RETRY,
    # Of uploads, which this service has none of.
    "ResumableTransferError": RETRY,
    "TransferStalledError": RETRY,
    "UnseekableStreamError": RETRY,
    "UploadCancelledError": RETRY,
    "MissingStatusHeaderError": RETRY,
}
AUTH = {
    "GoogleAuthError": AuthenticationFailed,
    "TransportError": RETRY,
    "TimeoutError": RETRY,
    "ResponseError": RETRY,
    "RefreshError": AuthenticationFailed,
    "ReauthFailError": AuthenticationFailed,
    "ReauthSamlChallengeFailError": AuthenticationFailed,
    "UserAccessTokenError": AuthenticationFailed,
    "DefaultCredentialsError": AuthenticationFailed,
    "MalformedError": AuthenticationFailed,
    "InvalidResource": AuthenticationFailed,
    "InvalidOperation": AuthenticationFailed,
    "InvalidValue": AuthenticationFailed,
    "InvalidType": AuthenticationFailed,
    "OSError": AuthenticationFailed,
    "MutualTLSChannelError": AuthenticationFailed,
    "ClientCertError": AuthenticationFailed,
    "OAuthError": AuthenticationFailed,
}


def walk(kind):
    return {kind} | {one for sub in kind.__subclasses__() for one in walk(sub)}


def meaning(call):
    """Say what becomes of an error."""
    try:
        outcome = call()
    except StopError as error:
        return type(error)
    if isinstance(outcome, Refusal):
        return "refusal"
    return THROTTLED if outcome.throttled else RETRY


def of_sdk(error):
    return meaning(lambda: google_errors.outcome_of(error, ()))


def own(kinds, module):
    return {kind for kind in kinds if kind.__module__ == module}


def test_every_class_of_api_core():
    kinds = own(walk(api.GoogleAPICallError), api.__name__)
    assert {kind.__name__: of_sdk(kind("text")) for kind in kinds} == CLASSES


def test_other_errors_of_api_core():
    kinds = own(walk(api.GoogleAPIError), api.__name__) - walk(api.GoogleAPICallError)
    assert {kind.__name__ for kind in kinds} == {
        "GoogleAPIError",
        "DuplicateCredentialArgs",
        "RetryError",
    }
    assert of_sdk(api.DuplicateCredentialArgs("text")) is CallRejected
    assert of_sdk(api.RetryError("text", api.Unauthenticated("text"))) is AuthenticationFailed
    assert of_sdk(api.RetryError("text", None)) == RETRY


def test_every_class_of_google_auth():
    kinds = own(walk(auth.GoogleAuthError), auth.__name__)
    assert {kind.__name__: of_sdk(kind("text")) for kind in kinds} == AUTH
    for kind in kinds - {auth.ClientCertError}:
        assert of_sdk(kind("text", retryable=True)) == RETRY


def test_every_status():
    for code in grpc.StatusCode:
        error = api.from_grpc_status(code, "text")
        assert of_sdk(error) == STATUS[code.name], code
    assert {code.name for code in grpc.StatusCode} == set(STATUS)
    assert set(code_pb2.Code.keys()) == set(STATUS)


def test_every_status_of_a_picture():
    for name, number in code_pb2.Code.items():
        error = status_pb2.Status(code=number, message="text")
        expected = {"INVALID_ARGUMENT": "refusal", "OUT_OF_RANGE": "refusal"}.get(
            name, STATUS[name]
        )
        assert meaning(lambda: google_errors.of_picture(error, ())) == expected, name  # noqa: B023


def with_info(reason, code=grpc.StatusCode.PERMISSION_DENIED, **metadata):
    info = error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com", metadata=metadata)
    return api.from_grpc_status(code, "text", details=[info], error_info=info)


def test_every_reason():
    reasons = set(error_reason_pb2.ErrorReason.keys())
    assert set(google_errors.REASONS) | google_errors.BY_STATUS == reasons
    for reason in set(google_errors.REASONS):
        found = of_sdk(with_info(reason))
        assert found is google_errors.REASONS[reason][0]


def test_what_is_not_known():
    class NewError(api.GoogleAPICallError):
        pass

    class NewAuthError(auth.GoogleAuthError):
        pass

    assert of_sdk(NewError("text")) == RETRY
    assert of_sdk(NewAuthError("text")) is AuthenticationFailed
    assert of_sdk(api.from_grpc_status(99, "text")) == RETRY
    assert of_sdk(api.from_http_status(418, "text")) == RETRY
    assert of_sdk(with_info("A_NEW_REASON")) is PermissionDenied
    error = status_pb2.Status(code=99, message="text")
    assert google_errors.of_picture(error, ()) == Retry("unknown error: text", billed=True)
    with pytest.raises(ZeroDivisionError):
        google_errors.outcome_of(ZeroDivisionError(), ())


PER_MINUTE = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service"


@pytest.mark.parametrize(
    ("text", "metadata", "expected"),
    [
        (PER_MINUTE, None, THROTTLED),
        (PER_MINUTE, {"quota_limit": "defaultPerMinutePerProject"}, THROTTLED),
        (PER_MINUTE, {"quota_unit": "1/min/{project}", "quota_limit_value": "1800"}, THROTTLED),
        (PER_MINUTE, {"quota_unit": "1/min/{project}", "quota_limit_value": "0"}, QuotaExceeded),
        ("x", {"quota_unit": "1/d/{project}"}, QuotaExceeded),
        ("x", {"quota_limit": "LabelsPerDayPerProject"}, QuotaExceeded),
        (PER_MINUTE.replace("minute", "day"), None, QuotaExceeded),
        ("Daily Limit Exceeded", None, QuotaExceeded),
        ("Requests per month", None, QuotaExceeded),
        ("Insufficient tokens for quota 'DefaultGroup' and limit 'USER-100s'", None, THROTTLED),
        ("Received message larger than max (9 vs. 4)", None, CallRejected),
    ],
)
def test_throttled_or_spent(text, metadata, expected):
    details = []
    if metadata is not None:
        details = [error_details_pb2.ErrorInfo(reason="RATE_LIMIT_EXCEEDED", metadata=metadata)]
    assert of_sdk(api.ResourceExhausted(text, details=details)) == expected
    assert of_sdk(api.TooManyRequests(text, details=details)) == expected


def test_spent_by_the_violated_quota():
    violation = error_details_pb2.QuotaFailure.Violation(quota_id="LabelsPerDayPerProject")
    failure = error_details_pb2.QuotaFailure(violations=[violation])
    assert of_sdk(api.ResourceExhausted("x", details=[failure])) is QuotaExceeded


def test_how_long_to_wait():
    delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2, nanos=10**8))
    error = api.ServiceUnavailable("x", details=[delay])
    assert google_errors.outcome_of(error, ()).after == pytest.approx(2.1)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (3, "API key expired. Please renew the API key.", AuthenticationFailed),
        (7, "This API method requires billing to be enabled.", QuotaExceeded),
        (7, "Cloud Vision API has not been used in project 1 before", PermissionDenied),
        (14, "Getting metadata from plugin failed with error: ('invalid_grant: Invalid JWT: "
             "Token must be a short-lived token')", AuthenticationFailed),
        (14, "Getting metadata from plugin failed with error: HTTPSConnectionPool", RETRY),
        (14, "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: self signed", CallRejected),
    ],
)  # fmt: skip
def test_what_only_the_text_tells(code, text, expected):
    assert of_sdk(api.from_grpc_status(code, text)) == expected


def test_a_wrong_option_does_not_look_like_a_bad_picture():
    error = status_pb2.Status(code=3, message="image-annotator::Malformed request.: x")
    assert meaning(lambda: google_errors.of_picture(error, ())) is CallRejected


def test_a_pictures_own_details():
    error = status_pb2.Status(code=8, message="x")
    delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=3))
    error.details.add().Pack(delay)
    error.details.add().Pack(status_pb2.Status())  # nothing that is known
    garbled = error.details.add()
    garbled.type_url, garbled.value = "type.googleapis.com/google.rpc.RetryInfo", b"\xff\xff"
    assert google_errors.of_picture(error, ()) == Retry(
        "RESOURCE_EXHAUSTED: x", after=3.0, throttled=True
    )


async def test_details_that_the_sdk_cannot_read(adapter, emulator, monkeypatch):
    other = status_pb2.Status(code=9, message="something else")  # contradicts the call's status
    for garbage in (other.SerializeToString(), b"\xff\xff"):

        async def grpc_call(_, context, garbage=garbage):
            await context.abort(
                grpc.StatusCode.UNAVAILABLE, "away", (("grpc-status-details-bin", garbage),)
            )

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(grpc_call)
        service = "google.cloud.vision.v1.ImageAnnotator"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"BatchAnnotateImages": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with GoogleAdapter(GoogleProfile(endpoint=f"127.0.0.1:{port}")) as other_adapter:
            outcomes = await other_adapter.classify([BRIGHT])
        await server.stop(None)
        assert outcomes == [Retry("UNAVAILABLE: away")]


async def test_a_call_that_google_cancels(adapter, emulator):
    emulator.says["server_error"] = (1, "gone", "", {})
    script(emulator, "server_error")
    (outcome,) = await adapter.classify([BRIGHT])
    assert isinstance(outcome, Retry)


async def test_a_proxy_is_not_for_this_machine(emulator, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with GoogleAdapter() as adapter:
        assert isinstance((await adapter.classify([BRIGHT]))[0], Answer)


@pytest.mark.parametrize("key", ["AIzaSECRETä", "AIza SECRET", "AIza\x01SECRET"])
def test_a_key_that_no_header_could_carry_is_told_before_a_call(monkeypatch, key):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("GOOGLE_API_KEY", key)
    with pytest.raises(NotConfigured, match="copy it anew") as caught:
        GoogleAdapter()
    assert "SECRET" not in str(caught.value)
