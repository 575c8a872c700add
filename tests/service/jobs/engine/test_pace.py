"""How fast a job goes, and how long it will take."""

import dataclasses

import pytest

from service.billionths import NANO
from service.jobs.engine.pace import Pace
from service.jobs.job import Job
from service.jobs.spec import JobSpec


def job(images, done, count=100, spent=0.0, cap=None, state="running"):
    return Job(
        id="0" * 16,
        state=state,
        spec=JobSpec({}, "cpu/float32", max_cost=cap),
        created="",
        count=count,
        counts={"done": done, "waiting": count - done},
        spent=int(spent * NANO),
        images=images,
        throttled=images // 10,
    )


def test_it_knows_nothing_at_first():
    told = Pace().after(job(500, 10), 0.0)
    assert told["images_per_second"] == 0.0
    assert told["seconds_left"] is told["seconds_left_from"] is None


def test_it_is_a_mean_over_the_last_seconds():
    pace = Pace()
    for second in range(100):
        rate = 1000 if second < 60 else 50
        told = pace.after(
            job(second * rate if second < 60 else 60_000 + 50 * (second - 60), 0), second
        )
    assert told["images_per_second"] == 50.0
    assert told["throttled_per_second"] == 5.0


def test_what_is_left_takes_what_the_others_took():
    pace = Pace()
    pace.after(job(900, 9), 0.0)
    told = pace.after(job(1000, 10), 5.0)
    # 90 pictures left at 100 images each, 20 images a second
    assert (told["seconds_left"], told["seconds_left_from"]) == (450, "pictures")


@pytest.mark.parametrize(("cap", "left"), [(1.5, (25, "max_cost")), (50.0, (450, "pictures"))])
def test_money_may_end_before(cap, left):
    pace = Pace()
    pace.after(job(900, 9, cap=cap), 0.0)
    told = pace.after(job(1000, 10, spent=1.0, cap=cap), 5.0)
    assert (told["seconds_left"], told["seconds_left_from"]) == left


def test_a_job_that_waits_for_somebody_is_not_told_an_end():
    pace = Pace()
    pace.after(job(900, 9), 0.0)
    assert pace.after(job(1000, 10, state="paused"), 5.0)["seconds_left"] is None


def test_pictures_that_could_not_be_read_tell_nothing_about_the_others():
    pace = Pace()
    bad = {"failed": 50, "waiting": 50, "done": 0}
    for second, images in enumerate((900, 1000)):
        told = pace.after(dataclasses.replace(job(images, 0), counts=bad), 5.0 * second)
    assert told["images_per_second"] == 20.0
    assert told["seconds_left"] is None
