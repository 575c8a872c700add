"""What a job will take before it is paid for: votes, calls, money and time, and how sure that is.

Without a pilot nobody knows how the pictures' votes fall. The estimate then rests on vote rates
that were measured once (`reference_rates.json`) and says so: a guess. With a pilot, some of the
job's own pictures certified in the ordinary way, it rests on these; their votes are kept and not
paid for twice.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from certification.options import Options
from certification.protocols import Traits
from service.errors import BadRequest
from service.jobs.estimates import estimate_pictures as pictures
from service.jobs.estimates.estimate_draws import TAIL, Totals, alike, unseen
from service.jobs.estimates.estimate_pictures import CALLS, COST, REACHED, VOTES, Floats, Terms
from service.jobs.estimates.estimate_result import Amounts, Budget, Cheaper, Estimate, Figure
from service.jobs.estimates.estimate_time import Clock, Speed
from service.jobs.rows import Row

CHEAPER_BY = 0.95  # of the votes; what saves less is not worth a word
NO_RETRIES = (
    "no calls that fail, beyond those of a pilot: what is asked again comes on top, as far as the "
    "provider bills it, and max_cost holds over that too"
)


def pilot_numbers(count: int, m: int, seed: int = 0) -> list[int]:
    """Choose the pictures of a pilot: one at random from each of m equal stretches of the job.

    Args:
        count: pictures of the job.
        m: pictures wanted; all of them if there are no more.
        seed: of the choice.

    Returns:
        Numbers from 0 to count − 1, rising.

    Raises:
        BadRequest: if a pilot of fewer than one picture is asked for.
    """
    if m < 1 or count < 1:
        raise BadRequest("a pilot needs at least one picture", "pilot")
    m, draw = min(m, count), random.Random(seed)  # noqa: S311  no secret
    return [draw.randrange(i * count // m, (i + 1) * count // m) for i in range(m)]


def estimate(
    arguments: Mapping[str, Any],
    count: int,
    traits: Traits,
    pilot: Sequence[Row] | None = None,
    *,
    max_cost: float | None = None,
    rate: float | None = None,
    speed: Speed | None = None,
    cheaper: bool = False,
    seed: int = 0,
) -> Estimate:
    """Tell what a job will take.

    Args:
        arguments: of the job's `JobSpec`.
        count: pictures of the job, at least 1.
        traits: of the provider: price, unit, calls and rates, and whether its answers name the
            model's version; if not, canaries are asked about too.
        pilot: rows of pictures of this job that were certified with these arguments; those that
            are neither done nor failed are passed over.
        max_cost: US dollars that the whole job may cost.
        rate: units a second for this job, beside the account's own limit.
        speed: what is known about how fast things go.
        cheaper: whether to look for what would cost less; takes a few times as long, and needs
            an estimate without a pilot.
        seed: of the draws; the same seed gives the same figures.

    Raises:
        InvalidParameter: if an argument is out of range.
        BadRequest: if there are no pictures, or more in the pilot than in the job.
    """
    if count < 1:
        raise BadRequest("there are no pictures to estimate", "pictures")
    terms = Terms(traits)
    options = pictures.options_of(arguments, terms)
    seen = [row for row in pilot or () if row.state in ("done", "failed")]
    if len(seen) > count:
        raise BadRequest("the pilot has more pictures than the job", "pilot")
    clock = Clock(traits, rate, speed or Speed(), seen)
    found = _Job(options, count, terms, clock, max_cost, seed)
    if seen:
        return found.by_pilot(seen)
    return found.by_reference(arguments.get("denoiser"), cheaper)


@dataclass(frozen=True)
class _Job:
    options: Options
    count: int
    terms: Terms
    clock: Clock
    max_cost: float | None
    seed: int

    def by_pilot(self, rows: Sequence[Row]) -> Estimate:
        seen = pictures.of_pilot(rows, self.options, self.terms)
        rest = self.count - len(rows)
        worst = pictures.at_worst(self.options, self.terms)
        least = pictures.at_best(self.options, self.terms)
        drawn = unseen(seen, rest, least, worst, self.seed)
        paid = np.array(
            [
                sum(row.n for row in rows),
                sum(row.images for row in rows),
                sum(row.calls for row in rows),
                sum(row.cost for row in rows),
                seen[:, REACHED].sum(),
            ]
        )
        least, most = np.minimum(least, seen.min(axis=0)), np.maximum(worst, seen.max(axis=0))
        single = [seen, np.vstack([seen, least]), np.vstack([seen, most])]
        m = len(rows)
        rests_on = f"a pilot of {m:,} of the job's own {_pictures(self.count)}"
        return self._told("pilot", [drawn], [single], paid, m, most, [rests_on])

    def by_reference(self, denoiser: str | None, cheaper: bool) -> Estimate:
        known = pictures.reference()
        tables = known.nearest(self.options.sigma, denoiser)
        points = [pictures.of_table(table, self.options, self.terms) for table in tables]
        drawn = [alike(of, self.count, self.seed) for of in points]
        worst = pictures.at_worst(self.options, self.terms)
        first = tables[0]
        rests_on = [
            f"a guess: vote rates of other pictures ({known.about}) at sigma {first.sigma:g} with "
            f"denoiser {first.denoiser}, and the range of {len(tables)} such tables; a pilot of "
            "some of your own tells more"
        ]
        told = self._told(
            "reference", drawn, [[of] * 3 for of in points], np.zeros(5), 0, worst, rests_on
        )
        return told.but(cheaper=self._cheaper(denoiser)) if cheaper else told

    def _told(
        self,
        basis: Literal["pilot", "reference"],
        drawn: Sequence[Totals],
        single: Sequence[Sequence[Floats]],
        paid: Floats,
        seen: int,
        worst: Floats,
        rests_on: list[str],
    ) -> Estimate:
        """Put the figures together: the first of the draws is the likeliest, the others widen."""
        rest = self.count - seen
        job = [_shifted(totals, paid) for totals in drawn]
        bottleneck = self.clock.bottleneck(job[0].expected, self.count)
        return Estimate(
            count=self.count,
            basis=basis,
            pilot=seen,
            spent=Amounts.of([Figure.sure(x) for x in paid], Figure.sure(0.0)) if seen else None,
            job=self._amounts(job, self.count),
            rest=self._amounts(drawn, rest),
            picture=self._picture(single),
            worst=self._amounts([_certain(paid + rest * worst)], self.count),
            bottleneck=bottleneck,
            budget=None if self.max_cost is None else self._budget(drawn, float(paid[COST]), seen),
            rests_on=(*rests_on, *self.clock.rests_on(bottleneck), NO_RETRIES),
            target_radius=self.options.target_radius,
        )

    def _amounts(self, drawn: Sequence[Totals], count: int) -> Amounts:
        own = [_figure(drawn, lambda totals, c=c: totals[..., c]) for c in range(5)]  # type: ignore[misc]
        seconds = Figure.of(
            float(self.clock.seconds(drawn[0].expected, count)),
            min(float(np.quantile(self.clock.seconds(t.below, count, "low"), TAIL)) for t in drawn),
            max(
                float(np.quantile(self.clock.seconds(t.above, count, "high"), 1 - TAIL))
                for t in drawn
            ),
        )
        return Amounts.of(own, seconds)

    def _picture(self, single: Sequence[Sequence[Floats]]) -> Amounts:
        """Return what one further picture takes: between low and high lie nine in ten."""
        figures = [
            Figure.of(
                float(single[0][0][:, c].mean()),
                min(_quantile(below[:, c], TAIL, "lower") for _, below, _ in single),
                max(_quantile(above[:, c], 1 - TAIL, "higher") for _, _, above in single),
            )
            for c in range(5)
        ]
        ends = [np.array([getattr(f, end) for f in figures]) for end in ("low", "high")]
        expected = np.array([f.expected for f in figures])
        seconds = Figure.of(
            float(self.clock.seconds(expected, 1)),
            float(self.clock.seconds(ends[0], 1, "low")),
            float(self.clock.seconds(ends[1], 1, "high")),
        )
        return Amounts.of(figures, seconds)

    def _budget(self, drawn: Sequence[Totals], paid: float, seen: int) -> Budget:
        assert self.max_cost is not None  # noqa: S101
        left, rest = self.max_cost - paid, self.count - seen

        def enough(costs: Floats) -> float:
            return float(np.mean(costs <= left + 1e-9))

        def reach(costs: Floats) -> Floats:
            if not rest:
                return np.array([float(seen)])
            with np.errstate(divide="ignore", invalid="ignore"):
                many = np.floor(left / (costs / rest) + 1e-9)
            return seen + np.clip(np.where(costs > 0, many, rest), 0, rest)

        likely = drawn[0]
        return Budget(
            self.max_cost,
            Figure.of(
                float(reach(likely.expected[COST : COST + 1])[0]),
                min(_quantile(reach(t.above[:, COST]), TAIL, "lower") for t in drawn),
                max(_quantile(reach(t.below[:, COST]), 1 - TAIL, "higher") for t in drawn),
            ),
            Figure.of(
                enough(likely.middle[:, COST]),
                min(enough(t.above[:, COST]) for t in drawn),
                max(enough(t.below[:, COST]) for t in drawn),
            ),
        )

    def _cheaper(self, denoiser: str | None) -> tuple[Cheaper, ...]:
        """Return what a smaller target, fewer votes or a larger sigma would save."""
        options, changes = self.options, list[dict[str, float]]()
        if options.target_radius is not None:
            changes.append({"target_radius": options.target_radius / 2})
        if options.max_votes > 1:
            changes.append({"max_votes": options.max_votes // 2})
        changes.append({"sigma": 2 * options.sigma})
        now = self._mean(options, denoiser)
        found = []
        for change in changes:
            if change.get("sigma", 0.0) > max(t.sigma for t in pictures.reference().tables):
                continue
            given = {
                "sigma": options.sigma,
                "alpha": options.alpha,
                "target_radius": options.target_radius,
                "max_votes": options.max_votes,
                "good_enough": options.good_enough,
            }
            then = self._mean(Options(**{**given, **change}), denoiser)  # type: ignore[arg-type]
            if then[VOTES] < CHEAPER_BY * now[VOTES]:
                total = self.count * then
                found.append(
                    Cheaper(change, total[VOTES], total[CALLS], total[COST], then[REACHED])
                )
        return tuple(found)

    def _mean(self, options: Options, denoiser: str | None) -> Floats:
        table = pictures.reference().nearest(options.sigma, denoiser)[0]
        mean: Floats = pictures.of_table(table, options, self.terms).mean(axis=0)
        return mean


def _figure(drawn: Sequence[Totals], of: Callable[[Floats], Floats]) -> Figure:
    return Figure.of(
        float(of(drawn[0].expected)),
        min(float(np.quantile(of(totals.below), TAIL)) for totals in drawn),
        max(float(np.quantile(of(totals.above), 1.0 - TAIL)) for totals in drawn),
    )


def _shifted(totals: Totals, paid: Floats) -> Totals:
    return Totals(
        totals.expected + paid, totals.middle + paid, totals.below + paid, totals.above + paid
    )


def _certain(total: Floats) -> Totals:
    return Totals(total, total[None], total[None], total[None])


def _quantile(values: Floats, share: float, method: Literal["lower", "higher"]) -> float:
    return float(np.quantile(values, share, method=method))


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"
