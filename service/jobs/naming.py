"""How people name a job: by its id, by the first digits of it, or as the last one."""

from service.errors import BadRequest, NotFound
from service.jobs.job import Job
from service.store.jobs import RedisJobs

LAST = "last"
SHOWN = 5  # of those that a name may mean


async def job_called(jobs: RedisJobs, name: str) -> Job:
    """Find a job.

    Args:
        jobs: of the deployment.
        name: its id, or as many of its first digits as no other one has; "last" for the newest.

    Raises:
        NotFound: if there is none.
        BadRequest: if there are several.
        StoreError: if the store is away.
    """
    asked = name.strip().lower()
    beginning = "" if asked == LAST else asked
    most = 1 if asked == LAST else SHOWN + 1
    found = await jobs.ids(beginning, most) if asked else []
    if not found:
        what = "no job is kept yet" if asked == LAST else f"no job {name[:40]!r} is kept"
        raise NotFound(f"{what}: `surety jobs list` tells which are")
    if len(found) > 1:
        shown = ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        raise BadRequest(f"{name[:40]!r} is the beginning of several jobs: {shown}", "id")
    return await jobs.get(found[0])
