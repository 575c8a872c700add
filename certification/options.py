"""What a caller asks for: one certification, or one prediction."""

from dataclasses import dataclass, field
from typing import Any, get_args

from certification.clopper_pearson import check_alpha
from certification.decision import DecisionRule, LabelMap, Top1
from certification.errors import InvalidParameter
from certification.martingale import index_for
from certification.postprocess import Encoding

MAX_SIGMA = 2.0  # so that the noise fits int16
MAX_Z = 6.0  # the last radius of the grid, in units of sigma
MAX_VOTES = 1_000_000
MOST_COST = 1e12  # US dollars; from 2⁵³ on canonical JSON cannot be read and written again
PREDICT_N = 100  # the one n at which `predict` looks, where nobody chose another


@dataclass(frozen=True)
class Options:
    """All the choices of one certification. Each is checked on construction.

    Attributes:
        sigma: standard deviation of the noise on the [0, 1] scale; 0 < sigma ≤ 2.
        alpha: probability that the certificate is false; 0 < alpha ≤ ½.
        target_radius: stop as soon as the radius reaches it, or cannot; in (0, 6·sigma].
        max_votes: votes that may be counted, 1 to 1,000,000.
        max_cost: US dollars that the calls may cost, up to `MOST_COST`; never passed, calls in
            flight included.
        max_seconds: stop after this time with what is certain by then.
        good_enough: where there is no target: stop once the radius is at least this part of
            what a fixed-n bound would give at `max_votes`, in (0, 1]; None turns it off.
        milestone: n of one Clopper-Pearson look that gets half of each level. None takes the
            ledger's own.
        predict_n: n at which `predict` looks, fixed before vote 0. None takes the ledger's own.
        truth: the label the caller holds to be right. Compared, never given a level.
        rule: from an answer to a vote.
        labels: synonyms.
        encoding: how samples are sent, "png" or "jpeg". None takes the provider's own, which is
            PNG wherever it takes files of both kinds.

    Raises:
        InvalidParameter: if a number is out of range, infinite or NaN.
    """

    sigma: float
    alpha: float = 0.001
    target_radius: float | None = None
    max_votes: int = 1000
    max_cost: float | None = None
    max_seconds: float | None = None
    good_enough: float | None = 0.9
    milestone: int | None = None
    predict_n: int | None = None
    truth: str | None = None
    rule: DecisionRule = field(default_factory=Top1)
    labels: LabelMap = field(default_factory=LabelMap)
    encoding: Encoding | None = None

    def __post_init__(self) -> None:
        _within("sigma", self.sigma, 0, MAX_SIGMA)
        check_alpha(self.alpha)
        _count("max_votes", self.max_votes, MAX_VOTES)
        if self.target_radius is not None:
            _within("target_radius", self.target_radius, 0, MAX_Z * self.sigma)
            index_for(self.target_radius, self.sigma)  # as decimals, so to the last digit
        check_cost(self.max_cost)
        if self.max_seconds is not None:
            _within("max_seconds", self.max_seconds, 0, 7 * 86_400)
        if self.good_enough is not None:
            _within("good_enough", self.good_enough, 0, 1)
        if self.milestone is not None:
            _count("milestone", self.milestone, self.max_votes)
        if self.predict_n is not None:
            _count("predict_n", self.predict_n, 100_000)
        if self.truth is not None and not self.truth.strip():
            raise InvalidParameter("label is empty: leave it out, or give the true label", "label")
        if self.encoding is not None and self.encoding not in get_args(Encoding):
            raise InvalidParameter('encoding must be "png" or "jpeg"', "encoding")
        for name in ("sigma", "alpha", "target_radius", "max_cost", "max_seconds", "good_enough"):
            number = getattr(self, name)  # numpy's numbers print and serialise as something else
            object.__setattr__(self, name, None if number is None else float(number))

    def describe(self) -> dict[str, Any]:
        """Return the caller's choices that are not part of the subject, for the certificate."""
        return {
            "target_radius": self.target_radius,
            "max_votes": self.max_votes,
            "max_cost": self.max_cost,
            "max_seconds": self.max_seconds,
            "good_enough": self.good_enough,
        }


def check_cost(max_cost: float | None) -> None:
    """Refuse what is no amount of money.

    Args:
        max_cost: US dollars, 0 or more; None for no limit.

    Raises:
        InvalidParameter: if it is out of range.
    """
    if max_cost is not None and not 0 <= max_cost <= MOST_COST:
        raise InvalidParameter(
            f"max_cost must be a number of US dollars from 0 to {MOST_COST:g}", "max_cost"
        )


def _within(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not (isinstance(value, int | float) and low < value <= high):
        raise InvalidParameter(f"{name} must be a number above {low:g} and at most {high:g}", name)


def _count(name: str, value: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidParameter(f"{name} must be a whole number from 1 to {most}", name)
