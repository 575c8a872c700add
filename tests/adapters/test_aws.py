"""Amazon's adapter with its real SDK against the emulator, moto, and servers that misbehave."""

import asyncio
import contextlib
import functools
import io
import json
import logging
import socket
import subprocess
import sys
import threading
import time

import aiohttp.web
import boto3.exceptions
import botocore.discovery
import botocore.exceptions
import botocore.loaders
import botocore.parsers
import botocore.session
import numpy as np
import pytest
from botocore.retries import standard
from PIL import Image
from pydantic import ValidationError

from adapters import aws_credentials, aws_errors
from adapters.aws import AwsAdapter, AwsProfile
from adapters.emulators.aws import CREDENTIALS, AwsEmulator
from adapters.emulators.brain import Brain, LocalModel
from adapters.emulators.faults import Faults
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
from adapters.registry import load

((KEY_ID, SECRET),) = CREDENTIALS.items()


class Plain:
    """Scores by the mean brightness."""

    labels = ("cat", "truck")
    size = (8, 8)
    version = "plain-1"
    max_batch = 32

    def scores(self, pictures):
        light = pictures.reshape(len(pictures), -1).mean(1) / 255
        return np.stack([light, 1 - light], 1).astype(np.float32)


def encoded(width=80, height=80, light=255, kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (light,) * 3).save(file, kind)
    return file.getvalue()


WHITE = encoded()


@pytest.fixture(autouse=True, scope="module")
def models_read_once():
    """Every client of the SDK reads the service's description anew; here they share it."""
    with pytest.MonkeyPatch.context() as patch:
        shared = functools.cache(botocore.loaders.create_loader)
        patch.setattr(botocore.session, "create_loader", shared)
        yield


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """No credential of the machine that the tests run on."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(aws_credentials, "EC2_MARKS", ())
    return tmp_path


@pytest.fixture
async def emulator(clean, monkeypatch):
    async with AwsEmulator(Brain(Plain())) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def built(timeout=5.0, concurrency=4, **profile):
    from dataclasses import replace

    adapter = AwsAdapter(AwsProfile(**profile))
    adapter.traits = replace(adapter.traits, timeout=timeout, concurrency=concurrency)
    return adapter


@pytest.fixture
async def adapter(emulator):
    async with built() as found:
        yield found


@contextlib.asynccontextmanager
async def serving(handler, monkeypatch, variable="AWS_ENDPOINT_URL_REKOGNITION"):
    """Serve one handler for everything, and point the SDK at it."""
    application = aiohttp.web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{rest:.*}", handler)
    runner = aiohttp.web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv(variable, f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield
    finally:
        await runner.cleanup()


def replying(status=200, body=b"", **headers):
    async def handler(request):
        await request.read()
        return aiohttp.web.Response(status=status, body=body, headers=headers)

    return handler


@pytest.fixture
def credited(clean, monkeypatch):
    """A credential, but no server."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


# Answers


async def test_labels_come_on_the_unit_scale_with_parents_and_version(adapter, emulator):
    (answer,) = await adapter.classify([encoded(light=204)])
    assert answer.model_version == "3.0-plain-1"
    assert [p.name for p in answer.predictions] == [
        "Cat", "Mammal", "Animal", "Truck", "Vehicle"
    ]  # fmt: skip
    cat, mammal, *_ = answer.predictions
    assert cat == Prediction("Cat", pytest.approx(0.8), None, ("Mammal", "Animal"))
    assert mammal.parents == ("Animal",)
    assert len(emulator.desk.counts.calls) == 1


async def test_moderation_labels(emulator):
    async with built(operation="moderation") as adapter:
        (answer,) = await adapter.classify([WHITE])
    assert answer.model_version == "3.0-plain-1"
    cat, mammal, animal = answer.predictions[:3]
    assert (cat.name, cat.parents) == ("Cat", ("Mammal",))
    assert (mammal.parents, animal.parents) == (("Animal",), ())


async def test_the_built_in_classifier_says_the_same_through_it(clean, monkeypatch, one_thread):
    brain = Brain(LocalModel())
    pixels = np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    async with AwsEmulator(brain) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        async with load("aws") as adapter:
            (answer,) = await adapter.classify([file.getvalue()])
    direct = await brain.classify(file.getvalue())
    through = [(p.name.casefold(), p.score) for p in answer.predictions]
    assert [pair for pair in through if pair[0] in brain.model.labels] == [
        (label, pytest.approx(score)) for label, score in direct
    ]


async def test_jpeg_is_taken_as_well(adapter):
    assert isinstance((await adapter.classify([encoded(kind="JPEG")]))[0], Answer)


async def test_what_is_asked_for_is_what_the_profile_says(emulator):
    async with built(min_confidence=70, max_labels=2) as adapter:
        (answer,) = await adapter.classify([encoded(light=204)])
    assert [p.name for p in answer.predictions] == ["Cat", "Mammal"]
    async with built(min_confidence=70) as adapter:
        (answer,) = await adapter.classify([encoded(light=150)])
    assert answer == Answer((), "3.0-plain-1")  # an answer nevertheless


async def test_options_and_account(emulator, monkeypatch):
    labels, moderation = built(), built(operation="moderation", region="eu-west-1")
    own = emulator.addresses["rest"]
    assert labels.options == {
        "operation": "DetectLabels",
        "region": "us-east-1",
        "endpoint": own,
        "min_confidence": 0.0,
        "max_labels": 1000,
    }
    assert moderation.options == {
        "operation": "DetectModerationLabels",
        "region": "eu-west-1",
        "endpoint": own,
        "min_confidence": 0.0,
    }
    json.dumps(dict(labels.options))
    assert len({labels.account, moderation.account, built(region="eu-west-1").account}) == 3
    assert built().account == labels.account
    monkeypatch.delenv("AWS_ENDPOINT_URL_REKOGNITION")
    assert built().options["endpoint"] == "aws"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert built().options["endpoint"] == "http://127.0.0.1:1"
    # Two addresses may be two classifiers, which must not share votes.
    elsewhere = built(endpoint_url="http://127.0.0.1:2")
    assert elsewhere.options["endpoint"] == "http://127.0.0.1:2"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert built().options["endpoint"] == "aws"


async def test_motos_server_which_no_one_here_wrote(credited, monkeypatch):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        async with built(endpoint_url=f"http://{host}:{port}") as adapter:
            (answer,) = await adapter.classify([WHITE])
        assert answer.model_version == "3.0"
        first = answer.predictions[0]
        assert (first.name, first.score) == ("Mobile Phone", pytest.approx(0.999, abs=0.001))
        assert first.parents == ("Phone",)
        async with built(endpoint_url=f"http://{host}:{port}", operation="moderation") as adapter:
            # moto does not have it, and breaks: what a server's fault is to us.
            (outcome,) = await adapter.classify([WHITE])
        assert isinstance(outcome, Retry)
    finally:
        server.stop()


# Failures on the wire

TRANSIENT = {  # fault → (throttled, billed)
    "throttle": (True, False),
    "server_error": (False, False),
    "unavailable": (False, False),
    "partial": (False, False),
    "timeout": (False, True),
    "drop": (False, True),
    "truncate": (False, True),
    "empty": (False, True),
}


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("fault", TRANSIENT)
async def test_a_transient_fault_is_one_call_and_a_retry(emulator, monkeypatch, fault, mode):
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    emulator.desk.faults = Faults(script=[fault])
    async with built(timeout=0.3 if fault == "timeout" else 10.0) as adapter:
        (outcome,) = await adapter.classify([WHITE])
        assert isinstance(outcome, Retry)
        assert (outcome.throttled, outcome.billed) == TRANSIENT[fault]
        await asyncio.sleep(0.02)
        assert len(emulator.desk.counts.calls) == 1
        (again,) = await adapter.classify([WHITE])
        assert isinstance(again, Answer)


async def test_both_throttles_are_known_and_name_their_time(adapter, emulator):
    emulator.desk.faults = Faults(script=["throttle", "throttle"], retry_after=1.5)
    for code in ("ThrottlingException", "ProvisionedThroughputExceededException"):
        (outcome,) = await adapter.classify([WHITE])
        assert (outcome.throttled, outcome.after) == (True, 1.5)
        assert outcome.reason.startswith(code)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("bad_credentials", AuthenticationFailed, "AWS_SECRET_ACCESS_KEY"),
        ("forbidden", PermissionDenied, "allow rekognition:DetectLabels in an IAM policy"),
        ("quota", QuotaExceeded, "payment"),
    ],
)
async def test_what_ends_the_run_says_what_to_do(adapter, emulator, fault, error, said):
    emulator.desk.faults = Faults(script=[fault])
    with pytest.raises(error, match=said) as caught:
        await adapter.classify([WHITE])
    assert "123456789012" not in str(caught.value)  # the account's number
    assert len(emulator.desk.counts.calls) == 1


@pytest.mark.parametrize(
    ("setting", "value", "error", "said"),
    [
        # pragma: allowlist nextline secret
        ("AWS_ACCESS_KEY_ID", "AKIAANOTHERKEY000000", AuthenticationFailed, "security token"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", AuthenticationFailed, "signature we calculated"),
        ("AWS_DEFAULT_REGION", "eu-west-1", AuthenticationFailed, "valid region"),
    ],
)
async def test_wrong_settings(emulator, monkeypatch, setting, value, error, said):
    monkeypatch.setenv(setting, value)
    async with built() as adapter:
        with pytest.raises(error, match=said):
            await adapter.classify([WHITE])


@pytest.mark.parametrize("ahead", [-3600, 3600])
async def test_a_wrong_clock_is_named(adapter, emulator, ahead):
    emulator.clock_ahead = ahead
    with pytest.raises(AuthenticationFailed, match="set this machine's clock"):
        await adapter.classify([WHITE])
    emulator.clock_ahead = 200 if ahead > 0 else -200  # within AWS's five minutes
    assert isinstance((await adapter.classify([WHITE]))[0], Answer)


@pytest.mark.parametrize(
    "picture",
    [
        b"no picture",
        encoded(kind="GIF"),
        encoded(10_001, 80),
        WHITE + bytes(5 * 2**20),
    ],
    ids=["noise", "gif", "wide", "heavy"],
)
async def test_what_aws_does_not_take_is_refused_for_good(adapter, picture):
    assert isinstance((await adapter.classify([picture]))[0], Refusal)


async def test_pictures_below_the_least_side_end_the_run(adapter):
    # AWS says no more than "invalid parameters", and the pipeline never sends one.
    with pytest.raises(CallRejected, match="invalid parameters"):
        await adapter.classify([encoded(79, 80)])
    assert adapter.traits.min_side == 80


async def test_nothing_listens(credited):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with built(endpoint_url=f"http://127.0.0.1:{port}") as adapter:
        (outcome,) = await adapter.classify([WHITE])
    assert isinstance(outcome, Retry)
    assert not outcome.billed
    assert "Could not connect" in outcome.reason


async def test_a_region_without_rekognition(credited, monkeypatch):
    class Nowhere:
        def detect_labels(self, **_):
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="https://x", error="?")

        def close(self):
            pass

    async with built(region="eu-north-1") as adapter:
        adapter._client = Nowhere()
        with pytest.raises(CallRejected, match=r"in eu-north-1.*The regions with .*eu-west-1"):
            await adapter.classify([WHITE])
    async with built(region="eu-west-1") as adapter:  # has it: the network is at fault
        adapter._client = Nowhere()
        assert isinstance((await adapter.classify([WHITE]))[0], Retry)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"<html>welcome to the hotel</html>",
        b"[" * 100_000,
        b'{"Labels": []}',
        b'{"LabelModelVersion": "3.0"}',
        b'{"Labels": "x", "LabelModelVersion": "3.0"}',
        b'{"Labels": [null], "LabelModelVersion": "3.0"}',
        b'{"Labels": [7], "LabelModelVersion": "3.0"}',
        b'{"Labels": [{"Name": "Cat"}], "LabelModelVersion": "3.0"}',
        b'{"Labels": [{"Confidence": 50}], "LabelModelVersion": "3.0"}',
        b'{"Labels": [{"Name": "Cat", "Confidence": NaN}], "LabelModelVersion": "3.0"}',
        b'{"Labels": [{"Name": "Cat", "Confidence": "high"}], "LabelModelVersion": "3.0"}',
        b'{"Labels": [{"Name": "Cat", "Confidence": 101}], "LabelModelVersion": "3.0"}',
        b'{"Labels": [{"Name": "Cat", "Confidence": 9, "Parents": 3}], "LabelModelVersion": "3"}',
        b'{"Labels": [], "LabelModelVersion": 3}',
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
async def test_a_success_that_is_none_is_asked_again_and_may_be_billed(credited, monkeypatch, body):
    async with serving(replying(200, body), monkeypatch), built() as adapter:
        (outcome,) = await adapter.classify([WHITE])
    assert isinstance(outcome, Retry)
    assert outcome.billed
    assert not outcome.throttled


async def test_single_precision_may_pass_the_ends_of_the_scale(credited, monkeypatch):
    body = (
        b'{"Labels": [{"Name": "A", "Confidence": 100.00000762939453},'
        b'{"Name": "B", "Confidence": -1e-9}], "LabelModelVersion": "3.0"}'
    )
    async with serving(replying(200, body), monkeypatch), built() as adapter:
        (answer,) = await adapter.classify([WHITE])
    assert [p.score for p in answer.predictions] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, CallRejected),
        (400, CallRejected),
        (401, AuthenticationFailed),
        (402, QuotaExceeded),
        (403, PermissionDenied),
        (404, CallRejected),
        (408, Retry),
        (413, Refusal),
        (429, Retry),
        (500, Retry),
        (502, Retry),
        (503, Retry),
        (504, Retry),
        (599, Retry),
    ],
)
@pytest.mark.parametrize("body", [b"<html>by a proxy</html>", b"", b'{"__type": "NewException"}'])
async def test_unknown_codes_go_by_their_status(credited, monkeypatch, status, body, expected):
    async with serving(replying(status, body), monkeypatch), built() as adapter:
        if issubclass(expected, StopError):
            with pytest.raises(expected):
                await adapter.classify([WHITE])
            return
        (outcome,) = await adapter.classify([WHITE])
    assert isinstance(outcome, expected)
    if isinstance(outcome, Retry):
        assert outcome.throttled is (status == 429)
        assert outcome.billed is (status in (408, 504))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 2199 23:59:59 GMT", 5e9),
        ("soon", None),
        ("-3", None),
        ("inf", None),
    ],
)
async def test_retry_after(credited, monkeypatch, value, seconds):
    handler = replying(503, **{"Retry-After": value})
    async with serving(handler, monkeypatch), built() as adapter:
        (outcome,) = await adapter.classify([WHITE])
    if seconds is None:
        assert outcome.after is None
    else:
        assert outcome.after == pytest.approx(seconds, rel=0.2)


# Secrets


async def test_no_secret_in_a_message_a_repr_or_a_log(credited, monkeypatch, caplog):
    token = "session/token+of=the~test"  # noqa: S105
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    caplog.set_level(logging.INFO)
    seen = []
    for status, code in [
        (400, "InvalidSignatureException"),
        (400, "InvalidImageFormatException"),
        (400, "X"),
        (500, "InternalServerError"),
    ]:
        text = f"The canonical string was {SECRET} {token} for {KEY_ID} in 123456789012"
        body = json.dumps({"__type": code, "message": text}).encode()
        async with serving(replying(status, body), monkeypatch), built() as adapter:
            seen.append(repr(adapter) + repr(adapter.options) + adapter.account)
            try:
                seen.append(repr(await adapter.classify([WHITE])))
            except StopError as error:
                seen += [str(error), repr(error), repr(error.__cause__)]
    shown = "\n".join(seen) + caplog.text
    assert "The canonical string was *** *** for *** in ***" in shown
    for secret in (SECRET, token, KEY_ID, "123456789012"):
        assert secret not in shown


async def test_the_picture_is_never_shown(credited):
    async with built() as adapter:
        with pytest.raises(CallRejected) as caught:
            await adapter.classify([np.full((80, 80, 3), 77, np.uint8)])
    assert "77" not in str(caught.value)


def test_a_password_in_an_address_is_not_shown():
    error = botocore.exceptions.ProxyConnectionError(proxy_url="http://me:pass@proxy", error="no")
    outcome = aws_errors.judge(error, action="a:b", region="r")
    assert "pass" not in outcome.reason


# Time, cancellation, reuse


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("surety-aws") and t.is_alive()]


async def comes(true, seconds=2.0):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:  # noqa: ASYNC110  threads set no event
        await asyncio.sleep(0.01)
    return bool(true())


async def gone():
    return await comes(lambda: not threads())


async def test_cancelled_at_once_and_the_thread_ends_with_its_socket(emulator):
    emulator.desk.faults = Faults(script=["ok", "timeout"])
    adapter = built(timeout=0.4)
    await adapter.classify([WHITE])
    call = asyncio.create_task(adapter.classify([WHITE]))
    assert await comes(lambda: len(emulator.desk.counts.calls) == 2)
    started = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await adapter.close()
    assert time.monotonic() - started < 0.2
    assert await gone()


async def test_a_reply_that_trickles_is_cut_off_at_the_deadline(credited, monkeypatch):
    async def trickle(request):
        await request.read()
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    async with serving(trickle, monkeypatch), built(timeout=0.3) as adapter:
        started = time.monotonic()
        (outcome,) = await adapter.classify([WHITE])
        assert outcome == Retry("no answer within 0.3 s", billed=True)
        assert time.monotonic() - started < 2.0  # the client has to be made first
    assert await gone()


async def test_a_call_that_got_no_thread_is_not_billed(emulator):
    emulator.desk.faults = Faults(script=["ok"], latency={"median": 0.0})
    async with built(timeout=0.25, concurrency=1) as adapter:
        await adapter.classify([WHITE])
        emulator.desk.faults = Faults(shares={"timeout": 1.0})
        first = asyncio.create_task(adapter.classify([WHITE]))
        await asyncio.sleep(0.05)
        release = threading.Event()
        adapter._threads.submit(release.wait, 2)  # stands for another run's stuck call
        second = asyncio.create_task(adapter.classify([WHITE]))
        ((one,), (two,)) = await asyncio.gather(first, second)
        release.set()
    assert (one.billed, two.billed) == (True, False)
    assert len(emulator.desk.counts.calls) == 2


async def test_many_calls_share_connections_and_threads(emulator):
    peers = set()
    serve = emulator._serve

    async def spying(request):
        peers.add(request.transport.get_extra_info("peername"))
        return await serve(request)

    emulator._serve = spying
    await emulator.stop()
    await emulator.start()
    async with built(endpoint_url=emulator.addresses["rest"], concurrency=4) as adapter:
        outcomes = await asyncio.gather(*(adapter.classify([WHITE]) for _ in range(60)))
        assert all(isinstance(o, Answer) for (o,) in outcomes)
        assert len(threads()) <= 4
    assert 1 <= len(peers) <= 4
    assert await gone()


async def test_usable_after_close_and_from_another_loop(emulator):
    adapter = built()
    assert isinstance((await adapter.classify([WHITE]))[0], Answer)
    await adapter.close()
    await adapter.close()
    assert isinstance((await adapter.classify([WHITE]))[0], Answer)
    (again,) = await asyncio.to_thread(lambda: asyncio.run(_once(adapter)))
    assert isinstance(again, Answer)
    await adapter.close()


async def _once(adapter):
    return await adapter.classify([WHITE])


async def test_limits_are_read_when_the_client_is_made(emulator):
    async with built(timeout=3.0, concurrency=7) as adapter:
        await adapter.classify([WHITE])
        config = adapter._client.meta.config
        assert (config.max_pool_connections, config.read_timeout) == (7, 3.0)
        assert config.retries["total_max_attempts"] == 1


# The map of errors


def derived(kind):
    yield kind
    for below in kind.__subclasses__():
        yield from derived(below)


def example(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, "text")
    return error


OWN_FAULTS = {  # those of BotoCoreError that are about configuration or how the SDK is called
    "AliasConflictParameterError", "ApiVersionNotFoundError", "AwsChunkedWrapperError",
    "BaseEndpointResolverError", "BotoCoreError", "ConfigNotFound", "ConfigParseError",
    "DataNotFoundError", "EndpointDiscoveryException", "EndpointDiscoveryRefreshFailed",
    "EndpointDiscoveryRequired", "EndpointProviderError", "EndpointResolutionError",
    "EndpointVariantError", "InfiniteLoopConfigError", "InvalidChecksumConfigError",
    "InvalidConfigError", "InvalidDNSNameError", "InvalidDefaultsMode",
    "InvalidEndpointConfigurationError", "InvalidEndpointDiscoveryConfigurationError",
    "InvalidExpressionError", "InvalidHostLabelError", "InvalidIMDSEndpointError",
    "InvalidIMDSEndpointModeError", "InvalidMaxRetryAttemptsError", "InvalidProxiesConfigError",
    "InvalidRegionError", "InvalidRetryConfigurationError", "InvalidRetryModeError",
    "InvalidS3AddressingStyleError", "InvalidS3UsEast1RegionalEndpointConfigError",
    "InvalidSTSRegionalEndpointsConfigError", "MD5UnavailableError", "MissingDependencyException",
    "MissingParametersError", "NoRegionError", "OperationNotPageableError", "PaginationError",
    "ParamValidationError", "ProfileNotFound", "RangeError", "ServiceNotInRegionError",
    "StubAssertionError", "StubResponseError", "UnStubbedResponseError",
    "UnknownClientMethodError", "UnknownEndpointError", "UnknownEndpointResolutionBuiltInName",
    "UnknownFIPSEndpointError", "UnknownKeyError", "UnknownParameterError", "UnknownRegionError",
    "UnknownServiceError", "UnknownServiceStyle", "UnknownSignatureVersionError",
    "UnseekableStreamError", "UnsupportedOutpostResourceError",
    "UnsupportedS3AccesspointConfigurationError",
    "UnsupportedS3ArnError", "UnsupportedS3ConfigurationError", "UnsupportedS3ControlArnError",
    "UnsupportedS3ControlConfigurationError", "UnsupportedServiceProtocolsError",
    "UnsupportedSignatureVersionError", "ValidationError", "WaiterConfigError", "WaiterError",
}  # fmt: skip


def test_every_exception_class_of_the_sdk_has_its_kind():
    unmapped = []
    for kind in derived(botocore.exceptions.BotoCoreError):
        by_root = not any(
            ancestor.__name__ in aws_errors.EXCEPTIONS
            for ancestor in kind.__mro__
            if ancestor is not botocore.exceptions.BotoCoreError
        )
        if by_root and kind.__module__.startswith("botocore."):
            unmapped.append(kind.__name__)
            assert aws_errors.kind_of(example(kind)) == "rejected"
    # A class that a later SDK adds goes the same way until somebody has looked at it.
    assert set(unmapped) - OWN_FAULTS == set()


def test_every_class_named_in_the_map_exists():
    known = {
        kind.__name__
        for root in (
            botocore.exceptions.BotoCoreError,
            botocore.parsers.ResponseParserError,
            boto3.exceptions.Boto3Error,
        )
        for kind in derived(root)
    }
    assert set(aws_errors.EXCEPTIONS) <= known


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EndpointConnectionError", "retry"),
        ("ConnectTimeoutError", "retry"),
        ("ProxyConnectionError", "retry"),
        ("ReadTimeoutError", "lost"),
        ("ConnectionClosedError", "lost"),
        ("ResponseStreamingError", "lost"),
        ("UnauthorizedSSOTokenError", "auth"),
        ("LoginRefreshRequired", "auth"),
        ("LoginInsufficientPermissions", "denied"),
        ("NoCredentialsError", "auth"),
        ("SSLError", "lost"),  # perhaps in the middle of a reply
    ],
)
def test_the_kinds_of_some_classes(name, kind):
    assert aws_errors.kind_of(example(getattr(botocore.exceptions, name))) == kind


def test_a_certificate_that_is_not_trusted_ends_the_run():
    why = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
    error = botocore.exceptions.SSLError(endpoint_url="https://x", error=why)
    assert aws_errors.kind_of(error) == "rejected"


def test_every_exception_of_boto3_and_of_its_parsers_has_its_kind():
    for kind in derived(boto3.exceptions.Boto3Error):
        assert aws_errors.kind_of(example(kind)) == "rejected"
    for kind in derived(botocore.parsers.ResponseParserError):
        assert aws_errors.kind_of(example(kind)) == "lost"


def reply(code, status=400, message="text"):
    return botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "DetectLabels",
    )


def codes():
    """Every code that the SDK knows for this service, for its credentials, and for retries."""
    session = botocore.session.get_session()
    for service in ("rekognition", "sts", "sso", "sso-oidc", "signin"):
        for shape in session.get_service_model(service).error_shapes:
            named = shape.metadata.get("error", {}).get("code")
            yield service, named or shape.name
    for code in standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES:
        yield "throttled", code
    for code in standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES:
        yield "transient", code


COMMON = [  # of the documentation, and those that are met
    "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "InternalFailure",
    "MalformedHttpRequestException", "NotAuthorized", "OptInRequired",
    "RequestAbortedException", "RequestEntityTooLargeException", "RequestExpired",
    "RequestTimeoutException", "ServiceUnavailable", "ThrottlingException",
    "UnknownOperationException", "UnrecognizedClientException", "ValidationError",
    "InvalidAction", "InvalidClientTokenId", "InvalidParameterCombination",
    "InvalidParameterValue", "InvalidQueryParameter", "MalformedQueryString", "MissingAction",
    "MissingAuthenticationToken", "MissingParameter", "InvalidSignatureException",
    "SignatureDoesNotMatch", "ExpiredToken", "MissingAuthenticationTokenException",
    "RequestTimeTooSkewed", "SerializationException",
]  # fmt: skip


def test_every_code_of_the_operations_of_the_service_and_of_all_services_is_known():
    session = botocore.session.get_session()
    model = session.get_service_model("rekognition")
    for operation in ("DetectLabels", "DetectModerationLabels"):
        for shape in model.operation_model(operation).error_shapes:
            assert shape.name.removesuffix("Exception") in aws_errors.CODES, shape.name
    for service, code in codes():
        if service in ("rekognition", "throttled", "transient"):
            assert code.removesuffix("Exception") in aws_errors.CODES, code
    for code in COMMON:
        assert code.removesuffix("Exception") in aws_errors.CODES, code


def test_throttles_are_those_of_the_sdk():
    for code in standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES:
        assert aws_errors.kind_of(reply(code)) == "throttled", code


def test_every_code_known_or_not_comes_to_something():
    for code in {code for _, code in codes()} | {*COMMON, "", "MadeUpException", "599"}:
        for status in (0, 200, 302, 400, 403, 418, 429, 500, 503):
            try:
                outcome = aws_errors.judge(reply(code, status), action="a:b", region="r")
            except StopError as error:
                assert len(str(error)) > 30  # noqa: PT017
            else:
                assert isinstance(outcome, Refusal | Retry)
                assert outcome.reason


def test_replies_without_anything_in_them():
    for response in ({}, {"Error": None}, {"Error": {}, "ResponseMetadata": None}):
        error = botocore.exceptions.ClientError({}, "DetectLabels")
        error.response = response
        assert aws_errors.kind_of(error) == "lost"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z (…)", "clock"),
        ("Signature not yet current: 20260103T000000Z is still later than …", "clock"),
        ("The request signature we calculated does not match", "auth"),
    ],
)
def test_signatures_that_are_old_are_told_from_those_that_are_wrong(message, kind):
    for code in ("InvalidSignatureException", "SignatureDoesNotMatch"):
        assert aws_errors.kind_of(reply(code, message=message)) == kind


# Configuration


def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_everything_that_is_missing_is_named_without_asking_the_network(clean, monkeypatch):
    no_network(monkeypatch)
    started = time.monotonic()
    with pytest.raises(NotConfigured) as caught:
        AwsAdapter()
    assert time.monotonic() - started < 2.0
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        assert name in str(caught.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    with pytest.raises(NotConfigured, match="AWS_SECRET_ACCESS_KEY"):
        AwsAdapter(AwsProfile(region="us-east-1"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(NotConfigured, match="set AWS_ACCESS_KEY_ID, or"):
        AwsAdapter(AwsProfile(region="us-east-1"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(NotConfigured, match="does not read AWS_REGION"):
        AwsAdapter()
    AwsAdapter(AwsProfile(region="us-east-1"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_ACCESS_KEY_ID", f"{KEY_ID}\r", "AWS_ACCESS_KEY_ID holds a space"),
        ("AWS_DEFAULT_REGION", "eu west", "region"),
        ("AWS_ENDPOINT_URL_REKOGNITION", "127.0.0.1:1", "must be http"),
        # pragma: allowlist nextline secret
        ("AWS_ENDPOINT_URL", "http://me:pass@host", "hold no password"),
        ("AWS_PROFILE", "nobody", "nobody"),
    ],
)
def test_settings_that_cannot_be_right(credited, monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(NotConfigured, match=said) as caught:
        AwsAdapter()
    assert KEY_ID not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_a_config_file_that_cannot_be_read(credited, clean):
    (clean / "config").write_text("no section = 1\n")
    with pytest.raises(NotConfigured, match="config"):
        AwsAdapter()


@pytest.mark.parametrize(
    "settings",
    [
        "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = other",
        "role_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Ec2InstanceMetadata",
        "role_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = /no/where",
        "sso_session = s\nsso_account_id = 123456789012\nsso_role_name = r",
        "sso_start_url = https://x\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r",
        "credential_process = /no/such/program",
        "login_session = arn:aws:sts::123456789012:assumed-role/a/b",
    ],
)
def test_what_has_to_be_fetched_is_taken_on_trust(clean, monkeypatch, settings):
    no_network(monkeypatch)
    (clean / "config").write_text(f"[profile mine]\nregion = eu-west-1\n{settings}\n")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    adapter = AwsAdapter()
    assert adapter.options["region"] == "eu-west-1"
    assert adapter.account != ""


def test_containers_and_roles_by_variables(clean, monkeypatch):
    no_network(monkeypatch)
    profile = AwsProfile(region="us-east-1")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")
        AwsAdapter(profile)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/where")
        patch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
        AwsAdapter(profile)
    with pytest.raises(NotConfigured):
        AwsAdapter(profile)


def test_on_ec2_the_machines_own_role_is_taken_on_trust(clean, monkeypatch):
    no_network(monkeypatch)
    mark = clean / "sys_vendor"
    monkeypatch.setattr(aws_credentials, "EC2_MARKS", ((mark, "amazon ec2"),))
    profile = AwsProfile(region="us-east-1")
    with pytest.raises(NotConfigured):
        AwsAdapter(profile)
    mark.write_text("Amazon EC2\n")
    AwsAdapter(profile)
    mark.write_text("Another Maker\n")
    with pytest.raises(NotConfigured):
        AwsAdapter(profile)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    AwsAdapter(profile)


def by_file(emulator, clean, monkeypatch, settings):
    """Leave the region and the address in variables, and the credential to the file."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (clean / "config").write_text(f"[default]\n{settings}\n")


async def test_the_shared_credentials_file(emulator, clean, monkeypatch):
    by_file(emulator, clean, monkeypatch, "")
    keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    (clean / "credentials").write_text(f"[default]\n{keys}")
    async with built() as adapter:
        assert isinstance((await adapter.classify([WHITE]))[0], Answer)
    assert KEY_ID in aws_credentials.secrets(adapter._core)


async def test_endpoints_of_the_config_file(emulator, clean, monkeypatch):
    url = emulator.addresses["rest"]
    monkeypatch.delenv("AWS_ENDPOINT_URL_REKOGNITION")
    text = f"[default]\nservices = here\n[services here]\nrekognition =\n  endpoint_url = {url}\n"
    (clean / "config").write_text(text)
    async with built() as adapter:
        assert adapter.options["endpoint"] == url
        assert isinstance((await adapter.classify([WHITE]))[0], Answer)


async def test_a_program_that_hands_out_the_credential(emulator, clean, monkeypatch):
    found = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}
    (clean / "keys.json").write_text(json.dumps(found))
    by_file(emulator, clean, monkeypatch, f"credential_process = /bin/cat {clean}/keys.json")
    async with built() as adapter:
        assert isinstance((await adapter.classify([WHITE]))[0], Answer)


@pytest.mark.parametrize("program", ["/no/such/program", "/bin/echo {SECRET}", "/bin/false"])
async def test_a_program_that_fails_to(emulator, clean, monkeypatch, program):
    command = program.replace("{SECRET}", SECRET)
    by_file(emulator, clean, monkeypatch, f"credential_process = {command}")
    async with built() as adapter:
        with pytest.raises(AuthenticationFailed) as caught:
            await adapter.classify([WHITE])
    assert SECRET not in str(caught.value)
    assert len(emulator.desk.counts.calls) == 0


async def test_a_containers_credentials_are_fetched_at_the_first_call(emulator, clean, monkeypatch):
    by_file(emulator, clean, monkeypatch, "")
    found = {
        "AccessKeyId": KEY_ID,
        "SecretAccessKey": SECRET,
        "Token": "t",
        "Expiration": "2199-01-01T00:00:00Z",
    }
    body = json.dumps(found).encode()
    variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    async with serving(replying(200, body), monkeypatch, variable), built() as adapter:
        assert isinstance((await adapter.classify([WHITE]))[0], Answer)


DENIED = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
<Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/u is not
authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"""


async def test_a_role_that_may_not_be_assumed(emulator, clean, monkeypatch):
    keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    (clean / "credentials").write_text(f"[base]\n{keys}")
    role = "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base"
    by_file(emulator, clean, monkeypatch, role)
    sts = "AWS_ENDPOINT_URL_STS"
    async with serving(replying(403, DENIED), monkeypatch, sts), built() as adapter:
        with pytest.raises(PermissionDenied, match="allow AssumeRole"):
            await adapter.classify([WHITE])
    async with serving(replying(500, b"no"), monkeypatch, sts), built() as adapter:
        (outcome,) = await adapter.classify([WHITE])
    assert isinstance(outcome, Retry)
    assert not outcome.billed
    assert len(emulator.desk.counts.calls) == 0


async def test_an_sso_session_without_a_token(emulator, clean, monkeypatch):
    sso = "sso_session = s\nsso_account_id = 123456789012\nsso_role_name = r"
    session = "[sso-session s]\nsso_start_url = https://x.invalid\nsso_region = us-east-1"
    by_file(emulator, clean, monkeypatch, f"{sso}\n{session}")
    async with built() as adapter:
        with pytest.raises(AuthenticationFailed, match="log in again"):
            await adapter.classify([WHITE])


@pytest.mark.parametrize(
    "settings",
    [
        {"operation": "moderation", "max_labels": 5},
        {"operation": "faces"},
        {"min_confidence": 101},
        {"min_confidence": float("nan")},
        {"max_labels": 0},
        {"max_labels": 1001},
        {"endpoint_url": "ftp://x"},
        {"endpoint_url": "http://"},
        # pragma: allowlist nextline secret
        {"endpoint_url": "http://me:pass@x"},
        {"endpoint_url": "http://x y"},
        {"endpoint_url": "http://x:99999"},
        {"region": "EU West"},
        {"model": "x"},
    ],
)
def test_profiles_that_cannot_be_right(settings):
    with pytest.raises(ValidationError):
        AwsProfile(**settings)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5", "https://[::1]:5", "https://vpce-1.x.com/"])
def test_addresses(url):
    assert AwsProfile(endpoint_url=url).endpoint_url == url


def test_without_the_sdk(credited, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r'pip install "\.\[aws\]"'):
        AwsAdapter()


def test_importing_it_imports_no_sdk():
    code = (
        "import sys, adapters.aws, adapters.aws_errors, adapters.emulators.aws\n"
        "assert not {'boto3', 'botocore', 'urllib3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
