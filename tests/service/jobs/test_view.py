"""What a terminal shows of a running job."""

import io

import pytest
from rich.console import Console

from service import exit_codes
from service.billionths import NANO
from service.exit_codes import ExitCode
from service.jobs.following import Look
from service.jobs.job import Job
from service.jobs.job_words import line, why_not
from service.jobs.rows import Row
from service.jobs.spec import JobSpec
from service.jobs.states import PICTURE_STATES
from service.jobs.view import view
from service.store.workers import WorkerInfo

ARGUMENTS = {"provider": "aws", "sigma": 0.25, "target_radius": 0.25, "max_votes": 1000}


def job(state="running", problem=None, **counts):
    spec = JobSpec(ARGUMENTS, "cpu/bfloat16", name="over[red]night\x1b[2J", max_cost=40, rate=20)
    all_of = dict.fromkeys(PICTURE_STATES, 0) | counts
    ended = "2026-11-28T22:00:00+00:00" if state in ("finished", "cancelled") else None
    return Job(
        id="0123456789abcdef",
        state=state,
        spec=spec,
        created="2026-11-28T20:00:00+00:00",
        count=sum(all_of.values()),
        counts=all_of,
        spent=3 * NANO // 2,
        reserved=NANO // 4,
        images=1250,
        calls=1250,
        throttled=3,
        ended=ended,
        problem=problem,
    )


def worker(number, rate):
    rates = {"images": rate, "calls": rate, "throttled": 0.5}
    return WorkerInfo(f"w{number}", f"host{number}:1", ["cpu/bfloat16"], 8, busy=7, rates=rates)


def shown(look, width=100, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=file, width=width, force_terminal=False)
    console.print(view(look))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


BUSY = Look(
    job(done=120, failed=3, unpaid=1, working=16, waiting=860),
    {
        "images_per_second": 18.5,
        "throttled_per_second": 0.1,
        "seconds_left": 7400,
        "seconds_left_from": "max_cost",
    },
    tuple(worker(n, n) for n in range(10)),
    (Row(7, "bad[b].jpg\x1b[2J", "", "failed", problem={"detail": "it is a PDF"}),),
    own="w9",
)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_all_that_matters_is_there_at_any_width(width):
    text = shown(BUSY, width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for said in (
        "over[red]night",
        "124 of 1,000 pictures, 3 failed, 1 unpaid, 16 working, 860 waiting",
        "18.5/s",
        "3 throttled, 0.1/s now",
        "$1.25 ($1.50 with calls in flight) of $40.00",
        "about 2 h 3 min until the money ends",
        "host9:1,",
        "… 2 more",
        "bad[b].jpg",
        "it is a PDF",
    ):
        assert said in flat, said
    assert "\x1b" not in text
    bar = next(row for row in text.splitlines() if "█" in row)
    assert bar.count("█") == width * 124 // 1000
    assert len(bar) == width


def test_an_ascii_terminal():
    text = shown(BUSY, encoding="ascii")
    assert "############" in text
    assert "█" not in text


def test_a_job_without_pictures_yet_and_one_that_has_ended():
    assert "0 of 0 pictures" in shown(Look(job("reading"), {}))
    assert "2 h 0 min" in shown(Look(job("finished", done=4), {}))


def test_why_it_does_not_go_on():
    held = {"type": "/problems/provider-down", "detail": "aws is down"}
    spent = {"type": "/problems/budget-spent", "detail": "it is renewed at 2026-12-01 00:00 UTC"}
    busy = (worker(1, 1),)
    assert why_not(Look(job(working=1), {}, busy)) is None
    assert why_not(Look(job("finished", done=1), {})) is None
    for look, said in (
        (Look(job(problem=held, waiting=1), {}, busy), "held back for a moment: aws is down"),
        (Look(job("paused", problem=held, waiting=1), {}, busy), "paused: aws is down"),
        (Look(job(problem=spent, waiting=1), {}, busy), "waits: it is renewed at 2026-12-01"),
        (Look(job("paused", waiting=1), {}, busy), "surety jobs resume 0123456789abcdef"),
        (Look(job(waiting=1), {}), "no worker is there yet"),
        (Look(job(waiting=1), {}, helps=True), "this command gets ready"),
        (Look(job(waiting=1), {}, able=False), "cpu/bfloat16"),
        (Look(job(working=1), {}, busy, away=True), "store does not answer"),
    ):
        assert said in (why_not(look) or "")
        assert said in line(look)
        assert said in " ".join(shown(look).split())


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (job("finished", done=3), ExitCode.DONE),
        (job("finished", done=3, failed=1), ExitCode.ABSTAINED),
        (job("finished", done=3, unpaid=1), ExitCode.ABSTAINED),
        (job("cancelled", done=3, cancelled=1), ExitCode.CANCELLED),
        (job("paused", {"type": "/problems/provider-quota"}), ExitCode.PROVIDER),
        (job("paused", {"type": "/problems/provider-not-ready"}), ExitCode.CONFIGURATION),
        (job("paused", {"type": "/problems/denoiser-not-ready"}), ExitCode.CONFIGURATION),
    ],
)
def test_exit_codes(found, code):
    assert exit_codes.of_job(found.state, found.counts, found.problem) == code


def test_what_is_over():
    assert not Look(job(waiting=1), {}).over
    assert not Look(job("paused", waiting=1), {}).over  # somebody may resume it
    assert Look(job("paused", {"type": "/problems/provider-quota"}, waiting=1), {}).over
    assert Look(job("finished", done=1), {}).over
