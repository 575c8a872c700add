"""The curve: valid XML that holds the points, whatever the log holds."""

import itertools
import math
from xml.etree import ElementTree

import pytest

from denoisers.training.loop import Plan, fit
from denoisers.training.plot import BOTTOM, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, draw
from tests.denoisers.training.scenes import task

SVG = "{http://www.w3.org/2000/svg}"


def lines(svg):
    """Return the points of each line by its class."""
    found = {}
    for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline"):  # noqa: S314
        pairs = [pair.split(",") for pair in line.get("points").split()]
        found[line.get("class")] = [(float(x), float(y)) for x, y in pairs]
    return found


def rows(count):
    return [[20 * (i + 1), 1 / (i + 1), 10 + i, 0.001 * i, 300, i] for i in range(count)]


def test_every_line_of_the_log_is_a_point():
    found = lines(draw(rows(50), "dB", "a <run> & more"))
    assert set(found) == {"loss faint", "loss", "metric faint", "metric", "rate"}
    assert all(len(points) == 50 for points in found.values())
    loss, decibels = found["loss faint"], found["metric faint"]
    assert all(a[0] < b[0] for a, b in itertools.pairwise(loss))
    assert all(a[1] < b[1] for a, b in itertools.pairwise(loss))  # y grows downwards
    assert all(a[1] > b[1] for a, b in itertools.pairwise(decibels))
    assert loss[-1][0] == WIDTH - RIGHT
    assert (loss[0][1], loss[-1][1]) == (TOP[0], BOTTOM[0])
    assert (decibels[0][1], decibels[-1][1]) == (BOTTOM[1], TOP[1])


def test_names_stand_in_the_drawing():
    svg = draw(rows(3), "accuracy", "a <run> & more")
    texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314
    assert "a <run> & more" in texts
    assert "accuracy" in texts
    assert "step" in texts


@pytest.mark.parametrize(
    "logged",
    [
        [],
        rows(1),
        [[20, 5.0, 5.0, 0.0, 0, 0]] * 3,
        [[20, math.nan, -math.inf, math.inf, 0, 0], *rows(2)],
        [[20, 1e30, -1e-30, 1e-9, 0, 0], [40, 1e-30, 1e30, 1, 0, 0]],
        [[10**9, 1, 2, 3, 4, 5]],
    ],
)
def test_any_log_can_be_drawn(logged):
    for points in lines(draw(logged, "dB", "run")).values():
        assert all(LEFT <= x <= WIDTH - RIGHT for x, _ in points)
        assert all(TOP[0] - 1 <= y <= BOTTOM[1] + 1 for _, y in points)


def test_a_long_log_is_drawn_with_few_points():
    svg = draw(rows(50_000), "dB", "run")
    assert all(MOST_POINTS / 2 < len(points) <= MOST_POINTS for points in lines(svg).values())


def test_the_curve_is_drawn_at_every_checkpoint(tmp_path):
    seen = []

    def watch(report):
        if report.step > 1:
            seen.append(len(lines((tmp_path / "curve.svg").read_text())["loss faint"]))

    fit(task(), Plan(steps=5, log_steps=1, save_seconds=0.0), tmp_path, watch=watch)
    assert seen == [1, 2, 3, 4]
    assert len(lines((tmp_path / "curve.svg").read_text())["loss faint"]) == 5
