"""What the picture of a certificate says, in words. Everything from outside comes out clean."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from certification.radius import percent
from service.picture_text import clean
from service.render import radius_words, steps_of_255, stop_words

MOST_LABELS = 5
LONGEST_PERCENT = 14
CHECK = (
    "Check it with “surety verify”: the certificate is a JSON document, and the public key is all "
    "that it takes. This page is for people and proves nothing."
)

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Share:
    """One bar of the votes.

    Attributes:
        name: whose it is.
        count: votes.
        kind: "certified", "other", "rest" or "none" (no label).
    """

    name: str
    count: int
    kind: str


def title(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the title, and what it is about."""
    image = document["image"]
    name = image["source"].get("name")
    what = "a picture" if name is None else f"“{clean(name)}”"
    if document["proof"]["abstained"]:
        return "Certification without a Result", what
    return "Certificate of Robustness", what


def answer(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the label as the provider spells it and the radius; None if it abstained."""
    proof = document["proof"]
    if proof["abstained"]:
        return None
    label = proof["label"]
    return clean(document["label_names"].get(label, label)), radius_words(proof["radius"])


def question(document: Mapping[str, Any]) -> str:
    """Return what the label is an answer to, which for yes and no has to be said."""
    rule = document["proof"]["subject"]["rule"]
    labels = [clean(label) for label in rule.get("labels", ())]
    named = labels[0] if len(labels) == 1 else f"one of {', '.join(labels)}"
    if rule["rule"] == "any_of":
        return f"Does {named} score at least {rule['threshold']!r}?"
    if rule["rule"] == "in_top_k":
        return f"Is {named} among the {rule['k']} best labels?"
    return "Answer of the smoothed classifier"


def meaning(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Say in plain sentences what is certified and what is not."""
    proof, image = document["proof"], document["image"]
    confidence, n = _confidence(proof["alpha"]), proof["votes"]["n"]
    if proof["abstained"]:
        return (
            f"After {n:,} {'vote' if n == 1 else 'votes'} no label is certain at a confidence of "
            f"{confidence}. That is an answer too: nothing is promised about this picture, and "
            "there is no radius.",
        )
    if proof["radius"] == 0:
        return (
            f"With a confidence of {confidence} the smoothed classifier answers with this label. "
            "How far the picture may change is not certain yet, so the radius is 0.",
        )
    values = image["width"] * image["height"] * 3
    return (
        "However the picture is changed: as long as the change has a total (L2) size of at most "
        f"{radius_words(proof['radius'])}, the smoothed classifier still answers with this label. "
        f"The confidence is {confidence}.",
        f"Pixel values run from 0 to 1. So all {values:,} values of the {_size(image)} picture may "
        f"move by up to {steps_of_255(proof['radius_linf'])}/255 at once, or a single one by up to "
        f"{steps_of_255(proof['radius'])}/255.",
    )


def shares(document: Mapping[str, Any]) -> tuple[Share, ...]:
    """Return the bars, the longest first, abstentions last."""
    proof, names = document["proof"], document["label_names"]
    counts = sorted(proof["votes"]["counts"].items(), key=lambda item: (-item[1], item[0]))
    bars = [
        Share(
            clean(names.get(key, key)),
            count,
            "certified" if key == proof["label"] and not proof["abstained"] else "other",
        )
        for key, count in counts[:MOST_LABELS]
    ]
    rest = counts[MOST_LABELS:]
    if rest:
        word = "label" if len(rest) == 1 else "labels"
        bars.append(Share(f"{len(rest):,} more {word}", sum(c for _, c in rest), "rest"))
    if proof["votes"]["abstentions"]:
        bars.append(Share("no label", proof["votes"]["abstentions"], "none"))
    return tuple(bars)


def result_facts(document: Mapping[str, Any]) -> Facts:
    """Return the numbers: how certain, from how much, at what price."""
    proof, votes = document["proof"], document["proof"]["votes"]
    facts = [
        ("confidence", f"{_confidence(proof['alpha'])} (α = {proof['alpha']!r})"),
        ("noise", f"σ = {proof['sigma']!r} (values 0 to 1)"),
        ("votes", f"{votes['n']:,}, {votes['abstentions']:,} without a label"),
    ]
    rerolls = proof["subject"].get("rerolls")
    if rerolls is not None:
        facts.insert(
            1, ("re-rolls", f"{rerolls['count']:,}, which spent α = {rerolls['alpha_spent']!r}")
        )
    look = proof["confidence"]["look"]
    if not proof["abstained"] and look is not None:
        facts.append(("set by", f"{look['s']:,} of the first {look['n']:,} votes"))
        linf, l1 = radius_words(proof["radius_linf"]), radius_words(proof["radius_l1"])
        facts.append(("other norms", f"L∞ {linf}, L1 {l1}"))
    facts.append(("stopped", stop_words(proof["stop_reason"], document["request"])))
    truth = document.get("truth")
    if truth is not None:
        verdict = {True: "it agrees", False: "it differs", None: "nothing to compare"}
        facts.append(("label given", f"{verdict[truth['correct']]}: {clean(truth['label'])}"))
    return tuple((name, clean(value)) for name, value in facts)


def origin_facts(document: Mapping[str, Any]) -> Facts:
    """Return where it comes from: picture, denoiser, provider, rule, time."""
    subject, image = document["proof"]["subject"], document["image"]
    provider, source = subject["provider"], image["source"]
    steps = "; ".join(map(str, image["steps"])) or "taken as it is"
    facts = [
        ("provider", str(provider["name"])),
        ("model", str(provider.get("model_version") or "version not told")),
        ("denoiser", f"{subject['denoiser']['name']}, runs on {subject['compute']}"),
        ("rule", _rule(subject["rule"])),
        (
            "picture",
            f"{_size(image)}, from {_size(source)} {source['format']}: {steps}",
        ),
        ("issued", _date(document["created"])),
        ("cost", _cost(document["accounting"])),
    ]
    return tuple((name, clean(value)) for name, value in facts)


def identity(document: Mapping[str, Any], url: str | None) -> Facts:
    """Return the names that tie the picture to the document, and where that is found."""
    proof, signature = document["proof"], document.get("signature")
    signed = "none: this certificate is not signed"
    if signature is not None:
        signed = f"{signature['algorithm']}, key {signature['key_id']}"
    names = [
        ("certificate", document["id"]),
        ("subject", proof["subject_sha256"]),
        ("picture", document["image"]["sha256"]),
        ("signature", signed),
    ]
    if url is not None:
        names.append(("address", url))
    return tuple((name, clean(value)) for name, value in names)


def _confidence(alpha: float) -> str:
    """Write 1 − α; where it would be a long row of nines, as just that."""
    said = percent(alpha)
    return said if len(said) <= LONGEST_PERCENT else f"1 − {alpha!r}"


def _size(of: Mapping[str, Any]) -> str:
    return f"{of['width']}×{of['height']}"


def _rule(rule: Mapping[str, Any]) -> str:
    kind = str(rule["rule"])
    more = {"any_of": "threshold", "in_top_k": "k"}.get(kind)
    labels = ", ".join(map(str, rule.get("labels", ())))
    return kind if more is None else f"{kind}, {more} {rule[more]}: {labels}"


def _cost(accounting: Mapping[str, Any]) -> str:
    calls, cost = accounting["calls"], accounting["cost"]
    said = f"${cost:,.2f}" if cost >= 1 else f"${cost:.4g}"
    said += f", {calls:,} {'call' if calls == 1 else 'calls'}, {accounting['seconds']:,.1f} s"
    if accounting.get("votes_reused"):
        said += f"; {accounting['votes_reused']:,} votes were there already"
    return said


def _date(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d, %H:%M UTC")
    except (ValueError, OverflowError):
        return text
