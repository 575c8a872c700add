"""An audit as a person wants to read it: a live bar while it asks, then a panel."""

from collections.abc import Mapping
from decimal import Decimal

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from certification.protocols import Vote
from service.audit_result import CONFIDENCE, Audit
from service.live_bar import LiveBar
from service.terminal import plain

MOST_SHOWN = 20  # differing votes

STOP_REASONS = {
    "max_cost": "the budget of money was used up",
    "cancelled": "cancelled",
    "failed": "the provider could not be asked to the end",
}


class AuditBar(LiveBar):
    """The live bar of an audit."""

    def count(self, asked: int, sample: int, differing: int, cost: Decimal) -> None:
        """Show where the audit stands."""
        words = f"{asked:,} of {sample:,} asked · {differing:,} differ · ${float(cost):.4g}"
        self._progress.update(self._task, completed=asked, total=sample, status=words)


def panel(audit: Audit) -> RenderableType:
    """Lay out what came of an audit."""
    count, counted = len(audit.differences), audit.certificate["proof"]["votes"]["n"]
    asked = f"{audit.asked:,} vote{'' if audit.asked == 1 else 's'}"
    colour = "green"
    if count:
        colour = "yellow" if audit.changed else "red"
    several = f"{count:,} of {asked} differ{'s' if count == 1 else ''}"
    head = Text(several if count else f"none of {asked} differs", style=f"bold {colour}")
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("asked", _asked(audit, counted))
    if count:
        facts.add_row("differing", _differences(audit))
    if audit.asked < counted:
        facts.add_row(
            "bound",
            f"if all {counted:,} were asked about again, at most {_percent(audit.bound)} would "
            f"differ; confidence {CONFIDENCE:.0%}",
        )
    facts.add_row("model", _model(audit))
    facts.add_row("cost", _cost(audit))
    facts.add_row("certificate", plain(audit.certificate["id"]))
    return Panel(
        Group(head, Text(), facts),
        title=Text("Audit"),
        title_align="left",
        border_style=colour,
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _asked(audit: Audit, counted: int) -> str:
    if audit.asked == counted:
        return f"all {counted:,} counted votes"
    whole = audit.asked == audit.sample
    drawn = f"{audit.asked:,}" if whole else f"{audit.asked:,} of {audit.sample:,} that were drawn"
    words = f"{drawn} from {counted:,} counted votes, at random with seed {audit.seed}"
    if audit.stop_reason in STOP_REASONS:
        words += f"; {STOP_REASONS[audit.stop_reason]}"
    return words


def _differences(audit: Audit) -> Table:
    names: Mapping[str, str] = audit.certificate["label_names"]
    table = Table(box=None, show_header=True, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("sample", justify="right")
    for heading in ("then", "now"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for found in audit.differences[:MOST_SHOWN]:
        now = names if found.now_name is None else {found.now or "": found.now_name, **names}
        table.add_row(str(found.index), _name(found.then, names), _name(found.now, now))
    more = len(audit.differences) - MOST_SHOWN
    if more > 0:
        table.add_row("…", f"{more:,} more", "")
    return table


def _name(vote: Vote, names: Mapping[str, str]) -> Text:
    if vote is None:
        return Text("no label", style="yellow")
    return Text(plain(names.get(vote, vote)))


def _model(audit: Audit) -> Text:
    name = plain(audit.certificate["proof"]["subject"]["provider"]["name"])
    then = plain(audit.version_then or "not told")
    if not audit.changed:
        return Text(f"{name}, version then and now: {then}")
    now = ", ".join(plain(version) for version in audit.versions) or "not told"
    words = f"{name}, version then: {then}, now: {now}"
    meaning = (
        "\nThe model has changed. The certificate is about the one of then, and about no other."
    )
    return Text.assemble(words, (meaning, "yellow"))


def _cost(audit: Audit) -> str:
    bill = audit.accounting
    calls, retries = bill["calls"], bill["retries"]
    parts = [f"${bill['cost']:.4g}", f"{calls:,} call{'' if calls == 1 else 's'}"]
    parts.append(f"{bill['seconds']:.1f} s")
    if retries:
        parts.append(f"{retries:,} asked again")
    return " · ".join(parts)


def _percent(share: float) -> str:
    """Write a share; never less than it is."""
    hundredths = -(-round(share * 10**6) // 100)
    return f"{hundredths / 100:g}%"
