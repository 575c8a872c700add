"""Every number of a request is checked."""

import math

import pytest

from certification.errors import InvalidParameter
from certification.options import Options


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("sigma", [0, -0.1, 2.01, math.nan, math.inf, True, "0.25"]),
        ("alpha", [0, 0.51, -1, math.nan, 1, True]),
        ("target_radius", [0, -1, math.nan, math.inf, 1.6]),
        ("max_votes", [0, -1, 1.5, 10**7, True]),
        ("max_cost", [-0.01, math.nan, math.inf, 1.1e12, 2.0**53, 1e300]),
        ("max_seconds", [0, -1, math.nan, math.inf]),
        ("good_enough", [0, 1.1, math.nan]),
        ("milestone", [0, 1001, 1.5, True]),
        ("predict_n", [0, 10**6, True]),
        ("truth", ["", "  "]),
        ("encoding", ["", "PNG", "webp", "pixels", 1]),
    ],
)
def test_out_of_range(field, bad):
    for value in bad:
        with pytest.raises(InvalidParameter, match=field if field != "truth" else "label"):
            Options(**{"sigma": 0.25, field: value})


def test_the_edges_are_in_range():
    Options(sigma=2.0, alpha=0.5, target_radius=12.0, max_votes=1_000_000, max_cost=0.0)
    Options(sigma=0.25, target_radius=1.5, good_enough=1.0, milestone=1000, predict_n=1)
    Options(sigma=1e-3, good_enough=None, max_seconds=0.001)
    Options(sigma=0.25, encoding="jpeg")
