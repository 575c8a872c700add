"""What failures mean, and that no secret is shown."""

import asyncio
import base64
import contextlib
import datetime
import logging
import ssl
from email.utils import format_datetime

import httpx
import pytest
from aiohttp import web

from adapters import registry
from adapters.emulators.brain import Brain
from adapters.emulators.faults import FAULTS, Faults
from adapters.emulators.http import HttpEmulator
from adapters.errors import (
    AuthenticationFailed,
    BrokenReply,
    CallRejected,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.http_errors import Statuses, of_exception, retry_after
from adapters.http_profile import HttpProfile
from adapters.http_reply import Reply
from adapters.interface import Answer, Refusal, Retry
from adapters.profiles import Profiles
from tests.adapters.http_endpoints import (
    PLAIN,
    SECRET,
    URL,
    Shades,
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


STOPS = {
    "bad_credentials": AuthenticationFailed,
    "forbidden": PermissionDenied,
    "quota": QuotaExceeded,
}
BILLED = {"timeout", "drop", "truncate", "empty"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("style", ["bytes", "json"])
async def test_every_fault_is_one_call(emulator, fault, style):
    emulator.desk.faults = Faults(script=[fault], timeout=0.2, retry_after=3)
    async with loaded(emulator, style, timeout=2) as adapter:
        if fault in STOPS:
            with pytest.raises(STOPS[fault]):
                await adapter.classify([png()])
        else:
            (outcome,) = await adapter.classify([png()])
            assert isinstance(outcome, Answer if fault == "ok" else Retry)
            if isinstance(outcome, Retry):
                assert outcome.billed == (fault in BILLED)
                assert outcome.throttled == (fault == "throttle")
                waits = {"throttle", "unavailable", "partial"}
                assert outcome.after == pytest.approx(3 if fault in waits else None, abs=1)
        assert len(emulator.desk.counts.calls) == 1
        assert isinstance((await adapter.classify([png()]))[0], Answer)  # the connection recovers


async def test_only_some_of_a_batch_fail(emulator):
    emulator.desk.faults = Faults(script=["partial"], refused=0.5)
    async with loaded(emulator, "batch") as adapter:
        outcomes = await adapter.classify([png(i) for i in range(16)])
    kinds = [type(o) for o in outcomes]
    assert kinds[::2] == [Retry] * 8
    assert Refusal in kinds
    assert Answer in kinds
    assert {o.model_version for o in outcomes if not isinstance(o, Retry)} == {"shades-1"}


@pytest.mark.parametrize("style", ["bytes", "batch"])
async def test_refused_pictures_are_abstentions(emulator, style):
    emulator.desk.faults = Faults(refused=1.0)
    async with loaded(emulator, style) as adapter:
        (outcome,) = await adapter.classify([png()])
        assert isinstance(outcome, Refusal)
        emulator.desk.faults = Faults()
        (outcome,) = await adapter.classify([b"no picture"])
        assert isinstance(outcome, Refusal)


def statuses(**fields):
    profile = HttpProfile.model_validate({"url": URL, "reply": PLAIN, **fields})
    return Statuses(profile.refused_statuses, profile.throttled_statuses, [SECRET])


def outcome_of(status, pictures=1, body=b"", **fields):
    reply = Reply(status, httpx.Headers(), body)
    try:
        return type(statuses(**fields).outcome(reply, pictures))
    except StopError as error:
        return type(error)


def test_every_status_means_something():
    special = {
        **dict.fromkeys([401, 407], AuthenticationFailed),
        402: QuotaExceeded,
        403: PermissionDenied,
        **dict.fromkeys([413, 415, 422], Refusal),
        **dict.fromkeys([408, 409, 421, 423, 424, 425, 429], Retry),
        **dict.fromkeys([501, 505], CallRejected),
    }
    for status in [*range(100, 200), *range(300, 1000)]:
        usual = CallRejected if 300 <= status < 500 else Retry
        assert outcome_of(status) is special.get(status, usual), status


def test_what_a_proxy_gave_up_may_be_billed_nevertheless():
    billed = {
        status
        for status in (408, 409, 425, 429, *range(500, 600))
        if status not in (501, 505)
        and statuses().outcome(Reply(status, httpx.Headers(), b""), 1).billed
    }
    assert billed == {408, 504, 520, 524}


def test_a_profile_says_which_statuses_refuse():
    assert outcome_of(400) is CallRejected
    assert outcome_of(400, refused_statuses=[400]) is Refusal
    assert outcome_of(422, refused_statuses=[400]) is CallRejected
    assert outcome_of(503, throttled_statuses=[429, 503]) is Retry
    assert outcome_of(422, pictures=2) is CallRejected  # nobody knows which


def test_both_forms_of_retry_after():
    now = datetime.datetime.now(datetime.UTC)

    def after(value, **more):
        return retry_after(Reply(429, httpx.Headers({"Retry-After": value, **more}), b""))

    assert after("12") == 12.0
    assert after("0.5") == 0.5
    later = format_datetime(now + datetime.timedelta(seconds=60), usegmt=True)
    assert after(later) == pytest.approx(60, abs=3)
    skewed = format_datetime(now + datetime.timedelta(seconds=50), usegmt=True)
    assert after(later, Date=skewed) == pytest.approx(10, abs=2)
    assert after(format_datetime(now - datetime.timedelta(days=1), usegmt=True)) == 0.0
    for odd in ("", "soon", "-5", "1e9", "nan", "Mon, 99 Foo"):
        assert after(odd) is None


def subclasses(kind):
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_every_exception_of_httpx_means_something():
    kinds = {
        kind
        for value in vars(httpx).values()
        if isinstance(value, type) and issubclass(value, Exception)
        for kind in subclasses(value)
    }
    assert len(kinds) >= 28
    stops = {
        "UnsupportedProtocol",
        "LocalProtocolError",
        "TooManyRedirects",
        "InvalidURL",
        "CookieConflict",
    } | {k.__name__ for k in subclasses(httpx.StreamError)}
    unsent = {"ConnectTimeout", "ConnectError", "PoolTimeout", "ProxyError"}
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, SECRET)
        meaning = of_exception(error)
        assert isinstance(meaning, CallRejected if kind.__name__ in stops else Retry), kind
        assert SECRET not in str(meaning)
        if isinstance(meaning, Retry):
            assert meaning.billed == (kind.__name__ not in unsent), kind


def test_exceptions_that_do_not_exist_yet():
    class Novel(httpx.TransportError):
        pass

    class Stranger(Exception):
        pass

    assert isinstance(of_exception(Novel("x")), Retry)
    assert isinstance(of_exception(ConnectionResetError()), Retry)
    assert isinstance(of_exception(TimeoutError()), Retry)
    assert isinstance(of_exception(Stranger()), CallRejected)


def test_a_certificate_that_cannot_be_verified_is_no_lost_connection():
    error = httpx.ConnectError("x")
    error.__cause__ = ssl.SSLCertVerificationError("y")
    assert isinstance(of_exception(error), CallRejected)


async def test_redirects_are_not_followed():
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": f"/other?{SECRET}"})

    async with endpoint(answer) as url, made(url=url) as adapter:
        with pytest.raises(CallRejected, match="final address") as caught:
            await adapter.classify([png()])
    assert asked == ["/ask"]
    assert SECRET not in str(caught.value)


async def test_nobody_listens():
    async with made(url="http://127.0.0.1:1/") as adapter:
        (outcome,) = await adapter.classify([png()])
    assert outcome == Retry("the endpoint cannot be reached")


async def test_a_reply_may_not_be_endless():
    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                await response.write(bytes(2**19))
        return response

    async with endpoint(answer) as url, made(url=url) as adapter:
        with pytest.raises(BrokenReply, match="longer than"):
            await adapter.classify([png()])


async def test_a_reply_in_drops_is_cut_off_by_the_timeout():
    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    async with endpoint(answer) as url:
        tables = {"slow": {"adapter": "http", "url": url, "reply": PLAIN, "timeout": 0.2}}
        async with registry.load("slow", Profiles(tables)) as adapter:
            (outcome,) = await adapter.classify([png()])
    assert outcome == Retry("the endpoint did not answer in time", billed=True)


async def test_damaged_compression_is_tried_again():
    async def answer(_):
        return web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"})

    async with endpoint(answer) as url, made(url=url) as adapter:
        (outcome,) = await adapter.classify([png()])
    assert isinstance(outcome, Retry)
    assert outcome.billed


@pytest.mark.parametrize("status", [200, 400, 401, 422, 429, 500])
@pytest.mark.parametrize("kind", ["json", "text", "html"])
async def test_what_the_endpoint_repeats_is_not_shown(monkeypatch, caplog, status, kind):
    secret = f"{SECRET}/+ä€".encode().decode("ascii", "ignore")
    monkeypatch.setenv("KEY", secret)
    picture = png(3, side=64)

    async def answer(request):
        quoted = str(request.url.raw_query_string)
        sent = base64.b64encode(await request.read()).decode()
        text = f"no: {request.headers['X-Key']} {request.headers['Authorization']} {quoted} {sent}"
        if kind == "json":
            return web.json_response({"error": {"message": text, "code": secret}}, status=status)
        content = f"text/{'plain' if kind == 'text' else 'html'}"
        return web.Response(text=text, status=status, content_type=content)

    caplog.set_level(logging.DEBUG)
    async with endpoint(answer) as url:
        adapter = made(
            url=url,
            headers={"X-Key": "${KEY}", "Authorization": "Bearer ${KEY}"},
            query={"key": "${KEY}"},
            reply={**PLAIN, "error": "error.message"},
        )
        async with adapter:
            try:
                said = repr(await adapter.classify([picture]))
            except StopError as error:
                said = repr(error)
            said += repr(adapter) + repr(adapter.traits) + repr(adapter.options) + adapter.account
    logged = caplog.text + "".join(repr(record.args) for record in caplog.records)
    for leak in (SECRET, base64.b64encode(picture).decode()[:40]):
        assert leak not in said
        assert leak not in logged


def test_a_secret_that_the_cut_would_halve_is_not_shown_by_half():
    shown = Statuses((), (), ["hunter2hunter2"]).shown("x " * 96 + "hunter2hunter2")
    assert "hunter" not in shown
