"""The log waits for nobody, loses nothing that somebody reads, and counts what it must drop."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from service.log_writer import LogWriter
from tests.service.command import PATIENCE, Surety
from tests.service.seeing import scraping
from tests.service.test_serve import read_until

PIPE_BYTES = 64 * 2**10
ASKED = 250
LONG = "/".join(["a-long-path"] * 15)  # of requests, so that fewer fill a pipe


@contextlib.contextmanager
def pipe():
    """Lead standard error into a pipe; gives its end to read from."""
    reading, writing = os.pipe()
    with (
        open(reading, "rb") as reader,
        open(writing, "w", buffering=1, encoding="utf-8") as stream,
        contextlib.redirect_stderr(stream),
    ):
        yield reader


def fill():
    """Fill the pipe, so that whoever writes waits; returns the bytes that are to be read first."""
    descriptor, filled = sys.stderr.fileno(), 0
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(descriptor, b" " * 4096)
    os.set_blocking(descriptor, True)
    return filled


def numbered(count):
    return [json.dumps({"number": number, "text": "x" * 90}) + "\n" for number in range(count)]


def read_in_background(reader, count):
    """Read so many lines, in another thread; returns them, once it is joined, and the thread."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(reader.readline() for _ in range(count)))
    thread.start()
    return found, thread


def test_what_waited_is_written_at_the_end_in_order():
    log, lines = LogWriter(), numbered(3000)  # 300 kB
    with pipe() as reader:
        with log.in_background():
            for line in lines:
                log.write(line)
            found, thread = read_in_background(reader, len(lines))
        thread.join()
        log.write("by itself\n")
        assert reader.readline() == b"by itself\n"
    assert found == [line.encode() for line in lines]
    assert (log.dropped, log.stalled) == (0, False)


@pytest.mark.parametrize("bounds", [{"most_lines": 100}, {"most_characters": 10_000}])
def test_beyond_a_bound_lines_are_dropped_and_told_of(bounds):
    log, lines = LogWriter(**bounds), numbered(3000)
    with pipe() as reader:
        filled = fill()  # or a gap may be told of before the last line comes
        with log.in_background():
            for line in lines:
                log.write(line)
            reader.read(filled)
            found, thread = read_in_background(reader, len(lines) - log.dropped + 1)
        thread.join()
    *told, gap = map(json.loads, found)
    assert [line["number"] for line in told] == sorted(line["number"] for line in told)
    assert gap["dropped"] == log.dropped == len(lines) - len(told)
    assert gap["level"] == "warning"


def test_a_reader_that_takes_nothing_is_given_up():
    log = LogWriter()
    with pipe() as reader:
        with log.in_background():
            for line in numbered(3000):
                log.write(line)
            log.finish(patience=0.05)
            assert log.stalled
        log.write("not even this waits\n")
        found, thread = read_in_background(reader, 3001)  # or its thread would stay
        thread.join()
    assert found[-1] == b"not even this waits\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it")
def test_a_stream_that_cannot_be_written_to_stops_nothing():
    log = LogWriter()
    with (
        Path("/dev/full").open("w", encoding="utf-8") as full,
        contextlib.redirect_stderr(full),
        log.in_background(),
    ):
        for line in numbered(3):
            log.write(line)
    assert (log.dropped, log.stalled) == (3, False)


def test_the_last_words_of_a_crash_come_after_the_log():
    code = (
        "from service.log_writer import LOG\n"
        "with LOG.in_background():\n"
        "    [LOG.write(f'{number}\\n') for number in range(5000)]\n"
        "    raise RuntimeError('the end')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    lines = ended.stderr.splitlines()
    assert lines[:5000] == [str(number) for number in range(5000)]
    assert (lines[5000], lines[-1]) == (
        *("Traceback (most recent call last):", "RuntimeError: the end"),
    )


def test_a_service_answers_though_nobody_reads_its_log_and_loses_nothing(tmp_path):
    surety = Surety.at(tmp_path)
    with contextlib.ExitStack() as ending:
        process = ending.enter_context(surety.start("serve", "--port", 0))
        ending.callback(process.kill)
        address = read_until(process, "Ctrl-C ends it").split(" listens on ")[1].split()[0]
        with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
            for number in range(ASKED):
                assert client.get(f"/{number}/{LONG}").status_code == 404
            assert client.get("/health/live").status_code == 200
            metrics = scraping.read(client.get("/metrics").text)
        assert scraping.of(metrics, "surety_log_lines_dropped_total") == 0
        process.send_signal(signal.SIGTERM)
        log = process.stderr.read()
        assert process.wait(PATIENCE) == 0
        assert "Surety has ended." in process.stdout.read()
    assert len(log) > PIPE_BYTES
    lines = map(json.loads, log.splitlines())
    numbers = [int(line["path"].split("/")[1]) for line in lines if LONG in line.get("path", "")]
    assert numbers == [*range(ASKED)]
