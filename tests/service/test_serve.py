"""`surety serve`: a real server in a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from service import demo, serving
from service.access.words import access_words
from service.demo import events
from service.errors import ConfigurationError
from service.listening import address_of, listen
from service.store.embedded import EmbeddedServer
from tests.service.command import PATIENCE, Surety
from tests.service.pictures import png


@pytest.fixture
def surety(tmp_path):
    made = Surety.at(tmp_path)
    (made.folder / "cat.png").write_bytes(png(8, 8))
    return made


def read_until(process, words):
    """Read lines until one holds the words; return all of them."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"ended with {process.wait()}: {lines} {process.stderr.read()}")


def test_sample_then_service_then_sigterm(surety):
    with surety.start("serve", "--sample", "cat.png", "--port", 0) as process:
        text = read_until(process, "Ctrl-C ends it")
        address = re.search(r"http://127\.0\.0\.1:(\d+)", text)[0]
        assert not address.endswith(":0")
        assert "certified L2 radius 0." in text
        assert "No API keys: only this machine can connect." in text
        assert f"docs  {address}/docs" in text
        command = f"curl -F image=@cat.png -F sigma=0.25 {address}/certify"
        assert command in text
        with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
            assert client.get("/health/ready").json()["provider"] == "steady"
            # A client that waits when the service ends gets the certificate of that moment.
            late = {}

            def ask():
                form = {"provider": "slow", "max_votes": "90000", "target_radius": "1.4"}
                late["reply"] = client.post("/certify", data=form, files={"image": png(8, 8)})

            asking = threading.Thread(target=ask)
            asking.start()
            surety.wait_for_mark()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            asking.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 30
        assert late["reply"].json()["proof"]["stop_reason"] == "cancelled"
        assert "Surety has ended." in process.stdout.read()
        assert "Traceback" not in process.stderr.read()


@pytest.fixture
def its_store(surety):
    """The store that the command runs itself, in its data directory."""
    surety.environment.pop("SURETY_REDIS_URL", None)
    store = EmbeddedServer(Path(surety.environment["SURETY_DATA_DIR"]))
    yield store
    if store.pid is not None:
        os.kill(store.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("arguments", "words"), [(("serve", "--port", 0), "Ctrl-C ends it"), (("worker",), "Worker ")]
)
def test_hanging_up_ends_it_in_order(surety, its_store, arguments, words):
    with surety.start(*arguments) as process:
        read_until(process, words)
        assert its_store.pid is not None
        for _ in range(2):  # both the terminal and the shell send one
            process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == 0
        assert "has ended." in process.stdout.read()
    assert its_store.pid is None


@pytest.mark.parametrize("arguments", [("serve", "--port", 0), ("worker",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_opens_leaves_no_store_behind(surety, its_store, arguments, number):
    begun = Path(surety.environment["SURETY_DATA_DIR"], "store", "users.lock")
    with surety.start(*arguments) as process:
        until = time.monotonic() + PATIENCE
        while not begun.exists() and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in process.stderr.read()
    assert its_store.pid is None


def test_with_keys_it_may_listen_anywhere_and_the_sample_is_still_certified(surety):
    made = surety.run("apikeys", "create", "ci", "--scopes", "certify")
    text = made.stdout.strip()
    options = ("--sample", "cat.png", "--host", "0.0.0.0", "--port", 0)  # noqa: S104
    with surety.start("serve", *options) as process:
        said = read_until(process, "Ctrl-C ends it")
        address, port = re.search(r"http://127\.0\.0\.1:(\d+)", said).group(0, 1)
        assert f"listens on every address, port {port}: here {address}\n" in said
        assert "API keys are needed" in said
        assert "certified L2 radius 0." in said
        assert 'curl -H "Authorization: Bearer $SURETY_API_KEY" -F image=@cat.png' in said
        headers = {"Authorization": f"Bearer {text}"}
        with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
            assert client.get("/runs").status_code == 401
            assert client.get("/runs", headers=headers).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        told = said + process.stdout.read() + process.stderr.read()
    assert text.rpartition("_")[2] not in told
    assert "surety_" not in told.replace(text, "")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"near": True, "keys": False, "needed": False}, "No API keys: only this machine"),
        ({"near": False, "keys": False, "needed": False}, "whoever can connect may spend"),
        ({"near": False, "keys": True, "needed": True}, "API keys are needed"),
        ({"near": False, "keys": False, "needed": True}, "required, and there is none"),
    ],
)
def test_one_line_says_who_may_connect(state, words):
    for any_name in (True, False):
        line, _ = access_words(**state, any_name=any_name)
        assert words in line
        told = "every web page" in line
        assert told == (any_name and not (state["near"] or state["needed"]))
    assert "\n" not in line


def test_a_sample_that_fails_is_told_and_the_service_goes_on(surety):
    (surety.folder / "cat.png").write_bytes(b"no picture")
    with surety.start("serve", "--sample", "cat.png", "--port", 0) as process:
        text = read_until(process, "Ctrl-C ends it")
        address = re.search(r"http://127\.0\.0\.1:\d+", text)[0]
        assert httpx.get(f"{address}/health/live", trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        told = process.stderr.read()
    assert "error: the sample was not certified: the upload is not a picture" in told
    assert "Traceback" not in told


def test_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port, allow_public=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_public_addresses_need_leave(host):
    with pytest.raises(ConfigurationError, match="--allow-public"):
        listen(host, 0, allow_public=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback(host):
    with listen(host, 0, allow_public=False) as listener:
        port = listener.getsockname()[1]
        assert port
        assert address_of(listener).endswith(f":{port}")
        socket.create_connection(listener.getsockname()[:2]).close()


def test_with_leave_the_address_that_is_shown_can_be_called():
    with listen("0.0.0.0", 0, allow_public=True) as listener:  # noqa: S104
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("host", ["", "no such host", "192.0.2.1", "x" * 300])
def test_addresses_that_are_none(host):
    with pytest.raises(ConfigurationError):
        listen(host, 0, allow_public=host == "192.0.2.1")


@pytest.mark.parametrize("arguments", [(), ("--sample", "cat.png")])
def test_readers_may_leave(surety, arguments):
    """`surety serve | head -1`, and nobody reads the log either."""
    with surety.start("serve", "--port", 0, *arguments) as process:
        try:
            first = process.stdout.readline()
            process.stdout.close()
            process.stderr.close()
            address = re.search(r"http://127\.0\.0\.1:\d+", first)[0]
            with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
                for _ in range(3):
                    assert client.get("/health/live").status_code == 200
                    time.sleep(0.3)
                reply = client.post("/predict", data={"n": "20"}, files={"image": png(9, 9)})
                assert reply.status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("error", [ValueError("no such luck"), KeyError("detail")])
async def test_whatever_goes_wrong_in_the_demonstration_is_told(monkeypatch, capsys, error):
    async def fails(*_):
        raise error

    monkeypatch.setattr(demo, "_certify", fails)
    await demo.demonstrate("http://127.0.0.1:9", Path("cat.png"))
    printed = capsys.readouterr()
    assert printed.err.startswith(
        f"error: the sample was not certified: unexpected {type(error).__name__}: "
    )
    assert printed.err.count("\n") == 1
    assert "API   http://127.0.0.1:9" in printed.out
    assert "try   curl" in printed.out


def test_the_log_comes_back_after_a_demonstration_that_fails(surety):
    picture = surety.folder / os.fsdecode(b"\xff.png")  # and a name that HTTP cannot carry
    picture.write_bytes(png(8, 8))
    with surety.start("serve", "--sample", picture.name, "--port", 0) as process:
        try:
            text = read_until(process, "Ctrl-C ends it")
            address = re.search(r"http://127\.0\.0\.1:\d+", text)[0]
            assert "certified L2 radius 0." in text
            assert httpx.get(f"{address}/health/live", trust_env=False).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            assert '"path": "/health/live"' in process.stderr.read()
        finally:
            process.kill()


async def test_what_runs_beside_the_server_is_told_when_it_fails(tmp_path, capsys):
    async def fails():
        raise ZeroDivisionError("beside")

    class Started:
        answers = asyncio.Event()

    Started.answers.set()
    await serving._once_started(Started, fails)
    assert "unexpected ZeroDivisionError: beside" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_events_end_where_the_standard_says(end, size):
    """U+2028, U+0085 and others end no line, and a line end may come in two parts."""
    data = json.dumps("a\u2028b\u2029c\u0085d\x0b\x0c\x1ce", ensure_ascii=False)
    body = f"event: x{end}data: {data}{end}{end}event: y{end}data: 1{end}{end}".encode()

    async def parts():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    found = [event async for event in events(httpx.Response(200, content=parts()))]
    assert found == [("x", json.loads(data)), ("y", 1)]


async def test_events_are_read_as_they_may_be_written():
    body = ': hello\n\nevent: run\ndata: {"id": 1}\n\ndata:[1,\ndata: 2]\n\nevent: cut\ndata: 3'
    found = [event async for event in events(httpx.Response(200, text=body))]
    assert found == [("run", {"id": 1}), ("message", json.loads("[1, 2]"))]


def test_what_has_no_answer_when_the_service_ends_is_told_so(surety):
    """An upload that is still under way, and a run that has not heard from its provider."""
    with surety.start("serve", "--port", 0) as process:
        text = read_until(process, "Ctrl-C ends it")
        address = re.search(r"http://127\.0\.0\.1:(\d+)", text)
        head = (
            "POST /certify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        with socket.create_connection(("127.0.0.1", int(address[1])), PATIENCE) as half:
            half.sendall(head.encode())
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            reply = b""
            while chunk := half.recv(65536):
                reply += chunk
        assert reply.startswith(b"HTTP/1.1 503")
        assert b"/problems/shutting-down" in reply
        assert process.wait(PATIENCE) == 0
        logged = process.stderr.read()
    assert "Traceback" not in logged
    assert all(json.loads(line) for line in logged.splitlines())
