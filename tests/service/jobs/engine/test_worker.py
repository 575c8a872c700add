"""Which compute types a worker takes."""

import pytest

from denoisers.errors import NotUsable
from denoisers.registry import load, names
from denoisers.runtime import Runtime
from denoisers.unet import UNet
from service.jobs.engine.worker import EVERYWHERE, JobWorker, computes_of
from tests.service.jobs.running import opened


@pytest.mark.parametrize("name", names())
def test_it_takes_jobs_of_every_denoiser_that_is_installed(name):
    assert load(name, "cpu").compute in computes_of("cpu")


def test_it_takes_jobs_of_networks_that_are_run_as_they_are():
    bare = Runtime("bare", UNet(4, 0, 0, 0), "0" * 64, device="cpu")
    assert not bare.compute.endswith("fused")
    assert bare.compute in computes_of("cpu")


async def test_a_worker_is_of_the_device_that_it_is_given(tmp_path):
    async with opened(tmp_path, device="cpu") as surety:
        first, *others = JobWorker(surety, 1).computes
    assert first.startswith("cpu/")
    plain = [first.removesuffix("/fused")] if first.endswith("/fused") else []
    assert others == [*plain, *EVERYWHERE]  # the latter of denoisers that need none
    with pytest.raises(NotUsable):
        computes_of("cuda:63")
