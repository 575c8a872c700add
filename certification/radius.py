"""Radii and confidences, always rounded down.

The process certifies z = j/200 exactly. A radius σ·z is computed as a fraction from the
decimal σ that the caller wrote, so no rounding of binary numbers can ever raise it.
"""

import math
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction

from certification.martingale import PER_UNIT

DECIMALS = 6


def l2_radius(sigma: float, pointer: int) -> Fraction:
    """Return R = σ·j/200, exact (Cohen, Rosenfeld, Kolter 2019, eq. 3, with p_A ≥ Φ(j/200)).

    Args:
        sigma: standard deviation of the noise on the [0, 1] scale.
        pointer: j, the last rejected null of the grid; 0 or more.

    Returns:
        L2 radius in units of pixel values scaled to [0, 1].
    """
    return Fraction(repr(sigma)) * pointer / PER_UNIT


def floored(value: Fraction, decimals: int = DECIMALS) -> float:
    """Round down to a number of decimals; what is serialised and printed.

    Args:
        value: 0 or more.
        decimals: digits behind the point.

    Returns:
        The float whose shortest decimal form is the floored number.
    """
    scale = 10**decimals
    return float(Fraction(math.floor(value * scale), scale))


def written_up(radius: float) -> float:
    """Return a wanted radius, rounded up to a number of decimals that a certificate can state.

    Else one that is reached to the last digit would be written as less than was asked for.

    Args:
        radius: of any size; what is no finite number stays, for whoever checks it.
    """
    if not math.isfinite(radius):
        return radius
    scale = 10**DECIMALS
    return float(Fraction(math.ceil(Fraction(repr(float(radius))) * scale), scale))


def show(value: float | Fraction, decimals: int = 3) -> str:
    """Print a radius, rounded down: 0.799644 is 0.799, never 0.8."""
    scale = 10**decimals
    exact = value if isinstance(value, Fraction) else Fraction(repr(value))
    return f"{math.floor(exact * scale) / scale:.{decimals}f}"


def linf_radius(radius: Fraction, dimension: int) -> float:
    """Return R/√d, rounded down: ‖δ‖₂ ≤ √d·‖δ‖∞.

    Args:
        radius: L2 radius.
        dimension: d = H·W·3.
    """
    scale = 10**DECIMALS
    # floor(R·10^k / √d) = isqrt(floor(R²·10^2k / d)) in whole numbers.
    squared = math.floor(Fraction(radius * scale) ** 2 / dimension)
    return float(Fraction(math.isqrt(squared), scale))


def l1_radius(radius: Fraction) -> float:
    """Return a radius that holds in L1: ‖δ‖₂ ≤ ‖δ‖₁, so R itself, rounded down."""
    return floored(radius)


def percent(alpha: float) -> str:
    """Write the confidence 1 − α, never rounded up: 0.001 is 99.9 %.

    Args:
        alpha: error probability, in (0, ½].
    """
    # A context of its own: the default one has 28 digits and rounds 100 − 10⁻³⁰⁰ to 100.
    context = Context(prec=50, rounding=ROUND_DOWN)
    exact = context.subtract(100, context.multiply(100, Decimal(repr(alpha))))
    return f"{exact.normalize(context):f} %"
