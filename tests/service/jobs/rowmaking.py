"""Rows of jobs, made up."""

import tracemalloc
from collections.abc import AsyncIterator, Iterable
from typing import Any

from service.jobs.rows import Row

HOSTILE = (
    '=HYPERLINK("http://evil")',
    "<script>alert(1)</script>.png",
    '"onload="x\' & <b>',
    "\u202egnp.exe",
    "nul\x00\x1b[31mred\r\nnew\tline",
    "../../etc/passwd",
    "\udcff.png",
    "e\u0301" + "\u0301" * 50,
    "x" * 5000,
    "",
)

JOB = {
    "id": "7f3a91c2",
    "state": "finished",
    "name": "Overnight",
    "created": "2026-11-27T22:00:00+00:00",
    "ended": "2026-11-28T05:41:12+00:00",
    "calls": 4321,
    "cost": 38.211,
    "cost_at_most": 38.4,
    "problem": None,
    "arguments": {"provider": "google", "sigma": 0.25, "target_radius": 0.25, "alpha": 0.01},
    "compute": "cpu/bfloat16",
    "max_cost": 40.0,
    "rate": 20.0,
    "priority": "high",
    "allocation": "closest",
}


def row(number: int, **more: Any) -> Row:
    """A picture that was certified rightly, unless told otherwise."""
    certified = {
        "name": f"pictures/{number:06}.png",
        "sha256": f"{number:064x}",
        "state": "done",
        "truth": "cat",
        "label": "cat",
        "abstained": False,
        "radius": 0.00125 * (number % 400),
        "correct": True,
        "n": 28 + number % 900,
        "abstentions": number % 3,
        "calls": 3 + number % 7,
        "retries": number % 2,
        "images": 29 + number % 900,
        "cost": 0.001 * (29 + number % 900),
        "stop_reason": "target_reached",
        "certificate": f"{number:032x}",
        "seconds": 0.5,
    }
    return Row(number=number, **{**certified, **more})


def abstained(number: int, **more: Any) -> Row:
    return row(
        number,
        **{"label": None, "abstained": True, "radius": 0.0, "correct": False}
        | {"stop_reason": "hopeless"}
        | more,
    )


def failed(number: int, title: str = "Not a readable picture", **more: Any) -> Row:
    problem = {"type": "/problems/not-an-image", "title": title, "detail": "It is empty."}
    name = more.pop("name", f"pictures/{number:06}.png")
    return Row(number, name, "", "failed", truth="cat", problem=problem, **more)


async def stream(rows: Iterable[Row]) -> AsyncIterator[Row]:
    for one in rows:
        yield one


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def peak(chunks: AsyncIterator[bytes]) -> int:
    """Return the most memory that Python held while the chunks came and were thrown away."""
    tracemalloc.start()
    try:
        async for _ in chunks:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
