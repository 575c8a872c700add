"""`surety audit`: what it prints, and how it ends."""

import asyncio
import json
import os
import signal

import pytest
import typer
from typer.testing import CliRunner

from adapters.errors import QuotaExceeded
from adapters.interface import Traits
from certification.errors import InvalidParameter
from service.commands.audit import audit
from service.errors import BadRequest, NotFound
from service.exit_codes import ExitCode
from tests.service.auditing import SECRET, Turning, certify, install, opened
from tests.service.pictures import png

app = typer.Typer()
app.command()(audit)


@pytest.fixture(autouse=True)
def _turning(small_providers, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SURETY_SECRET", SECRET)
    monkeypatch.setenv("COLUMNS", "100")
    install(monkeypatch)


@pytest.fixture
def issue(tmp_path):
    def issued(**options):
        async def issuing():
            async with opened(tmp_path) as surety:
                return (await certify(surety, **options))["id"]

        return asyncio.run(issuing())

    return issued


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_no_difference(issue):
    ended = run(issue(), "--seed", "7")
    assert ended.exit_code == ExitCode.DONE
    for said in ("none of 50 votes differs", "50 from 64 counted votes", "seed 7", "5.82%", "v1"):
        assert said in ended.stdout
    assert "sample" not in ended.stdout
    assert SECRET not in ended.output


def test_differences(issue, monkeypatch):
    certificate = issue()
    monkeypatch.setattr(Turning, "threshold", 0.0)
    ended = run(certificate, "--sample", "64")
    assert ended.exit_code == ExitCode.ABSTAINED
    for said in ("of 64 votes differ", "dark", "bright", "then and now: v1"):
        assert said in ended.stdout
    found = json.loads(run(certificate, "--sample", "64", "--json").stdout)
    assert found["differing"] == len(found["differences"])
    assert {(d["then"], d["now"]) for d in found["differences"]} == {("dark", "bright")}
    assert found["asked"] == found["counted"] == 64
    assert "all 64 counted votes" in ended.stdout
    assert "confidence" not in ended.stdout  # nothing is left to be estimated


def test_another_model(issue, monkeypatch):
    certificate = issue()
    monkeypatch.setattr(Turning, "version", "v2")
    ended = run(certificate)
    assert ended.exit_code == ExitCode.DONE
    assert "version then: v1, now: v2" in ended.stdout
    assert "model has changed" in ended.stdout


def test_the_same_samples_again(issue):
    certificate = issue()
    run(certificate, "--sample", "5", "--seed", "3")
    first = [image.tobytes() for image in Turning.asked]
    Turning.asked.clear()
    run(certificate, "--sample", "5", "--seed", "3")
    assert [image.tobytes() for image in Turning.asked] == first


def test_a_picture_from_a_file(issue, tmp_path):
    certificate = issue(keep_image=False)
    assert isinstance(run(certificate).exception, NotFound)
    (tmp_path / "it.png").write_bytes(png())
    (tmp_path / "other.png").write_bytes(png(8, 12))
    assert run(certificate, "--image", "it.png").exit_code == ExitCode.DONE
    assert isinstance(run(certificate, "--image", "other.png").exception, InvalidParameter)
    assert run(certificate, "--image", "none.png").exit_code == ExitCode.BAD_INPUT


def test_a_budget(issue):
    ended = run(issue(), "--max-cost", "0.01")
    assert ended.exit_code == ExitCode.DONE
    assert "10 of 50 that were drawn" in ended.stdout
    assert "budget of money" in ended.stdout


def test_a_provider_that_fails(issue, monkeypatch):
    certificate = issue()
    monkeypatch.setattr(Turning, "answers", 32)
    ended = run(certificate)
    assert ended.exit_code == ExitCode.PROVIDER
    assert "none of 32 votes differs" in ended.stdout
    assert "could not be asked to the end" in ended.stdout
    assert "error: turning: the quota is spent" in ended.stderr
    assert isinstance(run(certificate).exception, QuotaExceeded)


@pytest.mark.parametrize(
    "wrong", [["--sample", "0"], ["--sample", "x"], ["--seed", "-1"], ["--nothing"], ["more"]]
)
def test_bad_usage(wrong):
    assert run("0" * 32, *wrong).exit_code == ExitCode.BAD_INPUT


def test_a_denoiser_that_is_not_there():
    assert isinstance(run("0" * 32, "--denoiser", "none.onnx").exception, BadRequest)


@pytest.mark.parametrize("after", [5, 0])
def test_ctrl_c_gives_what_was_found_by_then(after, issue, monkeypatch):
    certificate, classify = issue(), Turning.classify

    async def interrupted(self, images):
        if len(self.asked) == after:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        return await classify(self, images)

    monkeypatch.setattr(Turning, "classify", interrupted)
    monkeypatch.setattr(Turning, "traits", Traits(payload="pixels", max_batch=1, concurrency=1))
    ended = run(certificate)
    assert ended.exit_code == ExitCode.CANCELLED
    assert after < len(Turning.asked) < 50
    assert f"{len(Turning.asked)} of 50 that were drawn" in ended.stdout
    assert "cancelled" in ended.stdout
