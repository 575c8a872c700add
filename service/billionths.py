"""Money in whole billionths of a US dollar, so that no sum is rounded."""

from decimal import Decimal

NANO = 10**9


def nano(dollars: float) -> int:
    """Return US dollars in whole billionths."""
    return int((Decimal(str(dollars)) * NANO).to_integral_value())
