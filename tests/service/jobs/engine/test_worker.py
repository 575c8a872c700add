"""What a worker takes."""

from importlib.metadata import EntryPoint

import pytest

import denoisers.registry
from denoisers.none import NoDenoiser
from tests.service.jobs.running import grey, opened, submitted, until, working

pytestmark = pytest.mark.usefixtures("small_providers")


class Odd(NoDenoiser):
    """Somebody else's, who runs it in a way of their own."""

    name, compute = "odd", "npu/int8"


def odd(device):
    return Odd()


async def test_it_works_on_jobs_of_a_denoiser_that_is_run_in_a_way_of_its_own(
    tmp_path, monkeypatch
):
    entry = EntryPoint("odd", f"{__name__}:odd", denoisers.registry.GROUP)
    installed = denoisers.registry._entries() | {"odd": entry}
    monkeypatch.setattr(denoisers.registry, "_entries", lambda: installed)
    async with opened(tmp_path, denoiser="odd") as surety:
        job = await submitted(surety, grey(2))
        assert job.spec.compute == "npu/int8"
        async with working(surety) as worker:
            assert "npu/int8" in worker.computes
            job = await until(surety, job.id)
    assert job.counts["done"] == 2
