"""How people name a job."""

import pytest

from service.errors import BadRequest, NotFound
from service.jobs.naming import job_called
from tests.service.jobs.running import grey, opened, submitted

pytestmark = pytest.mark.usefixtures("small_providers")


async def test_by_its_id_its_beginning_or_as_the_last_one(tmp_path):
    async with opened(tmp_path) as surety:
        jobs = surety.state.jobs
        for name in ("last", "a", "", " "):
            with pytest.raises(NotFound):
                await job_called(jobs, name)
        made = [(await submitted(surety, grey(1))).id for _ in range(17)]  # of 16 first digits
        assert (await job_called(jobs, " Last ")).id == made[-1]
        assert (await job_called(jobs, made[3])).id == made[3]
        assert (await job_called(jobs, made[3][:12].upper())).id == made[3]
        first = [name[0] for name in made]
        several = next(digit for digit in first if first.count(digit) > 1)
        with pytest.raises(BadRequest, match="several jobs") as refused:
            await job_called(jobs, several)
        assert sum(name in str(refused.value) for name in made) == min(5, first.count(several))
        with pytest.raises(NotFound, match="surety jobs list"):
            await job_called(jobs, made[0] + "0")


async def test_the_latest_failures_are_told_until_they_are_asked_about_again(tmp_path):
    from service.jobs import actions
    from service.jobs.submit import Handed
    from tests.service.jobs.running import until, working

    bad = [Handed(f"bad{n}.png", b"nothing") for n in range(7)]
    async with opened(tmp_path) as surety, working(surety):
        gone = Handed("gone.png", None, "too large")
        job = await until(surety, (await submitted(surety, [gone, *grey(1), *bad])).id)
        pictures = surety.state.pictures
        found = [row.name for row in await pictures.failures(job)]
        assert len(found) == 5 == len({*found} & {one.name for one in bad})
        await actions.retry(surety, job.id)
        job = await until(surety, job.id)
        again = [row.name for row in await pictures.failures(job)]
        assert len(again) == len({*again}) == 5
        await actions.delete(surety, job.id)
        assert await pictures.failures(job) == []
