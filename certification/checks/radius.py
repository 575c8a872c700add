"""Level `radius`: the look (n*, S*) justifies the pointer, and the radii follow from it."""

from collections.abc import Iterator, Mapping
from typing import Any

from certification import noise
from certification.checks.form import differs
from certification.confidence import recheck
from certification.martingale import STEPS, level_of
from certification.radius import floored, l1_radius, l2_radius, linf_radius

Document = Mapping[str, Any]


def faults(certificate: Document) -> Iterator[str]:
    """Yield what does not follow in a certificate of the right shape."""
    proof, image = certificate["proof"], certificate["image"]
    how = proof["confidence"]
    sigma, alpha = float(proof["sigma"]), float(proof["alpha"])
    named = how["named_label"] is not None
    levels = {
        "named": level_of(alpha, named=True, prior_named=True) if named else None,
        "other": level_of(alpha, named=False, prior_named=named),
    }
    for name, level in levels.items():
        yield from differs(
            f"proof.confidence.levels.{name}",
            how["levels"][name],
            level,
            "rule for sharing proof.alpha",
        )
    dimension = image["width"] * image["height"] * 3
    margin = noise.null_margin(sigma, dimension)
    yield from differs("proof.confidence.margin", how["margin"], margin, "noise table of sigma")
    if proof["abstained"]:
        return
    if how["pointer"] is None or how["look"] is None or proof["label"] is None:
        yield "proof claims a label, but says no pointer and look for it"
        return
    yield from _look(proof, margin)
    exact = l2_radius(sigma, how["pointer"])
    radii = {
        "radius": floored(exact),
        "radius_linf": linf_radius(exact, dimension),
        "radius_l1": l1_radius(exact),
    }
    for name, radius in radii.items():
        if proof[name] != radius:
            yield f"proof.{name} is {proof[name]}, but sigma and the pointer give {radius}"


def _look(proof: Document, margin: float) -> Iterator[str]:
    how, sigma = proof["confidence"], float(proof["sigma"])
    look, milestone = how["look"], how["milestone"]

    def justified(pointer: int, milestone: int | None = milestone) -> bool:
        return recheck(
            pointer,
            look["n"],
            look["s"],
            float(proof["alpha"]),
            named=proof["label"] == how["named_label"],
            prior_named=how["named_label"] is not None,
            margin=margin,
            milestone=milestone,
        )

    most = _largest(justified)
    if how["pointer"] > most:
        seen = f"the look (n={look['n']}, S={look['s']})"
        allowed = "none at all" if most < 0 else f"at most {floored(l2_radius(sigma, most))}"
        pointer = "no pointer" if most < 0 else f"no pointer above {most}"
        yield f"proof.radius is {proof['radius']}, but {seen} allows {allowed}"
        yield f"proof.confidence.pointer is {how['pointer']}, but {seen} justifies {pointer}"
    if look["by"] == "milestone" and look["n"] != milestone:
        yield (
            f"proof.confidence.look.by is 'milestone', but look.n is {look['n']} and the "
            f"milestone {milestone}"
        )


def _largest(justified: Any) -> int:  # noqa: ANN401
    """Return the largest pointer that is justified, −1 if none is.

    The evidence against "p ≤ p_j" falls with j.
    """
    low, high = -1, STEPS
    while low < high:
        middle = (low + high + 1) // 2
        if justified(middle):
            low = middle
        else:
            high = middle - 1
    return low
