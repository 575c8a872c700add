"""Where a ledger ends: one sealed text, so that no part of it can go or change alone."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class End:
    """See the module's text.

    Attributes:
        n: how many votes there are.
        rest: MAC of those behind the last full block (see `chain`).
        sealed: when the noise key was revealed, "" if it was not.
        labels: how many labels the votes stand for.
        names: how many labels have a name.
    """

    n: int
    rest: str
    sealed: str
    labels: int
    names: int

    def text(self) -> str:
        """Return what is sealed."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "End":
        """Read what was sealed."""
        return cls(**json.loads(text))
