"""The chain of HMACs that shows whether a ledger's votes are those that were written.

A plain chain of hashes could be computed anew by whoever can write to the store; this one needs
the deployment secret. Every 128 votes have a MAC over themselves and the MAC before, the rest has
one that also covers the length and whether the ledger is sealed:

    header ─► mac of 0…127 ─► mac of 128…255 ─► … ─► head (rest, n, sealed)
"""

import hmac
import json
from collections.abc import Sequence

from certification.errors import LedgerDamaged
from certification.protocols import Vote

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
    """

    def __init__(self, key: bytes, header: bytes) -> None:
        self._key = key
        self.origin = hmac.digest(key, b"header\0" + header, "sha256")
        self.votes: list[Vote] = []
        self.macs: list[bytes] = []
        self.sealed = ""

    @property
    def head(self) -> bytes:
        """The MAC of where the chain ends."""
        return self._head(self.macs, self.votes)

    def extended(self, votes: Sequence[Vote]) -> tuple[list[bytes], bytes]:
        """Return the further MACs, and the head, that the chain would have with more votes."""
        macs, start = [*self.macs], len(self.macs) * BLOCK
        rest = [*self.votes[start:], *votes]
        while len(rest) >= BLOCK:
            macs.append(self._mac(macs, rest[:BLOCK]))
            del rest[:BLOCK]
        return macs[len(self.macs) :], self._head_of(macs, rest)

    def extend(self, votes: Sequence[Vote], macs: Sequence[bytes]) -> None:
        """Take votes over, with the MACs of `extended`."""
        self.votes += votes
        self.macs += macs

    def cut(self, n: int) -> "Chain":
        """Return the chain that ends after n votes."""
        other = Chain.__new__(Chain)
        other._key, other.origin, other.sealed = self._key, self.origin, self.sealed
        other.votes, other.macs = self.votes[:n], self.macs[: n // BLOCK]
        return other

    def head_when_sealed(self, sealed: str) -> bytes:
        """Return the head that the chain has once it is sealed."""
        return self._head_of(self.macs, self.votes[len(self.macs) * BLOCK :], sealed)

    def verify(self, votes: Sequence[Vote], macs: bytes, n: int, head: bytes, sealed: str) -> None:
        """Take over what was read behind the last full block, if it is what was written.

        Args:
            votes: from the last full block on.
            macs: from there on, one after the other.
            n: length that the ledger says.
            head: that the ledger says.
            sealed: when it was sealed, "" if it was not.

        Raises:
            LedgerDamaged: naming the votes that are not those that were written.
        """
        start = len(self.macs) * BLOCK
        if start + len(votes) != n:
            raise LedgerDamaged(f"it holds {start + len(votes)} votes and says {n}")
        if len(macs) != len(votes) // BLOCK * MAC_BYTES:
            raise LedgerDamaged(f"it does not hold one MAC for every {BLOCK} of its {n} votes")
        found = [macs[i : i + MAC_BYTES] for i in range(0, len(macs), MAC_BYTES)]
        known = [*self.macs]
        for i, mac in enumerate(found):
            block = votes[i * BLOCK : (i + 1) * BLOCK]
            if not hmac.compare_digest(self._mac(known, block), mac):
                first = start + i * BLOCK
                raise LedgerDamaged(
                    f"votes {first} to {first + BLOCK - 1}, or their MAC, are not as written"
                )
            known.append(mac)
        rest = votes[len(found) * BLOCK :]
        if not hmac.compare_digest(self._head_of(known, rest, sealed), head):
            first = start + len(found) * BLOCK
            raise LedgerDamaged(
                f"the votes from {first} on, the length {n}, the seal or the last MAC are not as "
                "written"
            )
        self.votes[start:] = votes
        self.macs, self.sealed = known, sealed

    def _head(self, macs: Sequence[bytes], votes: Sequence[Vote]) -> bytes:
        return self._head_of(macs, votes[len(macs) * BLOCK :])

    def _head_of(
        self, macs: Sequence[bytes], rest: Sequence[Vote], sealed: str | None = None
    ) -> bytes:
        n = len(macs) * BLOCK + len(rest)
        said = [n, list(rest), self.sealed if sealed is None else sealed]
        return self._digest(b"head\0", macs, said)

    def _mac(self, macs: Sequence[bytes], block: Sequence[Vote]) -> bytes:
        return self._digest(b"block\0", macs, [len(macs), list(block)])

    def _digest(self, kind: bytes, macs: Sequence[bytes], said: object) -> bytes:
        before = macs[-1] if macs else self.origin
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        return hmac.digest(self._key, kind + self.origin + before + text.encode(), "sha256")
