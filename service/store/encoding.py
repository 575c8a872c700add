"""Votes as bytes: one byte each for the first 127 labels of a ledger, LEB128 for those beyond.

A vote is written as the place of its label in the ledger's list of labels, from 1; 0 is an
abstention. 100,000 votes take 100 kB.
"""

from collections.abc import Iterable, Sequence

from certification.protocols import Vote


def encode(codes: Iterable[int]) -> bytes:
    """Write codes, each 0 or more."""
    out = bytearray()
    for code in codes:
        rest = code
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def decode(data: bytes) -> list[int]:
    """Read codes.

    Raises:
        ValueError: if they are not as :func:`encode` writes them.
    """
    if data.isascii():
        return [*data]
    codes, code, shift = [], 0, 0
    for byte in data:
        code |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            continue
        if shift and not byte:
            raise ValueError("a vote is written longer than it is")
        codes.append(code)
        code = shift = 0
    if shift:
        raise ValueError("the last vote is cut off")
    return codes


def votes_of(codes: Sequence[int], labels: Sequence[str]) -> list[Vote]:
    """Turn codes into votes.

    Raises:
        IndexError: if there is no such label.
    """
    table: list[Vote] = [None, *labels]
    return [table[code] for code in codes]
