"""Which compute types a deployment's denoisers have."""

from importlib.metadata import EntryPoint, entry_points

import pytest
import torch
from safetensors.torch import save_file

import denoisers.registry
from denoisers.device import compute_types
from denoisers.errors import NotUsable
from denoisers.none import NoDenoiser
from denoisers.registry import OWN, load
from service.parts import WITHOUT_DEVICE, Parts
from service.settings import Settings


class Odd(NoDenoiser):
    name, compute = "odd", "npu/int8"


def odd(device):
    return Odd()


def broken(device):
    raise ZeroDivisionError


def parts(tmp_path, **settings):
    return Parts(Settings(data_dir=tmp_path, device="cpu", **settings))


@pytest.fixture
def installed(monkeypatch):
    """Let further denoisers be installed: name → function of this module."""

    def install(**made):
        group = denoisers.registry.GROUP
        entries = {n: EntryPoint(n, f"{__name__}:{f}", group) for n, f in made.items()}
        known = denoisers.registry._entries() | entries
        monkeypatch.setattr(denoisers.registry, "_entries", lambda: known)

    return install


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


async def test_what_others_bring_may_be_run_in_a_way_of_its_own(tmp_path, installed):
    installed(odd="odd", broken="broken")
    made = parts(tmp_path)
    known = await made.compute_types()
    assert known == [*compute_types("cpu"), *WITHOUT_DEVICE, "npu/int8"]
    assert [one.name for one in made.loaded_denoisers()] == ["odd"]


async def test_a_file_of_the_settings_counts_too(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    monkeypatch.setattr("denoisers.files.load", lambda name, file, device: Odd())
    known = await parts(tmp_path, denoiser_files={"mine": path}).compute_types()
    assert known[-1] == "npu/int8"


async def test_a_device_that_is_not_here(tmp_path):
    with pytest.raises(NotUsable):
        await Parts(Settings(data_dir=tmp_path, device="cuda:63")).compute_types()
