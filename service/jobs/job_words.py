"""What a terminal is told about a job, in few words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.jobs.job import Job
from service.jobs.results.report_words import counted, duration, money
from service.problem_kinds import BUDGET_SPENT
from service.terminal import plain

if TYPE_CHECKING:
    from service.jobs.following import Look  # slow to import

COLOURS: Mapping[str, str] = {
    "done": "green",
    "failed": "red",
    "unpaid": "yellow",
    "cancelled": "magenta",
    "working": "blue",
    "waiting": "dim",
}
"""Of the pictures' states, in the order of the bar."""


def title(job: Job) -> str:
    """Name a job."""
    return f"{plain(job.spec.name)} ({job.id})" if job.spec.name else job.id


def progress(job: Job) -> str:
    """Tell how many pictures have ended, and how."""
    ended = job.count - job.left
    parts = [f"{ended:,} of {counted(job.count, 'picture')}"]
    parts += [f"{job.counts[s]:,} {s}" for s in ("failed", "unpaid", "cancelled") if job.counts[s]]
    return ", ".join(parts)


def spent(job: Job) -> str:
    """Tell the money: what was answered, what it may be at most, and the cap."""
    words = money(job.cost)
    if job.cost_at_most > job.cost:
        words += f" ({money(job.cost_at_most)} with calls in flight)"
    cap = job.spec.max_cost
    return words if cap is None else f"{words} of {money(cap)}"


def left(pace: Mapping[str, Any]) -> str | None:
    """Tell the time that is left, None if that is not known."""
    seconds = pace.get("seconds_left")
    if seconds is None:
        return None
    end = " until the money ends" if pace.get("seconds_left_from") == "max_cost" else " left"
    return f"about {duration(float(seconds))}{end}"


def gone(job: Job, now: datetime | None = None) -> str:
    """Tell the time since a job was submitted, or from then to its end."""
    end = datetime.fromisoformat(job.ended) if job.ended else now or datetime.now(UTC)
    return duration(max(0.0, (end - datetime.fromisoformat(job.created)).total_seconds()))


def why_not(look: "Look") -> str | None:
    """Say why a job does not go on by itself, None if it does."""
    job = look.job
    if look.away:
        return "the store does not answer; the job goes on once it is back"
    if (why := hindered(job)) is not None:
        return why
    if job.state == "paused":
        return f"paused; `surety jobs resume {job.id}` goes on with it"
    if job.state == "running" and not look.workers:
        return _nobody(look)
    return None


def standing(job: Job) -> str:
    """Tell a job's state, and whether it goes on now, in few words."""
    if job.state != "running" or job.problem is None:
        return job.state
    return f"running, {_held(job.problem)}"


def hindered(job: Job) -> str | None:
    """Say what a job has met with that keeps it from going on, None if nothing has."""
    if job.problem is None:
        return None
    told = plain(job.problem.get("detail") or job.problem.get("title"))
    return f"{'paused' if job.state == 'paused' else _held(job.problem)}: {told}"


def _held(problem: Mapping[str, Any]) -> str:
    # A budget may be renewed next month only: its own words say when.
    return "waits" if problem.get("type") == BUDGET_SPENT.type else "held back for a moment"


def _nobody(look: "Look") -> str:
    if look.helps:
        return "no worker is there: this command gets ready to work on it"
    if look.able is not False:
        return "no worker is there yet"
    needed = look.job.spec.compute
    return f"waits for a worker of the compute type {needed}, which this machine cannot be"


def asks(job: Job) -> str:
    """Tell what a job asks for, in one line."""
    given = job.spec.arguments
    parts = [plain(given["provider"]), f"sigma {given['sigma']:g}"]
    if given.get("target_radius") is not None:
        parts.append(f"target radius {given['target_radius']:g}")
    parts.append(f"up to {given['max_votes']:,} votes")
    if job.spec.rate is not None:
        parts.append(f"{job.spec.rate:g}/s")
    if job.spec.priority != "normal":
        parts.append(f"priority {job.spec.priority}")
    if job.spec.allocation != "in_order":
        parts.append(f"allocation {job.spec.allocation}")
    return ", ".join(parts)


def line(look: "Look") -> str:
    """Tell where a job stands in one line, for where no terminal is."""
    job, pace = look.job, look.pace
    parts = [progress(job)]
    if job.state != "running":
        parts.append(job.state)
    if pace.get("images_per_second"):
        parts.append(f"{pace['images_per_second']:,.3g} images/s")
    if pace.get("throttled_per_second"):
        parts.append(f"{pace['throttled_per_second']:,.2g} throttled/s")
    parts.append(spent(job))
    if (time := left(pace)) is not None:
        parts.append(time)
    if (why := why_not(look)) is not None:
        parts.append(why)
    return " · ".join(parts)
