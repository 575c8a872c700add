"""Denoisers from the operator's files: settings, API, command line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from denoisers.unet import UNet
from denoisers.weights import save_weights
from service.commands.arguments import with_denoiser_file
from service.errors import BadRequest, ConfigurationError
from service.exit_codes import ExitCode
from service.load_settings import load_settings
from service.settings import Settings
from tests.denoisers.graphs import write_blur
from tests.service import providers, test_cli
from tests.service.conftest import connect
from tests.service.pictures import png

pytestmark = pytest.mark.usefixtures("one_thread")
surety = test_cli.surety


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_weights(path: Path) -> Path:
    save_weights(UNet(width=4, half=1, quarter=1, eighth=1), path)
    return path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("a=x.onnx,b=y.safetensors", {"a": Path("x.onnx"), "b": Path("y.safetensors")}),
        ('{"a": "x,y.onnx"}', {"a": Path("x,y.onnx")}),
    ],
)
def test_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, found: dict[str, Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DENOISER_FILES", text)
    assert load_settings().denoiser_files == found
    monkeypatch.delenv("SURETY_DENOISER_FILES")
    assert load_settings().denoiser_files == {}
    (tmp_path / ".env").write_text(f"SURETY_DENOISER_FILES='{text}'\n")
    assert load_settings().denoiser_files == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cifar=x.onnx", "a denoiser 'cifar' is installed"),
        ("mine=x.pt", "runs whatever its author wrote into it"),
        ("{nonsense", "this is no JSON"),
        ('["x.onnx"]', "names no file"),
    ],
)
def test_a_wrong_setting_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DENOISER_FILES", text)
    with pytest.raises(ConfigurationError, match=f"SURETY_DENOISER_FILES: .*{says}"):
        load_settings()


def files() -> dict[str, Any]:
    return {"image": ("cat.png", png(12, 8), "image/png")}


async def test_over_http(make_app: Any, tmp_path: Path) -> None:
    blur, small = write_blur(tmp_path / "b.onnx"), write_weights(tmp_path / "s.safetensors")
    named = {"blur": blur, "small": small, "gone": tmp_path / "gone.onnx"}
    async with make_app(denoiser_files=named) as app, connect(app) as client:
        listed = (await client.get("/denoisers")).json()["denoisers"]
        names = [entry["name"] for entry in listed]
        assert names == sorted(names)
        found = {entry["name"]: entry for entry in listed}
        assert {*named, "none"} <= found.keys()
        assert found["blur"]["ready"]
        assert found["blur"]["compute"] == "cpu/onnx-float32"
        assert found["small"]["weights_sha256"] == sha256(small)
        assert found["gone"]["reason"] == "gone.onnx is not there, or is not a file"
        for name, path in (("blur", blur), ("small", small)):
            fields = {"denoiser": name, "max_votes": "20"}
            reply = await client.post("/certify", files=files(), data=fields)
            subject = reply.json()["proof"]["subject"]
            assert subject["denoiser"] == {"name": name, "weights_sha256": sha256(path)}
        reply = await client.post("/certify", files=files(), data={"denoiser": "gone"})
        assert (reply.status_code, reply.json()["type"]) == (503, "/problems/denoiser-not-ready")
        assert str(tmp_path) not in reply.text


async def test_a_request_cannot_name_a_path(make_app: Any, tmp_path: Path) -> None:
    blur = write_blur(tmp_path / "b.onnx")
    async with make_app(denoiser_files={"mine": blur}) as app, connect(app) as client:
        for path in (str(blur), "b.onnx", "./b.onnx", blur.as_uri()):  # all of them there
            reply = await client.post("/certify", files=files(), data={"denoiser": path[-100:]})
            body = reply.json()
            assert (reply.status_code, body["type"]) == (422, "/problems/unknown-denoiser")
            assert "from files: mine" in body["detail"]


async def test_the_default_may_be_a_file(make_app: Any, tmp_path: Path) -> None:
    named = {"blur": write_blur(tmp_path / "b.onnx")}
    async with make_app(denoiser="blur", denoiser_files=named) as app, connect(app) as client:
        assert (await client.get("/health/ready")).json()["denoiser"] == "blur"
        body = (await client.post("/predict", files=files(), data={"n": "20"})).json()
        assert body["subject"]["denoiser"]["name"] == "blur"


async def test_a_size_that_the_network_does_not_take_is_told_before_anything_is_asked(
    make_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers.Slow, "seconds", 0)
    named = {"blur": write_blur(tmp_path / "b.onnx", (1, 3, 8, 12))}
    async with make_app(denoiser="blur", denoiser_files=named) as app, connect(app) as client:
        fields = {"provider": "slow", "max_votes": "20", "size": "8"}
        reply = await client.post("/certify", files=files(), data=fields)
        assert (reply.status_code, reply.json()["type"]) == (422, "/problems/invalid-parameter")
        assert reply.json()["errors"][0]["field"] == "size"
        assert "takes pictures of 12×8 pixels only, not 8×8" in reply.json()["detail"]
        assert providers.Slow.calls == 0
        fields["size"] = "12x8"
        reply = await client.post("/certify", files=files(), data=fields)
        assert httpx.codes.is_success(reply.status_code)


@pytest.mark.parametrize(
    "write",
    [lambda: write_blur(Path("My Net.onnx")), lambda: write_weights(Path("my-net.safetensors"))],
)
def test_a_file_on_the_command_line(surety: Any, write: Any) -> None:
    path = write()
    done = surety("certify", "cat.png", "--denoiser", f"./{path}", "--max-votes", 20, "--json")
    assert (done.code, done.err) == (0, "")
    subject = json.loads(done.out)["proof"]["subject"]
    assert subject["denoiser"] == {"name": "my-net", "weights_sha256": sha256(path)}
    done = surety("predict", "cat.png", "--denoiser", path)  # n was fixed with the first vote
    assert (done.code, done.err) == (0, "")


CASES = [
    ("./gone.onnx", ExitCode.BAD_INPUT, "--denoiser: there is no file './gone.onnx'"),
    ("net.pt", ExitCode.BAD_INPUT, "net.pt: a denoiser's file ends in .safetensors or .onnx; a"),
    ("broken.onnx", ExitCode.CONFIGURATION, "broken.onnx is no ONNX file"),
    ("fixed.onnx", ExitCode.BAD_INPUT, "takes pictures of 6×6 pixels only, not 8×8"),
    ("nobody", ExitCode.BAD_INPUT, "unknown denoiser 'nobody': installed are"),
]


@pytest.mark.parametrize(("value", "code", "says"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("command", ["certify", "predict"])
def test_files_that_will_not_do(
    surety: Any, command: str, value: str, code: ExitCode, says: str
) -> None:
    Path("net.pt").touch()
    Path("broken.onnx").write_text("nonsense")
    write_blur(Path("fixed.onnx"), (1, 3, 6, 6))
    done = surety(command, "cat.png", "--denoiser", value)
    assert (done.code, done.out) == (code, "")
    assert says in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_a_name_goes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = write_blur(tmp_path / "mine.onnx")
    Path("cifar").touch()
    settings = Settings(denoiser_files={"mine": mine})
    for name in (None, "cifar", "mine"):
        assert with_denoiser_file(settings, name) == (settings, name)
    changed, name = with_denoiser_file(settings, "mine.onnx")
    assert (name, changed.denoiser_files) == ("mine", {"mine": Path("mine.onnx")})
    assert settings.denoiser_files == {"mine": mine}
    with pytest.raises(BadRequest, match="there is no file"):
        with_denoiser_file(settings, "mine.safetensors")


def test_files_of_one_name_are_told_apart(surety: Any) -> None:
    """Every training writes `weights.safetensors`."""
    for folder in ("one", "two"):
        Path(folder).mkdir()
        write_blur(Path(folder, "weights.onnx"))
    settings = Settings()
    names = []
    for path in ("one/weights.onnx", "two/weights.onnx", "one/weights.onnx", "./two/weights.onnx"):
        settings, name = with_denoiser_file(settings, path)
        names.append(name)
    assert names == ["weights", "weights-2", "weights", "weights-2"]
    assert settings.denoiser_files == {
        "weights": Path("one/weights.onnx"),
        "weights-2": Path("two/weights.onnx"),
    }


def test_the_list_names_files(surety: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_blur(Path("blur.onnx"))
    monkeypatch.setenv("SURETY_DENOISER_FILES", "mine=blur.onnx")
    done = surety("denoisers")
    assert done.code == 0
    (line,) = (line for line in done.out.splitlines() if " mine " in line)
    assert "cpu/onnx-float32" in line
    assert sha256(path)[:12] in line
    monkeypatch.setenv("SURETY_DENOISER", "mine")
    assert "mine (default)" in surety("denoisers").out
