"""What Clarifai's emulator says, heard with Clarifai's own channel and stub."""

import io
import struct
import zlib

import grpc
import numpy as np
import pytest
from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc
from clarifai_grpc.grpc.api.status import status_code_pb2 as codes
from PIL import Image

from adapters.emulators.brain import Brain
from adapters.emulators.clarifai import APP, MOST_BYTES, TOKEN, USER, ClarifaiEmulator
from adapters.emulators.faults import FAULTS, Faults, Rate
from adapters.emulators.words import concept_id


class Plain:
    labels = ("cat", "dog", "frog")
    size = (4, 4)
    version = "plain-1"
    max_batch = 32

    def scores(self, pictures):
        return np.tile(np.array([[0.25, 0.625, 0.125]], np.float32), (len(pictures), 1))


def png(light, side=4):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), light, np.uint8)).save(file, "PNG")
    return file.getvalue()


def huge(width, height):
    """Make a PNG's beginning: it names a size and holds no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 0) + b"IDAT"


@pytest.fixture
async def emulator():
    async with ClarifaiEmulator(Brain(Plain())) as running:
        yield running


@pytest.fixture
async def ask(emulator):
    """Return a function that makes one call as Clarifai's examples do."""
    host, _, port = emulator.addresses["grpc"].partition(":")
    channel = ClarifaiChannel.get_aio_insecure_grpc_channel(base=host, port=int(port))
    stub = service_pb2_grpc.V2Stub(channel)

    async def call(*pictures, key=f"Key {TOKEN}", owner=("clarifai", "main"), **more):
        config = more.pop("config", {})
        request = service_pb2.PostModelOutputsRequest(
            user_app_id=resources_pb2.UserAppIDSet(user_id=owner[0], app_id=owner[1]),
            **{"model_id": "general-image-recognition"} | more,
        )
        request.model.output_info.output_config.MergeFrom(resources_pb2.OutputConfig(**config))
        for picture in pictures:
            data = resources_pb2.Data(image=resources_pb2.Image(base64=picture))
            request.inputs.append(resources_pb2.Input(data=data))
        metadata = (("authorization", key),) if key else ()
        return await stub.PostModelOutputs(request, metadata=metadata, timeout=5)

    yield call
    await channel.close()


def script(emulator, *faults, **more):
    emulator.desk.faults = Faults(script=list(faults), **({"timeout": 0.05} | more))


async def test_an_answer(ask, emulator):
    reply = await ask(png(1))
    assert (reply.status.code, reply.status.description) == (codes.SUCCESS, "Ok")
    assert len(reply.status.req_id) == 32
    (output,) = reply.outputs
    assert output.status.code == codes.SUCCESS
    assert output.created_at.seconds > 1_700_000_000
    assert [(c.id, c.name, c.value, c.app_id) for c in output.data.concepts] == [
        (concept_id("dog"), "dog", 0.625, "main"),
        (concept_id("cat"), "cat", 0.25, "main"),
        (concept_id("frog"), "frog", 0.125, "main"),
    ]
    model = output.model
    assert (model.id, model.user_id, model.app_id) == (
        "general-image-recognition", "clarifai", "main",
    )  # fmt: skip
    assert model.model_type_id == "visual-classifier"
    assert model.model_version.id == emulator.desk.version
    assert len(emulator.desk.version) == 32
    assert model.model_version.status.code == codes.MODEL_TRAINED
    assert output.input.data.image.base64 == b"true"


async def test_fewer_concepts(ask):
    async def names(**config):
        (output,) = (await ask(png(1), config=config)).outputs
        return [concept.name for concept in output.data.concepts]

    assert await names(max_concepts=1) == ["dog"]
    assert await names(min_value=0.2) == ["dog", "cat"]
    assert await names(min_value=0.25) == ["dog", "cat"]
    assert await names(min_value=0.9) == []
    for config in ({"max_concepts": 201}, {"min_value": 1.5}):
        assert (await ask(png(1), config=config)).status.code == codes.MODEL_INVALID_ARGUMENT


async def test_whose_model(ask, emulator):
    for owner in (("clarifai", "main"), (USER, APP), ("me", APP)):
        assert (await ask(png(1), owner=owner)).status.code == codes.SUCCESS
    old = await ask(png(1), model_id="aaa03c23b3724a16a56b629203edc62c")
    assert old.status.code == codes.SUCCESS
    for wrong in ({"owner": ("someone", "main")}, {"model_id": "none"}, {"version_id": "none"}):
        reply = await ask(png(1), **wrong)
        assert reply.status.code == codes.MODEL_DOES_NOT_EXIST
        assert not reply.outputs
    assert len(emulator.desk.counts.calls) == 7  # refused calls count as calls


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", codes.CONN_INVALID_REQUEST),
        (TOKEN, codes.CONN_INVALID_REQUEST),
        ("Key wrong", codes.CONN_KEY_INVALID),
    ],
)
async def test_credentials(ask, emulator, key, code):
    assert (await ask(png(1), key=key)).status.code == code
    assert emulator.desk.counts.answered.total() == 0


async def test_other_credentials(emulator):
    other = ClarifaiEmulator(Brain(Plain()), token="t", user="u", app="a")  # noqa: S106
    async with other:
        assert other.environment() == {
            "CLARIFAI_PAT": "t",
            "CLARIFAI_USER_ID": "u",
            "CLARIFAI_APP_ID": "a",
            "CLARIFAI_API_BASE": f"http://{other.addresses['grpc']}",
        }


async def test_limits(ask):
    assert len((await ask(*[png(1)] * 128)).outputs) == 128
    assert (await ask(*[png(1)] * 129)).status.code == codes.PREDICT_INVALID_REQUEST
    assert (await ask()).status.code == codes.PREDICT_INVALID_REQUEST
    long = png(1) + bytes(20 * 2**20)
    reply = await ask(long, huge(8600, 10_000), huge(20_000, 20_000), huge(2, 2), b"", png(1))
    assert reply.status.code == codes.MIXED_STATUS
    assert [output.status.code for output in reply.outputs] == [
        codes.INPUT_OVER_LIMIT,
        codes.INPUT_OVER_LIMIT,
        codes.INPUT_OVER_LIMIT,
        codes.INPUT_UNSUPPORTED_FORMAT,
        codes.INPUT_DOWNLOAD_FAILED,
        codes.SUCCESS,
    ]


async def test_the_largest_request(ask, emulator):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(bytes(MOST_BYTES))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in caught.value.details()


async def test_the_status_of_a_call_is_that_of_its_pictures(ask, emulator):
    assert (await ask(b"x", b"y")).status.code == codes.INPUT_UNSUPPORTED_FORMAT
    assert (await ask(b"x", b"")).status.code == codes.FAILURE
    assert (await ask(b"x", png(1))).status.code == codes.MIXED_STATUS
    counts = emulator.desk.counts
    assert (counts.answered.total(), counts.refused.total()) == (1, 4)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttle", codes.CONN_THROTTLED),
        ("server_error", codes.INTERNAL_SERVER_ISSUE),
        ("bad_credentials", codes.CONN_KEY_INVALID),
        ("forbidden", codes.CONN_INSUFFICIENT_SCOPES),
        ("quota", codes.CONN_EXCEEDS_LIMITS),
        ("empty", codes.SUCCESS),
    ],
)
async def test_faults_inside_a_reply(ask, emulator, fault, code):
    script(emulator, fault)
    reply = await ask(png(1), png(2))
    assert reply.status.code == code
    assert not reply.outputs
    assert reply.status.description
    assert emulator.desk.counts.answered.total() == 0
    assert (await ask(png(1))).status.code == codes.SUCCESS


async def test_partial(ask, emulator):
    script(emulator, "partial")
    reply = await ask(png(1), png(2), png(3))
    assert reply.status.code == codes.MIXED_STATUS
    (call,) = emulator.desk.counts.calls
    for output, name in zip(reply.outputs, call.images, strict=True):
        expected = codes.RPC_SERVER_UNAVAILABLE if name in call.failing else codes.SUCCESS
        assert output.status.code == expected
    assert call.billed == 3 - len(call.failing) == emulator.desk.counts.answered.total()


@pytest.mark.parametrize("fault", ["unavailable", "timeout", "drop"])
async def test_clarifais_own_channel_asks_again_by_itself(ask, emulator, fault):
    """Why the adapter makes a channel of its own."""
    script(emulator, fault)
    assert (await ask(png(1))).status.code == codes.SUCCESS
    assert [call.fault for call in emulator.desk.counts.calls] == [fault, "ok"]
    assert emulator.desk.counts.answered.total() == 1


async def test_truncate(ask, emulator, caplog):
    script(emulator, "truncate")
    assert await ask(png(1)) is None  # what Clarifai's own stub makes of it
    assert "Exception deserializing message" in caplog.text
    assert emulator.desk.counts.answered.total() == 1  # the work was done


def test_every_fault_is_covered():
    inside = {"throttle", "server_error", "bad_credentials", "forbidden", "quota", "empty"}
    connection = {"timeout", "drop", "truncate", "unavailable"}
    assert inside | connection | {"ok", "partial"} == set(FAULTS)


async def test_refused_pictures(ask, emulator):
    emulator.desk.faults = Faults(refused=1.0)
    reply = await ask(png(1))
    assert reply.outputs[0].status.code == codes.INPUT_UNSUPPORTED_FORMAT
    assert emulator.desk.counts.refused.total() == 1


async def test_the_rate_is_counted_in_requests(ask, emulator):
    rate = Rate(limit=2, per_seconds=60, unit="request")
    emulator.desk.faults = Faults(rate=rate)
    found = [(await ask(png(1), png(2))).status for _ in range(3)]
    assert [status.code for status in found] == [codes.SUCCESS] * 2 + [codes.CONN_THROTTLED]
    assert found[2].details == "exceeded limit of 15 requests per second"


async def test_versions(ask, emulator):
    first = emulator.desk.version
    emulator.desk.faults = Faults(change_version_after=1)

    async def version(**more):
        return (await ask(png(1), **more)).outputs[0].model.model_version.id

    assert await version() == first
    second = await version()
    assert second != first
    assert await version(version_id=first) == first  # old versions go on answering
    assert await version(version_id=second) == second


async def test_other_methods_are_not_there(emulator):
    channel = grpc.aio.insecure_channel(emulator.addresses["grpc"])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/clarifai.api.V2/ListModels")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await channel.close()
