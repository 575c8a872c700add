"""One pass over the rows: the sums are right, and only a few rows stay."""

import gc
import sys
import weakref

from service.jobs.results.few import Few
from service.jobs.results.gathering import MOST_KINDS, OTHERS, SHOWN, Gathered
from service.jobs.rows import Row
from tests.service.jobs.rowmaking import abstained, failed, row, stream


async def gathered(*rows):
    return await Gathered.of(stream(rows))


def numbers(rows):
    return [one.number for one in rows]


async def test_figures_are_sums():
    rows = (
        row(0, radius=0.5, n=10, cost=0.5, calls=2, retries=1, abstentions=3),
        row(1, radius=0.25, correct=False, label="dog", n=20, cost=0.25, calls=3, retries=0),
        abstained(2, n=30, cost=1.0, calls=4, retries=0, abstentions=1),
        failed(3),
        Row(4, "u", "aa", "unpaid", truth="cat"),
        Row(5, "w", "aa", "waiting", truth="cat"),
        Row(6, "c", "aa", "cancelled"),
    )
    seen = await gathered(*rows)
    assert (seen.pictures, seen.judged, seen.left_out) == (7, 5, 2)
    assert (seen.certified, seen.correct, seen.wrong, seen.abstained) == (2, 1, 1, 1)
    assert (seen.votes, seen.calls, seen.retries, seen.cost) == (60, 9, 1, 1.75)
    assert seen.counts == {
        "done": 3,
        "failed": 1,
        "unpaid": 1,
        "waiting": 1,
        "cancelled": 1,
    }
    # Failed, unpaid and abstained count, and count against; waiting and cancelled do not.
    assert (seen.accuracy.at(0).count, seen.accuracy.total) == (1, 5)
    assert (seen.share_certified.at(0.25).count, seen.share_certified.total) == (2, 5)
    assert seen.radii.tolist() == [0.5]
    assert seen.wrong_radii.tolist() == [0.25]
    assert seen.votes_each.tolist() == [10, 20, 30]
    assert seen.costs_each.tolist() == [0.5, 0.25, 1.0]
    assert seen.stop_reasons == {"target_reached": 2, "hopeless": 1}
    assert seen.problems == {"Not a readable picture": 1}


async def test_without_truths_there_is_no_accuracy():
    seen = await gathered(row(0, truth=None, correct=None, radius=0.1))
    assert seen.accuracy is None
    assert seen.share_certified.at(0.1).count == 1
    assert numbers(seen.best.rows()) == [0]
    assert (seen.truths, seen.correct, seen.wrong) == (0, 0, 0)


async def test_a_wrong_label_is_worst_and_never_best():
    seen = await gathered(
        *(row(k, radius=0.01 * k) for k in range(30)),
        row(30, correct=False, radius=0.05),
        row(31, correct=False, radius=2.0),
        abstained(32, n=100),
        abstained(33, n=19),
    )
    assert numbers(seen.best.rows()) == [*range(29, 17, -1)]
    assert numbers(seen.shown_worst()) == [31, 30, 33, 32, *range(8)]
    assert len(seen.shown_worst()) == SHOWN


async def test_in_a_small_job_no_picture_is_best_and_worst():
    seen = await gathered(*(row(k, radius=0.01 * k) for k in range(15)))
    assert sorted(numbers(seen.best.rows()) + numbers(seen.shown_worst())) == [*range(15)]
    assert numbers(seen.shown_worst()) == [0, 1, 2]


async def test_the_first_failures_are_kept():
    seen = await gathered(*(failed(k, title=f"kind {k}") for k in range(100)))
    assert numbers(seen.failed.rows()) == [*range(SHOWN)]
    assert len(seen.problems) == MOST_KINDS + 1
    assert seen.problems[OTHERS] == 100 - MOST_KINDS


async def test_numbers_can_be_read_and_more_be_added():
    seen = await gathered(row(0))
    radii = seen.radii
    seen.add(row(1))
    assert (len(radii), len(seen.radii)) == (1, 2)


async def test_hardly_any_row_stays():
    given = []

    def rows():
        for number in range(3000):
            one = row(number)
            given.append(weakref.ref(one))
            yield one

    seen = await Gathered.of(stream(rows()))
    gc.collect()
    kept = sum(one() is not None for one in given)
    assert kept <= 3 * SHOWN
    numbers_kept = (seen._any, seen._right, seen._radii, seen._votes, seen._costs)
    assert sum(map(sys.getsizeof, numbers_kept)) < 3000 * 50


def test_the_few_are_the_largest():
    few = Few(3)
    for place, key in enumerate([5, 1, 9, 7, 3]):
        few.offer((key,), row(place))
    assert numbers(few.rows()) == [2, 3, 0]
