"""Charts show the numbers they are given, in places that can be read."""

import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs.results.curve import NOT_CERTIFIED, Curve
from service.jobs.results.report_bars import bars, bins, histogram
from service.jobs.results.report_curve import Line, curve_chart
from service.jobs.results.report_svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, alone, steps
from tests.service.jobs.rowmaking import HOSTILE

NS = "{http://www.w3.org/2000/svg}"


def tree(svg):
    return ET.fromstring(alone(svg))  # noqa: S314  written here


def y_of(share):
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - share)


def corners(path):
    """Return where a path of M, V and H goes through."""
    x, y, found = 0.0, 0.0, []
    for kind, numbers in re.findall(r"([MVH])([^MVHZ]+)", path):
        if kind == "M":
            x, y = map(float, numbers.split())
        elif kind == "V":
            y = float(numbers)
        else:
            x = float(numbers)
        found.append((x, y))
    return found


def test_the_curve_is_where_the_shares_are():
    curve = Curve(np.array([0.25, 0.5, NOT_CERTIFIED, 0.25]))
    drawn = tree(curve_chart([Line("one", curve)], "accuracy"))
    (path,) = (p.get("d") for p in drawn.iter(f"{NS}path") if p.get("class") == "curve c0 d0")
    (band,) = (p.get("d") for p in drawn.iter(f"{NS}path") if p.get("class") == "band c0")
    scale = (WIDTH - LEFT - RIGHT) / 0.6  # the axis ends at the next round radius
    at = [LEFT, LEFT + 0.25 * scale, LEFT + 0.5 * scale, WIDTH - RIGHT]
    places = [(at[0], 0.75), (at[1], 0.75), (at[1], 0.25), (at[2], 0.25), (at[2], 0), (at[3], 0)]
    drawn_at = [c for c, _ in itertools.groupby(corners(path))]
    assert drawn_at == [pytest.approx((x, y_of(share)), abs=0.02) for x, share in places]
    outline = corners(band)
    upper, lower = outline[: len(outline) // 2], outline[len(outline) // 2 :]
    assert upper[0] == pytest.approx((LEFT, y_of(curve.at(0).high)), abs=0.02)
    assert lower[-1] == pytest.approx((LEFT, y_of(curve.at(0).low)), abs=0.02)


def test_a_curve_of_many_radii_stays_small():
    rng = np.random.default_rng(1)
    svg = curve_chart([Line("x", Curve(rng.random(50_000)))], "accuracy")
    # As many steps as can be seen, not as many as there are pictures.
    assert len(svg) < 150_000


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_legend_names_all_if_there_are_several(count):
    lines = [Line(f"job <{k}>", Curve(np.array([0.1 * k]))) for k in range(count)]
    texts = [t.text for t in tree(curve_chart(lines, "accuracy")).iter(f"{NS}text")]
    assert [t for t in texts if t.startswith("job")] == (
        [] if count == 1 else [f"job <{k}>" for k in range(count)]
    )


def test_nothing_certified_can_be_drawn():
    for radii in ([], [NOT_CERTIFIED] * 3, [0.0]):
        tree(curve_chart([Line("x", Curve(np.array(radii)))], "accuracy"))


values = st.lists(st.floats(0, 1e7).map(lambda v: round(v, 6)), min_size=1, max_size=50)


@given(values, st.booleans())
def test_every_value_is_in_one_bin(found, even):
    limits = bins(np.array(found), even=even)
    assert limits == sorted(set(limits))
    assert 2 <= len(limits) <= 80
    assert limits[0] <= min(found) * (1 + 1e-9)
    assert max(found) < limits[-1] * (1 + 1e-9)


@given(values)
def test_bars_stand_for_all_pictures(found):
    groups = {"certified": ("good", np.array(found)), "wrong": ("bad", np.array(found[:3]))}
    drawn = tree(histogram(groups, "radius", str))
    told = [r.find(f"{NS}title").text for r in drawn.iter(f"{NS}rect") if r.get("class") != "paper"]
    counts = {"certified": 0, "wrong": 0}
    for text in told:
        number, name = text.rsplit(": ", 1)[1].split(" ")
        counts[name] += int(number)
    assert counts == {"certified": len(found), "wrong": len(found[:3])}


def test_bins_have_round_limits():
    assert bins(np.array([0.0, 0.51, 1.2]), even=True, most=12) == pytest.approx(
        [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]
    )
    assert bins(np.array([28.0, 5000.0])) == [
        *(20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000),
    ]
    assert bins(np.array([0.0, 1.0, 100.0]))[:2] == [0, 1]
    assert bins(np.array([5.0, 5.0]))[0] <= 5
    assert bins(np.zeros(3)) == bins(np.empty(0))


def test_bars_are_as_long_as_the_counts():
    drawn = tree(bars([("a", 30), ("<b>", 10)], "reasons"))
    long, short = [
        float(r.get("width")) for r in drawn.iter(f"{NS}rect") if r.get("class") == "good"
    ]
    assert long == pytest.approx(3 * short, abs=0.02)
    texts = [t.text for t in drawn.iter(f"{NS}text")]
    assert texts == ["a", "30 · 75.0 %", "<b>", "10 · 25.0 %"]


@pytest.mark.parametrize("high", [0.1, 0.45, 1, 7, 12, 999, 1e6])
def test_steps_reach_the_end(high):
    found = steps(high)
    assert found[0] == 0
    assert found[-1] >= high * (1 - 1e-9)
    assert len(found) <= 7


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_can_stand_in_a_chart(name):
    line = Line(name, Curve(np.array([0.5])))
    tree(curve_chart([line, line], "accuracy"))
    tree(bars([(name, 3)], "reasons"))


def test_alone_it_has_its_colours():
    drawn = tree(bars([("a", 1)], "reasons"))
    assert "prefers-color-scheme:dark" in drawn.find(f"{NS}style").text
    assert drawn.find(f"{NS}title").text == "reasons"
    assert drawn.find(f"{NS}rect").get("class") == "paper"
