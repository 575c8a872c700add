"""The live bar of a run: n, label, radius, votes/s, what is left, money. On standard error."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from service.render import radius_words
from service.terminal import errors, plain


class LiveBar:
    """A context manager; `update` takes the events of one run. Silent where no terminal is.

    Args:
        title: what is being worked on, such as the file's name.
    """

    def __init__(self, title: str) -> None:
        console = errors()
        self._progress = Progress(
            SpinnerColumn("line" if console.options.ascii_only else "dots"),
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        shown = Text(plain(title))
        shown.truncate(28, overflow="ellipsis")
        self._task = self._progress.add_task("", title=shown.plain, status="loading …", total=None)

    def update(self, event: Mapping[str, Any]) -> None:
        """Show where the run stands; `event` is what `Progress.describe` returns."""
        total = event["n"] + event["expected_remaining"]
        self._progress.update(
            self._task, completed=event["n"], total=total or None, status=status(event)
        )

    def note(self, text: str) -> None:
        """Show a word in place of the figures."""
        self._progress.update(self._task, status=text)

    def stop(self) -> None:
        """Give the terminal back, its cursor shown again."""
        self._progress.stop()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def status(event: Mapping[str, Any]) -> str:
    """Write the figures of a progress event; the radius rounded down."""
    parts = [f"{event['n']:,} votes"]
    if event["label"] is not None:
        parts += [plain(event["label"]), f"radius {radius_words(event['radius'])}"]
    elif event["counts"]:
        parts.append(f"{plain(next(iter(event['counts'])))}?")
    if event["votes_per_second"]:
        parts.append(f"{event['votes_per_second']:,.0f}/s")
    if event["expected_remaining"]:
        parts.append(f"about {event['expected_remaining']:,} to go")
    parts.append(f"${event['cost']:.4g}")
    return " · ".join(parts)
