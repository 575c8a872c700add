"""Any endpoint by a profile: what is sent, and how it runs."""

import asyncio
import base64
import datetime
import io
import ssl
import subprocess
import sys

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from adapters import registry
from adapters.emulators.brain import Brain, LocalModel
from adapters.emulators.faults import Faults
from adapters.emulators.http import VARIABLE, HttpEmulator
from adapters.errors import (
    CallRejected,
    NotConfigured,
)
from adapters.http_body import Body
from adapters.interface import Answer, Prediction
from adapters.profiles import Profiles
from tests.adapters.http_endpoints import (
    PLAIN,
    SECRET,
    Shades,
    empty,
    endpoint,
    loaded,
    made,
    png,
)


@pytest.fixture
async def emulator(monkeypatch):
    async with HttpEmulator(Brain(Shades())) as started:
        for name, value in started.environment().items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.mark.parametrize("style", ["bytes", "json", "multipart", "batch"])
async def test_every_kind_of_body_reaches_a_real_server(emulator, style):
    async with loaded(emulator, style) as adapter:
        for kind in ("PNG", "JPEG"):
            (outcome,) = await adapter.classify([png(255, kind=kind)])
            assert outcome == Answer(
                (Prediction("bright", 1.0), Prediction("dark", 0.0)), model_version="shades-1"
            )
    assert len(emulator.desk.counts.calls) == 2


async def test_a_batch_is_one_call(emulator):
    async with loaded(emulator, "batch") as adapter:
        assert adapter.traits.max_batch == 16
        outcomes = await adapter.classify([png(0), png(255), png(51)])
    assert [o.predictions[0].name for o in outcomes] == ["dark", "bright", "dark"]
    assert len(emulator.desk.counts.calls) == 1


async def test_it_answers_as_the_built_in_classifier_does(emulator, one_thread):
    model = LocalModel()
    pictures = np.random.default_rng(3).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    encoded = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    async with HttpEmulator(Brain(model)) as local, loaded(local) as adapter:
        answers = [(await adapter.classify([data]))[0] for data in encoded]
    for answer, row in zip(answers, model.scores(pictures), strict=True):
        given = {p.name: p.score for p in answer.predictions}
        assert given == dict(zip(model.labels, row.tolist(), strict=True))
        assert answer.model_version == model.version


async def test_everything_of_the_profile_is_sent(monkeypatch):
    seen = {}

    async def answer(request):
        seen.update(
            method=request.method,
            query=dict(request.query),
            headers=dict(request.headers),
            form=await request.post(),
            picture=(await request.post())["picture"].file.read(),
        )
        return web.json_response({"predictions": []})

    monkeypatch.setenv("KEY", SECRET)
    async with endpoint(answer) as url:
        adapter = made(
            url=f"{url}?fixed=1",
            method="PUT",
            headers={"X-Key": "${KEY}", "X-Price": "$$5"},
            query={"top": "5", "key": "${KEY}"},
            body="multipart",
            field="picture",
            fields={"mode": "fast", "key": "a ${KEY}"},
        )
        async with adapter:
            assert await adapter.classify([png()]) == [Answer(())]
    assert seen["method"] == "PUT"
    assert seen["query"] == {"fixed": "1", "top": "5", "key": SECRET}
    assert (seen["headers"]["X-Key"], seen["headers"]["X-Price"]) == (SECRET, "$5")
    assert seen["form"]["mode"] == "fast"
    assert seen["form"]["key"] == f"a {SECRET}"
    assert seen["picture"] == png()


def test_the_list_around_the_picture_gets_an_entry_for_each():
    template = {"instances": [{"b64": "data:{type};base64,{image}", "n": 1}], "top": [5]}
    body = Body("json", template, batches=True)
    first, second = (base64.b64encode(p).decode() for p in (png(0), png(1, kind="JPEG")))
    assert body.arguments([png(0), png(1, kind="JPEG")])["json"] == {
        "instances": [
            {"b64": f"data:image/png;base64,{first}", "n": 1},
            {"b64": f"data:image/jpeg;base64,{second}", "n": 1},
        ],
        "top": [5],
    }


async def test_connections_are_used_again(emulator):
    peers = set()

    async def answer(request):
        peers.add(request.transport.get_extra_info("peername"))
        await asyncio.sleep(0.01)
        return web.json_response({"predictions": []}, headers={"Set-Cookie": "a=b"})

    async with endpoint(answer) as url, made(url=url) as adapter:
        for _ in range(5):
            await asyncio.gather(*(adapter.classify([png()]) for _ in range(8)))
    assert len(peers) == 8


async def test_no_more_calls_at_once_than_it_says(emulator):
    running = most = 0

    async def answer(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return web.json_response({"predictions": []})

    async with endpoint(answer) as url:
        tables = {"few": {"adapter": "http", "url": url, "reply": PLAIN, "concurrency": 3}}
        async with registry.load("few", Profiles(tables)) as adapter:
            await asyncio.gather(*(adapter.classify([png()]) for _ in range(12)))
    assert most == 3


async def test_a_cancelled_call_ends_at_once_and_leaves_nothing(emulator):
    emulator.desk.faults = Faults(latency={"median": 30})
    async with loaded(emulator) as adapter:
        before = asyncio.all_tasks()
        calls = [asyncio.create_task(adapter.classify([png()])) for _ in range(40)]
        await asyncio.sleep(0.2)
        for call in calls:
            call.cancel()
        async with asyncio.timeout(2):
            ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended)
        await asyncio.sleep(0.05)
        emulator.desk.faults = Faults()
        assert isinstance((await adapter.classify([png()]))[0], Answer)
        left = {t for t in asyncio.all_tasks() - before if "adapters/http" in repr(t)}
        assert not left


def test_it_works_again_on_another_loop(monkeypatch):
    adapters = []

    async def once():
        async with HttpEmulator(Brain(Shades()), port=port) as started:
            monkeypatch.setenv(VARIABLE, started.environment()[VARIABLE])
            if not adapters:
                adapters.append(loaded(started))
            async with adapters[0] as adapter:
                assert isinstance((await adapter.classify([png()]))[0], Answer)
            return started.port

    port = 0
    port = asyncio.run(once())
    asyncio.run(once())
    assert not adapters[0]._lanes


def test_a_file_that_holds_no_certificate(tmp_path):
    with pytest.raises(NotConfigured, match=r"ca_file ca\.pem"):
        made(ca_file=str(tmp_path / "ca.pem"))
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(NotConfigured, match=r"ca_file ca\.pem"):
        made(ca_file=str(tmp_path / "ca.pem"))


def test_tls_is_verified_against_the_file(tmp_path):
    certificate, key = self_signed(tmp_path)

    async def ask(**more):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        async with (
            endpoint(empty, ssl_context=context) as url,
            made(url=url.replace("http://127.0.0.1", "https://localhost"), **more) as adapter,
        ):
            return await adapter.classify([png()])

    assert asyncio.run(ask(ca_file=str(certificate))) == [Answer(())]
    with pytest.raises(CallRejected, match="ca_file"):
        asyncio.run(ask())


def self_signed(folder):
    """A certificate for localhost that no authority has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made_ = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made_.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret


async def test_pixels_are_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="encoded"):
        await made().classify([np.zeros((4, 4, 3), np.uint8)])


def test_importing_it_does_not_import_httpx():
    code = "import adapters.http, sys; assert 'httpx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_kind_of_picture_is_filled_in_beside_it_too():
    template = {"image": {"media_type": "{type}", "data": "{image}"}, "note": "a {type}"}
    sent = Body("json", template).arguments([png(kind="JPEG")])["json"]
    assert sent["image"]["media_type"] == "image/jpeg"
    assert sent["note"] == "a image/jpeg"
    batch = Body("json", {"of": "{type}", "all": [{"t": "{type}", "d": "{image}"}]}, batches=True)
    sent = batch.arguments([png(0), png(1)])["json"]
    assert [sent["of"], *(each["t"] for each in sent["all"])] == ["image/png"] * 3


async def test_headers_replace_ours_whatever_their_case_and_an_address_stays_as_it_is():
    seen = {}

    async def answer(request):
        seen.update(
            headers=[(k.lower(), v) for k, v in request.headers.items()], path=request.raw_path
        )
        return web.json_response({"predictions": []})

    headers = {"content-type": "application/octet-stream", "ACCEPT": "text/json"}
    async with endpoint(answer) as url:
        async with made(url=f"{url}?flag&sign=a%20b", headers=headers) as adapter:
            assert await adapter.classify([png()]) == [Answer(())]
        sent = [v for k, v in seen["headers"] if k in ("content-type", "accept")]
        assert sorted(sent) == ["application/octet-stream", "text/json"]
        assert seen["path"].endswith("?flag&sign=a%20b")
