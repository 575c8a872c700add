"""One line of a file of ledgers: all of one ledger, as JSON, and back."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from certification import document as documents
from certification.checks.kinds import (
    Kind,
    digits,
    flag,
    list_of,
    map_of,
    maybe,
    number,
    record,
    shown,
    text,
    whole,
)
from certification.errors import InvalidParameter
from certification.options import MAX_SIGMA, MAX_VOTES
from certification.protocols import Header, Rerolls, Vote
from certification.subject import subject_sha256
from service.store import header as headers
from service.store.drafts import DraftState
from service.store.restore import Whole

MOST_BYTES = 64 * 2**20
MOST_VOTES = 2 * MAX_VOTES  # a run may end with more than it counts


def holding(members: Mapping[str, Kind]) -> Kind:
    """Take an object with these members, and any others."""
    known = record(members)

    def check(value: object, where: str) -> Iterator[str]:
        if isinstance(value, dict):
            value = {name: one for name, one in value.items() if name in members}
        yield from known(value, where)

    return check


_sha256 = digits(64)
_REROLLS = record({"count": whole(1), "alpha_spent": number()})
_SUBJECT = holding(
    {
        "image": holding({"sha256": _sha256}),
        "sigma": number(0, MAX_SIGMA, above=True),
        "provider": holding({"name": text, "model_version": maybe(text)}),
    }
)
_HEADER = record(
    {
        "subject": _SUBJECT,
        "clean": record({"vote": maybe(text), "model_version": maybe(text)}),
        "milestone": maybe(whole(1, MAX_VOTES)),
        "predict_n": whole(1, MAX_VOTES),
        "key_sha256": _sha256,
        "secret_id": digits(16),
    }
)


def _codes(value: object, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where} must be a list, not {shown(value)}"
    elif len(value) > MOST_VOTES:
        yield f"{where} has {len(value):,} votes"
    elif not all(type(code) is int for code in value):
        yield f"{where} must hold whole numbers alone"


_ENTRY = record(
    {
        "subject_sha256": _sha256,
        "draft": _sha256,
        "header": _HEADER,
        "labels": list_of(text),
        "votes": _codes,
        "names": map_of(text),
        "alpha": number(0, 0.5),
        "vouched": whole(0, MOST_VOTES),
        "sealed": maybe(text),
        "current": flag,
        "spoilt": whole(),
        "rerolls": maybe(_REROLLS),
    }
)


@dataclass(frozen=True)
class Entry:
    """A ledger on its way from one deployment to another.

    Attributes:
        header: its.
        draft: SHA-256 of its subject without model version and re-rolls.
        votes: all.
        names: label key → the provider's spelling.
        alpha: the largest that votes were looked at with.
        vouched: votes that lie between two equal answers to the canary.
        sealed: when the noise key was revealed, "" if it was not.
        state: what the deployment knows of its draft; `current` if this one is in use, else None.
    """

    header: Header
    draft: str
    votes: list[Vote]
    names: Mapping[str, str]
    alpha: float
    vouched: int
    sealed: str
    state: DraftState

    @cached_property
    def subject(self) -> str:
        """SHA-256 of the subject."""
        return subject_sha256(self.header)

    @cached_property
    def header_bytes(self) -> bytes:
        """The header as the store keeps it."""
        return headers.to_bytes(self.header)

    @property
    def whole(self) -> Whole:
        """What the store takes."""
        return Whole(
            self.subject,
            self.draft,
            self.header_bytes,
            self.votes,
            self.names,
            self.alpha,
            self.vouched,
            self.sealed,
        )


def to_line(entry: Entry) -> bytes:
    """Write a ledger; votes stand as places in the list of labels, from 1, and 0 abstains.

    Raises:
        InvalidParameter: if it has more votes or labels than one line may hold.
    """
    labels = [*dict.fromkeys(vote for vote in entry.votes if vote is not None)]
    places = {label: place for place, label in enumerate(labels, 1)}
    state = entry.state
    line = documents.canonical(
        {
            "subject_sha256": entry.subject,
            "draft": entry.draft,
            "header": headers.describe(entry.header),
            "labels": labels,
            "votes": [0 if vote is None else places[vote] for vote in entry.votes],
            "names": dict(entry.names),
            "alpha": entry.alpha,
            "vouched": entry.vouched,
            "sealed": entry.sealed or None,
            "current": state.current == entry.subject,
            "spoilt": state.spoilt,
            "rerolls": None if state.rerolls is None else state.rerolls.describe(),
        }
    )
    if len(line) >= MOST_BYTES or len(entry.votes) > MOST_VOTES:
        raise InvalidParameter(
            f"the ledger {entry.subject[:16]}… is too large for one line of a file: "
            f"{len(entry.votes):,} votes, {len(line):,} bytes"
        )
    return line


def from_line(line: bytes) -> Entry:
    """Read a ledger.

    Raises:
        InvalidParameter: if it is none, or its parts do not agree.
    """
    found = documents.read(line, what="ledger", most_bytes=MOST_BYTES, most_values=4 * MOST_VOTES)
    wrong = next(_ENTRY(found, ""), None) or next(_disagreements(found), None)
    if wrong is not None:
        raise InvalidParameter(f"it is not a ledger as Surety writes it: {wrong}", "ledger")
    header = headers.described(found["header"])
    table: list[Vote] = [None, *found["labels"]]
    told = found["rerolls"]
    state = DraftState(
        found["subject_sha256"] if found["current"] else None,
        found["spoilt"],
        None if told is None else Rerolls(told["count"], float(told["alpha_spent"])),
    )
    return Entry(
        header,
        found["draft"],
        [table[code] for code in found["votes"]],
        found["names"],
        float(found["alpha"]),
        found["vouched"],
        found["sealed"] or "",
        state,
    )


def _disagreements(found: dict[str, Any]) -> Iterator[str]:
    """Yield what does not fit together in an entry of the right shape."""
    subject, header = found["header"]["subject"], found["header"]
    if _hashed(subject) != found["subject_sha256"]:
        yield "subject_sha256 is not that of the subject"
    if draft_of(subject) != found["draft"]:
        yield "draft is not that of the subject"
    if subject["provider"]["model_version"] != header["clean"]["model_version"]:
        yield "the clean answer is of another model version than the subject"
    again, rerolls = subject.get("rerolls"), found["rerolls"]
    if again is not None:
        yield from _REROLLS(again, "header.subject.rerolls")
        if isinstance(again, dict) and (rerolls is None or again["count"] > rerolls["count"]):
            yield "its subject was re-rolled more often than its draft"
    codes, labels = found["votes"], found["labels"]
    if codes and not 0 <= min(codes) <= max(codes) <= len(labels):
        yield "a vote stands for no label"
    seen = [*islice(dict.fromkeys(code for code in codes if code), len(labels) + 1)]
    if seen != [*range(1, len(labels) + 1)] or len(set(labels)) != len(labels):
        yield "its labels are not those of its votes, once each and in their order"
    if found["vouched"] > len(codes):
        yield "more votes are vouched for than there are"
    if found["sealed"] == "":
        yield "sealed has no date"


def draft_of(subject: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a subject without model version and re-rolls."""
    body = {name: value for name, value in subject.items() if name != "rerolls"}
    provider = {k: v for k, v in subject["provider"].items() if k != "model_version"}
    return _hashed({**body, "provider": provider})


def _hashed(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(documents.canonical(dict(value))).hexdigest()
