"""The parts of a report, each a piece of HTML; all that comes from outside is escaped here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from service.jobs.results import report_tables as tables
from service.jobs.results.gathering import Gathered
from service.jobs.results.origin import Origin
from service.jobs.results.report_bars import bars, histogram
from service.jobs.results.report_curve import Line, curve_chart
from service.jobs.results.report_words import (
    counted,
    date,
    duration,
    moment,
    money,
    percent,
    stopped,
    told,
)
from service.jobs.rows import Row

MOST_FREE = 1e-12  # US dollars


def heading(job: Mapping[str, Any], now: datetime) -> str:
    """Write what the job is called and where it stands."""
    named = told(job.get("name") or f"Job {job['id']}")
    ended = moment(job.get("ended"))
    end = f", ended {date(ended)}" if ended else ""
    problem = job.get("problem") or {}
    halted = f'<p class="no">{told(problem["title"])}</p>' if problem.get("title") else ""
    return (
        f'<h1>{named}</h1><p class="soft">Certified robustness · job {told(job["id"])}, '
        f"{told(job['state'])}<br>Submitted {date(moment(job.get('created')))}{end}; "
        f"report of {date(now)}</p>{halted}"
    )


def headline(job: Mapping[str, Any], seen: Gathered, now: datetime) -> str:
    """Write the figures that one looks for first."""
    done = seen.counts["done"]
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(seen.counts.items()))
    tiles = [
        ("pictures", f"{seen.pictures:,}", states),
        ("certified", f"{seen.certified:,}", percent(seen.certified, seen.judged) + " of judged"),
        ("abstained", f"{seen.abstained:,}", "no label is certain"),
        ("failed", f"{seen.counts['failed']:,}", _unpaid(seen)),
        ("votes", f"{seen.votes:,}", f"{seen.votes / done:,.0f} a picture" if done else ""),
        ("calls", f"{job.get('calls', seen.calls):,}", f"{seen.retries:,} asked again"),
        ("cost", money(job.get("cost", seen.cost)), _at_most(job)),
        ("time", _elapsed(job, now), f"{duration(seen.seconds)} of all pictures together"),
    ]
    target = (job.get("arguments") or {}).get("target_radius")
    if target is not None:
        reach = seen.reach(target)
        share = percent(reach, seen.judged) + " of judged"
        tiles.insert(2, (f"reach {target:g}", f"{reach:,}", share))
    if seen.truths:
        right = f"{percent(seen.correct, seen.truths)} of those with a true label"
        tiles.insert(2, ("certified and right", f"{seen.correct:,}", right))
        tiles.insert(
            3, ("certified, but wrong", f"{seen.wrong:,}", "the label is not the true one")
        )
    written = "".join(
        f'<div class="tile"><b>{value}</b><span>{name}</span><small>{more}</small></div>'
        for name, value, more in tiles
    )
    return f'<section class="tiles">{written}</section>'


def accuracy(seen: Gathered) -> str:
    """Draw the curve with its band, and say what it is about."""
    lines, notes = [], []
    right = seen.accuracy
    if right is not None:
        lines.append(Line(f"right and certified, {counted(right.total, 'picture')}", right))
        title = "Certified accuracy"
        notes.append(
            f"Share of {counted(right.total, 'picture')} whose certified label is the true one, "
            "with a radius of at least r."
        )
    else:
        title = "Share certified"
        notes.append("No true labels are known, so this is not accuracy: wrong labels count too.")
    if right is None or right.total < seen.judged:
        every = seen.share_certified
        lines.append(Line(f"certified, all {counted(every.total, 'picture')}", every))
    if right is not None and right.total < seen.judged:
        without = counted(seen.judged - right.total, "picture")
        notes.append(f"{without} without a true label: in the second curve, not in the first.")
    notes.append(
        "Abstentions, failures and pictures that the money did not reach count as not certified."
    )
    if seen.left_out:
        verb = "is" if seen.left_out == 1 else "are"
        notes.append(
            f"{counted(seen.left_out, 'picture')} waiting, in work or cancelled {verb} left out."
        )
    notes.append(
        "Band: 95 % at each radius (Clopper–Pearson), as for pictures drawn at random from many."
    )
    if not any(line.curve.total for line in lines):
        return f"<h2>{title}</h2><p>No picture is judged yet.</p>{_caption(notes[-2:-1])}"
    table = tables.shares([(line.name, line.curve) for line in lines], "")
    return (
        f'<h2>{title}</h2><figure class="wide">{curve_chart(lines, title)}{_caption(notes)}'
        f"</figure>{table}"
    )


def charts(seen: Gathered) -> str:
    """Draw the distributions of radii, votes and cost, and the stop reasons."""
    drawn = []
    certified = {"certified": ("good", seen.radii)}
    if seen.truths:
        certified = {"certified": ("good", seen.radii), "but wrong": ("bad", seen.wrong_radii)}
    if seen.certified:
        wrong = ", wrong labels in orange on top" if seen.wrong else ""
        note = f"{counted(seen.certified, 'certified picture')}{wrong}."
        chart = histogram(certified, "certified L2 radius", lambda r: f"{r:g}", even=True)
        drawn.append(_figure("Radii", chart, note))
    if seen.stop_reasons:
        entries = [(stopped(kind), count) for kind, count in seen.stop_reasons.most_common()]
        note = "Of all pictures with a certificate, abstentions included."
        drawn.append(_figure("Why the votes ended", bars(entries, "Stop reasons"), note))
    votes = seen.votes_each
    if len(votes):
        note = _spread("votes a picture", votes, lambda value: f"{value:,.0f}")
        chart = histogram({"pictures": ("good", votes)}, "votes per picture", _whole)
        drawn.append(_figure("Votes", chart, note))
    costs = seen.costs_each
    if len(costs) and costs.max() > MOST_FREE:
        note = _spread("a picture", costs, money)
        chart = histogram({"pictures": ("good", costs)}, "US dollars per picture", _dollars)
        drawn.append(_figure("Cost", chart, note))
    elif len(costs):
        drawn.append("<figure><h2>Cost</h2><p>This provider's calls cost nothing.</p></figure>")
    return f'<section class="charts">{"".join(drawn)}</section>' if drawn else ""


def pictures(seen: Gathered, thumbnails: tables.Thumbnails) -> str:
    """Write the best, the worst and the failed."""
    best, worst, failed = seen.best.rows(), seen.shown_worst(), seen.failed.rows()
    parts = []
    if best:
        right = "rightly certified " if seen.truths else ""
        about = f"The largest radii of {right}pictures."
        parts.append(_section("Best", about, tables.pictures(best, thumbnails)))
    if worst:
        about = "Abstentions, then the smallest radii."
        if seen.truths:
            about = "Certified with a wrong label, the largest radius first; then abstentions, "
            about += "then the smallest radii."
        parts.append(_section("Worst", about, tables.pictures(worst, thumbnails)))
    if failed:
        about = (
            f"{_first(failed, seen.counts['failed'])}{tables.counts(seen.problems.most_common())}."
        )
        parts.append(_section("Failed", about, tables.failures(failed, thumbnails)))
    return "".join(parts)


def configuration(job: Mapping[str, Any], seen: Gathered, origin: Origin, alpha: float) -> str:
    """Write what the figures were made with, and what α means for so many pictures."""
    done = seen.counts["done"]
    arguments = dict(job.get("arguments", {}))
    entries = [
        ("software", _each(origin.software)),
        ("provider, model version", _each(map(": ".join, origin.providers))),
        (
            "denoiser, SHA-256 of its weights",
            "<br>".join(
                f"{told(name)} <code>{told(digest or 'no weights')}</code>"
                for name, digest in origin.denoisers
            ),
        ),
        ("compute type", told(job.get("compute", "")) or _each(origin.computes)),
        ("decision rule", _each(origin.rules)),
        (
            "α",
            f"{alpha!r}: each certificate is false with a probability of at most {alpha!r}, "
            f"however the votes fall. So among {counted(done, 'picture')} up to N·α = "
            f"{done * alpha:.3g} false certificates are to be expected at worst.",
        ),
        *((told(name), _value(value)) for name, value in arguments.items() if name != "alpha"),
        *((told(key), _value(job.get(key))) for key in _CHOICES if key in job),
    ]
    looked = counted(origin.certificates, "certificate")
    about = f"Versions as they stand on {looked} of this job." if origin.certificates else ""
    rows = [(name, value) for name, value in entries if value]
    return _section("Configuration", about, tables.facts(rows))


_CHOICES = ("max_cost", "rate", "priority", "allocation")


def _section(title: str, about: str, content: str) -> str:
    return f'<section><h2>{title}</h2><p class="soft">{about}</p>{content}</section>'


def _figure(title: str, chart: str, note: str) -> str:
    return f"<figure><h2>{title}</h2>{chart}<figcaption>{escape(note)}</figcaption></figure>"


def _caption(notes: Sequence[str]) -> str:
    return f"<figcaption>{escape(' '.join(notes))}</figcaption>"


def _unpaid(seen: Gathered) -> str:
    unpaid = seen.counts["unpaid"]
    return f"{unpaid:,} more not paid for" if unpaid else ""


def _at_most(job: Mapping[str, Any]) -> str:
    most, cost, cap = job.get("cost_at_most"), job.get("cost"), job.get("max_cost")
    said = [] if most is None or most == cost else [f"{money(most)} if lost calls are billed"]
    return ", ".join([*said, *([] if cap is None else [f"cap {money(cap)}"])])


def _elapsed(job: Mapping[str, Any], now: datetime) -> str:
    begun = moment(job.get("created"))
    if begun is None:
        return "–"
    return duration(max(0.0, ((moment(job.get("ended")) or now) - begun).total_seconds()))


def _spread(what: str, values: Any, say: Any) -> str:  # noqa: ANN401
    middle, mean = float(sorted(values)[len(values) // 2]), float(values.mean())
    return f"Median {say(middle)}, mean {say(mean)}, most {say(float(values.max()))} {what}."


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _dollars(value: float) -> str:
    return f"${value:,.6g}"


def _first(failed: Sequence[Row], count: int) -> str:
    return f"The first {len(failed)} of {count:,}. " if count > len(failed) else ""


def _each(values: Any) -> str:  # noqa: ANN401
    return "<br>".join(map(told, values))


def _value(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return "<br>".join(f"{told(key)}: {told(each)}" for key, each in list(value.items())[:50])
    if isinstance(value, list | tuple):
        return told(", ".join(map(str, value)))
    return told(value)
