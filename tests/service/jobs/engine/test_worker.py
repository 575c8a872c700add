"""Which compute types a worker takes."""

import pytest

from denoisers.errors import NotUsable
from service.jobs.engine.worker import EVERYWHERE, JobWorker, computes_of
from tests.service.jobs.running import opened


async def test_a_worker_is_of_the_device_that_it_is_given(tmp_path):
    async with opened(tmp_path, device="cpu") as surety:
        first, *others = JobWorker(surety, 1).computes
    assert first.startswith("cpu/")
    assert others == [*EVERYWHERE]  # of denoisers that need none
    with pytest.raises(NotUsable):
        computes_of("cuda:63")
