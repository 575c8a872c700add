"""A certificate and a prediction as a person wants to read them.

Everything is taken from the JSON document, so one that came over HTTP looks the same as one
made here. Radii are rounded down, and so is whatever is computed from them.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from certification.radius import percent, show
from service.terminal import plain

MOST_LABELS = 5
BAR = 28

STOP_REASONS = {
    "target_reached": "the target radius was reached",
    "hopeless": "stopped early: the {goal} is out of reach",
    "good_enough": "stopped early: more votes would add little to the radius",
    "votes_spent": "the budget of {max_votes} votes was used up",
    "max_cost": "the budget of money was used up",
    "deadline": "the time was up",
    "cancelled": "cancelled; what is said here is certain all the same",
    "complete": "all votes were counted",
}


class Bar:
    """A share; in ASCII where the reader's encoding lacks blocks."""

    def __init__(self, count: int, n: int, colour: str) -> None:
        self._count, self._n, self._colour = count, n, colour

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        full, empty = "#." if options.ascii_only else "█░"
        width = min(BAR, options.max_width)
        length = width * self._count // self._n
        yield Text.assemble((full * length, self._colour), (empty * (width - length), "dim"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, BAR)


def certificate(
    document: Mapping[str, Any],
    picture: str | None = None,
    this_time: Mapping[str, Any] | None = None,
) -> RenderableType:
    """Lay out a certificate.

    Args:
        document: a certificate.
        picture: what the reader calls it, such as its file name.
        this_time: the bill of the run, where the certificate had been issued before.
    """
    proof, names = document["proof"], document["label_names"]
    confidence = percent(proof["alpha"])
    meaning: Sequence[Text]
    if proof["abstained"]:
        head = Text.assemble(("no certificate", "bold yellow"), "  for any label")
        meaning = [
            Text(
                f"After {proof['votes']['n']:,} votes no label is certain at a confidence of "
                f"{confidence}. That is an answer too: nothing is promised about this picture."
            )
        ]
        colour = "yellow"
    else:
        label = plain(names.get(proof["label"], proof["label"]))
        radius = radius_words(proof["radius"])
        head = Text.assemble((label, "bold green"), "   certified L2 radius ", (radius, "bold"))
        meaning = _meaning(document, label, radius, confidence)
        colour = "green"
    facts = fact_table()
    facts.add_row("votes", _votes(proof["votes"], names))
    facts.add_row("confidence", f"{confidence}  (alpha = {_number(proof['alpha'])})")
    facts.add_row("stopped", stop_words(proof["stop_reason"], document["request"]))
    _truth(facts, document)
    _provenance(facts, document, proof["subject"], proof["sigma"])
    facts.add_row("certificate", plain(document["id"]))
    if "signature" in document:
        facts.add_row("signed with", plain(document["signature"]["key_id"]))
    if this_time is not None:
        when = f"issued {document['created'][:16].replace('T', ' ')} UTC"
        facts.add_row("this time", f"{when} already, now {_cost(this_time)}")
    return panel(_title("Certificate", picture), colour, head, Text(), *meaning, Text(), facts)


def prediction(document: Mapping[str, Any], picture: str | None = None) -> RenderableType:
    """Lay out a prediction; `picture` is what the reader calls it, such as its file name."""
    confidence = percent(document["alpha"])
    p_value = f"p-value {document['p_value']:.2g}"
    stopped = stop_words(document["stop_reason"], {}).partition(";")[0]
    if document["n"] < document["n_fixed"]:
        colour, p_value = "yellow", "no p-value before all votes are counted"
        head = Text.assemble(("abstained", "bold yellow"), f"  {stopped}")
        meaning = Text(
            f"{document['n']:,} of {document['n_fixed']:,} votes were counted. Only a majority of "
            "all of them is an answer, since their number was fixed beforehand; however clear it "
            "is until then. The same request again goes on from these votes."
        )
    elif document["abstained"]:
        colour = "yellow"
        head = Text.assemble(("abstained", "bold yellow"), "  no label is clearly ahead")
        meaning = Text(
            f"All {document['n']:,} votes were counted, and no label is far enough ahead of the "
            f"next to be called the answer at a confidence of {confidence}."
        )
    else:
        colour = "green"
        label = plain(document["label_name"])
        head = Text.assemble((label, "bold green"), "   predicted")
        meaning = Text(
            f"With a confidence of {confidence} this is the smoothed classifier's answer: the one "
            "that noisy copies of the picture get most often. No radius is promised; that is what "
            "`surety certify` is for."
        )
    facts = fact_table()
    names = {document["label"]: document["label_name"]} if document["label"] else {}
    facts.add_row("votes", _votes(document, names))
    alpha = _number(document["alpha"])
    facts.add_row("confidence", f"{confidence}  (alpha = {alpha}, {p_value})")
    facts.add_row("stopped", stopped)
    _provenance(facts, document, document["subject"], document["sigma"])
    return panel(_title("Prediction", picture), colour, head, Text(), meaning, Text(), facts)


def radius_words(radius: float) -> str:
    """Write a radius, rounded down; a small one with more decimals, so that it is not 0."""
    return show(radius, 3 if radius == 0 or radius >= 0.01 else 6)


def steps_of_255(radius: float) -> str:
    """Write a change of one value on the 0..255 scale, rounded down; at most 255."""
    change = min(Fraction(255), 255 * Fraction(repr(radius)))
    return show(change, 1 if change >= 1 else 3)


def stop_words(reason: str, request: Mapping[str, Any]) -> str:
    """Say why a run ended."""
    target = request.get("target_radius")
    goal = "majority" if target is None else f"target radius {_number(target)}"
    words = STOP_REASONS.get(reason)
    if words is None:
        return plain(reason)
    said = words.format(goal=goal, max_votes=f"{request.get('max_votes', 0):,}")
    missed = target is not None and reason not in ("target_reached", "hopeless")
    return f"{said}; the {goal} was not reached" if missed else said


def _meaning(
    document: Mapping[str, Any], label: str, radius: str, confidence: str
) -> Sequence[Text]:
    proof, image = document["proof"], document["image"]
    if proof["radius"] == 0:
        sentence = Text(
            f"With a confidence of {confidence} the smoothed classifier answers {label}; how far "
            "the picture may change is not certain yet, so the radius is 0."
        )
        return (sentence,)
    sentence = Text.assemble(
        f"Whatever is done to the {image['width']}×{image['height']} picture below, as long as the "
        f"change has a total (L2) size of at most {radius}, the smoothed classifier still answers "
        f"{label}; confidence {confidence}."
    )
    values = image["width"] * image["height"] * 3
    picture = Text(
        f"The scale: pixel values run from 0 to 1. So all {values:,} values may move by up to "
        f"{steps_of_255(proof['radius_linf'])}/255 at once, or a single one by up to "
        f"{steps_of_255(proof['radius'])}/255.",
        style="dim",
    )
    return sentence, picture


def _votes(votes: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="ellipsis", max_width=24)
    table.add_column()  # like the names it gives way where there is little room
    table.add_column(justify="right", no_wrap=True)
    n = votes["n"]
    ordered = sorted(votes["counts"].items(), key=lambda item: (-item[1], item[0]))
    for key, count in ordered[:MOST_LABELS]:
        _vote_row(table, plain(names.get(key, key)), count, n, "green")
    rest = ordered[MOST_LABELS:]
    if rest:
        word = "label" if len(rest) == 1 else "labels"
        _vote_row(table, f"{len(rest)} more {word}", sum(c for _, c in rest), n, "blue")
    if votes["abstentions"]:
        _vote_row(table, "no label", votes["abstentions"], n, "yellow")
    if n == 0:
        table.add_row(Text("none"))
    return table


def _vote_row(table: Table, name: str, count: int, n: int, colour: str) -> None:
    table.add_row(Text(name, no_wrap=True), Bar(count, n, colour), f"{count:,} of {n:,}")


def _truth(facts: Table, document: Mapping[str, Any]) -> None:
    truth = document.get("truth")
    if truth is None:
        return
    verdict = {
        True: Text("agrees", style="green"),
        False: Text("differs", style="red"),
        None: Text("nothing to compare"),
    }[truth["correct"]]
    facts.add_row("your label", Text(plain(truth["label"]) + ": ") + verdict)


def _provenance(
    facts: Table, document: Mapping[str, Any], subject: Mapping[str, Any], sigma: float
) -> None:
    provider, denoiser = subject["provider"], subject["denoiser"]
    version = provider.get("model_version")
    model = plain(provider["name"]) + (f" ({plain(version)})" if version else "")
    facts.add_row(
        "smoothed",
        Text(f"noise sigma = {_number(sigma)}, denoiser {plain(denoiser['name'])}, model {model}"),
    )
    facts.add_row("cost", _cost(document["accounting"]))
    image = document["image"]
    source = image["source"]
    steps = [plain(step) for step in image["steps"]] or ["taken as it is"]
    # The guarantee holds for the array that came out, not for the file that went in.
    facts.add_row(
        "picture",
        Text(
            f"{image['width']}×{image['height']}, from {source['width']}×{source['height']} "
            f"{plain(source['format'])}: {'; '.join(steps)}"
        ),
    )


def _cost(accounting: Mapping[str, Any]) -> str:
    calls = accounting["calls"]
    parts = [
        f"${accounting['cost']:.4g}",
        f"{calls:,} call{'' if calls == 1 else 's'}",
        f"{accounting['seconds']:.1f} s",
    ]
    if accounting["retries"]:
        parts.append(f"{accounting['retries']:,} asked again")
    if accounting.get("votes_reused"):
        parts.append(f"{accounting['votes_reused']:,} votes reused")
    return " · ".join(parts)


def fact_table() -> Table:
    """Return a table for names and values."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    return table


def _title(what: str, picture: str | None) -> Text:
    return Text(what if picture is None else f"{what} of {plain(picture)}")


def panel(title: Text, colour: str, *parts: RenderableType) -> Panel:
    """Frame what is said about one thing."""
    return Panel(
        Group(*parts),
        title=title,
        title_align="left",
        border_style=colour,
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _number(value: float) -> str:
    return repr(value)
