"""The command line: what it prints where, and its exit codes."""

import io
import json
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import adapters.errors
import certification.errors
import denoisers.errors
import service.errors
from service import cli, exit_codes
from service.exit_codes import ExitCode
from tests.service import stranger
from tests.service.command import Surety, fix_secret
from tests.service.pictures import png


@pytest.fixture
def elsewhere(tmp_path):
    """The command in a process of its own."""
    return Surety.at(tmp_path)


@pytest.fixture
def surety(tmp_path, monkeypatch, capsys):
    """The command in this process, which is far quicker."""
    monkeypatch.syspath_prepend(stranger.install(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "data"))
    fix_secret(tmp_path / "data")
    monkeypatch.setenv("SURETY_PROVIDER", "steady")
    monkeypatch.setenv("SURETY_DENOISER", "clip")
    monkeypatch.setenv("STRANGER_MARK", str(tmp_path / "mark"))
    (tmp_path / "cat.png").write_bytes(png(8, 8))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["surety", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code or 0, out=printed.out, err=printed.err)

    return run


CASES: list[tuple[list[str], ExitCode, str]] = [
    (["certify", "cat.png", "--max-votes", "60"], ExitCode.DONE, "Tabby Cat"),
    (["certify", "cat.png", "--target-radius", "0.2"], ExitCode.DONE, "target radius was reached"),
    (["certify", "cat.png", "--provider", "split"], ExitCode.ABSTAINED, "no certificate"),
    (
        ["certify", "cat.png", "--target-radius", "0.6", "--max-votes", "60"],
        ExitCode.BELOW_TARGET,
        "budget of 60 votes",
    ),
    (["certify", "cat.png", "--max-cost", "0.02"], ExitCode.DONE, "$0.02"),
    (["certify", "cat.png", "--label", "dog", "--max-votes", "30"], ExitCode.DONE, "dog: differs"),
    (["certify", "cat.png", "--max-cost", "0"], ExitCode.BAD_INPUT, "--max-cost does not pay"),
    (["certify", "cat.png", "--sigma", "nan"], ExitCode.BAD_INPUT, "--sigma must be"),
    (["certify", "cat.png", "--alpha", "0.6"], ExitCode.BAD_INPUT, "--alpha must be"),
    (["certify", "cat.png", "--sigma", "wide"], ExitCode.BAD_INPUT, "'--sigma'"),
    (["certify", "cat.png", "--size", "0"], ExitCode.BAD_INPUT, "--size '0'"),
    (["certify", "cat.png", "--rule", "{"], ExitCode.BAD_INPUT, "--rule is no JSON"),
    (["certify", "cat.png", "--rule", "best"], ExitCode.BAD_INPUT, "unknown decision rule"),
    (["certify", "cat.png", "--nothing"], ExitCode.BAD_INPUT, "No such option"),
    (["certify", "cat.png", "none.png"], ExitCode.BAD_INPUT, "does not exist"),
    (["certify"], ExitCode.BAD_INPUT, "Missing argument"),
    (["certify", "data"], ExitCode.BAD_INPUT, "data"),
    (["certify", "cat.png", "--provider", "x"], ExitCode.BAD_INPUT, "unknown provider 'x'"),
    (["certify", "cat.png", "--denoiser", "x"], ExitCode.BAD_INPUT, "unknown denoiser 'x'"),
    (["certify", "cat.png", "--provider", "failing"], ExitCode.PROVIDER, "quota of this month"),
    (["certify", "cat.png", "--provider", "faulty"], ExitCode.PROVIDER, "ZeroDivisionError"),
    (
        ["certify", "cat.png", "--provider", "unconfigured"],
        ExitCode.CONFIGURATION,
        "set STRANGER_KEY",
    ),
    (["predict", "cat.png"], ExitCode.DONE, "predicted"),
    (["predict", "cat.png", "--provider", "split", "--n", "9"], ExitCode.ABSTAINED, "abstained"),
    (["predict", "cat.png", "--n", "0"], ExitCode.BAD_INPUT, "error: --n must be"),
    (["predict", "cat.png", "--provider", "failing"], ExitCode.PROVIDER, "quota of this month"),
    (["serve", "--host", "0.0.0.0"], ExitCode.CONFIGURATION, "--allow-public"),  # noqa: S104
    (["serve", "--sample", "none.png"], ExitCode.BAD_INPUT, "does not exist"),
    (["nonsense"], ExitCode.BAD_INPUT, "No such command"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words"), CASES, ids=[" ".join(case[0])[:60] for case in CASES]
)
def test_exit_codes(surety, arguments, code, words):
    done = surety(*arguments)
    assert done.code == code
    failed = code not in (ExitCode.DONE, ExitCode.ABSTAINED, ExitCode.BELOW_TARGET)
    assert words in " ".join((done.err if failed else done.out).split())
    assert (done.out if failed else done.err) == ""
    assert "Traceback" not in done.err


def test_errors_of_ours_are_one_line(surety):
    assert surety("certify", "cat.png", "--sigma", "9").err.count("\n") == 1


def test_traceback_only_on_demand(surety, monkeypatch):
    monkeypatch.setenv("SURETY_DEBUG", "1")
    assert "Traceback" in surety("certify", "cat.png", "--provider", "faulty").err


def test_json_is_all_there_is(surety):
    done = surety("certify", "cat.png", "--max-votes", 40, "--json")
    certificate = json.loads(done.out)
    assert done.code == 0
    assert done.out.count("\n") == 1
    assert done.err == ""
    assert certificate["proof"]["label"] == "tabby cat"
    assert json.loads(surety("predict", "cat.png", "--json").out)["n"] == 100


def test_the_same_again(surety):
    """Ledgers do not outlive a process yet, but noise and so votes are the same."""
    first, second = (
        json.loads(surety("certify", "cat.png", "--max-votes", 40, "--json").out) for _ in "ab"
    )
    assert first["id"] == second["id"]


def test_options_reach_the_run(surety):
    done = surety(
        *("certify", "cat.png", "--json", "--provider", "mostly", "--sigma", 0.5, "--alpha", 0.01),
        *("--max-votes", 90, "--no-good-enough", "--milestone", 90, "--size", "16x8"),
        *("--rule", '{"rule": "in_top_k", "labels": ["cat"], "k": 1}', "--max-seconds", 50),
    )
    certificate = json.loads(done.out)
    proof = certificate["proof"]
    assert (proof["sigma"], proof["alpha"], proof["votes"]["n"]) == (0.5, 0.01, 90)
    assert proof["confidence"]["milestone"] == 90
    assert proof["subject"]["rule"] == {"rule": "in_top_k", "labels": ["cat"], "k": 1}
    assert certificate["request"]["good_enough"] is None
    assert certificate["request"]["max_seconds"] == 50
    assert (certificate["image"]["width"], certificate["image"]["height"]) == (16, 8)


def test_several_pictures(surety, tmp_path):
    (tmp_path / "other.png").write_bytes(png(9, 9))
    (tmp_path / "broken.png").write_bytes(png()[:40])
    done = surety("certify", "cat.png", "broken.png", "other.png", "--max-votes", 30, "--json")
    documents = [json.loads(line) for line in done.out.splitlines()]
    assert len({document["id"] for document in documents}) == 2
    # Which line is about which picture, where one of them is missing?
    assert [d["image"]["source"]["name"] for d in documents] == ["cat.png", "other.png"]
    assert done.code == ExitCode.BAD_INPUT
    assert done.err.startswith("error: broken.png: ")


def test_people_see_which_picture_it_is(surety):
    for command in ("certify", "predict"):
        assert "of cat.png" in surety(command, "cat.png").out.splitlines()[0]


def test_standard_input(surety, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(png(8, 8))))
    piped = json.loads(surety("certify", "-", "--max-votes", 30, "--json").out)
    named = json.loads(surety("certify", "cat.png", "--max-votes", 30, "--json").out)
    assert piped["proof"] == named["proof"]
    assert piped["image"]["source"]["name"] == "standard input"


def test_output_file(surety, tmp_path):
    target = tmp_path / "certificate.json"
    arguments = ("certify", "cat.png", "--max-votes", 30, "--output", target)
    done = surety(*arguments)
    assert done.code == 0
    assert "Tabby Cat" in done.out
    written = target.read_text()
    assert json.loads(written)["proof"]["votes"]["n"] == 30
    again = surety(*arguments)
    assert again.code == ExitCode.BAD_INPUT
    assert "--force" in again.err
    assert again.out == ""  # refused before anything was asked
    assert target.read_text() == written
    assert surety(*arguments, "--force").code == 0
    assert surety(*arguments[:-1], tmp_path / "no" / "x.json").code == ExitCode.BAD_INPUT
    assert surety(*arguments[:-1], tmp_path).code == ExitCode.BAD_INPUT
    assert [p.name for p in tmp_path.glob("*certificate*")] == ["certificate.json"]
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_output_of_several_is_one_a_line(surety, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    done = surety(
        *("certify", "cat.png", "cat.png", "broken.png", "--max-votes", 30, "--output", "all.jsonl")
    )
    assert done.code == ExitCode.BAD_INPUT
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["proof"]["votes"]["n"] for line in lines] == [30, 30]


@pytest.mark.parametrize(
    ("name", "value"),
    [("SURETY_PORT", "http"), ("SURETY_SECRET", "short"), ("SURETY_DATA_DIR", "/dev/null/x")],
)
def test_bad_settings(surety, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    done = surety("certify", "cat.png")
    assert done.code == ExitCode.CONFIGURATION
    assert "SURETY_" in done.err
    assert done.err.count("\n") == 1


def test_catalogs(surety):
    text = surety("providers").out
    assert "steady (default)" in text
    assert "set STRANGER_KEY" in " ".join(text.split())
    found = {p["name"]: p for p in json.loads(surety("providers", "--json").out)["providers"]}
    assert found["steady"]["ready"]
    assert not found["unconfigured"]["ready"]
    assert "clip (default)" in surety("denoisers").out
    assert json.loads(surety("denoisers", "--json").out)["default"] == "clip"


def test_help_names_every_command_and_code(surety):
    text = surety("--help").out
    for command in ("certify", "predict", "serve", "providers", "denoisers", "train", "version"):
        assert command in text
    text = " ".join(surety("certify", "-h").out.split())
    assert all(str(int(code)) in text.split("Exit codes:")[1] for code in ExitCode)


def test_every_error_has_an_exit_code():
    trees = (certification.errors, adapters.errors, denoisers.errors, service.errors)
    classes = [c for t in trees for c in vars(t).values() if isinstance(c, type)]
    assert len(classes) > 20
    for kind in classes:
        if issubclass(kind, Exception) and kind.__module__.endswith(".errors"):
            assert any(parent in exit_codes.TABLE for parent in kind.__mro__)
    assert exit_codes.worst([]) == ExitCode.DONE
    assert exit_codes.worst([ExitCode.DONE, ExitCode.ABSTAINED]) == ExitCode.ABSTAINED
    assert {exit_codes.worst([code]) for code in ExitCode} == set(ExitCode)


def test_start_up_is_light(elsewhere):
    """`--version` imports none of what takes seconds."""
    script = "import sys, service.cli; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=elsewhere.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"torch", "fastapi", "starlette", "uvicorn", "scipy", "numpy", "PIL", "httpx"}
    assert heavy.isdisjoint(done.stdout.split())


def test_a_process_of_its_own(elsewhere):
    """Through the stranger's entry points, without a server."""
    (elsewhere.folder / "cat.png").write_bytes(png(8, 8))
    done = elsewhere.run("certify", "cat.png", "--max-votes", 30, "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["proof"]["subject"]["provider"]["name"] == "steady"


def test_ctrl_c_gives_the_certificate_of_that_moment(elsewhere):
    (elsewhere.folder / "cat.png").write_bytes(png(8, 8))
    slow = ("--provider", "slow", "--max-votes", 100_000, "--target-radius", 1.4)
    with elsewhere.start("certify", "cat.png", "cat.png", *slow, "--json") as process:
        elsewhere.wait_for_mark()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.CANCELLED
    certificate: dict[str, Any] = json.loads(out)  # of one picture: the second was not begun
    assert certificate["proof"]["stop_reason"] == "cancelled"
    assert certificate["proof"]["votes"]["n"] >= 5
    assert err == ""


def test_second_ctrl_c_aborts_at_once(elsewhere):
    (elsewhere.folder / "cat.png").write_bytes(png(8, 8))
    with elsewhere.start("certify", "cat.png", "--provider", "stuck") as process:
        elsewhere.wait_for_mark()
        process.send_signal(signal.SIGINT)
        with pytest.raises(Exception, match="timed out"):
            process.wait(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == ExitCode.CANCELLED
    assert "aborted" in err
