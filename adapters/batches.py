"""A batch that may be too large for one request: sent as several, one after the other."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from adapters.errors import StopError
from adapters.interface import Outcome, Retry

Item = TypeVar("Item")
Send = Callable[[Sequence[bytes], float], Awaitable[Sequence[Outcome]]]
"""(pictures, seconds left) -> their outcomes; may raise `Halve` or a `StopError`."""


class Halve(Exception):
    """One picture, it is not said which, made the provider refuse the request as a whole."""


async def in_parts(
    images: Sequence[bytes], most_bytes: int, seconds: float, send: Send
) -> list[Outcome]:
    """Ask about pictures in as many requests as they need.

    Args:
        images: encoded pictures.
        most_bytes: of all pictures of a request.
        seconds: within which all requests have to be answered.
        send: makes one request.

    Returns:
        One outcome for each picture, in order. Where a request failed altogether the rest is not
        sent; what was answered before an error that ends the run is kept.

    Raises:
        StopError: what `send` raised, if nothing was answered before.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    outcomes: list[Outcome] = []
    waiting = deque(_parts(images, most_bytes))
    last: Sequence[Outcome] = ()
    halved = False
    while waiting:
        part = waiting.popleft()
        failed = _failed(last, alone=halved)
        if failed is not None:
            # Not the moment to send more; these have not been, so nobody charges for them.
            outcomes += [replace(failed, billed=False)] * len(part)
        elif (left := end - clock()) <= 0:
            outcomes += [Retry("the time was up before these were sent")] * len(part)
        else:
            try:
                last = await send(part, left)
                outcomes += last
            except Halve:
                halved = True
                half = len(part) // 2
                waiting.extendleft((part[half:], part[:half]))
            except StopError as error:
                if all(isinstance(o, Retry) for o in outcomes):
                    raise
                # The next call will tell.
                return outcomes + [Retry(str(error))] * (len(images) - len(outcomes))
    return outcomes


def _failed(last: Sequence[Outcome], *, alone: bool) -> Retry | None:
    """Return the failure of a request that failed altogether.

    Args:
        last: its outcomes.
        alone: one picture that failed by itself may have been parted from others for that reason.
    """
    failures = [outcome for outcome in last if isinstance(outcome, Retry)]
    if not failures or len(failures) < len(last):
        return None
    return failures[-1] if len(last) > 1 or not alone or failures[-1].throttled else None


def of_each(answers: Iterable[Item], judge: Callable[[Item], Outcome]) -> list[Outcome]:
    """Judge the answers of one reply, one for each picture.

    Args:
        answers: what the reply holds.
        judge: says what one means; may raise a `StopError`.

    Raises:
        StopError: the last one, if no picture was answered. Else what was answered is kept, and
            the next call will tell.
    """
    outcomes: list[Outcome] = []
    stopped: StopError | None = None
    for answer in answers:
        try:
            outcomes.append(judge(answer))
        except StopError as error:
            stopped = error
            outcomes.append(Retry(str(error)))
    if stopped is not None and all(isinstance(outcome, Retry) for outcome in outcomes):
        raise stopped
    return outcomes


def _parts(images: Sequence[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """Split pictures, in order, into requests that are small enough."""
    part: list[bytes] = []
    for image in images:
        if part and sum(map(len, part)) + len(image) > most_bytes:
            yield part
            part = []
        part.append(image)
    if part:
        yield part
