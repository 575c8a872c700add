"""The money of a job: reserved before each call and settled after it, over all processes."""

from service.billionths import nano
from service.jobs.job import Job
from service.store.jobs import RedisJobs, cap_of


class JobPurse:
    """See :class:`service.jobs.engine.gates.Purse`.

    What is reserved counts as spent until an answer says otherwise, so the cap holds at every
    moment, whoever dies; what a dead worker had reserved stays spent, since it may be billed.

    Args:
        jobs: of the deployment.
        job: whose money it is.
        price: US dollars a unit.
    """

    def __init__(self, jobs: RedisJobs, job: Job, price: float) -> None:
        self._jobs, self._job, self._cap = jobs, job, cap_of(job.spec)
        self._price = nano(price)

    async def reserve(self, call: str, units: int) -> bool:
        """Reserve money for a call; tells whether the job's cap allows that."""
        if not self._price:
            return True
        return await self._jobs.reserve(self._job.id, call, units * self._price, self._cap)

    async def settle(self, call: str, billed: int) -> None:
        """Settle a call: what was not billed is free again."""
        if self._price:
            await self._jobs.settle(self._job.id, call, billed * self._price)
