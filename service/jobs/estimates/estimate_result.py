"""An estimate as it is told: every figure with the ends of its 90 % interval."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from service.jobs.estimates.estimate_draws import CONFIDENCE

Bottleneck = Literal["rate", "latency", "denoiser"]
PLACES: Mapping[str, int] = {
    "votes": 0,
    "images": 0,
    "calls": 0,
    "cost": 4,
    "reached": 1,
    "seconds": 1,
}


@dataclass(frozen=True)
class Figure:
    """A number that is not known yet.

    Attributes:
        expected: its mean.
        low: with 95 % it is no less than this.
        high: with 95 % it is no more than this.
    """

    expected: float
    low: float
    high: float

    @classmethod
    def of(cls, expected: float, low: float, high: float) -> Self:
        """Make one; the mean of a skewed quantity may lie beyond the ends, which then give way."""
        return cls(expected, min(low, expected), max(high, expected))

    @classmethod
    def sure(cls, value: float) -> Self:
        """Make one that is known."""
        return cls(float(value), float(value), float(value))

    def describe(self, places: int = 0) -> dict[str, float]:
        """Return JSON values, rounded."""
        return {name: _rounded(getattr(self, name), places) for name in ("expected", "low", "high")}


@dataclass(frozen=True)
class Amounts:
    """What something takes.

    Attributes:
        votes: counted by certificates.
        images: pictures sent: noisy copies, those asked about in vain included, and clean ones.
        calls: to the provider.
        cost: US dollars.
        reached: pictures that reach the target radius; without one, that are certified at all.
        seconds: from beginning to end, with all pictures of it on the way as far as they can.
    """

    votes: Figure
    images: Figure
    calls: Figure
    cost: Figure
    reached: Figure
    seconds: Figure

    @classmethod
    def of(cls, figures: Sequence[Figure], seconds: Figure) -> Self:
        """Make one of figures in the order of `estimate_pictures.COLUMNS`."""
        votes, images, calls, cost, reached = figures
        return cls(votes, images, calls, cost, reached, seconds)

    def describe(self, more: int = 0) -> dict[str, dict[str, float]]:
        """Return JSON values.

        Args:
            more: decimals beyond the usual.
        """
        return {name: getattr(self, name).describe(PLACES[name] + more) for name in PLACES}


@dataclass(frozen=True)
class Budget:
    """What a job's money is enough for.

    Attributes:
        max_cost: US dollars of the whole job.
        pictures: that it pays for, those of the pilot included.
        completes: chance that the whole job costs no more.
    """

    max_cost: float
    pictures: Figure
    completes: Figure

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "max_cost": self.max_cost,
            "pictures": self.pictures.describe(),
            "completes": self.completes.describe(3),
        }


@dataclass(frozen=True)
class Cheaper:
    """The same job with one argument changed, on the same vote rates.

    Attributes:
        change: argument → its other value.
        votes: expected for the whole job.
        calls: expected.
        cost: expected, US dollars.
        reached: expected share of the pictures.
    """

    change: Mapping[str, float]
    votes: float
    calls: float
    cost: float
    reached: float

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "change": dict(self.change),
            "votes": _rounded(self.votes, 0),
            "calls": _rounded(self.calls, 0),
            "cost": _rounded(self.cost, 4),
            "reached": _rounded(self.reached, 3),
        }


@dataclass(frozen=True)
class Estimate:
    """What a job will take.

    Attributes:
        count: its pictures, as far as they can be read.
        basis: "pilot" for pictures of its own, "reference" for a guess.
        pilot: pictures of the pilot, 0 without one.
        spent: what the pilot has taken, seconds left out; None without one.
        job: the whole job, the pilot included.
        rest: what is still to come.
        picture: one further picture: nine in ten lie between low and high.
        worst: the whole job if every picture that is left uses up its votes, and no call fails.
        target_radius: of the job, None if it has none.
        bottleneck: what the time is decided by.
        budget: what `max_cost` is enough for, None without one.
        cheaper: what would take fewer votes, as far as it was asked for.
        rests_on: what all this rests on, a sentence each.
        unreadable: pictures beside `count` that cannot be read: they fail, and cost nothing.
        problems: name and problem of the first of these.
    """

    count: int
    basis: Literal["pilot", "reference"]
    pilot: int
    spent: Amounts | None
    job: Amounts
    rest: Amounts
    picture: Amounts
    worst: Amounts
    bottleneck: Bottleneck
    budget: Budget | None
    rests_on: tuple[str, ...]
    target_radius: float | None = None
    cheaper: tuple[Cheaper, ...] = ()
    unreadable: int = 0
    problems: tuple[tuple[str, str], ...] = ()

    def but(self, **changes: Any) -> "Estimate":  # noqa: ANN401  any of the fields
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def describe(self) -> dict[str, Any]:
        """Return JSON values.

        `pictures` (count), `unreadable`, `problems` (`name` and `detail` of the first of these),
        `target_radius`, `basis`, `confidence` (of the intervals), `pilot` (its `pictures` and what
        they took; null without one), `job`, `rest` and `picture` (`votes`, `images`, `calls`,
        `cost`, `reached`, `seconds`, each with `expected`, `low` and `high`), `worst` (one number
        each), `bottleneck`, `budget` (`max_cost`, `pictures`, `completes`; or null), `cheaper` (a
        list of `change`, `votes`, `calls`, `cost` and the share `reached`) and `rests_on`.
        """
        pilot = None
        if self.spent is not None:
            took = {name: value["expected"] for name, value in self.spent.describe().items()}
            took.pop("seconds")
            pilot = {"pictures": self.pilot, **took}
        worst = {name: value["expected"] for name, value in self.worst.describe().items()}
        worst.pop("reached")
        job = self.job.describe()
        worst["seconds"] = max(worst["seconds"], job["seconds"]["high"])  # slow calls, not more
        return {
            "pictures": self.count,
            "unreadable": self.unreadable,
            "problems": [{"name": name, "detail": detail} for name, detail in self.problems],
            "target_radius": self.target_radius,
            "basis": self.basis,
            "confidence": CONFIDENCE,
            "pilot": pilot,
            "job": job,
            "rest": self.rest.describe(),
            "picture": self.picture.describe(2),
            "worst": worst,
            "bottleneck": self.bottleneck,
            "budget": None if self.budget is None else self.budget.describe(),
            "cheaper": [one.describe() for one in self.cheaper],
            "rests_on": list(self.rests_on),
        }


def _rounded(value: float, places: int) -> float:
    return round(value, places) if places else round(value)
