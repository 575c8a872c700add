"""The chain of HMACs that shows whether a ledger's votes are those that were written.

A plain chain of hashes could be computed anew by whoever can write to the store; this one needs
the deployment secret. Every 128 votes have a MAC over themselves and the MAC before, the rest has
one that stands in the ledger's sealed end:

    header ─► mac of 0…127 ─► mac of 128…255 ─► … ─► rest
"""

import hmac
import json
from collections.abc import Sequence

from certification.errors import LedgerDamaged
from certification.protocols import Vote
from service.store.end import End

BLOCK = 128
MAC_BYTES = 32


def ledger_key(secret: bytes, subject_sha256: str) -> bytes:
    """Derive the key of one ledger's MACs; no subject's noise key can be equal to it."""
    return hmac.digest(secret, b"surety ledger\0" + subject_sha256.encode(), "sha256")


class Chain:
    """The votes of one ledger and their MACs.

    Args:
        key: of this ledger's MACs.
        header: its canonical bytes.

    Attributes:
        votes: all of them.
        macs: of their full blocks.
    """

    def __init__(self, key: bytes, header: bytes) -> None:
        self._key = key
        self.origin = hmac.digest(key, b"header\0" + header, "sha256")
        self.votes: list[Vote] = []
        self.macs: list[bytes] = []

    @property
    def whole(self) -> int:
        """How many votes lie in full blocks."""
        return len(self.macs) * BLOCK

    @property
    def rest(self) -> str:
        """The MAC of the votes behind the last full block, in hexadecimal digits."""
        last = self.macs[-1] if self.macs else self.origin
        return self._rest(last, len(self.votes), self.votes[self.whole :])

    def extended(self, votes: Sequence[Vote]) -> tuple[list[bytes], str]:
        """Return the further MACs, and that of the rest, that it would have with more votes."""
        last = self.macs[-1] if self.macs else self.origin
        rest = [*self.votes[self.whole :], *votes]
        macs: list[bytes] = []
        for start in range(0, len(rest) - BLOCK + 1, BLOCK):
            last = self._mac(last, len(self.macs) + len(macs), rest[start : start + BLOCK])
            macs.append(last)
        n = len(self.votes) + len(votes)
        return macs, self._rest(last, n, rest[len(macs) * BLOCK :])

    def extend(self, votes: Sequence[Vote], macs: Sequence[bytes]) -> None:
        """Take votes over, with the MACs of `extended`."""
        self.votes += votes
        self.macs += macs

    def cut(self, n: int) -> "Chain":
        """Return the chain that ends after n votes."""
        other = Chain.__new__(Chain)
        other._key, other.origin = self._key, self.origin
        other.votes, other.macs = self.votes[:n], self.macs[: n // BLOCK]
        return other

    def check(self, votes: Sequence[Vote], macs: bytes, end: End) -> list[bytes]:
        """Check what was read behind the last full block.

        Args:
            votes: from the last full block on.
            macs: from there on, one after the other.
            end: of the ledger.

        Returns:
            The MACs.

        Raises:
            LedgerDamaged: naming the votes that are not those that were written.
        """
        start = self.whole
        if start + len(votes) != end.n:
            raise LedgerDamaged(f"it holds {start + len(votes)} votes, and {end.n} were written")
        if len(macs) != len(votes) // BLOCK * MAC_BYTES:
            raise LedgerDamaged(f"it does not hold one MAC for every {BLOCK} of its {end.n} votes")
        found = [macs[i : i + MAC_BYTES] for i in range(0, len(macs), MAC_BYTES)]
        last = self.macs[-1] if self.macs else self.origin
        for i, mac in enumerate(found):
            block = votes[i * BLOCK : (i + 1) * BLOCK]
            if not hmac.compare_digest(self._mac(last, len(self.macs) + i, block), mac):
                first = start + i * BLOCK
                raise LedgerDamaged(
                    f"votes {first} to {first + BLOCK - 1}, their labels or their MAC are not as "
                    "written"
                )
            last = mac
        rest = votes[len(found) * BLOCK :]
        if not hmac.compare_digest(self._rest(last, end.n, rest), end.rest):
            raise LedgerDamaged(
                f"votes {end.n - len(rest)} to {end.n - 1}, or their labels, are not as written"
            )
        if list(votes[: len(self.votes) - start]) != self.votes[start:]:
            raise LedgerDamaged(f"its votes from {start} on are not those that it had before")
        return found

    def _rest(self, last: bytes, n: int, rest: Sequence[Vote]) -> str:
        return self._digest(b"rest\0", last, [n, list(rest)]).hex()

    def _mac(self, last: bytes, place: int, block: Sequence[Vote]) -> bytes:
        return self._digest(b"block\0", last, [place, list(block)])

    def _digest(self, kind: bytes, before: bytes, said: object) -> bytes:
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        return hmac.digest(self._key, kind + self.origin + before + text.encode(), "sha256")
