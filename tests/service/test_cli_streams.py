"""The command line and its surroundings: pipes, terminals, encodings, signals."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.exit_codes import ExitCode
from service.live_bar import LiveBar
from service.terminal import prepare_streams
from tests.service import test_cli
from tests.service.command import PATIENCE, SURETY
from tests.service.pictures import png

surety, elsewhere = test_cli.surety, test_cli.elsewhere

VOTES = ("--max-votes", 30)
SLOW = ("--provider", "slow", "--max-votes", 100_000, "--target-radius", 1.4)


@pytest.fixture
def process(elsewhere):
    """Start the command with streams of its own; it does not outlive the test."""
    (elsewhere.folder / "cat.png").write_bytes(png(8, 8))
    started = []

    def start(*arguments, **options):
        started.append(
            subprocess.Popen(
                [*SURETY, *map(str, arguments)],
                cwd=elsewhere.folder,
                env=elsewhere.environment,
                **({"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options),
            )
        )
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def shell(elsewhere):
    """Run a line of the shell, in which `surety` is the command."""
    (elsewhere.folder / "cat.png").write_bytes(png(8, 8))

    def run(line):
        words = " ".join(f"'{word}'" for word in SURETY)
        return subprocess.run(
            ["bash", "-c", f'surety() {{ {words} "$@"; }}\n{line}'],
            cwd=elsewhere.folder,
            env=elsewhere.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


def waits_in_a_read(process):
    """Return once a command has installed its handlers and waits for a pipe in a thread."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            time.sleep(0.5)
            return
        time.sleep(0.02)
    raise AssertionError("it never listened for signals")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_pipe_that_brings_nothing_can_be_interrupted(process, number):
    waiting = process("certify", "-", stdin=subprocess.PIPE)
    waits_in_a_read(waiting)
    waiting.send_signal(number)
    assert waiting.wait(10) == ExitCode.CANCELLED
    assert b"aborted" in waiting.stderr.read()


def test_a_named_pipe_can_be_interrupted(process, elsewhere):
    os.mkfifo(elsewhere.folder / "pipe")
    waiting = process("certify", "pipe")
    waits_in_a_read(waiting)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(10) == ExitCode.CANCELLED


def test_an_abort_keeps_what_was_certified(process, elsewhere):
    os.mkfifo(elsewhere.folder / "pipe")
    waiting = process(
        *("certify", "cat.png", "pipe", *VOTES, "--json", "--output", "all.jsonl"),
        stdout=subprocess.PIPE,
    )
    waiting.stdout.readline()  # the first is done
    time.sleep(0.5)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(10) == ExitCode.CANCELLED
    kept = (elsewhere.folder / "all.jsonl").read_text()
    assert json.loads(kept)["proof"]["votes"]["n"] == 30


def test_hanging_up_gives_the_certificate_of_that_moment(process, elsewhere):
    running = process("certify", "cat.png", *SLOW, "--json", stdout=subprocess.PIPE)
    elsewhere.wait_for_mark()
    running.send_signal(signal.SIGHUP)
    out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == ExitCode.CANCELLED
    assert json.loads(out)["proof"]["stop_reason"] == "cancelled"


def test_a_terminal_that_closes_leaves_the_file(process, elsewhere):
    """Its results have nowhere to go but --output, and the signal comes twice."""
    master, slave = pty.openpty()
    running = process(
        *("certify", "cat.png", *SLOW, "--output", "kept.json"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    elsewhere.wait_for_mark()
    os.close(master)
    running.send_signal(signal.SIGHUP)
    running.send_signal(signal.SIGHUP)
    assert running.wait(PATIENCE) == ExitCode.CANCELLED
    kept = json.loads((elsewhere.folder / "kept.json").read_text())
    assert kept["proof"]["stop_reason"] == "cancelled"


def test_nohup_is_respected(process, elsewhere):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does; children inherit it
    try:
        running = process("certify", "cat.png", *SLOW, stdout=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGHUP, before)
    elsewhere.wait_for_mark()
    running.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(0.5)


@pytest.mark.parametrize(
    "command",
    ["certify cat.png --max-votes 30", "predict cat.png --json", "providers", "version", "--help"],
)
def test_a_reader_that_leaves_ends_it_quietly(shell, command):
    done = shell(f"(sleep 0.1; surety {command}; echo $? > code) | true; cat code")
    assert done.stdout == "141\n"
    assert done.stderr == ""


def test_a_reader_that_leaves_does_not_cost_the_file(shell, elsewhere):
    shell("surety certify cat.png --max-votes 30 --output kept.json | true")
    assert json.loads((elsewhere.folder / "kept.json").read_text())["proof"]["votes"]["n"] == 30


def test_notes_may_be_read_by_nobody(shell):
    done = shell("surety certify none.png cat.png 2> >(true); echo $?")
    assert done.stdout == "2\n"
    done = shell("surety certify cat.png --max-votes 30 --json --output x 2> >(true); echo $?")
    assert done.stdout.endswith("}\n0\n")


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("surety certify cat.png --max-votes 30 2>&-", 0, "Tabby Cat"),
        ("surety certify none.png 2>&-", 2, ""),
        ("surety certify cat.png --max-votes 30 >&-", 0, ""),
        ("surety certify - <&-", 2, "standard input: "),
        ("surety certify - <&- >&- 2>&-", 2, ""),
        ("surety certify cat.png --max-votes 30 <&- >&- 2>&- --output kept.json", 0, ""),
        ("surety --help >&-", 0, ""),
    ],
)
def test_closed_streams(shell, line, code, words):
    done = shell(line)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "AttributeError" not in done.stderr


@pytest.mark.parametrize("command", ["version", "--help", "providers", "denoisers --json"])
def test_a_full_device_is_told_once_and_is_no_fault_of_ours(shell, command):
    done = shell(f"surety {command} > /dev/full")
    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr == ("error: standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize("columns", [0, 1, 20])
def test_narrow_terminals_show_all_that_matters(surety, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = " ".join(surety("certify", "cat.png", *VOTES).out.replace("│", " ").split())
    for part in ("Tabby Cat certified L2 radius", "30 of 30", "99.9 %", "steady", "was used up"):
        assert part in text
    monkeypatch.setenv("COLUMNS", str(columns))
    assert "steady" in surety("providers").out
    monkeypatch.setenv("COLUMNS", str(columns))
    assert "error: --sigma must be" in surety("certify", "cat.png", "--sigma", 9).err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_votes_are_seen_without_unicode(elsewhere, encoding):
    (elsewhere.folder / "cat.png").write_bytes(png(8, 8))
    elsewhere.environment["PYTHONIOENCODING"] = encoding
    done = elsewhere.run(
        *("certify", "cat.png", "--provider", "mostly", "--max-votes", 40, "--no-good-enough"),
        text=False,
    )
    text = done.stdout.decode(encoding)
    assert done.returncode == 0
    assert text.startswith("+- Certificate")
    assert "?" not in text
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1  # the frame is straight
    bars = [line for line in lines if " of 40  " in line]
    assert len(bars) == 2
    for line in bars:
        count = int(line.split(" of 40")[0].split()[-1])
        assert line.count("#") == 28 * count // 40
        assert line.count("#") + line.count(".") == 28


def test_the_live_bar_without_unicode(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    prepare_streams()
    with LiveBar("cat.png") as bar:
        bar.note("asking")
    stream.flush()
    assert b"cat.png" in raw.getvalue()
    assert b"?" not in raw.getvalue().replace(b"\x1b[?25", b"")  # but for the cursor's commands


def test_names_that_are_no_text(elsewhere):
    name = os.fsdecode(b"\xff\xe9t\xe9.png")
    (elsewhere.folder / name).write_bytes(png(8, 8))
    shown = elsewhere.run("certify", name, *VOTES)
    assert shown.returncode == 0, shown.stderr
    assert "Tabby Cat" in shown.stdout
    printed = elsewhere.run("certify", name, *VOTES, "--json", "--output", name + ".json")
    assert printed.returncode == 0, printed.stderr
    certificate = json.loads(printed.stdout)
    assert certificate["image"]["source"]["name"].endswith("t?.png")
    written = (elsewhere.folder / (name + ".json")).read_bytes().decode("utf-8")
    assert json.loads(written) == certificate
    assert elsewhere.run("predict", name, "--json").returncode == 0
    for wrong in (name + ".none", name):
        (elsewhere.folder / name).write_bytes(b"no picture")
        done = elsewhere.run("certify", wrong)
        assert done.returncode == ExitCode.BAD_INPUT
        assert "Traceback" not in done.stderr
