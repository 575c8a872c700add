"""`surety jobs`: from a folder of pictures to a report, in this process."""

import asyncio
import csv
import io
import json
import os
import re
import signal
import threading
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from service.core import Surety
from service.exit_codes import ExitCode
from service.jobs import following
from service.jobs.engine import helper as helping
from service.load_settings import load_settings
from tests.service import test_cli
from tests.service.command import PATIENCE, SURETY
from tests.service.command import Surety as Command
from tests.service.pictures import encode

surety = test_cli.surety

FEW = ("--max-votes", 40, "--no-good-enough")


def picture(shade):
    return encode(Image.new("RGB", (8, 8), (shade, shade, shade)))


@pytest.fixture(autouse=True)
def _brisk(monkeypatch):
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(helping, "LOOK_SECONDS", 0.05)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def folder(tmp_path):
    """Three pictures in the folders of their labels, and something else."""
    for number, name in enumerate(("Tabby Cat/1.png", "Tabby Cat/2.png", "dog/10.png")):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(40 * number))
    (tmp_path / "pictures" / ".hidden").write_text("passed over")
    return tmp_path / "pictures"


def submitted(surety, *arguments, code=ExitCode.DONE):
    ended = surety("jobs", "submit", *arguments, "--json")
    assert ended.code == code, ended.err
    return json.loads(ended.out)


def kept(job_id="last"):
    """Look into the store past the command."""
    from service.jobs.naming import job_called

    async def looked():
        async with Surety.opened(load_settings()) as opened:
            return await job_called(opened.state.jobs, job_id)

    return asyncio.run(looked())


def test_from_a_folder_to_a_report(surety, folder, tmp_path):
    ended = surety("jobs", "submit", folder, "--labels", "folders", "--name", "one", *FEW)
    assert ended.code == ExitCode.DONE, ended.err
    assert "3 certified  of 3 pictures judged" in ended.out
    assert "2 of 3 with a true label" in ended.out
    assert ended.err.splitlines()[0].endswith("3 pictures; 1 hidden file passed over")
    listed = json.loads(surety("jobs", "list", "--json").out)
    (job,) = listed["jobs"]
    assert (job["state"], job["skipped"], listed["next"]) == ("finished", 1, None)
    assert job["id"] in surety("jobs", "list").out
    shown = surety("jobs", "show", job["id"][:8])
    assert "3 of 3 pictures" in shown.out
    assert "3 certified" in shown.out
    assert json.loads(surety("jobs", "show", "last", "--json").out) == job
    rows = [json.loads(line) for line in surety("jobs", "results", "last").out.splitlines()]
    assert [row["name"] for row in rows] == ["dog/10.png", "Tabby Cat/1.png", "Tabby Cat/2.png"]
    assert [row["correct"] for row in rows] == [False, True, True]
    table = surety("jobs", "results", "last", "--format", "csv").out
    assert [row["n"] for row in csv.DictReader(io.StringIO(table))] == ["40"] * 3
    assert surety("jobs", "results", "last", "-o", "all.zip").code == 0
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.namelist()) == 4
    assert surety("jobs", "report", "last").code == 0
    page = (tmp_path / f"job-{job['id']}.html").read_text()
    assert "one" in page
    assert "data:image/png" in page
    assert surety("jobs", "report", "last").code == ExitCode.BAD_INPUT  # it is there by now
    assert surety("jobs", "report", "last", "-o", "-").out.startswith("<!DOCTYPE html>")


def test_two_jobs_side_by_side(surety, folder, tmp_path):
    jobs = [submitted(surety, folder, *FEW, "--sigma", sigma)["id"] for sigma in (0.25, 0.5)]
    found = json.loads(surety("jobs", "compare", *jobs, "--json").out)
    assert found["pairs"][0]["common"] == 3
    table = surety("jobs", "compare", *jobs).out
    assert all(job in table for job in jobs)
    for name, begins in (("c.html", "<!DOCTYPE"), ("c.svg", "<svg"), ("c.json", "{")):
        assert surety("jobs", "compare", *jobs, "-o", name).code == 0
        assert (tmp_path / name).read_text().startswith(begins)
    assert surety("jobs", "compare", *jobs, "-o", "c.pdf").code == ExitCode.BAD_INPUT
    first = json.loads(surety("jobs", "list", "--limit", 1, "--json").out)
    assert [job["id"] for job in first["jobs"]] == [jobs[1]] == [first["next"]]
    rest = json.loads(surety("jobs", "list", "--after", jobs[1], "--json").out)
    assert [job["id"] for job in rest["jobs"]] == jobs[:1]


def test_an_archive_and_a_manifest_whatever_they_are_called(surety, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "it", "w") as archive:
        archive.write(folder / "dog/10.png", "10.png")
        archive.writestr("bad.png", b"nothing")
        archive.writestr("labels.csv", "name,label\n10.png,Tabby Cat\n")
    job = submitted(surety, "it", *FEW, code=ExitCode.ABSTAINED)  # one has no certificate
    assert (job["by_state"]["done"], job["by_state"]["failed"]) == (1, 1)
    ended = surety("jobs", "submit", "it", *FEW)
    assert "failed: bad.png: it is not a picture" in ended.err
    listing = "image,name,label\npictures/dog/10.png,a dog,Tabby Cat\npictures/Tabby Cat/1.png,,\n"
    (tmp_path / "listing").write_text(listing)
    submitted(surety, "listing", *FEW)
    rows = [json.loads(line) for line in surety("jobs", "results", "last").out.splitlines()]
    names = [(row["name"], row["correct"]) for row in rows]
    assert names == [("a dog", True), ("pictures/Tabby Cat/1.png", None)]


def test_what_is_wrong_is_told_and_nothing_is_kept(surety, folder, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/list.csv").write_text("image\n../pictures/dog/10.png\n")
    (tmp_path / "labels.csv").write_text("name,label\ncow.png,cow\n")
    (tmp_path / "noise").write_bytes(b"\xff\x00" * 50)
    (tmp_path / "README.md").write_text("# My pictures\n\nThey are mine.\n")
    for arguments, said in (
        (["inner/list.csv"], "line 2"),
        (["nowhere"], "nowhere"),
        (["noise"], "archive"),
        (["README.md"], "README.md is text, and neither a folder nor a zip or tar of pictures"),
        (["README.md"], "line 1, column # my pictures"),
        (["cat.png"], "a single picture, which `surety certify` certifies"),
        ([folder, "--labels", "labels.csv"], "cow.png"),
        ([folder, "--labels", "none.csv"], "none.csv"),
        ([folder, "--rate", "fast"], "600/min"),
        ([folder, "--allocate", "closest"], "target"),
        ([folder, "--sigma", 3], "--sigma"),
        ([folder, "--pilot", 2], "--dry-run"),
        ([folder, "--dry-run", "--pilot-max-cost", 1], "--pilot"),
        ([folder, "--dry-run", "--pilot", 1], "--pilot-max-cost"),
    ):
        ended = surety("jobs", "submit", *arguments)
        assert ended.code == ExitCode.BAD_INPUT, arguments
        assert said in ended.err
    assert json.loads(surety("jobs", "list", "--json").out)["jobs"] == []
    assert submitted(surety, "inner/list.csv", "--outside", *FEW)["pictures"] == 1


def test_a_budget_ends_a_job_and_more_of_it_goes_on(surety, folder, monkeypatch):
    monkeypatch.setenv("SURETY_MAX_RUNS", "1")  # the money ends with the second picture
    job = submitted(surety, folder, *FEW, "--max-cost", 0.055, code=ExitCode.ABSTAINED)
    assert job["by_state"]["unpaid"] >= 1
    assert job["cost_at_most"] <= 0.055
    ended = surety("jobs", "extend", "last", "--max-cost", 0.05)
    assert ended.code == ExitCode.BAD_INPUT
    ended = surety("jobs", "extend", "last")
    assert ended.code == ExitCode.BAD_INPUT
    assert "--max-cost, --target-radius, --max-votes, --alpha, --good-enough, --rate" in ended.err
    ended = surety("jobs", "extend", "last", "--max-cost", 1, "--max-votes", 50)
    assert ended.code == ExitCode.DONE
    assert "is running" in ended.out
    assert "no worker is running" in ended.err
    looks = surety("jobs", "watch", "last", "--json")
    assert looks.code == ExitCode.DONE
    last = json.loads(looks.out.splitlines()[-1])
    assert last["state"] == "finished"
    assert last["progress"]["workers"] >= 0
    assert last["images"] == 3 * 51  # nothing was paid twice


def test_a_retry_that_can_ask_nothing_says_so_and_what_mends_it(surety, folder, monkeypatch):
    monkeypatch.setenv("SURETY_MAX_RUNS", "1")  # the money ends with the second picture

    def refused():
        ended = surety("jobs", "retry", "last")
        assert ended.code == ExitCode.BAD_INPUT
        assert kept().state == "finished"
        return ended.err

    job = submitted(surety, folder, *FEW, "--max-cost", 0.055, code=ExitCode.ABSTAINED)
    assert job["cost_at_most"] == 0.051  # no money for a full call
    said = surety("jobs", "retry", "last").err
    assert "little or nothing can be asked: $0.051 of $0.055 are spent" in said
    assert "extend" in said
    assert "--max-cost" in said
    surety("jobs", "watch", "last")
    ended = surety("jobs", "extend", "last", "--max-cost", 0.051, "--max-votes", 50)
    assert "nothing can be asked" in ended.err  # but what is there already may suffice
    surety("jobs", "watch", "last")
    said = refused()
    assert "nothing can be asked: $0.051 of $0.051 are spent" in said
    assert "extend the job by a larger --max-cost" in said
    submitted(surety, folder, *FEW)
    assert "every picture has its certificate" in refused()
    (folder / "dog" / "readme.txt").write_text("no picture")
    submitted(surety, folder, *FEW, code=ExitCode.ABSTAINED)
    assert "submit it again" in refused()


def test_what_stops_every_picture_ends_the_watching_and_says_why(surety, folder):
    ended = surety("jobs", "submit", folder, *FEW, "--provider", "failing")
    assert ended.code == ExitCode.PROVIDER
    assert "quota of this month is spent" in ended.err
    assert "surety jobs resume" in ended.err
    assert kept().state == "paused"
    assert surety("jobs", "resume", "last").code == ExitCode.DONE
    assert surety("jobs", "pause", "last").code == ExitCode.DONE
    assert surety("jobs", "cancel", "last").code == ExitCode.DONE
    assert surety("jobs", "watch", "last").code == ExitCode.CANCELLED
    assert surety("jobs", "pause", "last").code == ExitCode.BAD_INPUT


def test_delete_asks_first(surety, folder):
    job = submitted(surety, folder, *FEW)
    ended = surety("jobs", "delete", "last")
    assert ended.code == ExitCode.BAD_INPUT
    assert "--yes" in ended.err
    ended = surety("jobs", "delete", "last", "--yes", "--json")
    assert json.loads(ended.out) == {"deleted": job["id"]}
    ended = surety("jobs", "show", job["id"])
    assert ended.code == ExitCode.BAD_INPUT
    assert "surety jobs list" in ended.err
    assert "no job yet" in surety("jobs", "list").err


def test_a_dry_run_names_what_could_not_be_read(surety, folder):
    for number in range(7):
        (folder / f"{number}.txt").write_text("no picture")
    ended = surety("jobs", "submit", folder, *FEW, "--dry-run")
    assert "would fail: 0.txt: it is not a picture of a known format" in ended.err
    assert "would fail: 2 more" in ended.err
    assert "Estimate for 3 pictures" in ended.out
    assert "7 further pictures cannot be read" in ended.out
    (folder / "list.csv").write_text("image\n0.txt\ndog/10.png\n")
    pilot = ("--dry-run", "--pilot", 1, "--pilot-max-cost", 1)
    ended = surety("jobs", "submit", folder / "list.csv", *FEW, *pilot, "--json")
    told = json.loads(ended.out)  # the pilot is of one that can be read
    assert (told["pictures"], told["unreadable"], told["pilot"]["votes"]) == (1, 1, 40)
    assert "would fail: 0.txt" in ended.err
    (folder / "list.csv").write_text("image\n0.txt\n1.txt\n")
    ended = surety("jobs", "submit", folder / "list.csv", *FEW, "--dry-run")
    assert ended.code == ExitCode.BAD_INPUT
    assert "no picture of it can be read" in ended.err


def test_a_dry_run_spends_nothing_and_a_pilot_is_not_paid_for_twice(surety, folder):
    told = json.loads(surety("jobs", "submit", folder, *FEW, "--dry-run", "--json").out)
    assert (told["pictures"], told["basis"]) == (3, "reference")
    assert "Estimate for 3 pictures" in surety("jobs", "submit", folder, *FEW, "--dry-run").out
    assert surety("certificates").out == ""
    pilot = ("--dry-run", "--pilot", 2, "--pilot-max-cost", 1)
    told = json.loads(surety("jobs", "submit", folder, *FEW, *pilot, "--json").out)
    assert (told["basis"], told["pilot"]["pictures"]) == ("pilot", 2)
    assert json.loads(surety("jobs", "list", "--json").out)["jobs"] == []
    assert submitted(surety, folder, *FEW)["images"] == 41  # of the one that it left out
    ended = surety("jobs", "submit", folder, *FEW, *pilot, "--provider", "failing")
    assert ended.code == ExitCode.PROVIDER
    assert "quota" in ended.err


def signalled(condition, number=signal.SIGINT):
    """Send this process a signal once something holds."""

    def wait():
        end = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


SLOW = ("--provider", "slow", "--max-votes", 60, "--no-good-enough")


def test_after_ctrl_c_watch_goes_on_with_it(surety, folder, tmp_path):
    mark = tmp_path / "mark"
    sender = signalled(mark.exists)
    ended = surety("jobs", "submit", folder, *SLOW, "--name", "mine")
    sender.join()
    assert ended.code == ExitCode.CANCELLED
    job = kept()
    assert f"surety jobs watch {job.id}" in ended.err
    assert "nobody works on it now" in ended.err
    assert (job.state, job.counts["working"], job.left) == ("running", 0, 3)
    mark.unlink()
    sender = signalled(mark.exists, signal.SIGTERM)
    assert surety("jobs", "watch", "last").code == ExitCode.CANCELLED
    sender.join()
    mark.unlink()
    ended = surety("jobs", "watch", "last")
    assert ended.code == ExitCode.DONE, ended.err
    assert "3 certified" in ended.out
    assert kept().images == 3 * 61  # no vote was lost, none was paid for twice


def test_ctrl_c_while_it_is_taken_in_waits_for_no_thread_and_leaves_nothing(
    surety, folder, tmp_path
):
    (tmp_path / "other").mkdir()
    other = Command.at(tmp_path / "other")
    os.mkfifo(tmp_path / "labels.csv")
    command = other.start("jobs", "submit", folder, "--labels", tmp_path / "labels.csv", *FEW)
    try:
        with (tmp_path / "labels.csv").open("w"):  # opens once it is read, and brings nothing
            command.send_signal(signal.SIGINT)
            _, said = command.communicate(timeout=PATIENCE)
    finally:
        command.kill()
    assert command.returncode == ExitCode.CANCELLED
    assert "nothing was submitted" in said
    assert json.loads(surety("jobs", "list", "--json").out)["jobs"] == []


def test_a_worker_of_its_own_takes_it_over(surety, folder, tmp_path):
    (tmp_path / "other").mkdir()
    other = Command.at(tmp_path / "other")
    ended = surety("jobs", "submit", folder, *SLOW, "--detach")
    job_id = ended.out.strip()
    assert job_id == kept().id
    assert "no worker is running" in ended.err
    assert kept().counts["waiting"] == 3
    mark = Path(other.environment["STRANGER_MARK"])
    worker = other.start("worker")
    try:
        line = worker.stdout.readline()
        assert os.environ["SURETY_REDIS_URL"] in line
        end = time.monotonic() + PATIENCE
        while not mark.exists():  # else it would be worked on here meanwhile
            assert time.monotonic() < end
            time.sleep(0.02)
        sender = signalled(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
        ended = surety("jobs", "watch", job_id)
        sender.join()
        assert ended.code == ExitCode.CANCELLED
        assert "goes on: workers are at it" in ended.err
        found = json.loads(surety("jobs", "workers", "--json").out)["workers"]
        assert [one["inside"] for one in found] == [False]
        assert found[0]["host"] in surety("jobs", "workers").out
        assert surety("jobs", "watch", job_id, "--no-work").code == ExitCode.DONE
        assert kept().images == 3 * 61
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0


def test_the_live_view_gives_way_to_log_lines_and_to_the_end(surety, folder, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    ended = surety("jobs", "submit", folder, *FEW, "--provider", "failing")
    assert "\x1b[?25l" in ended.err  # the cursor is hidden …
    assert ended.err.rindex("\x1b[?25h") > ended.err.rindex("\x1b[?25l")  # … and shown again
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n", "", ended.err)  # folded at the width, no more
    (logged,) = re.findall(r'\{"job": .*?"a job is paused".*?\}', shown)
    assert json.loads(logged)["job"] == kept().id


def test_the_command_is_quick_to_begin():
    """What jobs need is imported when they are, not by every command."""
    import subprocess

    program = (
        "import sys, service.cli; "
        "print([m for m in ('torch', 'numpy', 'streaq', 'fastapi', 'service.core') "
        "if m in sys.modules])"
    )
    ended = subprocess.run(
        [SURETY[0], "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert ended.stdout.strip() == "[]"


def test_a_job_that_does_not_go_on_says_so_in_the_list(surety, folder):
    surety("jobs", "submit", folder, "--detach", *FEW)
    surety("jobs", "submit", folder, "--detach", *FEW)
    later, first = json.loads(surety("jobs", "list", "--json").out)["jobs"]
    renewed = "the budget of the API key: it is renewed at 2026-12-01 00:00 UTC"
    spent = {"type": "/problems/budget-spent", "title": "t", "detail": renewed}

    async def hold():
        async with Surety.opened(load_settings()) as opened:
            await opened.state.jobs.hold(first["id"], 600, spent)

    asyncio.run(hold())
    listed = " ".join(surety("jobs", "list").out.split())
    assert listed.count("running, waits") == 1
    assert f"{first['id']} waits: {renewed}" in listed
    assert f"{later['id']} waits" not in listed
    shown = " ".join(surety("jobs", "show", first["id"]).out.split())
    assert "running, waits" in shown
    assert f"waits: {renewed}" in shown
