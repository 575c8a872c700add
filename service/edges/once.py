"""Does what an Idempotency-Key asks for once, and answers the same request again with the same.

What was refused, and so has spent nothing, is forgotten: the client mends its request and sends
it again under its key. What a dead process was at is found by the id that was fixed beforehand;
where there is nothing of that id, the request is answered anew.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import structlog
from fastapi import Request
from starlette.responses import Response

from service.edges import idempotency_key
from service.errors import KeyInUse, StoreError
from service.state import State
from service.store.once import Claim, Found

CONTENT_TYPE, LOCATION = "content-type", "location"
AGAIN: Mapping[str, str] = {idempotency_key.REPLAYED: "true"}

log = structlog.get_logger("surety.once")

Leads = Callable[[Found], Awaitable[Response | None]]
"""Finds what came of a key that was used before, None if nothing did; may raise KeyInUse."""


Begun = Callable[[str], Awaitable[Response | None]]
"""Finds what was begun under an id, None if nothing was."""


class Held:
    """A key that this request has claimed; forgotten at the end, unless something came of it.

    Args:
        state: the deployment's.
        entry: the key's.
        claim: ours.
        sealed: the same, as it is kept.

    Attributes:
        id: of what the request is to begin.
        begun: finds what was begun though the request failed: its client may have gone just then.
    """

    def __init__(self, state: State, entry: str, claim: Claim, sealed: bytes) -> None:
        self._state, self._entry, self._sealed = state, entry, sealed
        self.id = claim.id
        self.begun: Begun | None = None
        self._kept = False

    async def keep(self, answer: dict[str, Any]) -> None:
        """Note what came of the request. If the store is away, the id alone leads to it."""
        self._kept = True
        try:
            await self._state.once.keep(self._entry, self._sealed, answer)
        except StoreError as error:
            log.warning("an answer was not kept for its Idempotency-Key", error=str(error))

    async def __aenter__(self) -> Self:
        self._state.once.answering.add(self._sealed)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._state.once.answering.discard(self._sealed)
        if not self._kept:
            try:
                if self.begun is None or await self.begun(self.id) is None:
                    await self._state.once.forget(self._entry, self._sealed)
            except StoreError as away:  # nobody is answering it, so it can be taken over
                log.warning("an Idempotency-Key was not given back", error=str(away))


async def claimed(state: State, request: Request, leads: Leads) -> Held | Response | None:
    """Claim the key of a request.

    Args:
        state: the deployment's.
        request: its body has been read.
        leads: see there.

    Returns:
        The claim, the answer of the first request with this key, or None if there is no key.

    Raises:
        BadIdempotencyKey, KeyReused, KeyInUse: see there.
        StoreError: if the store is away; without it nothing can be done once.
    """
    key = idempotency_key.read(request)
    if key is None:
        return None
    content = getattr(request.state, "content_sha256", "")
    about = idempotency_key.fingerprint(request, content)
    while True:
        entry, ours, sealed, found = await state.once.claim(
            idempotency_key.caller_of(request), key, about
        )
        if found is None:
            return Held(state, entry, ours, sealed)
        answer = await leads(found)
        if answer is not None:
            return answer
        if found.answer is None and await state.once.lives(found):
            raise KeyInUse("the first request with this Idempotency-Key is still being answered")
        if await state.once.take(entry, found.sealed, sealed):
            return Held(state, entry, ours, sealed)


async def once(
    state: State,
    request: Request,
    do: Callable[[str | None], Awaitable[Response]],
    begun: Begun | None = None,
) -> Response:
    """Do something once for each key; its answer has to be short.

    Args:
        state: the deployment's.
        request: its body has been read.
        do: does it, given the id of what it is to begin, and answers. What it raises has come to
            nothing, unless `begun` finds something.
        begun: finds what was begun under an id by a process that died, or for a client that went.

    Raises:
        ServiceError: see `claimed`.
    """

    async def leads(found: Found) -> Response | None:
        told = found.answer
        if told is not None:
            headers = {**told["headers"], **AGAIN}
            return Response(told["body"], told["status"], headers)
        return None if begun is None else await begun(found.claim.id)

    held = await claimed(state, request, leads)
    if held is None:
        return await do(None)
    if isinstance(held, Response):
        return held
    held.begun = begun
    async with held:
        answer = await do(held.id)
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name in (CONTENT_TYPE, LOCATION)
        }
        body = bytes(answer.body).decode()
        await held.keep({"status": answer.status_code, "headers": headers, "body": body})
        return answer
