"""How fast a job goes over all workers, and how long it will still take, as seen from outside."""

from collections import deque
from typing import Any

from service.jobs.job import Job

WINDOW = 20.0  # seconds that a rate is a mean over


class Pace:
    """Looks at a job again and again."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def after(self, job: Job, now: float) -> dict[str, Any]:
        """Return what can be said after one more look.

        Args:
            job: as it stands.
            now: in seconds, of any steady clock.

        Returns:
            images_per_second; throttled_per_second; seconds_left, an estimate that is None while
            there is nothing to go by; seconds_left_from, what it rests on: "pictures", what those
            took that have ended, or "max_cost", where the money ends before.
        """
        seen = self._seen
        if seen and job.images < seen[-1][1]:
            seen.clear()  # another job, by its figures
        seen.append((now, job.images, job.throttled))
        while seen[0][0] < now - WINDOW:
            seen.popleft()
        began, images, throttled = seen[0]
        seconds = now - began
        rate = (job.images - images) / seconds if seconds else 0.0
        left, source = _left(job, rate) if job.state == "running" else (None, None)
        return {
            "images_per_second": round(rate, 2),
            "throttled_per_second": round((job.throttled - throttled) / seconds, 2)
            if seconds
            else 0.0,
            "seconds_left": None if left is None else round(left),
            "seconds_left_from": source,
        }


def _left(job: Job, rate: float) -> tuple[float | None, str | None]:
    ended = job.counts["done"]  # what could not even be read says nothing about the others
    if not rate or not ended:
        return None, None
    pictures = job.left * (job.images / ended) / rate
    cap = job.spec.max_cost
    if cap is not None and job.cost > 0:
        money = max(0.0, cap - job.cost) / (job.cost / job.images * rate)
        if money < pictures:
            return money, "max_cost"
    return pictures, "pictures"
