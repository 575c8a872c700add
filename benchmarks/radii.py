"""From the votes of one picture to a certified radius, in the ways that papers and Surety have.

Every rule returns −1 where nothing, or another label than the wanted one, is certified, so that
"radius ≥ r" counts certified accuracy at r. Votes may have been stopped early where that could
not change the result (:func:`settled`); what is missing then counts against the label.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from certification import clopper_pearson
from certification.certify import stop_rules
from certification.confidence import ConfidenceProcess
from certification.martingale import STEPS, null
from certification.options import Options
from certification.radius import l2_radius
from certification.tally import CertifyTally

NOTHING = -1.0


@dataclass(frozen=True)
class Level:
    """What a certificate is asked at.

    Attributes:
        sigma: standard deviation of the noise, on [0, 1].
        alpha: error level.
        margin: added to every null, see :func:`certification.noise.null_margin`.
    """

    sigma: float
    alpha: float
    margin: float


def fixed_n(successes: int, n: int, level: Level) -> float:
    """Clopper and Pearson's bound at an n fixed beforehand, for a label fixed beforehand.

    Args:
        successes: votes for the label.
        n: votes.
        level: sigma, alpha, margin.

    Returns:
        The largest radius of Surety's grid (sigma/200 apart) for which it is certified, or −1.
    """

    def kept(j: int) -> bool:
        hypothesis = null(j, level.margin)
        return hypothesis is None or not clopper_pearson.rejects(
            successes, n, hypothesis.q, level.alpha
        )

    rejected = bisect_left(range(STEPS + 1), True, key=kept)
    return float(l2_radius(level.sigma, rejected - 1)) if rejected else NOTHING


def leader(votes: Iterable[int]) -> int | None:
    """Return the most frequent label, of equals the one that came first; None without votes."""
    best = Counter(votes).most_common(1)
    return best[0][0] if best else None


def certify(votes: Sequence[int], wanted: int, first: int, n: int, level: Level) -> float:
    """CERTIFY of Cohen, Rosenfeld, Kolter (ICML 2019), section 3.2.2.

    The label is chosen by the first votes, its probability bounded with the n that follow.

    Args:
        votes: in order.
        wanted: the label that counts.
        first: votes that choose the label (n0 in the paper).
        n: votes that bound it.
        level: sigma, alpha, margin.
    """
    if leader(votes[:first]) != wanted:
        return NOTHING
    return fixed_n(list(votes[first : first + n]).count(wanted), n, level)


def anytime(
    votes: Sequence[int], named: int, wanted: int, level: Level, milestone: int | None = None
) -> float:
    """Surety's own rule, the confidence process, with all the votes.

    Args:
        votes: in order.
        named: the answer to the clean picture.
        wanted: the label that counts.
        level: sigma, alpha, margin.
        milestone: n of one Clopper-Pearson look.
    """
    process = ConfidenceProcess(level.alpha, str(named), milestone, margin=level.margin)
    process.update(map(str, votes))
    if process.label != str(wanted) or process.pointer is None:
        return NOTHING
    return float(l2_radius(level.sigma, process.pointer))


def decided(
    votes: Sequence[int],
    named: int,
    level: Level,
    reach: float,
    most: int,
    milestone: int | None = None,
) -> tuple[str | None, int, str | None]:
    """Let Surety answer "is the radius at least `reach`?" by its own stop rules.

    Args:
        votes: in order.
        named: the answer to the clean picture.
        level: sigma, alpha, margin.
        reach: the radius.
        most: votes at most.
        milestone: n of one Clopper-Pearson look.

    Returns:
        The certified label, votes used, and why it asks no further, see
        :mod:`certification.stopping`; None while it would go on.
    """
    options = Options(level.sigma, level.alpha, target_radius=reach, max_votes=most)
    process = ConfidenceProcess(level.alpha, str(named), milestone, margin=level.margin)
    tally = CertifyTally(process, stop_rules(options))
    used, reason = tally.feed([str(vote) for vote in votes])
    return process.label, used, reason


def settled(votes: Sequence[int], wanted: int, first: int, n: int) -> str | None:
    """Tell why no further vote can change what :func:`certify` says, at any alpha.

    Returns:
        "complete"; "another label" was chosen; "no majority" even if all others were for it;
        None while it is open.
    """
    if len(votes) >= first + n:
        return "complete"
    if len(votes) < first:
        return None
    if leader(votes[:first]) != wanted:
        return "another label"
    against = sum(vote != wanted for vote in votes[first:])
    return "no majority" if 2 * against >= n else None


def shares(radii: Sequence[float], at: Sequence[float]) -> dict[str, float]:
    """Return the share of pictures certified for each radius."""
    return {f"{r:g}": sum(radius >= r for radius in radii) / len(radii) for r in at}


def envelope(curves: Sequence[Sequence[float]]) -> list[float]:
    """Return radii whose curve is the highest of several, at every radius.

    Args:
        curves: radii of equally many pictures each.
    """
    ordered = (sorted(curve) for curve in curves)
    return [max(ranks) for ranks in zip(*ordered, strict=True)]
