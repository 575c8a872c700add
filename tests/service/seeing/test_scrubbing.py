"""No secret and no picture stands in a log line, wherever it comes from."""

import base64
import io
import json
import logging
import secrets
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from service import log_lines
from service.keys import load_keyring
from service.seeing import known_secrets, scrubbing
from service.seeing.scrubbing import Scrubber
from service.settings import Settings
from tests.service.pictures import png

TOKEN = f"surety_{'0a' * 8}_{'1b' * 32}"
FALSE_ALARMS = (
    "the run was cancelled before it had any answer, so nothing can be said yet",
    f"draft {'ab' * 32} of the ledger",
    "certificate e18bf4e5f966d6f8aa66920835d065bc",
    "SURETY_REDIS_URL is no address of a server: write redis://USER@HOST:PORT",
    'File "/opt/venv/lib/python3.11/site-packages/opentelemetry/sdk/trace/export/batch.py", line 3',
    "größe: 3 × 4, ‘quoted’ — 100 %",
    "-" * 90,
    "surety_http_request_seconds_bucket",
    "the key of this subject is unknown, sigma = 0.25",
    "POST /jobs/0123456789abcdef/pictures?limit=50",
)
LOOKS = (
    TOKEN,
    f"Authorization: Bearer {TOKEN}",
    "{'authorization': 'Token xyzzy12345'}",
    "Bearer abcdefgh.12345678-_~+/",
    "GET https://x.example/v1?key=Hunter2Hunter2&size=3",
    '{"api_key": "Hunter2Hunter2", "size": 3}',
    "Ocp-Apim-Subscription-Key: Hunter2Hunter2",
    "x-goog-api-key: b'Hunter2Hunter2'",
    # pragma: allowlist nextline secret
    "redis://default:Hunter2Hunter2@10.0.0.1:6379/0",
    # pragma: allowlist nextline secret
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261128, Signature=Hunter2Hunter2",
    "AIzaSyHunter2Hunter2Hunter2Hunter2Hunt",
    "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0NTY3ODkwIn0.Hunter2",
    # pragma: allowlist nextline secret
    "-----BEGIN PRIVATE KEY-----\nHunter2\nHunter2\n-----END PRIVATE KEY-----\n",
    repr(png()),
    repr(bytearray(png())),
    base64.b64encode(png(40, 30)).decode(),
    base64.urlsafe_b64encode(secrets.token_bytes(300)).decode(),
    png().hex(),
    png().decode("latin-1"),
    png().decode(errors="replace"),
)
GIVEN_AWAY = ("1b1b1b1b", "xyzzy", "abcdefgh.1", "unter2", "IOSFODNN7", "IHDR", "x89PNG", "iVBOR")


@pytest.fixture
def scrubber(monkeypatch: pytest.MonkeyPatch) -> Scrubber:
    """The log's own, as in a new process."""
    fresh = Scrubber()
    monkeypatch.setattr(log_lines, "SCRUBBER", fresh)
    return fresh


@pytest.fixture
def lines(scrubber: Scrubber, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Configure the log; return a function that reads what was written."""
    before, level = logging.root.handlers[:], logging.root.level
    log_lines.configure("info")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logging.root.handlers[:] = before
    logging.root.setLevel(level)


@pytest.mark.parametrize("text", FALSE_ALARMS)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert Scrubber().text(text) == text


@pytest.mark.parametrize("text", LOOKS)
def test_what_looks_like_a_secret_or_a_picture_is_replaced(text: str) -> None:
    for said in (text, f"it said: {text}", f"{text} and so on"):
        clean = Scrubber().text(said)
        assert not any(word in clean for word in GIVEN_AWAY), clean
        assert len(clean) < 100


def test_a_key_of_ours_can_still_be_told_from_another() -> None:
    assert Scrubber().text(f"unknown key {TOKEN}") == f"unknown key surety_{'0a' * 8}_***"


@given(st.text(min_size=8), st.text(max_size=9), st.text(max_size=9))
@settings(max_examples=40)
def test_what_is_known_is_replaced_in_every_spelling(secret: str, before: str, after: str) -> None:
    scrubber = Scrubber()
    scrubber.remember([secret, None, "", "short"])
    for spelling in (secret, quote(secret), quote(secret, safe="")):
        if len(spelling.strip()) >= 8:
            assert spelling not in scrubber.text(f"{before} {spelling} {after}").replace("***", "")


def test_values_of_every_kind() -> None:
    scrubber = Scrubber()
    scrubber.remember(["hunter2hunter2"])
    line = scrubber.table(
        {
            "event": "hunter2hunter2 was refused",
            "data": png(),
            "view": memoryview(b"12"),
            "picture": np.zeros((4, 5, 3), np.uint8),
            "samples": list(range(100)),
            "headers": {"Authorization": "x", "cookie": ["y"], "accept": "hunter2hunter2"},
            "deep": [({"password": 1},), {"hunter2hunter2"}],
            "error": ValueError("hunter2hunter2"),
            "api_key": None,
            "many": {str(n): n for n in range(100)},
            "ms": 1.5,
            "ready": True,
        }
    )
    text = json.dumps(line)
    assert "hunter2" not in text
    assert "PNG" not in text
    assert line["data"] == f"<{len(png()):,} bytes>"
    assert line["picture"] == "<ndarray (4, 5, 3)>"
    assert line["samples"] == "<100 numbers>"
    assert line["headers"] == {"Authorization": "***", "cookie": "***", "accept": "***"}
    assert line["deep"] == [[{"password": "***"}], ["***"]]
    assert (line["api_key"], line["ms"], line["ready"]) == (None, 1.5, True)
    assert line["many"]["…"] == "36 more"


def test_what_holds_itself_and_what_is_huge() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert json.dumps(Scrubber().table(loop))
    assert len(Scrubber().text("ab " * 1_000_000)) < 21_000
    scrubber = Scrubber()
    scrubber.remember(["hunter2hunter2"])
    edge = "x " * (scrubbing.LONGEST_TEXT // 2 - 3) + "hunter2hunter2"
    assert "hunter" not in scrubber.text(edge)


def test_lines_of_ours_and_of_libraries(scrubber: Scrubber, lines: Any) -> None:
    scrubber.remember(["hunter2hunter2"])
    log_lines.configure("info")  # once more, since pytest has its own handlers there by now

    def raise_it() -> None:
        try:
            raise ConnectionError("no way to redis://:p4ssw0rd@host, key hunter2hunter2")
        except ConnectionError as error:
            raise RuntimeError(f"Authorization: Bearer {TOKEN}") from error

    for log in (structlog.get_logger("surety.test"), logging.getLogger("some.library")):
        try:
            raise_it()
        except RuntimeError as error:
            log.error("it failed", exc_info=error)
    logging.getLogger("some.library").warning("sent %s to %r", png(), "hunter2hunter2")
    logging.getLogger("some.library").warning("here: hunter2hunter2", stack_info=True)
    logging.getLogger("some.library").warning("%d", "hunter2hunter2")  # a bug of the library
    structlog.get_logger("surety.test").warning("plain", body=png(), job="0123456789abcdef")
    written = lines()
    text = json.dumps(written)
    assert len(written) == 6
    for word in ("hunter2", "p4ssw0rd", "1b1b1b1b", "PNG"):
        assert word not in text
    for line in written[:2]:
        assert "ConnectionError: no way to redis://***@host, key ***" in line["exception"]
        assert "raise_it" in line["exception"]
    assert written[1]["logger"] == "some.library"
    assert written[4]["error"] == "TypeError"
    assert written[5]["job"] == "0123456789abcdef"


def test_what_this_process_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key_file = tmp_path / "google.json"
    key_file.write_text(
        json.dumps({"private_key": "-----\nline-of-a-key\n", "client_id": "public"})
    )
    environment = {
        "VISION_KEY": "vision-key-1",
        "AWS_SECRET_ACCESS_KEY": "aws-secret-1",
        "CLARIFAI_PAT": "clarifai-pat",
        "MY_MODEL_API_KEY": "my-model-key",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Api%20Token-1,x=second-header",
        # pragma: allowlist nextline secret
        "HTTPS_PROXY": "http://me:proxy-pass@proxy:3128",
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        "SURETY_OLD_SECRETS": "aaaabbbb,ccccdddd",
        "SURETY_SECRETS_DIR": "/run/secrets",
        "KEYBOARD": "qwertz-layout",
        "PATH": "/usr/bin:/bin",
    }
    scrubber = Scrubber()
    scrubber.remember(known_secrets.of_environment(environment))
    for secret in (
        *("vision-key-1", "aws-secret-1", "clarifai-pat", "my-model-key", "second-header"),
        *("Api Token-1", "proxy-pass", "line-of-a-key", "aaaabbbb", "ccccdddd"),
    ):
        assert scrubber.text(f"({secret})") == "(***)"
    for word in ("/run/secrets", "qwertz-layout", "/usr/bin:/bin", str(key_file), "public"):
        assert scrubber.text(word) == word


def test_the_keys_that_a_deployment_makes(tmp_path: Path) -> None:
    url = "redis://:store-password@host/0"
    configured = Settings(_env_file=None, data_dir=tmp_path, redis_url=url)
    keyring = load_keyring(configured)
    scrubber = Scrubber()
    scrubber.remember([*known_secrets.of_settings(configured), *known_secrets.of_keyring(keyring)])
    told = json.loads((tmp_path / "keys.json").read_text())
    kept = [x for x in json.dumps(told).split('"') if len(x) == 64]
    assert len(kept) >= 2
    public = {key.public.hex() for key in keyring.public_keys}
    for key in {*kept, "store-password"} - public:
        assert scrubber.text(key) == "***"
    for key in public:
        assert scrubber.text(key) == key


def test_a_traceback_of_any_depth_is_text(lines: Any) -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("deep")
        deep(n - 1)

    stream = io.StringIO()
    try:
        deep(200)
    except ValueError as error:
        traceback.print_exc(file=stream)
        structlog.get_logger().error("it failed", exc_info=error)
    (line,) = lines()
    assert "ValueError: deep" in line["exception"]
    assert sys.getrecursionlimit() > 200


@pytest.mark.parametrize("begun", ["", "key", "://"])
@pytest.mark.parametrize(
    "part",
    [
        *(
            "a-",
            "-a",
            "a:",
            "key",
            "key-",
            "key=",
            "key=(@",
            "key='",
            "key ",
            "A",
            " ",
            "://",
            "a:@",
        ),
        *("cookie=", "bearer ", "-----BEGIN A KEY", "eyJaaaaaaaa.", "b'a", "\\\\", "\\x00", "AKIA"),
    ],
)
def test_no_text_takes_long(begun: str, part: str, in_time: None) -> None:
    """Paths of requests are logged, and anybody writes those: nothing may be quadratic."""
    text = begun + part * (100_000 // len(part))
    for pattern, instead in scrubbing._PATTERNS:
        pattern.sub(instead, text)
