"""Whose a job, a run or a certificate is; who may neither see nor change it, is told of none.

What was begun before there were keys is nobody's: for those alone who may see everything.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from service.access.caller import Caller
from service.errors import MissingScope, NotFound
from service.state import State
from service.store.certificates import no_certificate
from service.store.jobs import no_job
from service.store.runs import no_run

Belongs = Callable[[State, str, str], Awaitable[bool]]


async def _job(state: State, job_id: str, owner: str) -> bool:
    return (await state.jobs.get(job_id)).owner == owner


async def _run(state: State, run_id: str, owner: str) -> bool:
    return bool((await state.runs.outcome(run_id))["owner"] == owner)


async def _certificate(state: State, certificate_id: str, owner: str) -> bool:
    return await state.certificates.belongs(certificate_id, owner)


OWNED: Mapping[str, tuple[Belongs, Callable[[str], NotFound]]] = {
    "job_id": (_job, no_job),
    "run_id": (_run, no_run),
    "certificate_id": (_certificate, no_certificate),
}
"""By the name of a parameter of a path: whether it is somebody's, and what others are told."""


async def check_ownership(
    state: State, caller: Caller, named: Mapping[str, Any], *, acting: bool
) -> None:
    """See that what a request names is its caller's.

    Args:
        state: the deployment's.
        caller: who asks.
        named: ids by the names of `OWNED`; others do not count.
        acting: whether it wants to change it.

    Raises:
        NotFound: if it is another's.
        MissingScope: if the caller may look at it, but not change it.
        StoreError: if it is not known whose it is.
    """
    owner = caller.changes_only() if acting else caller.sees_only()
    if owner is None:
        return
    for name, (belongs, none) in OWNED.items():
        if name in named and not await belongs(state, named[name], owner):
            if caller.may("read"):
                raise MissingScope(("admin",), "it belongs to another API key")
            raise none(named[name])
