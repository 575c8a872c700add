"""A report as a CSV table."""

import csv
import io

from service.jobs.results.export_text import cell
from service.usage.counts import Counts
from service.usage.report import Report

COUNTS = tuple(Counts().describe())


def columns(report: Report) -> list[str]:
    """Return the names of a report's columns: what it is by, then what is counted."""
    named = {"day": ["day"], "key": ["key", "name"], "provider": ["provider"]}
    return [column for name in report.asked.by for column in named[name]] + [*COUNTS]


def csv_table(report: Report) -> str:
    """Write a table by RFC 4180 with a head line; see :func:`export_text.cell` for the cells."""
    buffer, names = io.StringIO(newline=""), columns(report)
    writer = csv.writer(buffer)
    writer.writerow(names)
    for line in report.lines:
        told = report.line(line)
        writer.writerow([cell(told[name]) for name in names])
    return buffer.getvalue()
