"""From a provider's answer to a vote and the words for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from certification.canary import is_canary
from certification.decision import DecisionRule, LabelMap
from certification.protocols import Answer, Refusal, Vote


@dataclass(frozen=True)
class Spoken:
    """A vote, and how the provider writes its label."""

    vote: Vote
    name: str | None = None


def spoken(answer: Answer | Refusal, rule: DecisionRule, labels: LabelMap) -> Spoken:
    """Apply the decision rule; a refusal is an abstention."""
    if isinstance(answer, Refusal):
        return Spoken(None)
    vote = rule(answer.predictions, labels)
    named = (labels.shown(p) for p in answer.predictions if labels.key(p) == vote)
    return Spoken(vote, next(named, None))


def is_other_version(answer: Answer | Refusal, expected: str | None) -> bool:
    """Tell whether another model answered; a refusal need not say which one refuses.

    Under a canary no answer names a version: the canary itself tells.
    """
    silent = answer.model_version is None
    if silent and (isinstance(answer, Refusal) or is_canary(expected)):
        return False
    return answer.model_version != expected


def names(votes: Sequence[Spoken]) -> dict[str, str]:
    """Return label key → the first spelling in index order."""
    return {s.vote: s.name for s in reversed(votes) if s.vote is not None and s.name is not None}
