"""A job as one page for a browser: nothing is loaded from anywhere, and no script runs."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from certification.options import Options
from service.jobs.results import report_parts as parts
from service.jobs.results.gathering import Gathered
from service.jobs.results.origin import Origin
from service.jobs.results.report_style import PAGE_CSS, POLICY
from service.jobs.results.report_words import told

Thumbnail = Callable[[int], Awaitable[bytes | None]]
"""From the number of a picture to a PNG of at most 96 pixels a side; None if there is none."""


async def report_page(
    job: Mapping[str, Any],
    seen: Gathered,
    origin: Origin,
    thumbnail: Thumbnail,
    *,
    now: datetime | None = None,
) -> str:
    """Write the report of a job.

    Args:
        job: what :meth:`service.jobs.job.Job.describe` says.
        seen: the rows of the job, see :meth:`Gathered.of`.
        origin: where its certificates come from, from some or all of them.
        thumbnail: called for the pictures that are shown only, at most 36.
        now: the time of the report.

    Returns:
        HTML; it may be served with the header :data:`service.jobs.results.report_style.POLICY`.
    """
    now = now or datetime.now(UTC)
    shown = [*seen.best.rows(), *seen.shown_worst(), *seen.failed.rows()]
    thumbnails = {row.number: await thumbnail(row.number) or b"" for row in shown}
    body = [
        parts.heading(job, now),
        parts.headline(job, seen, now),
        parts.accuracy(seen),
        parts.charts(seen),
        parts.pictures(seen, thumbnails),
        parts.configuration(job, seen, origin, alpha_of(job, origin)),
    ]
    return page(f"Report of {job.get('name') or job['id']}", "".join(body))


def alpha_of(job: Mapping[str, Any], origin: Origin) -> float:
    """Return the error level of a job's certificates, the largest if there are several."""
    asked = job.get("arguments", {}).get("alpha")
    return max(origin.alphas, default=Options.alpha if asked is None else float(asked))


def page(title: str, body: str) -> str:
    """Return an HTML page.

    Args:
        title: any text.
        body: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{told(title)}</title><style>{PAGE_CSS}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
