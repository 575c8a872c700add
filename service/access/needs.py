"""What a route needs of its caller, stated on the route itself, and checked before anything else.

    @router.get("/jobs/{job_id}", dependencies=[needs("jobs", "read")])

The application refuses to start with a route that states nothing.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from service.access.caller import ANYBODY, Caller
from service.access.door import caller_of
from service.access.ownership import check_ownership
from service.access.scopes import Scope
from service.errors import MissingScope
from service.guard import SAFE


class Needs:
    """A dependency that lets those callers through who may do what a route does.

    Whatever a path names (a job, a run, a certificate) must be the caller's, unless it may look at
    everything, or do everything.

    Attributes:
        scopes: one of them is needed; none for a route that is everybody's.
    """

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> None:
        """Check a request.

        Raises:
            MissingScope: if the caller has none of the scopes, or may look at but not act on
                what is another's.
            NotFound: if what the path names is another's.
            StoreError: if it is not known whose it is.
        """
        if self.scopes:
            await self.check(request, request.state.caller)

    async def check(self, request: Request, caller: Caller) -> None:
        """Check whether a caller may do what a request asks for.

        Raises:
            MissingScope, NotFound, StoreError: see `__call__`.
        """
        if not any(caller.may(scope) for scope in self.scopes):
            raise MissingScope(self.scopes)
        await check_ownership(
            request.app.state.surety.state,
            caller,
            request.path_params,
            acting=request.method not in SAFE,
        )


def needs(*scopes: Scope) -> Any:  # noqa: ANN401  as `Depends` is annotated
    """Return a dependency: one of these scopes is needed."""
    return Depends(Needs(*scopes))


ANY_KEY: tuple[Scope, ...] = ("certify", "jobs", "read")
"""For what costs little and tells nothing of others, but is not for strangers."""

PUBLIC = needs()
"""For what everybody may have, without a key."""


def needs_of(route: APIRoute) -> Needs:
    """Return what a route states.

    Raises:
        TypeError: if it states nothing, or several things.
    """
    found = [d.dependency for d in route.dependencies if isinstance(d.dependency, Needs)]
    if len(found) != 1:
        raise TypeError(f"{route.path} must say once which scope it needs, or that it is PUBLIC")
    return found[0]


async def check_again(request: Request) -> None:
    """See that a request would be let in once more, for answers that go on for long.

    Raises:
        Unauthenticated: if its key counts no more, or one is needed by now.
        MissingScope, NotFound, StoreError: see :class:`Needs`.
    """
    caller = await caller_of(request.scope) or ANYBODY
    if caller != request.state.caller:
        await needs_of(request.scope["route"]).check(request, caller)


def check_declared(routes: Iterable[Any]) -> list[APIRoute]:
    """Return the routes, all of which state what they need.

    Raises:
        TypeError: naming one that does not.
    """
    declared = [route for route in routes if isinstance(route, APIRoute)]
    for route in declared:
        needs_of(route)
    return declared


def _caller(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


CallerDep = Annotated[Caller, Depends(_caller)]
