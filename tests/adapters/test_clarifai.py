"""Clarifai's adapter with its real message types against the emulator, and the map of its codes."""

import asyncio
import contextlib
import io
import logging
import re
import subprocess
import sys
import time
from collections import defaultdict

import grpc
import numpy as np
import pytest
from clarifai_grpc.channel import clarifai_channel
from clarifai_grpc.grpc.api import service_pb2, service_pb2_grpc
from clarifai_grpc.grpc.api.status import status_code_pb2, status_pb2
from PIL import Image

import adapters.clarifai
from adapters import clarifai_codes, clarifai_errors
from adapters.clarifai import BATCH, METHOD, MOST_BYTES, ClarifaiAdapter
from adapters.clarifai_access import ClarifaiProfile, address_of
from adapters.clarifai_codes import Kind, kind_of
from adapters.emulators.brain import Brain, LocalModel
from adapters.emulators.clarifai import APP, TOKEN, USER, ClarifaiEmulator
from adapters.emulators.faults import FAULTS, Faults
from adapters.emulators.words import concept_id
from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    MissingExtra,
    NotConfigured,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.interface import Answer, Refusal, Retry

VARIABLES = ("CLARIFAI_PAT", "CLARIFAI_USER_ID", "CLARIFAI_APP_ID", "CLARIFAI_API_BASE")
BASIC = {
    "model_id": "general-image-recognition",
    "user_id": "clarifai",
    "app_id": "main",
    "max_concepts": 20,
    "min_value": 0.0,
}


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
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def emulator(clean, monkeypatch):
    async with ClarifaiEmulator(Brain(Plain())) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def adapter(emulator):
    async with ClarifaiAdapter() as made:
        yield made


def calls(emulator):
    return len(emulator.desk.counts.calls)


def script(emulator, *faults, **more):
    emulator.desk.faults = Faults(script=list(faults), **({"timeout": 0.05} | more))


@contextlib.asynccontextmanager
async def server(answer):
    """Serve a handler of bytes in place of the emulator; yields its address."""
    running = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(answer)
    service, method = METHOD.strip("/").split("/")
    running.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await running.stop(None)


@contextlib.asynccontextmanager
async def replying(monkeypatch, reply, token=TOKEN, **profile):
    """Yield an adapter whose server always sends this reply."""
    monkeypatch.setenv("CLARIFAI_PAT", token)

    async def answer(body, context):
        return reply.SerializeToString() if not isinstance(reply, bytes) else reply

    async with (
        server(answer) as base,
        ClarifaiAdapter(ClarifaiProfile(api_base=base, **profile)) as made,
    ):
        yield made


def reply_of(*outputs, code=10000, **status):
    """Make a reply; an output is a code, or a list of (id, name, value)."""
    reply = service_pb2.MultiOutputResponse()
    reply.status.code = code
    for field, value in status.items():
        setattr(reply.status, field, value)
    for output in outputs:
        one = reply.outputs.add()
        one.model.model_version.id = "v1"
        one.status.code = output if isinstance(output, int) else 10000
        if not isinstance(output, int):
            for id_, name, value in output:
                one.data.concepts.add(id=id_, name=name, value=value)
    return reply


CAT = [("ai_cat", "cat", 0.75)]


# What it answers


async def test_labels_ids_and_version(adapter, emulator):
    bright, dark = await adapter.classify([BRIGHT, DARK])
    assert [p.name for p in bright.predictions] == ["cat", "frog", "bird", "ship", "dog", "truck"]
    assert bright.model_version == emulator.desk.version
    assert re.fullmatch(r"[0-9a-f]{32}", bright.model_version)
    best = dark.predictions[0]
    assert (best.name, best.id, best.parents) == ("dog", concept_id("dog"), ())
    assert best.score == pytest.approx(0.96, abs=0.02)
    assert calls(emulator) == 1
    assert emulator.desk.counts.answered.total() == 2


async def test_fewer_concepts(emulator):
    async with ClarifaiAdapter(ClarifaiProfile(max_concepts=2)) as adapter:
        (answer,) = await adapter.classify([BRIGHT])
    assert [p.name for p in answer.predictions] == ["cat", "frog"]
    async with ClarifaiAdapter(ClarifaiProfile(min_value=0.2)) as adapter:
        (answer,) = await adapter.classify([BRIGHT])
    assert [p.name for p in answer.predictions] == ["cat", "frog"]
    async with ClarifaiAdapter(ClarifaiProfile(min_value=1.0)) as adapter:
        (answer,) = await adapter.classify([BRIGHT])
    assert answer.predictions == ()  # an abstention, as asked for


async def test_the_built_in_classifier(clean, monkeypatch, one_thread):
    brain = Brain(LocalModel())
    picture = png(99, 32)
    async with ClarifaiEmulator(brain) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        async with ClarifaiAdapter() as adapter:
            (answer,) = await adapter.classify([picture])
    expected = await brain.classify(picture)
    assert [(p.name, p.score) for p in answer.predictions] == [
        (label, pytest.approx(score)) for label, score in expected
    ]


async def test_jpeg_is_taken_too(adapter):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG")
    assert isinstance((await adapter.classify([file.getvalue()]))[0], Answer)


async def test_the_version_changes_or_is_pinned(emulator):
    first = emulator.desk.version
    emulator.desk.faults = Faults(change_version_after=1)
    async with ClarifaiAdapter() as newest:
        versions = [(await newest.classify([BRIGHT]))[0].model_version for _ in range(2)]
    assert versions[0] == first != versions[1]
    async with ClarifaiAdapter(ClarifaiProfile(model_version_id=first)) as pinned:
        assert (await pinned.classify([BRIGHT]))[0].model_version == first
        assert pinned.options == BASIC | {"api_base": pinned._target, "model_version_id": first}
    async with ClarifaiAdapter(ClarifaiProfile(model_version_id="none")) as wrong:
        with pytest.raises(CallRejected, match="model_version_id"):
            await wrong.classify([BRIGHT])


async def test_models_of_ones_own(emulator):
    async with ClarifaiAdapter(ClarifaiProfile(user_id="me")) as own:
        assert isinstance((await own.classify([BRIGHT]))[0], Answer)
        assert (own.options["user_id"], own.options["app_id"]) == (USER, APP)
    for profile in ({"user_id": "me", "app_id": "other"}, {"model_id": "none"}):
        async with ClarifaiAdapter(ClarifaiProfile(**profile)) as wrong:
            with pytest.raises(CallRejected, match="knows no such model"):
                await wrong.classify([BRIGHT])


async def test_the_user_and_app_of_the_environment_do_not_rename_public_models(adapter):
    assert (adapter.options["user_id"], adapter.options["app_id"]) == ("clarifai", "main")


def test_options_and_account(clean, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", "one-token")
    plain = ClarifaiAdapter()
    assert plain.options == BASIC
    other = ClarifaiAdapter(ClarifaiProfile(model_id="m", user_id="u", api_base="eu.x.com"))
    assert other.options == BASIC | {"model_id": "m", "user_id": "u", "api_base": "eu.x.com:443"}
    assert plain.account == ClarifaiAdapter().account != other.account
    assert "one-token" not in plain.account
    monkeypatch.setenv("CLARIFAI_PAT", "another-token")
    assert ClarifaiAdapter().account != plain.account
    traits = plain.traits
    assert (traits.price, traits.rate, traits.rate_unit) == (0.0012, 15.0, "request")
    assert traits.pins_version


# The request


async def test_the_request_is_the_one_of_clarifais_own_stub(adapter, emulator, monkeypatch):
    monkeypatch.setattr(clarifai_channel, "wrap_response_deserializer", lambda kind: kind)
    seen = {}

    class Channel:
        def unary_unary(self, path, **_):
            seen[path.rpartition("/")[2]] = path

        unary_stream = stream_unary = stream_stream = unary_unary

    service_pb2_grpc.V2Stub(Channel())
    assert seen["PostModelOutputs"] == METHOD
    request = service_pb2.PostModelOutputsRequest.FromString(adapter._request([BRIGHT, DARK]))
    assert [one.data.image.base64 for one in request.inputs] == [BRIGHT, DARK]
    assert (request.user_app_id.user_id, request.user_app_id.app_id) == ("clarifai", "main")
    assert request.model.output_info.output_config.max_concepts == 20
    assert request.version_id == ""


async def test_large_batches_are_sent_as_several_requests(adapter, emulator, monkeypatch):
    monkeypatch.setattr(adapters.clarifai, "MOST_BYTES", 2 * len(BRIGHT) + 1)
    outcomes = await adapter.classify([BRIGHT, DARK, BRIGHT, BRIGHT, DARK])
    assert [o.predictions[0].name for o in outcomes] == ["cat", "dog", "cat", "cat", "dog"]
    assert [len(call.images) for call in emulator.desk.counts.calls] == [2, 2, 1]
    script(emulator, "drop")
    outcomes = await adapter.classify([BRIGHT, DARK, BRIGHT])
    assert [outcome.billed for outcome in outcomes] == [True, True, False]
    assert calls(emulator) == 4  # the third picture has not been sent
    await asyncio.sleep(0.05)  # the channel has to see that its connection is gone
    adapter.traits = adapter.traits.__class__(timeout=1.0)
    script(emulator, latency={"median": 0.6})
    outcomes = await adapter.classify([BRIGHT, DARK, BRIGHT, DARK, BRIGHT])
    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[2], Retry)  # one deadline for all
    assert isinstance(outcomes[4], Retry)
    assert not outcomes[4].billed


async def test_the_largest_batch_goes_through_in_one_message(adapter, emulator):
    noise = np.random.default_rng(1).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    pictures = []
    for i in range(BATCH):
        noise[0, 0, 0] = i
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "PNG", compress_level=0)
        pictures.append(file.getvalue())
    assert 4 * 2**20 < sum(map(len, pictures)) < MOST_BYTES  # over gRPC's own limit
    assert all(isinstance(outcome, Answer) for outcome in await adapter.classify(pictures))
    assert calls(emulator) == 1


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("throttle", {"throttled": True, "billed": False, "after": None}),
        ("server_error", {"throttled": False, "billed": False, "after": None}),
        ("unavailable", {"throttled": False, "billed": True, "after": None}),
        ("timeout", {"throttled": False, "billed": True, "after": None}),
        ("drop", {"throttled": False, "billed": True, "after": None}),
        ("truncate", {"throttled": False, "billed": True, "after": None}),
        ("empty", {"throttled": False, "billed": True, "after": None}),
    ],
)
async def test_asked_again(adapter, emulator, fault, expected):
    for pictures in ([BRIGHT], [BRIGHT, DARK, png(1)]):
        script(emulator, fault)
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
        ("bad_credentials", AuthenticationFailed, "into CLARIFAI_PAT.*11008 CONN_KEY_INVALID"),
        ("forbidden", PermissionDenied, "scopes.*11007"),
        ("quota", QuotaExceeded, "quota, budget or plan is spent.*11006"),
    ],
)
async def test_the_run_ends(adapter, emulator, fault, kind, says):
    script(emulator, fault)
    with pytest.raises(kind, match=says) as caught:
        await adapter.classify([BRIGHT, DARK])
    assert type(caught.value) is kind
    assert caught.value.__context__ is None
    assert re.search(r"\(request [0-9a-f]{32}\)", str(caught.value))
    assert calls(emulator) == 1
    assert emulator.desk.counts.answered.total() == 0


def test_every_fault_is_covered():
    covered = {"ok", "throttle", "server_error", "unavailable", "timeout", "drop", "truncate"}
    covered |= {"empty", "partial", "bad_credentials", "forbidden", "quota"}
    assert covered == set(FAULTS)


async def test_a_wrong_token(emulator, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", "wrong")
    async with ClarifaiAdapter() as adapter:
        with pytest.raises(AuthenticationFailed):
            await adapter.classify([BRIGHT])
    assert calls(emulator) == 1


async def test_in_a_batch_only_some_fail(adapter, emulator):
    script(emulator, "partial")
    first, second = await adapter.classify([BRIGHT, DARK])
    assert isinstance(first, Retry)
    assert (first.billed, first.throttled) == (False, False)
    assert "40031 RPC_SERVER_UNAVAILABLE" in first.reason
    assert isinstance(second, Answer)


async def test_refused_pictures(adapter, emulator):
    nothing, answer = await adapter.classify([b"no picture", BRIGHT])
    assert isinstance(nothing, Refusal)
    assert "30101 INPUT_UNSUPPORTED_FORMAT" in nothing.reason
    assert nothing.model_version == answer.model_version == emulator.desk.version
    emulator.desk.faults = Faults(refused=1.0)
    assert [type(o) for o in await adapter.classify([BRIGHT, DARK])] == [Refusal, Refusal]


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
    monkeypatch.setenv("CLARIFAI_PAT", "token")
    async with ClarifaiAdapter(ClarifaiProfile(api_base="127.0.0.1:1")) as adapter:
        (outcome,) = await adapter.classify([BRIGHT])
    assert isinstance(outcome, Retry)
    assert not outcome.billed


async def test_a_server_without_tls_is_not_sent_the_token(emulator):
    base = f"https://{emulator.addresses['grpc']}"
    async with ClarifaiAdapter(ClarifaiProfile(api_base=base)) as adapter:
        with pytest.raises(CallRejected, match="does not speak TLS: check api_base"):
            await adapter.classify([BRIGHT])
    assert calls(emulator) == 0


async def test_a_server_that_is_not_clarifai(clean, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", "token")
    elsewhere = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    port = elsewhere.add_insecure_port("127.0.0.1:0")
    await elsewhere.start()
    async with ClarifaiAdapter(ClarifaiProfile(api_base=f"localhost:{port}")) as adapter:
        with pytest.raises(CallRejected, match="no Clarifai API answers"):
            await adapter.classify([BRIGHT])
    await elsewhere.stop(None)


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
    (outcome,) = await task
    assert isinstance(outcome, Retry)
    assert outcome.billed
    script(emulator)
    assert isinstance((await adapter.classify([BRIGHT]))[0], Answer)  # connects anew


def test_one_adapter_in_several_loops(clean, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", TOKEN)
    made = []

    async def ask():
        async with ClarifaiEmulator(Brain(Plain())) as emulator:
            if not made:
                base = emulator.environment()["CLARIFAI_API_BASE"]
                made.append(ClarifaiAdapter(ClarifaiProfile(api_base=base)))
            adapter = made[0]
            adapter._target = emulator.addresses["grpc"]  # each loop has its own emulator
            (outcome,) = await adapter.classify([BRIGHT])
            assert len(adapter._channels) == 1  # that of the loop before is forgotten
            return outcome

    assert [type(asyncio.run(ask())) for _ in range(3)] == [Answer] * 3


# Replies of every shape


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"", "R$ R$"),  # not even a status
        (b"\x12\xff", "R$ R$"),
        (reply_of(), "R$ R$"),
        (reply_of(CAT), "R$ R$"),
        (reply_of(CAT, CAT, CAT), "R$ R$"),
        (reply_of(CAT, 30101, code=10010), "A X"),
        (reply_of(CAT, 30101, code=10020), "A X"),  # each picture's own status counts
        (reply_of(30101, 30105, code=10020), "X X"),
        (reply_of(30101, 30101, code=30101), "X X"),
        (reply_of(CAT, 21351, code=10010), "A R"),
        (reply_of(CAT, 40032, code=10010), "A R$"),
        (reply_of(CAT, 21354, code=10010), "A Rt"),
        (reply_of(CAT, 0, code=10010), "R$ R$"),
        (reply_of(CAT, CAT, code=10001), "A A"),
        (reply_of(CAT, 77777, code=10010), "A R"),
        (reply_of(CAT, 11006, code=10010), "A R"),  # what was answered is kept
        (reply_of(code=10020), "R R"),
        (reply_of(code=30300), "X X"),
        (reply_of(code=30101), "X X"),  # each was asked about alone, to know which one
        (reply_of(code=11003), "Rt Rt"),
        (reply_of(code=77777), "R R"),
        (reply_of(code=77777, http_status_code=429), "Rt Rt"),
        (reply_of(CAT, []), "A R$"),
        (reply_of(CAT, [("", "", 0.5)]), "A R$"),
        (reply_of(CAT, [("ai_x", "x", 1.5)]), "A R$"),
        (reply_of(CAT, [("ai_x", "x", float("nan"))]), "A R$"),
        (reply_of(CAT, [("ai_x", "", 0.5)]), "A A"),
    ],
)
async def test_replies(clean, monkeypatch, reply, expected):
    async with replying(monkeypatch, reply) as adapter:
        outcomes = await adapter.classify([BRIGHT, DARK])
    short = {Answer: "A", Refusal: "X", Retry: "R"}
    assert expected == " ".join(
        short[type(o)]
        + ("$" if isinstance(o, Retry) and o.billed else "")
        + ("t" if isinstance(o, Retry) and o.throttled else "")
        for o in outcomes
    )


async def test_which_picture_is_refused_where_the_call_does_not_say(clean, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", TOKEN)
    sizes = []

    async def answer(body, context):
        request = service_pb2.PostModelOutputsRequest.FromString(body)
        sizes.append(len(request.inputs))
        bad = any(one.data.image.base64 == DARK for one in request.inputs)
        reply = reply_of(code=30101) if bad else reply_of(*[CAT] * len(request.inputs))
        return reply.SerializeToString()

    async with server(answer) as base, ClarifaiAdapter(ClarifaiProfile(api_base=base)) as adapter:
        outcomes = await adapter.classify([BRIGHT] * 5 + [DARK] + [BRIGHT] * 2)
    assert [type(outcome) for outcome in outcomes] == [Answer] * 5 + [Refusal] + [Answer] * 2
    assert sizes == [8, 4, 4, 2, 1, 1, 2]


async def test_what_was_answered_is_kept_if_the_next_request_ends_the_run(clean, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", TOKEN)
    monkeypatch.setattr(adapters.clarifai, "MOST_BYTES", 2 * len(BRIGHT) + 1)
    asked = 0

    async def answer(body, context):
        nonlocal asked
        asked += 1
        reply = reply_of(CAT, CAT) if asked == 1 else reply_of(code=11006)
        return reply.SerializeToString()

    async with server(answer) as base, ClarifaiAdapter(ClarifaiProfile(api_base=base)) as adapter:
        outcomes = await adapter.classify([BRIGHT] * 5)
        assert [type(outcome) for outcome in outcomes] == [Answer] * 2 + [Retry] * 3
        assert asked == 2
        with pytest.raises(QuotaExceeded):
            await adapter.classify([BRIGHT] * 3)


async def test_one_picture_refused_by_the_status_of_the_call(clean, monkeypatch):
    async with replying(monkeypatch, reply_of(code=30101)) as adapter:
        assert isinstance((await adapter.classify([BRIGHT]))[0], Refusal)


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (reply_of(CAT, CAT, code=11006), QuotaExceeded, "plan"),  # the call's word goes first
        (reply_of(11007, 11007, code=10020), PermissionDenied, "scopes"),
        (reply_of(21200, 40031, code=10020), CallRejected, "knows no such model"),
        (reply_of(code=77777, http_status_code=401), AuthenticationFailed, "CLARIFAI_PAT"),
        (reply_of(code=77777, http_status_code=402), QuotaExceeded, "77777: no text"),
        (
            reply_of(code=11005, details="You have used up your monthly operations limit."),
            QuotaExceeded,
            "monthly",
        ),
    ],
)
async def test_replies_that_end_the_run(clean, monkeypatch, reply, kind, says):
    async with replying(monkeypatch, reply) as adapter:
        with pytest.raises(kind, match=says) as caught:
            await adapter.classify([BRIGHT, DARK])
    assert caught.value.__context__ is None


async def test_a_model_that_is_no_classifier(clean, monkeypatch):
    reply = reply_of([])
    reply.outputs[0].data.regions.add()
    async with replying(monkeypatch, reply, min_value=0.5) as adapter:
        with pytest.raises(CallRejected, match="its answers hold regions"):
            await adapter.classify([BRIGHT])


async def test_scores_are_brought_into_the_unit_interval(clean, monkeypatch):
    reply = reply_of([("a", "a", 1.0000001), ("b", "b", -1e-7)])
    async with replying(monkeypatch, reply) as adapter:
        (answer,) = await adapter.classify([BRIGHT])
    assert [p.score for p in answer.predictions] == [1.0, 0.0]


async def test_the_time_that_clarifai_names_is_handed_on(clean, monkeypatch):
    async with replying(monkeypatch, reply_of(code=21351, time_remaining=20)) as adapter:
        (outcome,) = await adapter.classify([BRIGHT])
    assert outcome.after == 20


# What is missing


def test_without_the_sdk(clean, monkeypatch):
    monkeypatch.setenv("CLARIFAI_PAT", "token")
    for name in ("grpc", "clarifai_grpc.grpc.api"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(MissingExtra, match=re.escape('pip install ".[clarifai]"')):
                ClarifaiAdapter()


def test_importing_it_imports_no_sdk():
    code = (
        "import sys, adapters.clarifai, adapters.emulators.clarifai\n"
        "heavy = ('grpc', 'clarifai_grpc', 'google.protobuf')\n"
        "assert not [name for name in sys.modules if name.startswith(heavy)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_variables_are_all_named(clean, monkeypatch):
    with pytest.raises(NotConfigured, match="variable CLARIFAI_PAT "):
        ClarifaiAdapter()
    own = ClarifaiProfile(user_id="me")
    with pytest.raises(NotConfigured, match="CLARIFAI_PAT and CLARIFAI_USER_ID and CLARIFAI_APP"):
        ClarifaiAdapter(own)
    monkeypatch.setenv("CLARIFAI_PAT", " ")
    with pytest.raises(NotConfigured, match="CLARIFAI_PAT"):
        ClarifaiAdapter()
    monkeypatch.setenv("CLARIFAI_PAT", "token")
    with pytest.raises(NotConfigured, match="CLARIFAI_USER_ID"):
        ClarifaiAdapter(ClarifaiProfile(user_id="me", app_id="mine"))


@pytest.mark.parametrize("token", ["to ken", "tokén", "to\nken"])
def test_tokens_that_cannot_be_sent(clean, monkeypatch, token):
    monkeypatch.setenv("CLARIFAI_PAT", token)
    with pytest.raises(NotConfigured, match="copy it anew") as caught:
        ClarifaiAdapter()
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (None, ("api.clarifai.com:443", True)),
        ("https://api.clarifai.com", ("api.clarifai.com:443", True)),
        ("https://api.clarifai.com/", ("api.clarifai.com:443", True)),
        ("eu.clarifai.com:8443", ("eu.clarifai.com:8443", True)),
        ("localhost:8000", ("localhost:8000", False)),
        ("127.0.0.1:8000", ("127.0.0.1:8000", False)),
        ("[::1]:8000", ("[::1]:8000", False)),
        ("https://127.0.0.1:8000", ("127.0.0.1:8000", True)),
        ("http://emulator:8000", ("emulator:8000", False)),
        ("http://emulator", ("emulator:80", False)),
        ("10.0.0.1:8000", ("10.0.0.1:8000", True)),
        ("localhost.example.com", ("localhost.example.com:443", True)),
    ],
)
def test_addresses(clean, monkeypatch, address, expected):
    assert address_of(address) == expected
    if address:
        monkeypatch.setenv("CLARIFAI_API_BASE", address)
        assert address_of(None) == expected


@pytest.mark.parametrize(
    "address", ["https://api.clarifai.com/v2", "ftp://x", "https://", "host:port", "a@b", "x?y"]
)
def test_addresses_that_make_no_sense(clean, address):
    with pytest.raises(NotConfigured, match="CLARIFAI_API_BASE"):
        address_of(address)


@pytest.mark.parametrize("options", [{"max_concepts": 201}, {"min_value": 2}, {"pat": "secret"}])
def test_profiles_are_checked(options):
    with pytest.raises(ValueError, match="validation error"):
        ClarifaiProfile(**options)


# Secrets


SECRET = "8f0c11d2aa714b53958a3f3c5a2f4a11"  # noqa: S105  opens nothing


async def test_no_secret_is_ever_shown(clean, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    said = f"the header was 'Key {SECRET}'"
    shown = []
    for code in (11005, 11008, 30101, 30300, 21200, 10020, 77777):
        reply = reply_of(code=code, description=said, details=said, req_id=SECRET)
        async with replying(monkeypatch, reply, token=SECRET) as adapter:
            try:
                shown.append(await adapter.classify([BRIGHT]))
            except StopError as error:
                shown.append((str(error), repr(error)))

    async def abort(_, context):
        await context.abort(grpc.StatusCode.INTERNAL, said)

    async with (
        server(abort) as base,
        ClarifaiAdapter(ClarifaiProfile(api_base=base)) as adapter,
    ):
        shown += [await adapter.classify([BRIGHT]), repr(adapter), dict(adapter.options)]
    assert len(shown) == 10
    assert "***" in repr(shown)
    assert SECRET not in repr(shown) + caplog.text


# The maps are complete


def test_every_status_code_of_the_sdk_has_its_category():
    table = defaultdict(list)
    for name, code in status_code_pb2.StatusCode.items():
        kind = kind_of(code)
        assert kind is not None, f"{code} {name} is new: give it a category"
        table[kind].append(name)
    assert sum(map(len, table.values())) == len(status_code_pb2.StatusCode.items()) > 400
    assert set(table) == set(Kind)
    for kind, names in table.items():
        print(f"{kind.name}: {' '.join(names)}")  # noqa: T201  for whoever looks
    assert table[Kind.ANSWERED] == ["SUCCESS"]
    assert table[Kind.MIXED] == ["MIXED_STATUS"]
    assert set(table[Kind.REFUSED]) == {
        "INPUT_UNSUPPORTED_FORMAT", "INPUT_INVALID_ARGUMENT", "INPUT_OVER_LIMIT",
        "ALL_INPUT_INVALID_BYTES", "FILETYPE_UNSUPPORTED", "MP_DOWNLOAD_MAX_SIZE_EXCEEDED_ERROR",
        "MP_IMAGE_DECODE_ERROR", "MP_INVALID_ARGUMENT",
    }  # fmt: skip
    assert set(table[Kind.THROTTLED]) == {
        "CONN_EXCEED_HOURLY_LIMIT", "CONN_THROTTLED", "MODEL_BUSY_PLEASE_RETRY",
        "RPC_REQUEST_QUEUE_FULL",
    }  # fmt: skip
    assert set(table[Kind.TIMED_OUT]) == {"RPC_REQUEST_TIMEOUT", "INTERNAL_UNEXPECTED_TIMEOUT"}
    assert set(table[Kind.QUOTA]) == {
        "CONN_ACCOUNT_ISSUES", "CONN_EXCEED_MONTHLY_LIMIT", "CONN_EXCEEDS_LIMITS",
        "STRIPE_EVENT_ERROR", "STRIPE_UNEXPECTED_ERROR", "LICENSE_VOLUME_EXCEEDED",
        "BILLING_INVALID_INFO", "BILLING_MISSING_TOKENS", "BILLING_UNCATEGORIZED",
    }  # fmt: skip
    assert set(table[Kind.AUTHENTICATION]) == {
        "CONN_TOKEN_INVALID", "CONN_CREDENTIALS_INVALID", "CONN_KEY_INVALID",
        "CONN_KEY_NOT_FOUND", "CONN_INVALID_REQUEST", "CONN_AUTH_METHOD_DISABLED",
        "SSO_IDENTITY_PROVIDER_DOES_NOT_EXIST", "AUTH_MISSING_IDP_ASSOC",
    }  # fmt: skip


def test_the_categories_keep_to_the_names():
    """Whatever the ranges say, codes of one kind of name belong together."""
    passing = r"PENDING|IN_PROGRESS|DEPLOYING|QUEUED|LOADING|SUCCESS|UNAVAILABLE|TRY_AGAIN|INTERNAL"
    for name, code in status_code_pb2.StatusCode.items():
        kind = kind_of(code)
        if name.endswith("PERMISSION_DENIED") or name == "CONN_INSUFFICIENT_SCOPES":
            assert kind is Kind.PERMISSION, name
        elif re.search(r"(INVALID_REQUEST|INVALID_ARGUMENTS?|DOES_NOT_EXIST)$", name):
            known = {
                "CONN_INVALID_REQUEST": Kind.AUTHENTICATION,
                "SSO_IDENTITY_PROVIDER_DOES_NOT_EXIST": Kind.AUTHENTICATION,
                "LICENSE_DOES_NOT_EXIST": Kind.PERMISSION,
                "INPUT_INVALID_ARGUMENT": Kind.REFUSED,
                "MP_INVALID_ARGUMENT": Kind.REFUSED,
            }
            assert kind is known.get(name, Kind.REJECTED), name
        elif re.search(passing, name) and not re.search(r"^SUCCESS$|FAILED$|QUEUE_FULL", name):
            assert kind in (Kind.RETRY, Kind.TIMED_OUT), name


def test_every_code_ends_in_an_outcome_or_an_error():
    expected = {
        Kind.REFUSED: Refusal,
        Kind.RETRY: Retry,
        Kind.TIMED_OUT: Retry,
        Kind.THROTTLED: Retry,
        Kind.MIXED: Retry,
        Kind.ANSWERED: Retry,  # never asked about it
        Kind.AUTHENTICATION: AuthenticationFailed,
        Kind.PERMISSION: PermissionDenied,
        Kind.QUOTA: QuotaExceeded,
        Kind.REJECTED: CallRejected,
    }
    for name, code in status_code_pb2.StatusCode.items():
        status = status_pb2.Status(code=code, description="said")
        try:
            found = clarifai_errors.of_status(status, ())
        except StopError as error:
            found = error
        assert type(found) is expected[kind_of(code)], name
        text = str(found) if isinstance(found, StopError) else found.reason
        assert f"{code} " in text
        assert "said" in text


def test_the_ranges_name_each_code_once():
    codes = [
        code
        for named in clarifai_codes.NAMED.values()
        for first, last in clarifai_codes._ranges(named)
        for code in range(first, last + 1)
    ]
    assert len(codes) == len(set(codes))
    # What ends a run or refuses a picture does so for codes that exist, and for no future ones.
    known = {*status_code_pb2.StatusCode.values(), 10001, 10002}
    assert set(codes) <= known


@pytest.mark.parametrize(
    ("http", "kind"),
    [
        (0, None),
        (400, None),
        (500, None),
        (401, Kind.AUTHENTICATION),
        (402, Kind.QUOTA),
        (403, Kind.PERMISSION),
        (429, Kind.THROTTLED),
    ],
)
def test_codes_of_the_future(http, kind):
    for code in (12000, 29999, 77777, 123456, -1):
        assert kind_of(code, http) is kind
    found = status_pb2.Status(code=77777, description="new", http_status_code=0)
    assert clarifai_errors.of_status(found, ()) == Retry("77777: new")


def test_every_status_of_grpc_has_its_category():
    expected = {
        "INVALID_ARGUMENT": CallRejected,
        "NOT_FOUND": CallRejected,
        "ALREADY_EXISTS": CallRejected,
        "FAILED_PRECONDITION": CallRejected,
        "OUT_OF_RANGE": CallRejected,
        "UNIMPLEMENTED": CallRejected,
        "PERMISSION_DENIED": PermissionDenied,
        "UNAUTHENTICATED": AuthenticationFailed,
    }
    codes = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    assert {code.name for code in codes} == set(clarifai_codes.BY_GRPC)
    for code in codes:
        kind = expected.get(code.name, Retry)
        found = _of(code, "said")
        assert type(found) is kind
        assert code.name in (str(found) if isinstance(found, StopError) else found.reason)
        if kind is Retry:
            throttled = code.name == "RESOURCE_EXHAUSTED"
            assert (found.throttled, found.billed) == (throttled, not throttled)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max (5 vs. 4)", CallRejected),
        ("UNAVAILABLE", "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", CallRejected),
        ("UNAVAILABLE", "Trying to connect an http1.x server", CallRejected),
        ("UNAVAILABLE", "Cannot check peer: missing selected ALPN property.", CallRejected),
        ("UNAVAILABLE", "Received http2 header with status: 429", (False, True)),
        ("UNAVAILABLE", "failed to connect to all addresses", (False, False)),
        ("UNAVAILABLE", "errors resolving api.clarifai.com:443", (False, False)),
        ("UNAVAILABLE", "GOAWAY received", (True, False)),
        ("CANCELLED", "", (True, False)),
    ],
)
def test_what_the_channel_says(code, text, expected):
    found = _of(grpc.StatusCode[code], text)
    if expected is CallRejected:
        assert type(found) is CallRejected
    else:
        assert (found.billed, found.throttled) == expected


def _of(code, text):
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), text)
    try:
        return clarifai_errors.of_call(error, ())
    except StopError as stopped:
        return stopped


def test_every_exception_of_grpc_is_thought_of():
    found = {
        name
        for name, kind in vars(grpc.aio).items()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    # AioRpcError and InternalError are caught; AbortError is a server's; the others tell of misuse.
    assert found == {"AbortError", "AioRpcError", "BaseError", "InternalError", "UsageError"}


async def test_an_error_inside_grpc(adapter, monkeypatch):
    class Broken(grpc.aio.InternalError):
        pass

    def call(*_, **__):
        raise Broken("Failed grpc_call_start_batch: 10")

    monkeypatch.setattr(adapter, "_call", lambda: call)
    (outcome,) = await adapter.classify([BRIGHT])
    assert outcome == Retry("gRPC could not make the call", billed=True)
