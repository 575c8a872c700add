"""What this process knows of one ledger: votes, labels and names, and how the store holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from certification.errors import LedgerDamaged
from certification.protocols import Vote
from service.store.chain import MAC_BYTES, Chain
from service.store.encoding import decode, encode, votes_of
from service.store.end import End


@dataclass(frozen=True)
class Addition:
    """What further votes add to each part of a ledger.

    Attributes:
        votes: they.
        macs: of the blocks that they fill.
        labels: that no vote had before.
        names: label key → sealed spelling.
        end: of the ledger with them.
    """

    votes: Sequence[Vote]
    macs: Sequence[bytes]
    labels: Sequence[str]
    names: Mapping[str, bytes]
    end: End


class Content:
    """See the module's text.

    Args:
        chain: of the votes.

    Attributes:
        chain: of the votes.
        labels: those of the votes, in the order in which they first came.
        names: label key → sealed spelling.
        sealed: when the noise key was revealed, "" if it was not.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.labels: list[str] = []
        self.names: dict[str, bytes] = {}
        self.sealed = ""
        self._offset = 0  # bytes of the full blocks' votes

    @property
    def end(self) -> End:
        """Where it ends."""
        n = len(self.chain.votes)
        return End(n, self.chain.rest, self.sealed, len(self.labels), len(self.names))

    @property
    def known(self) -> list[int]:
        """What need not be read again: bytes of votes and of MACs, labels, names."""
        macs = len(self.chain.macs) * MAC_BYTES
        return [self._offset, macs, len(self.labels), len(self.names)]

    @property
    def codes(self) -> bytes:
        """All votes, as the store holds them."""
        return self._codes(self.chain.votes, self.labels)

    def with_votes(self, votes: Sequence[Vote], names: Mapping[str, bytes]) -> Addition:
        """Return what further votes and names would add."""
        known = set(self.labels)
        labels = [v for v in dict.fromkeys(votes) if v is not None and v not in known]
        macs, rest = self.chain.extended(votes)
        n = len(self.chain.votes) + len(votes)
        counts = (len(self.labels) + len(labels), len(self.names) + len(names))
        return Addition(votes, macs, labels, names, End(n, rest, self.sealed, *counts))

    def arguments(self, more: Addition) -> list[bytes | int | str]:
        """Return what the script `append` takes of each part, behind the two ends."""
        codes = self._codes(more.votes, [*self.labels, *more.labels])
        before = self._offset + len(self._codes(self.chain.votes[self.chain.whole :], self.labels))
        args: list[bytes | int | str] = [before, codes, len(self.chain.macs) * MAC_BYTES]
        args += [b"".join(more.macs), len(self.labels), len(more.labels), *more.labels]
        return args + [x for item in more.names.items() for x in item]

    def take(self, more: Addition) -> None:
        """Take an addition over."""
        self.chain.extend(more.votes, more.macs)
        self.labels += more.labels
        self.names |= more.names
        self._count()

    def read(
        self,
        end: End,
        data: bytes,
        macs: bytes,
        labels: Sequence[bytes],
        names: Mapping[bytes, bytes] | None,
    ) -> None:
        """Take over what the store holds behind what is known.

        Args:
            end: verified.
            data: votes.
            macs: of their blocks.
            labels: further ones.
            names: all of them; None if they are as many as before.

        Raises:
            LedgerDamaged: naming what is not as written; nothing is taken over.
        """
        try:
            all_labels = [*self.labels, *(label.decode() for label in labels)]
        except UnicodeDecodeError:
            raise LedgerDamaged("one of its labels is no text") from None
        if len(set(all_labels)) != len(all_labels):
            raise LedgerDamaged("one of its labels stands there twice")
        if len(all_labels) != end.labels:
            raise LedgerDamaged(f"it holds {len(all_labels)} labels, and {end.labels} were written")
        count = len(self.names if names is None else names)
        if count != end.names:
            raise LedgerDamaged(f"it holds {count} names of labels, and {end.names} were written")
        try:
            votes = votes_of(decode(data), all_labels)
        except (ValueError, IndexError):
            raise LedgerDamaged("its votes are not as written: one stands for no label") from None
        found = self.chain.check(votes, macs, end)
        self.chain.votes[self.chain.whole :] = votes
        self.chain.macs += found
        self.labels, self.sealed = all_labels, end.sealed
        if names is not None:
            self.names = {key.decode(): text for key, text in names.items()}
        self._count()

    def cut(self, end: End, names: Mapping[str, bytes]) -> "Content":
        """Return what it was when it ended so, with these names."""
        other = Content(self.chain.cut(end.n))
        other.labels, other.names, other.sealed = self.labels[: end.labels], dict(names), end.sealed
        other._count()
        return other

    def _codes(self, votes: Sequence[Vote], labels: Sequence[str]) -> bytes:
        places = {label: place for place, label in enumerate(labels, 1)}
        return encode(0 if vote is None else places[vote] for vote in votes)

    def _count(self) -> None:
        if len(self.labels) < 128:  # one byte a vote
            self._offset = self.chain.whole
        else:
            self._offset = len(self._codes(self.chain.votes[: self.chain.whole], self.labels))
