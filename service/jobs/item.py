"""One picture of a job, as it was handed in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Item:
    """See the module's text.

    Attributes:
        number: its place in the job, from 0.
        name: what the user calls it.
        sha256: of the uploaded bytes; "" for one that could not be read.
        truth: the label that the user holds to be right.
    """

    number: int
    name: str
    sha256: str
    truth: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what `describe` described."""
        return cls(**told)
