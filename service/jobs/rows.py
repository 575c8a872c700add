"""What a job says about one picture: the row of all its tables."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

State = Literal["waiting", "working", "done", "failed", "unpaid", "cancelled"]
STATES: tuple[State, ...] = ("waiting", "working", "done", "failed", "unpaid", "cancelled")


@dataclass(frozen=True)
class Row:
    """One picture of a job and what came of it.

    Attributes:
        number: its place in the job, from 0.
        name: path inside the archive, or as the manifest calls it.
        sha256: of the uploaded bytes, in hex; "" for a picture that could not be read.
        state: where it stands.
        truth: the true label, where it is known.
        label: the certified label; None while there is none, and where it abstained.
        abstained: whether the certificate certifies nothing; None without a certificate.
        radius: certified L2 radius, pixel values from 0 to 1; 0.0 where it abstained.
        correct: whether the label is the true one; None without a truth, False where it abstained.
        n: votes that the certificate counts.
        abstentions: how many of them name no label.
        calls: to the provider, over all attempts.
        retries: calls that asked again for what had failed.
        images: pictures sent, the clean one included.
        cost: US dollars, over all attempts.
        stop_reason: why the votes ended.
        certificate: its id.
        problem: type, title and detail (RFC 9457) of what went wrong.
        seconds: of work, over all attempts.
    """

    number: int
    name: str
    sha256: str
    state: State
    truth: str | None = None
    label: str | None = None
    abstained: bool | None = None
    radius: float | None = None
    correct: bool | None = None
    n: int = 0
    abstentions: int = 0
    calls: int = 0
    retries: int = 0
    images: int = 0
    cost: float = 0.0
    stop_reason: str | None = None
    certificate: str | None = None
    problem: Mapping[str, Any] | None = None
    seconds: float = 0.0

    def describe(self) -> dict[str, Any]:
        """Return JSON values, all members, in the order above."""
        told = {name: getattr(self, name) for name in COLUMNS}
        if self.problem is not None:
            told["problem"] = dict(self.problem)
        return told

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Row":
        """Rebuild the row that :meth:`describe` told.

        Raises:
            TypeError: if a member is missing that has no default, or there is one too many.
        """
        return cls(**told)


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Row))
