"""Charts of bars: how values are distributed, and how often something was."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.jobs.results.report_svg import (
    HALF,
    across,
    below,
    box,
    chart,
    grid,
    short,
    steps,
    text,
    upwards,
)

MOST_BINS = 25
WIDE = 20.0  # the largest value is so many times the smallest: the bins grow with the values
_PARTS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_SAID = (1.0, 2.0, 5.0)

Numbers = NDArray[np.float64]
Say = Callable[[float], str]


def bins(values: Numbers, *, even: bool = False, most: int = MOST_BINS) -> list[float]:
    """Return round limits of bins, the last value inside the last one.

    Args:
        values: 0 or more.
        even: whether all bins are to be equally wide; else they grow where values differ by much.
        most: bins, where they are equally wide.
    """
    positive = values[values > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (1.0, 1.0)
    if not even and high > WIDE * low:
        limits = _growing(low, high)
        return [0.0, *limits] if len(positive) < len(values) else limits
    least = float(values.min()) if len(values) else 0.0
    step = steps(max(high - least, high / 20), most - 2)[1]
    first = math.floor(least / step + 1e-9)
    last = max(first + 1, math.floor(high / step + 1e-9) + 1)
    return [round(k * step, 12) for k in range(first, last + 1)]


def histogram(
    groups: Mapping[str, tuple[str, Numbers]], named: str, say: Say, *, even: bool = False
) -> str:
    """Draw how many pictures have which value.

    Args:
        groups: what they are → class and values; they stand on one another.
        named: what the values are.
        say: how one is written.
        even: see :func:`bins`.
    """
    together = np.concatenate([values for _, values in groups.values()])
    limits = bins(together, even=even)
    counts = {name: _counts(values, limits) for name, (_, values) in groups.items()}
    heights = steps(max(1, int(sum(counts.values()).max())), 5)  # type: ignore[union-attr]
    heights = sorted({float(math.ceil(height)) for height in heights})
    x, y = across(len(limits) - 1, HALF), upwards(heights[-1])
    drawn = grid(y, [(height, f"{height:,.0f}") for height in heights], HALF, "pictures")
    wide = x(1) - x(0) - min(2.0, (x(1) - x(0)) / 8)
    for place in range(len(limits) - 1):
        stands = 0
        for name, (kind, _) in groups.items():
            count = int(counts[name][place])
            if count:
                said = f"{say(limits[place])} to {say(limits[place + 1])}: {count:,} {name}"
                top, bottom = y(stands + count), y(stands)
                drawn.append(box(x(place), top, wide, bottom - top, kind, said))
                stands += count
    drawn += below(x, _marks(limits, say), named)
    return chart(drawn, f"Distribution of {named}", HALF)


def bars(entries: Sequence[tuple[str, int]], named: str, kind: str = "good") -> str:
    """Draw how often something was, each in a line.

    Args:
        entries: what, and how often.
        named: what they are.
        kind: class of the bars.
    """
    row, left, right = 28.0, 200.0, 104.0
    total, largest = sum(count for _, count in entries), max(count for _, count in entries)
    drawn = []
    for place, (said, count) in enumerate(entries):
        y = 4 + row * place
        share = 100 * count / total
        length = (HALF - left - right) * count / largest
        drawn.append(text(left - 10, y + 16, short(said, left - 14), "end name"))
        drawn.append(box(left, y + 2, length, 20, kind))
        drawn.append(text(HALF - 8, y + 16, f"{count:,} · {share:.1f} %", "end"))
    return chart(drawn, named, HALF, 8 + row * len(entries))


def _growing(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high)) + 1
    parts = _PARTS if (last - first) * len(_PARTS) <= MOST_BINS + 10 else _SAID
    limits = [
        round(part * 10.0**power, 12 - min(0, power))
        for power in range(first, last + 1)
        for part in parts
    ]
    begin = max(k for k, limit in enumerate(limits) if limit <= low)
    end = min(k for k, limit in enumerate(limits) if limit > high)
    return limits[begin : end + 1]


def _counts(values: Numbers, limits: Sequence[float]) -> NDArray[np.int64]:
    places = np.searchsorted(np.array(limits), values, side="right") - 1
    return np.bincount(places.clip(0, len(limits) - 2), minlength=len(limits) - 1)


def _marks(limits: Sequence[float], say: Say) -> list[tuple[float, str]]:
    """Return which limits are written: as many as there is room for."""
    gaps = [after - before for before, after in itertools.pairwise(limits)]
    if max(gaps) > 1.01 * min(gaps):
        places = [k for k, limit in enumerate(limits) if _rounded(limit)]
    else:
        places = list(range(len(limits)))
    every = math.ceil(len(places) / 7)
    return [(float(k), say(limits[k])) for k in places[::every]]


def _rounded(limit: float) -> bool:
    if limit == 0:
        return True
    part = limit / 10.0 ** math.floor(math.log10(limit) + 1e-9)
    return any(abs(part - said) < 1e-6 for said in _SAID)
