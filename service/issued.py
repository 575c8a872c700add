"""What a run ends with."""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Issued:
    """A certificate or a prediction, and the bill of the run that ended with it.

    Attributes:
        document: the one that is kept. A certificate that was issued before, for the same
            request, stays the same, with the bill of that time.
        accounting: calls, retries and cost of this run.
        again: whether it had been issued before.
    """

    document: Document
    accounting: Document
    again: bool = False
