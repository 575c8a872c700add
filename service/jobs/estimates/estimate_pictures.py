"""What single pictures take, as an estimate needs it: of a pilot, or as the reference has them."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from certification.asking_ahead import ask_ahead, canaries
from certification.certify import stop_rules
from certification.confidence import ConfidenceProcess
from certification.expected_votes import Rate, VoteCount, vote_counts
from certification.options import Options
from certification.protocols import Traits
from service.jobs.rows import Row

COLUMNS = ("votes", "images", "calls", "cost", "reached")
VOTES, IMAGES, CALLS, COST, REACHED = range(len(COLUMNS))
Floats = NDArray[np.float64]

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
SIMULATED = 4  # runs of each rate, where the votes have to be simulated
REPLAYED_VOTES, REPLAYED_BATCH = 1000, 8  # what lies behind the stop is replayed up to here


@dataclass(frozen=True)
class Terms:
    """What a provider sends together and bills.

    Attributes:
        traits: of the adapter.
    """

    traits: Traits

    def picture(self, votes: float, ahead: float, reached: float) -> Floats:
        """Return what a picture takes, (5,) in the order of `COLUMNS`.

        Args:
            votes: of its certificate.
            ahead: noisy copies that were asked about behind the stop.
            reached: 1 if it reaches the target radius (without one: if it is certified), 0 if
                not; or a probability.
        """
        noisy = math.ceil(votes + ahead)
        plain = 1 + (0 if self.traits.names_version else canaries(math.ceil(votes)))
        calls = math.ceil(noisy / self.traits.max_batch) + plain
        images = noisy + plain
        return np.array([votes, images, calls, self.cost(images, calls), reached])

    def cost(self, images: float, calls: float) -> float:
        """US dollars for so much, if nothing is asked again."""
        return self.traits.price * (images if self.traits.unit == "image" else calls)

    def votes_for(self, money: float) -> int:
        """Votes that so many US dollars pay for, at least 1."""
        if not self.traits.price:
            return 1 << 62
        units = int(money / self.traits.price) - (1 if self.traits.names_version else 2)
        return max(1, units if self.traits.unit == "image" else units * self.traits.max_batch)


@dataclass(frozen=True)
class Table:
    """Vote rates of some pictures.

    Attributes:
        denoiser: that cleaned the samples.
        sigma: standard deviation of the noise.
        rates: one a picture, sorted.
    """

    denoiser: str
    sigma: float
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Reference:
    """The vote rates that were measured for want of a pilot.

    Attributes:
        about: what was measured.
        command: by which.
        tables: one for each denoiser and sigma.
    """

    about: str
    command: str
    tables: tuple[Table, ...]

    def nearest(self, sigma: float, denoiser: str | None) -> list[Table]:
        """Return a table of each denoiser, those of the nearest sigma, the likeliest first."""
        best: dict[str, Table] = {}
        for table in sorted(self.tables, key=lambda t: abs(math.log(t.sigma / sigma))):
            best.setdefault(table.denoiser, table)
        # Every denoiser cleans better than none, so its pictures are more like "cifar"'s.
        return sorted(best.values(), key=lambda t: (t.denoiser == "none") != (denoiser == "none"))


@cache
def reference() -> Reference:
    """Return the table that Surety ships."""
    told = json.loads((files("service.jobs.estimates") / "reference_rates.json").read_text())
    tables = [
        Table(one["denoiser"], one["sigma"], tuple(Rate(*rate) for rate in one["rates"]))
        for one in told["tables"]
    ]
    return Reference(told["about"], told["command"], tuple(tables))


def options_of(arguments: Mapping[str, Any], terms: Terms) -> Options:
    """Return what decides about the votes.

    Args:
        arguments: of :meth:`service.core.Surety.prepare`; those that do not matter here may be
            there too. A `max_cost` for each picture lowers its votes.
        terms: of the provider.

    Raises:
        InvalidParameter: if one is out of range.
    """
    names = ("sigma", "alpha", "target_radius", "max_votes", "good_enough", "milestone", "max_cost")
    given = {name: arguments[name] for name in names if name in arguments}
    if given.get("max_votes", 0) is None:
        del given["max_votes"]
    options = Options(**given)
    if options.max_cost is None:
        return options
    votes = min(options.max_votes, terms.votes_for(options.max_cost))
    milestone = options.milestone if (options.milestone or 0) <= votes else None
    return dataclasses.replace(options, max_votes=votes, milestone=milestone)


def of_pilot(rows: Sequence[Row], options: Options, terms: Terms) -> Floats:
    """Return what the pilot's pictures would have taken on their own, float64 (m, 5).

    Votes that the ledger already had cost the pilot nothing; the others' will.
    """
    target, found = options.target_radius, []
    for row in rows:
        far = row.stop_reason == "target_reached" or (row.radius or 0.0) >= (target or 0.0)
        reached = float(row.abstained is False and (target is None or far))
        told = np.array([row.n, row.images, row.calls, row.cost, reached])
        if row.images <= row.n and row.n:
            told = terms.picture(row.n, 0.0, reached)
        found.append(told)
    return np.array(found)


def of_table(table: Table, options: Options, terms: Terms) -> Floats:
    """Return what pictures of such vote rates take, equally likely, float64 (k, 5)."""
    counts = _counts(table.rates, *_deciding(options))
    traits = terms.traits
    behind = _ahead(table.rates, traits.max_batch, traits.concurrency, *_deciding(options))
    found = []
    for count, ahead in zip(counts, behind, strict=True):
        spent = count.outcomes["votes_spent"]
        for share in QUANTILES:
            votes = count.quantile(share)
            more = 0.0 if votes >= options.max_votes and spent > 0 else ahead
            found.append(terms.picture(votes, more, count.reached))
    points = np.array(found)
    # The quantiles stand for the distribution; its mean is known better.
    means = np.repeat([count.mean for count in counts], len(QUANTILES))
    drawn = points[:, VOTES].reshape(-1, len(QUANTILES)).mean(axis=1).repeat(len(QUANTILES))
    points[:, : COST + 1] *= (means / drawn)[:, None]
    return points


def at_worst(options: Options, terms: Terms) -> Floats:
    """Return what a picture takes that uses up its votes, and reaches the target, (5,)."""
    return terms.picture(options.max_votes, 0.0, 1.0)


def at_best(options: Options, terms: Terms) -> Floats:
    """Return what a picture takes that is given up as soon as one can be, (5,)."""
    ends = _counts((Rate(0.0), Rate(1.0)), *_deciding(options))
    return terms.picture(min(int(count.looks[count.at > 0][0]) for count in ends), 0.0, 0.0)


_Deciding = tuple[float, float, float | None, int, float | None, int | None]


def _deciding(options: Options) -> _Deciding:
    """Return what decides about the votes, which is all that results are kept by."""
    return (
        options.sigma,
        options.alpha,
        options.target_radius,
        options.max_votes,
        options.good_enough,
        options.milestone,
    )


def _options(deciding: _Deciding) -> Options:
    sigma, alpha, target, votes, good_enough, milestone = deciding
    return Options(sigma, alpha, target, votes, good_enough=good_enough, milestone=milestone)


@lru_cache(maxsize=64)
def _counts(rates: tuple[Rate, ...], *deciding: Any) -> list[VoteCount]:  # noqa: ANN401
    return vote_counts(rates, _options(deciding), SIMULATED)


@lru_cache(maxsize=64)
def _ahead(
    rates: tuple[Rate, ...],
    max_batch: int,
    concurrency: int,
    *deciding: Any,  # noqa: ANN401
) -> list[float]:
    """Replay a run of each rate; noisy copies that were asked about behind its stop.

    What matters is how many may be on their way; many small calls are replayed as few larger.
    """
    options = _options(deciding)
    window = max_batch * concurrency
    batch = max(max_batch, min(window, REPLAYED_BATCH))
    votes = min(options.max_votes, REPLAYED_VOTES)
    rules = stop_rules(dataclasses.replace(options, max_votes=votes, milestone=None))
    rng, found = np.random.default_rng(0), []
    for rate in rates:
        label = "it" if rate.named else "rival"
        hits = rng.random(votes) < rate.share
        drawn = (label if hit else f"other {i}" for i, hit in enumerate(hits))
        asked = ask_ahead(
            ConfidenceProcess(options.alpha, "it"),
            chain(drawn, repeat(None)),
            rules,
            max_batch=batch,
            concurrency=max(1, window // batch),
        )
        found.append(float(asked.images - asked.votes))
    return found
