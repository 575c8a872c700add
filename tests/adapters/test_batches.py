"""A batch in several requests: what was answered is kept, and nothing is sent into a throttle."""

import pytest

from adapters.batches import Halve, in_parts
from adapters.interface import Answer, Retry

GOOD = Answer(())
THROTTLED = Retry("throttled", after=30.0, throttled=True, billed=True)


@pytest.mark.parametrize("failing", [0, 1, 2])
async def test_after_a_request_that_failed_altogether_the_rest_is_not_sent(failing):
    sent = []

    async def send(part, left):
        sent.append(len(part))
        return [THROTTLED if len(sent) == failing + 1 else GOOD] * len(part)

    outcomes = await in_parts([b"x" * 10] * 8, 20, 60, send)
    assert sent == [2] * (failing + 1)
    assert outcomes[: 2 * failing] == [GOOD] * 2 * failing
    assert outcomes[2 * failing : 2 * failing + 2] == [THROTTLED] * 2
    rest = outcomes[2 * failing + 2 :]
    assert len(rest) == 6 - 2 * failing
    assert all((o.throttled, o.after, o.billed) == (True, 30.0, False) for o in rest)


async def test_one_picture_that_fails_holds_up_no_other():
    async def send(part, left):
        if len(part) > 1:
            raise Halve
        return [Retry("odd") if part == [b"odd"] else GOOD]

    first, odd, *rest = await in_parts([b"ok", b"odd", b"ok", b"ok"], 100, 60, send)
    assert first == GOOD
    assert odd == Retry("odd")
    assert rest == [GOOD] * 2


async def test_a_throttle_holds_up_all_that_were_parted():
    sent = []

    async def send(part, left):
        if len(part) > 1:
            raise Halve
        sent.append(part)
        return [THROTTLED]

    outcomes = await in_parts([b"a", b"b", b"c"], 100, 60, send)
    assert sent == [[b"a"]]
    assert [o.billed for o in outcomes] == [True, False, False]
