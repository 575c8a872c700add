"""Jobs side by side: the shares, and the differences picture by picture."""

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console
from scipy.stats import binomtest

from service.jobs.results.compare import Comparison, Side
from service.jobs.results.compare_page import comparison_page, comparison_svg, comparison_table
from service.jobs.rows import Row
from tests.service.jobs.pages import opened
from tests.service.jobs.rowmaking import HOSTILE, abstained, failed, row, stream


async def compared(*jobs):
    return Comparison([await Side.of(f"job {k}", stream(rows)) for k, rows in enumerate(jobs)])


FIRST = [
    *(row(k, radius=0.5) for k in range(10)),
    *(abstained(k) for k in range(10, 13)),
    row(13, correct=False, label="dog", radius=0.5),
    failed(14),
    Row(15, "w", f"{15:064x}", "waiting"),
]
# The same pictures in another order, and some that the first does not have.
SECOND = [
    row(40, sha256=f"{13:064x}", radius=0.25),
    *(row(20 + k, sha256=f"{k:064x}", radius=0.3) for k in reversed(range(4, 13))),
    *(abstained(30 + k, sha256=f"{k:064x}") for k in range(4)),
    *(row(50 + k, radius=1.0) for k in range(5)),
    row(60, sha256=f"{15:064x}", radius=1.0),
]


async def test_the_same_pictures_are_compared_one_by_one():
    (pair,) = (await compared(FIRST, SECOND)).pairs()
    # Pictures 0 to 13; 14 could not be read, and 15 is not judged in the first.
    assert pair.common == 14
    at_0, at_quarter, at_half = pair.differences[:3]
    assert (at_0.both, at_0.only_first, at_0.only_second, at_0.neither) == (6, 4, 4, 0)
    assert (at_quarter.only_first, at_quarter.only_second) == (4, 4)
    assert (at_half.both, at_half.only_first, at_half.only_second, at_half.neither) == (0, 10, 0, 4)
    assert at_half.p_value == pytest.approx(binomtest(0, 10).pvalue)
    assert at_0.p_value == 1.0
    assert pair.differences[4].radius == 1.0
    for one in pair.differences:
        assert one.both + one.only_first + one.only_second + one.neither == 14


async def test_shares_are_those_of_each_job():
    told = (await compared(FIRST, SECOND)).describe()
    assert told["measure"] == "certified_accuracy"
    first, second = told["jobs"]
    assert (first["pictures"], first["left_out"]) == (15, 1)
    assert first["certified"]["0.5"]["count"] == 10
    assert (second["certified"]["0.25"]["count"], second["pictures"]) == (16, 20)
    assert told["pairs"][0]["differences"][2]["only_first"] == 10


async def test_without_truths_in_both_it_is_about_certified_labels():
    blind = [row(k, truth=None, correct=None, radius=0.5) for k in range(14)]
    comparison = await compared(FIRST, blind)
    assert comparison.describe()["measure"] == "share_certified"
    (pair,) = comparison.pairs()
    assert pair.differences[0].both == 11  # a wrong label too
    assert "not every job has true labels" in opened(comparison_page(comparison)).text


async def test_some_truths_are_enough_and_the_others_are_left_aside():
    mixed = [row(0, radius=0.5), row(1, truth=None, correct=None)]
    comparison = await compared(FIRST, mixed)
    assert comparison.accuracy
    assert [curve.total for curve in comparison.curves] == [15, 1]
    assert next(comparison.pairs()).common == 1


async def test_a_picture_that_is_there_twice_counts_once():
    twice = [row(0, radius=0.5), abstained(1, sha256=f"{0:064x}")]
    (pair,) = (await compared(twice, FIRST)).pairs()
    assert pair.common == 1
    assert pair.differences[0].both == 1


async def test_nothing_in_common_is_said():
    comparison = await compared(FIRST, [row(500), failed(501)])
    assert next(comparison.pairs()).differences == ()
    assert "no picture in common" in opened(comparison_page(comparison)).text
    assert "no common pictures" in shown(comparison)


def shown(comparison):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(comparison_table(comparison))
    return console.file.getvalue()


async def test_page_picture_and_table_say_the_same():
    comparison = await compared(FIRST, SECOND, FIRST)
    page = opened(comparison_page(comparison))
    assert page.text.count("14 pictures in common") == 3
    assert page.rows[1][0] == "job 0"
    assert page.rows[1][3].startswith("66.7 % (")
    assert ["r = 0.5", "0", "10", "0", "4", "0.002"] in page.rows
    svg = comparison_svg(comparison)
    texts = [e.text for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert "job 1, 20 pictures" in texts
    table = shown(comparison)
    assert "66.7 %" in table
    assert table.count("14 pictures in common") == 3


async def test_names_of_jobs_are_harmless():
    sides = [await Side.of(name, stream(FIRST)) for name in HOSTILE[:4]]
    comparison = Comparison(sides)
    opened(comparison_page(comparison))
    ET.fromstring(comparison_svg(comparison))  # noqa: S314
    assert "\x1b" not in shown(comparison)
    assert "\u202e" not in shown(comparison)


async def test_no_jobs_have_pictures_yet():
    comparison = await compared([], [Row(0, "x", "aa", "waiting")])
    assert "–" in shown(comparison)
    assert "1 picture left out" in opened(comparison_page(comparison)).text
