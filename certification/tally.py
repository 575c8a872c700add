"""What a run feeds its votes to: a confidence process with stop rules, or a plain count.

Both answer the engine's two questions: which of these votes count, and how many more are needed.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from certification.confidence import ConfidenceProcess
from certification.protocols import Vote
from certification.stopping import StopRule, first_stop, votes_needed


class Tally(Protocol):
    """Counts votes until it has seen enough."""

    @property
    def n(self) -> int:
        """Votes counted."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Votes by label."""
        ...

    @property
    def abstentions(self) -> int:
        """Votes for no label."""
        ...

    @property
    def label(self) -> str | None:
        """Label certified so far."""
        ...

    @property
    def z(self) -> float:
        """Radius certified so far, in units of sigma."""
        ...

    def feed(self, votes: Sequence[Vote]) -> tuple[int, str | None]:
        """Count votes up to the first n at which a stop rule holds.

        Returns:
            How many of them were counted, and why to stop (None to go on).
        """
        ...

    def needed(self) -> int:
        """Return how many further votes the present rate still needs; 1 or more."""
        ...


class CertifyTally:
    """A confidence process with the rules that may stop it."""

    def __init__(self, process: ConfidenceProcess, rules: Sequence[StopRule]) -> None:
        self.process, self._rules = process, rules

    @property
    def n(self) -> int:
        """Votes counted."""
        return self.process.n

    @property
    def counts(self) -> Mapping[str, int]:
        """Votes by label."""
        return self.process.counts

    @property
    def abstentions(self) -> int:
        """Votes for no label."""
        return self.process.abstentions

    @property
    def label(self) -> str | None:
        """Label certified so far."""
        return self.process.label

    @property
    def z(self) -> float:
        """Radius certified so far, in units of sigma."""
        return self.process.z

    def feed(self, votes: Sequence[Vote]) -> tuple[int, str | None]:
        """Look after every vote; see :meth:`Tally.feed`."""
        return first_stop(self.process, votes, self._rules)

    def needed(self) -> int:
        """See :meth:`Tally.needed`."""
        return votes_needed(self.process, self._rules)


class FixedTally:
    """Counts to one n that was fixed beforehand, and looks only there."""

    label: str | None = None
    z: float = 0.0

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.n = 0
        self.abstentions = 0
        self.counts: dict[str, int] = {}

    def feed(self, votes: Sequence[Vote]) -> tuple[int, str | None]:
        """Count at most as many votes as are missing."""
        counted = votes[: self._limit - self.n]
        for vote in counted:
            if vote is None:
                self.abstentions += 1
            else:
                self.counts[vote] = self.counts.get(vote, 0) + 1
        self.n += len(counted)
        return len(counted), "complete" if self.n == self._limit else None

    def needed(self) -> int:
        """Return what is missing."""
        return self._limit - self.n
