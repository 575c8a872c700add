"""What `surety jobs show` prints."""

import io

from rich.console import Console

from service.jobs.results.gathering import Gathered
from service.jobs.results.summary import summary
from service.jobs.rows import Row
from tests.service.jobs.rowmaking import HOSTILE, JOB, abstained, failed, row, stream


async def shown(*rows, job=JOB, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(summary(job, await Gathered.of(stream(rows))))
    return console.file.getvalue()


async def test_figures_and_radii():
    text = await shown(
        *(row(k, radius=0.1 + 0.05 * (k % 4), n=100) for k in range(40)),
        row(40, correct=False, radius=0.1),
        abstained(41, n=20),
        failed(42),
        Row(43, "w", "aa", "waiting"),
    )
    said = " ".join(text.replace("│", " ").split())
    for part in (
        "Job Overnight: finished",
        "41 certified of 43 pictures judged, 95.3 %",
        "44: 42 done, 1 failed, 1 waiting",
        "40 of 43 with a true label; 1 certified with a wrong label",
        "target 10 of 43 reach 0.25, 23.3 %",
        "Not a readable picture × 1",
        "r = 0.25 23.3 % (11.8 – 38.6)",
        "target radius reached × 41, target out of reach × 1",
        "$38.21 of $40.00 · 4,321 calls",
    ):
        assert part in said, part
    bars = [line.count("█") for line in text.splitlines() if "░" in line or "█" in line]
    assert max(bars) == 28
    counts = [int(line.split()[-2]) for line in text.splitlines() if "░" in line or "█" in line]
    assert sum(counts) == 41


async def test_what_the_money_did_not_reach_is_told():
    text = await shown(
        row(0),
        row(1, stop_reason="max_cost"),
        Row(2, "u", "aa", "unpaid"),
        Row(3, "v", "aa", "unpaid"),
    )
    said = " ".join(text.replace("│", " ").split())
    assert "the money did not reach 2 pictures and ended too early for 1 picture" in said
    assert "surety jobs extend 7f3a91c2 --max-cost" in said
    assert "the money" not in await shown(row(0), failed(1))


async def test_a_job_without_results_and_without_a_name():
    text = await shown(job={"id": "x", "state": "running"}, width=60)
    assert "Job x: running" in text
    assert "radii" not in text
    assert "0 certified" in text


async def test_without_truths_it_is_the_share_certified():
    text = await shown(row(0, truth=None, correct=None))
    assert "accuracy" not in text
    assert "r = 0 " in text


async def test_nothing_from_outside_reaches_the_terminal_raw():
    for text in HOSTILE:
        printed = await shown(
            row(0, name=text, label=text, stop_reason=text),
            failed(1, title=text),
            job=JOB | {"name": text},
        )
        assert "\x1b" not in printed
        assert "\u202e" not in printed
