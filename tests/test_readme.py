"""What the README and docs/ show is run as it stands there."""

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from certification.confidence import recheck
from certification.radius import floored, l2_radius
from service import cli
from tests.certification.papers import paper
from tests.service.command import PATIENCE, SURETY, Surety

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """The command with the built-in classifier and denoiser, started where the README says."""
    made = Surety.at(tmp_path_factory.mktemp("readme"))
    del made.environment["SURETY_PROVIDER"], made.environment["SURETY_DENOISER"]
    return Surety(ROOT, made.environment)


@pytest.fixture(scope="module")
def served(deployment):
    """The address of `make run`'s service, and what it printed until then."""
    process = deployment.start("serve", "--demo", "--port", 0)
    with process:
        try:
            shown = ""
            for line in process.stdout:
                shown += line
                if "Ctrl-C ends it" in line:
                    break
            assert "certified L2 radius 0." in shown, shown
            yield re.search(r"http://127\.0\.0\.1:\d+", shown)[0], shown
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()  # does nothing to one that has ended


@pytest.fixture(scope="module")
def address(served):
    return served[0]


def test_the_certificate_that_is_shown_has_the_lines_of_a_real_one(served):
    def facts(text):
        return re.findall(r"^│  ([a-z][a-z ]+?)  +\S", text, re.MULTILINE)[1:]  # but the label

    (sample,) = (b for b in re.findall(r"```\n(.*?)```", README, re.DOTALL) if "make run" in b)
    assert facts(sample) == facts(served[1])
    assert "cost" in facts(sample)


@pytest.fixture
def here(deployment, monkeypatch):
    """The same in this process, which has imported torch already; the blocks of bash have not."""
    monkeypatch.chdir(deployment.folder)
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)


def run(deployment, command, **options):
    done = subprocess.run(
        command,
        cwd=deployment.folder,
        env=deployment.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


STATEMENT = (
    r"Within L2 distance 0\.\d+ of the 32×32 canonical image .* answers 'cat', "
    r"with confidence 99\.9 %\.\n"
)


def test_python_over_http(deployment, address):
    code = blocks(README, "python")[0].replace(ADDRESS, address)
    assert re.fullmatch(STATEMENT, run(deployment, [sys.executable, "-c", code]))


def test_python_without_a_server(here, capsys):
    exec(blocks(README, "python")[1], {"__name__": "__main__"})  # noqa: S102
    assert re.fullmatch(STATEMENT, capsys.readouterr().out)


def test_curl(deployment, address):
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    lines = [line for line in blocks(README, "sh")[0].splitlines() if line]
    assert len(lines) == 3
    for line in lines:
        said = run(deployment, ["sh", "-c", f"{line.replace(ADDRESS, address)} -sS"])
        last = said.strip().splitlines()[-1].removeprefix("data: ")
        proof = json.loads(last)["proof"]
        assert proof["label"] == "cat"
        if "target_radius" in line:
            assert proof["stop_reason"] in ("target_reached", "hopeless")
            assert proof["radius"] >= 0.1 or proof["stop_reason"] == "hopeless"
    assert "event: progress" in said


def test_command_line(here, monkeypatch, capsys, tmp_path):
    (block,) = (b for b in blocks(README, "sh") if "surety certify" in b)
    lines = block.splitlines()
    assert len(lines) == 4
    for line in lines:
        command, *arguments = line.split()
        assert command == ".venv/bin/surety"
        if arguments[:2] == ["denoisers", "show"]:
            arguments += ["--output", str(tmp_path / "sheet.png")]
        monkeypatch.setattr(sys, "argv", ["surety", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        assert printed.out or (tmp_path / "sheet.png").exists()
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def shell(deployment, folder, lines):
    (folder / "service").symlink_to(ROOT / "service")
    script = "\n".join(lines).replace(".venv/bin/surety", " ".join(SURETY))
    return subprocess.run(
        ["bash", "-ec", script],
        cwd=folder,
        env={**deployment.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_nothing_is_lost_and_everything_can_be_checked(deployment, tmp_path):
    done = shell(deployment, tmp_path, blocks(README, "bash")[0].splitlines())
    assert done.returncode == 0, done.stderr
    assert "votes reused" in done.stdout
    assert "verified" in done.stdout


def test_a_cloud_without_an_account(deployment, tmp_path):
    block = blocks(README, "bash")[1]
    install, *lines = block.splitlines()
    assert "pip install" in install
    done = shell(deployment, tmp_path, lines)
    assert "aws answered in" in done.stdout, done.stderr
    assert "cat" in done.stdout
    assert done.returncode in (0, 3), done.stderr  # which votes come depends on the port


def test_a_whole_dataset(deployment, tmp_path):
    done = shell(deployment, tmp_path, blocks(README, "bash")[2].splitlines())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished" in done.stdout
    assert "<svg" in (tmp_path / "report.html").read_text()


@pytest.fixture
def by_hand():
    """The code that checks a certificate in docs/certificate.md."""
    code = blocks((ROOT / "docs/certificate.md").read_text(), "python")[0]
    assert "recheck(" in code
    return code


def test_the_check_of_a_certificate(address, by_hand):
    code = by_hand
    with (ROOT / "service/samples/cat.png").open("rb") as picture:
        reply = httpx.post(f"{address}/certify", files={"image": picture}, timeout=PATIENCE)
    certificate = reply.raise_for_status().json()
    exec(code, {"certificate": certificate})  # noqa: S102
    certificate["proof"]["confidence"]["pointer"] += 1
    with pytest.raises(AssertionError):
        exec(code, {"certificate": certificate, "recheck": recheck})  # noqa: S102


@pytest.mark.parametrize(("sigma", "pointer"), [(0.1, 167), (0.7, 14)])
def test_the_check_of_a_radius_that_floating_point_takes_for_too_large(by_hand, sigma, pointer):
    certificate = copy.deepcopy(paper("plain", sigma).document)
    proof = certificate["proof"]
    how = proof["confidence"]
    assert how["pointer"] >= pointer  # whatever lies below it is certified too
    how["pointer"], proof["radius"] = pointer, floored(l2_radius(sigma, pointer))
    assert proof["radius"] > sigma * pointer / 200
    exec(by_hand, {"certificate": certificate})  # noqa: S102
    for name, lie in (("pointer", pointer - 1), ("margin", 2 * how["margin"]), ("margin", 0.0)):
        told = {**proof, "confidence": {**how, name: lie}}
        with pytest.raises(AssertionError):
            exec(by_hand, {"certificate": {**certificate, "proof": told}})  # noqa: S102


def test_every_line_that_installs_works_from_a_clone():
    """Surety is in no index: what is asked for by its name would be somebody else's."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = list[str]()
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    code = [
        p for room in ("adapters", "denoisers", "service") for p in ROOT.glob(f"{room}/**/*.py")
    ]
    for page in (*pages, *code):
        text = page.read_text()
        assert not re.search(r"""install ['"]?surety\b|["'`]surety\[""", text), page
        for found in re.findall(r"""pip install (?:-e )?['"]?\.\[([\w,-]+)\]""", text):
            named += found.split(",")
    assert {"aws", "azure", "google", "clarifai", "onnx", "parquet", "tracing"} <= {*named}
    assert {*named} <= {*extras}


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/weights/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_setting_is_in_the_example():
    from service.settings import Settings

    shown = (ROOT / ".env.example").read_text()
    for name in Settings.model_fields:
        assert f"#SURETY_{name.upper()}=" in shown
