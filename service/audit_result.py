"""What came of an audit, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from certification.clopper_pearson import rejects
from certification.protocols import Vote
from service.issued import Document

CONFIDENCE = 0.95  # of the bound

StopReason = Literal["complete", "max_cost", "cancelled", "failed"]


@dataclass(frozen=True)
class Difference:
    """A vote that is another one now.

    Attributes:
        index: of the sample.
        then: as the ledger holds it.
        now: as the provider votes today.
        now_name: how the provider writes that.
    """

    index: int
    then: Vote
    now: Vote
    now_name: str | None = None


@dataclass(frozen=True)
class Audit:
    """See the module's text.

    Attributes:
        certificate: what was audited.
        seed: that the samples were drawn with.
        sample: how many were drawn.
        asked: how many of them have an answer.
        differences: in the order of their indices.
        versions: model versions that answered; a canary stands for one that is not told.
        changed: whether another model answered than then.
        stop_reason: why it ended.
        accounting: calls, retries and cost.
        error: what kept the provider from being asked to the end.
    """

    certificate: Document
    seed: int
    sample: int
    asked: int
    differences: Sequence[Difference]
    versions: Sequence[str]
    changed: bool
    stop_reason: StopReason
    accounting: Document
    error: Exception | None = None

    @property
    def version_then(self) -> str | None:
        """The model version of the certificate."""
        version: str | None = self.certificate["proof"]["subject"]["provider"]["model_version"]
        return version

    @property
    def bound(self) -> float:
        """The share of the counted votes that would differ is at most this, in all likelihood."""
        return upper_bound(len(self.differences), self.asked)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        proof = self.certificate["proof"]
        return {
            "certificate": self.certificate["id"],
            "provider": proof["subject"]["provider"]["name"],
            "check": self._check(),
            "seed": self.seed,
            "counted": proof["votes"]["n"],
            "sample": self.sample,
            "asked": self.asked,
            "differing": len(self.differences),
            "differences": [
                {"index": found.index, "then": found.then, "now": found.now}
                for found in self.differences
            ],
            "bound": {"share": self.bound, "confidence": CONFIDENCE},
            "model_version": {
                "then": self.version_then,
                "now": list(self.versions),
                "changed": self.changed,
            },
            "stop_reason": self.stop_reason,
            "problem": None if self.error is None else str(self.error),
            "accounting": self.accounting,
        }

    def _check(self) -> dict[str, str]:
        """Return the level `provider`, as `surety verify` tells the others."""
        count = len(self.differences)
        if not count:
            status, detail = "passed", f"none of {self.asked} votes that were asked again differs"
        else:
            status, detail = "failed", f"{count} of {self.asked} votes that were asked again differ"
        if count and self.changed:
            status = "not checked"
            detail += ", but another model answers by now, which says nothing about those of then"
        return {"level": "provider", "status": status, "detail": detail}


def upper_bound(differing: int, asked: int, confidence: float = CONFIDENCE) -> float:
    """Return an upper bound on a share, after Clopper and Pearson.

    Asking about the votes of a certificate without replacement makes it hold all the more.

    Args:
        differing: of those asked about.
        asked: drawn at random, at least 1.
        confidence: probability that the bound is right, in (0, 1).

    Returns:
        The least share that is rejected, rounded up to 6 decimals.
    """
    if differing >= asked:
        return 1.0
    low, high = 0, 10**6
    while high - low > 1:
        middle = (low + high) // 2
        # "At least this share differs": then so many agree with a probability of at most …
        if rejects(asked - differing, asked, middle / 10**6, 1.0 - confidence):
            high = middle
        else:
            low = middle
    return high / 10**6
