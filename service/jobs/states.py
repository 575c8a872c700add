"""States of a job, what each action needs, and where it leads.

    reading ──► running ◄──► paused
                │  ▲ │         │
                │  │ └────┬────┘
                ▼  │      ▼
             finished ◄─ cancelled         (retry and extend lead from both to running)

`reading`: the upload is being taken in; a job whose upload broke off is deleted.
`finished`: every picture has ended. What is not `reading` can be deleted.
"""

from collections.abc import Mapping
from typing import Literal, get_args

JobState = Literal["reading", "running", "paused", "finished", "cancelled"]
PictureState = Literal["waiting", "working", "done", "failed", "unpaid", "cancelled"]
Action = Literal["start", "pause", "resume", "cancel", "retry", "extend", "delete"]

JOB_STATES: tuple[JobState, ...] = get_args(JobState)
PICTURE_STATES: tuple[PictureState, ...] = get_args(PictureState)

FROM: Mapping[Action, tuple[JobState, ...]] = {
    "start": ("reading",),
    "pause": ("running",),
    "resume": ("paused",),
    "cancel": ("running", "paused"),
    "retry": ("finished", "cancelled"),
    "extend": ("finished", "cancelled"),
    "delete": ("paused", "finished", "cancelled"),
}
"""In which states an action is allowed."""

TO: Mapping[Action, JobState] = {
    "start": "running",
    "pause": "paused",
    "resume": "running",
    "cancel": "cancelled",
    "retry": "running",
    "extend": "running",
}
"""Which state it leads to; a deleted job has none."""

AGAIN: Mapping[Action, tuple[PictureState, ...]] = {
    "retry": ("failed", "unpaid", "cancelled"),
    "extend": ("done", "failed", "unpaid", "cancelled"),
}
"""Which pictures are asked about again. One whose votes already say all costs nothing."""


def actions(state: JobState) -> list[Action]:
    """Return what can be done with a job in a state, but for its start."""
    return [action for action, states in FROM.items() if state in states and action != "start"]
