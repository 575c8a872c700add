"""Decision rules: from a provider's answer to one vote.

A rule is deterministic and part of the subject. `Top1` votes for a label; the others vote
"yes" or "no". None stands for an abstention, which counts in n and for no label.
"""

import functools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from certification.errors import InvalidParameter

YES, NO = "yes", "no"
MOST_LABELS = 1000  # of one rule


@dataclass(frozen=True)
class Prediction:
    """One label of a provider's answer.

    Attributes:
        name: the label as the provider writes it.
        score: its confidence on the provider's own scale, brought to [0, 1] by the adapter.
        id: the provider's stable id of the label, where it has one.
        parents: names of broader labels ("Animal" for "Cat").
    """

    name: str
    score: float
    id: str | None = None
    parents: tuple[str, ...] = ()


def normalise(label: str) -> str:
    """Bring a label to the form in which labels are compared: NFKC, casefold, trimmed."""
    return unicodedata.normalize("NFKC", encodable(label)).casefold().strip()


def encodable(text: str) -> str:
    """Replace lone surrogates, which no JSON document can hold, by question marks."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class LabelMap:
    """Synonyms: which label stands for which ("human" → "person").

    Attributes:
        synonyms: normalised label → normalised label that it counts as.
    """

    synonyms: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, synonyms: Mapping[str, str]) -> "LabelMap":
        """Build from labels as people write them.

        Raises:
            InvalidParameter: if a target is itself mapped on (chains would be ambiguous), or a
                label is empty.
        """
        table: dict[str, str] = {}
        for label, target in synonyms.items():
            known = table.setdefault(normalise(label), normalise(target))
            if known != normalise(target):
                raise InvalidParameter(
                    f"label map: {label!r} is mapped to {known!r} and to {target!r}", "synonyms"
                )
        if not all(table) or not all(table.values()):
            raise InvalidParameter("label map: a label is empty", "synonyms")
        for target in table.values():
            if target in table and table[target] != target:
                raise InvalidParameter(
                    f"label map: {target!r} is mapped to and mapped on", "synonyms"
                )
        return cls(table)

    def key(self, prediction: Prediction) -> str:
        """Return what a prediction is counted as: its mapped name, else its id, else its name.

        One that others are mapped to, by its name or by its id, is counted with them.
        """
        name, id_ = normalise(prediction.name), normalise(prediction.id or "")
        if name in self.synonyms:
            return self.synonyms[name]
        for own in (name, id_):
            if own in self._targets:
                return own
        return encodable(prediction.id) if prediction.id else name

    def shown(self, prediction: Prediction) -> str:
        """Return how people should read it: what it is mapped to, else the provider's spelling."""
        return self.synonyms.get(normalise(prediction.name), encodable(prediction.name))

    def matching(
        self, predictions: Sequence[Prediction], wanted: Sequence[str]
    ) -> Iterator[Prediction]:
        """Yield the predictions that are one of the labels somebody asked for, by name or id.

        Args:
            predictions: an answer, or a part of it.
            wanted: normalised labels.
        """
        asked = {self.synonyms.get(label, label) for label in wanted}
        for prediction in predictions:
            name = normalise(prediction.name)
            if self.synonyms.get(name, name) in asked or (
                prediction.id and normalise(prediction.id) in asked
            ):
                yield prediction

    @functools.cached_property
    def _targets(self) -> frozenset[str]:
        return frozenset(self.synonyms.values())

    def describe(self) -> dict[str, str]:
        """Return the entry of the subject."""
        return dict(sorted(self.synonyms.items()))


def ranked(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Sort by (−score, leaf before parent, name), the one order in which ties are broken."""
    parents = {normalise(p) for prediction in predictions for p in prediction.parents}
    return sorted(
        predictions,
        key=lambda p: (-p.score, normalise(p.name) in parents, normalise(p.name), p.id or ""),
    )


class DecisionRule(Protocol):
    """Turns an answer into a vote, always in the same way."""

    def __call__(self, predictions: Sequence[Prediction], labels: LabelMap) -> str | None:
        """Return the vote: a label's key, "yes" or "no", or None for an abstention."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the entry of the subject."""
        ...


@dataclass(frozen=True)
class Top1:
    """The label with the highest score. An empty answer is an abstention."""

    def __call__(self, predictions: Sequence[Prediction], labels: LabelMap) -> str | None:
        """Vote for the first of :func:`ranked`."""
        best = ranked(predictions)
        return labels.key(best[0]) if best else None

    def describe(self) -> dict[str, Any]:
        """Return the entry of the subject."""
        return {"rule": "top1"}


@dataclass(frozen=True)
class AnyOf:
    """Does any of the labels score at least `threshold`? Votes yes or no.

    Attributes:
        labels: names or ids; kept normalised and sorted.
        threshold: on [0, 1].
    """

    labels: tuple[str, ...]
    threshold: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _checked_labels(self.labels))
        if not 0.0 <= self.threshold <= 1.0:  # also refuses NaN
            raise InvalidParameter("any_of: threshold must lie within 0 and 1", "rule")

    def __call__(self, predictions: Sequence[Prediction], labels: LabelMap) -> str | None:
        """Vote "yes" if a wanted label reaches the threshold; an empty answer is a "no"."""
        likely = [p for p in predictions if p.score >= self.threshold]
        return YES if any(labels.matching(likely, self.labels)) else NO

    def describe(self) -> dict[str, Any]:
        """Return the entry of the subject."""
        return {"rule": "any_of", "labels": list(self.labels), "threshold": self.threshold}


@dataclass(frozen=True)
class InTopK:
    """Is any of the labels among the k best? Votes yes or no."""

    labels: tuple[str, ...]
    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _checked_labels(self.labels))
        if isinstance(self.k, bool) or not isinstance(self.k, int) or not 1 <= self.k <= 1000:
            raise InvalidParameter("in_top_k: k must be a whole number from 1 to 1000", "rule")

    def __call__(self, predictions: Sequence[Prediction], labels: LabelMap) -> str | None:
        """Vote "yes" if a wanted label is among the first k; an empty answer is a "no"."""
        best = ranked(predictions)[: self.k]
        return YES if any(labels.matching(best, self.labels)) else NO

    def describe(self) -> dict[str, Any]:
        """Return the entry of the subject."""
        return {"rule": "in_top_k", "labels": list(self.labels), "k": self.k}


def _checked_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Normalise a rule's labels, sorted and each once."""
    if not labels or not all(isinstance(w, str) and normalise(w) for w in labels):
        raise InvalidParameter(
            "the decision rule needs at least one label, none of them empty", "rule"
        )
    if len(labels) > MOST_LABELS:
        raise InvalidParameter(f"a decision rule takes at most {MOST_LABELS} labels", "rule")
    return tuple(sorted({normalise(w) for w in labels}))


def parse_rule(spec: str | Mapping[str, Any]) -> DecisionRule:
    """Read a rule: "top1", or an object such as {"rule": "any_of", "labels": […], "threshold": t}.

    Raises:
        InvalidParameter: if the rule or one of its fields is unknown, missing or out of range.
    """
    fields = {"rule": spec} if isinstance(spec, str) else dict(spec)
    name = fields.pop("rule", None)
    wanted = {"top1": set(), "any_of": {"labels", "threshold"}, "in_top_k": {"labels", "k"}}.get(
        name if isinstance(name, str) else ""
    )
    if wanted is None:
        raise InvalidParameter("unknown decision rule: use top1, any_of or in_top_k", "rule")
    if set(fields) != wanted:
        raise InvalidParameter(
            f"the rule {name} takes exactly the fields: {', '.join(sorted(wanted)) or 'none'}",
            "rule",
        )
    if name == "top1":
        return Top1()
    labels: Any = fields["labels"]
    if not isinstance(labels, list | tuple):
        raise InvalidParameter("labels must be a list of names", "rule")
    if name == "in_top_k":
        k: Any = fields["k"]
        return InTopK(tuple(labels), k)
    threshold: Any = fields["threshold"]
    if isinstance(threshold, bool) or not (
        isinstance(threshold, int | float) and abs(threshold) <= 1  # before float() overflows
    ):
        raise InvalidParameter("any_of: threshold must be a number within 0 and 1", "rule")
    return AnyOf(tuple(labels), float(threshold))
