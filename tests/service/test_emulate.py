"""`surety emulate`: a server in a process of its own, found through what it prints."""

import json
import signal
import subprocess
import time

import httpx
import pytest

from service.exit_codes import ExitCode
from tests.service import test_cli
from tests.service.command import PATIENCE, SURETY, Surety
from tests.service.pictures import png

surety = test_cli.surety


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    return Surety.at(tmp_path / "elsewhere")


@pytest.fixture
def emulate(elsewhere):
    """Start emulators; returns the process and what it printed until it was ready."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [*SURETY, "emulate", *map(str, arguments)],
            cwd=elsewhere.folder,
            env=elsewhere.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        variables = {}
        for line in process.stdout:
            if line.startswith("# counts and faults: "):
                variables["control"] = line.split(": ", 1)[1].strip()
                return process, variables
            if line.startswith("#"):
                continue
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value.strip("'")
        raise AssertionError(process.stderr.read())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def told(monkeypatch, variables):
    """Set what an emulator printed, as its reader does; return where it is controlled."""
    control = variables.pop("control")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return control


def test_a_picture_is_certified_through_an_emulator(surety, emulate, monkeypatch, tmp_path):
    process, variables = emulate("aws", "--port", 0)
    control = told(monkeypatch, variables)
    (tmp_path / "cat.png").write_bytes(png(32, 32))
    done = surety("certify", "cat.png", "--provider", "aws", "--max-votes", 40, "--json")
    assert done.code in (ExitCode.DONE, ExitCode.ABSTAINED), done.err
    document = json.loads(done.out)
    counts = httpx.get(f"{control}/counts").json()
    assert counts["images_answered"] == document["accounting"]["images"]
    checked = surety("providers", "check", "aws")
    assert checked.code == 0, checked.err
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0


def test_the_plan_of_faults_is_read_again_when_it_changes(surety, elsewhere, emulate, monkeypatch):
    plan = elsewhere.folder / "faults.toml"
    plan.write_text("seed = 1\n")
    _, variables = emulate("http", "--faults", "faults.toml", "--profile", "made.toml")
    assert variables["SURETY_PROVIDERS_FILE"] == str(elsewhere.folder / "made.toml")
    faults = told(monkeypatch, variables) + "/faults"
    assert surety("providers", "check", "emulated").code == 0
    assert httpx.get(faults).json()["seed"] == 1
    plan.write_text("seed = 22\n")
    for _ in range(100):
        time.sleep(0.1)
        if httpx.get(faults).json()["seed"] == 22:
            break
    else:
        raise AssertionError("not taken up")
    plan.write_text("sead = 3\n")
    time.sleep(1.0)
    assert httpx.get(faults).json()["seed"] == 22


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nobody",), ExitCode.BAD_INPUT),
        (("aws", "--faults", "none.toml"), ExitCode.BAD_INPUT),
        (("aws", "--model", "none.onnx"), ExitCode.BAD_INPUT),
        (("aws", "--profile", "made.toml"), ExitCode.BAD_INPUT),
        (("http", "--profile", "."), ExitCode.BAD_INPUT),  # nothing that exists is replaced
        (("http", "--profile", "nowhere/made.toml"), ExitCode.BAD_INPUT),
        (("aws", "--host", "203.0.113.1"), ExitCode.CONFIGURATION),
    ],
)
def test_what_cannot_be_emulated(surety, arguments, code):
    done = surety("emulate", *arguments)
    assert done.code == code
    assert done.err.startswith("error:")
