"""Which compute types a deployment's denoisers have."""

import asyncio
import threading
from importlib.metadata import entry_points

import pytest
import torch
from safetensors.torch import save_file
from structlog.testing import capture_logs

import denoisers.registry
from denoisers.device import compute_types
from denoisers.errors import NotUsable
from denoisers.none import NoDenoiser
from denoisers.registry import OWN, load
from service.parts import WITHOUT_DEVICE, Parts
from service.settings import Settings
from tests.service.stranger import Odd


def broken(device):
    raise ZeroDivisionError


BEGUN, GO_ON = threading.Event(), threading.Event()


def slow(device):
    BEGUN.set()
    GO_ON.wait(30)
    made = NoDenoiser()
    made.name = "slow"
    return made


def nothing(device):
    return None


def wordless(device):
    made = NoDenoiser()
    made.name, made.compute = "wordless", None
    return made


def parts(tmp_path, **settings):
    return Parts(Settings(data_dir=tmp_path, device="cpu", **settings))


@pytest.mark.parametrize("name", OWN)
async def test_that_of_each_denoiser_of_ours_is_known_without_loading_it(name, tmp_path):
    made = parts(tmp_path)
    known = await made.compute_types()
    assert made.loaded_denoisers() == []
    assert load(name, "cpu").compute in known


def test_ours_are_those_that_are_installed_with_surety():
    entries = entry_points(group=denoisers.registry.GROUP)
    assert sorted(OWN) == sorted(e.name for e in entries if e.dist and e.dist.name == "surety")


async def test_the_devices_own_come_first(tmp_path):
    known = await parts(tmp_path).compute_types()
    assert known == [*compute_types("cpu"), *WITHOUT_DEVICE]
    assert all(name.startswith("cpu/") for name in known)


async def test_what_others_bring_may_be_run_in_a_way_of_its_own(tmp_path, install_denoisers):
    here = {name: f"{__name__}:{name}" for name in ("broken", "nothing", "wordless")}
    install_denoisers(odd="tests.service.stranger:odd", **here)
    made = parts(tmp_path)
    before = await made.compute_types()
    assert "npu/int8" not in before
    with capture_logs() as logs:
        await made.load_others()
    assert await made.compute_types() == [*before, "npu/int8"]
    assert [one.name for one in made.loaded_denoisers()] == ["odd"]
    assert [line["denoiser"] for line in logs] == ["broken", "nothing", "wordless"]
    assert "None for its compute type" in logs[2]["error"]


async def test_a_file_of_the_settings_counts_too(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    monkeypatch.setattr("denoisers.files.load", lambda name, file, device: Odd())
    made = parts(tmp_path, denoiser_files={"mine": path})
    await made.load_others()
    assert "npu/int8" in await made.compute_types()


async def test_what_is_loaded_already_does_not_wait_for_what_is_being_loaded(
    tmp_path, install_denoisers
):
    install_denoisers(slow=f"{__name__}:slow")
    made = parts(tmp_path)
    await made.denoiser("none")
    loading = asyncio.create_task(made.load_others())
    try:
        assert await asyncio.to_thread(BEGUN.wait, 30)
        async with asyncio.timeout(5):
            assert (await made.denoiser("none")).name == "none"
        assert not loading.done()
    finally:
        GO_ON.set()
        await loading


async def test_a_device_that_is_not_here(tmp_path):
    with pytest.raises(NotUsable):
        await Parts(Settings(data_dir=tmp_path, device="cuda:63")).compute_types()
