"""Level `votes`: the votes are those of the certificate, and lead to what it says."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from certification import document as documents
from certification import noise
from certification.certificate import votes_sha256
from certification.certify import stop_rules
from certification.checks.form import differs, options_of
from certification.checks.kinds import Kind, digits, exactly, list_of, maybe, record, text, whole
from certification.checks.shape import BY_VOTES
from certification.confidence import ConfidenceProcess
from certification.options import MAX_VOTES
from certification.stopping import first_stop

Document = Mapping[str, Any]

SCHEMA = "surety.votes/1"
MOST_BYTES = 64 * 2**20  # a million votes of 60 characters each

_HEAD: Kind = record(
    {
        "schema": exactly(SCHEMA),
        "certificate": digits(32),
        "subject_sha256": digits(64),
        "n": whole(0, MAX_VOTES),
        "sha256": digits(64),
        "votes": list_of(maybe(text)),
    }
)


def build(certificate: Document, votes: Sequence[str | None]) -> dict[str, Any]:
    """Write the votes document of a certificate.

    Args:
        certificate: its document.
        votes: the counted votes in index order, label keys, and None for an abstention.
    """
    return {
        "schema": SCHEMA,
        "certificate": certificate["id"],
        "subject_sha256": certificate["proof"]["subject_sha256"],
        "n": len(votes),
        "sha256": votes_sha256(votes),
        "votes": list(votes),
    }


def faults(certificate: Document, data: bytes) -> Iterator[str]:
    """Yield what is wrong with a votes file, or with a certificate in its light.

    Args:
        certificate: of the right shape.
        data: the votes file.

    Raises:
        InvalidParameter: if the file is no strict JSON.
    """
    found = documents.read(data, what="votes", most_bytes=MOST_BYTES, most_values=2 * MAX_VOTES)
    if isinstance(found, dict) and found.get("schema") != SCHEMA:
        yield f"this is no votes file: its schema is not {SCHEMA!r}"
        return
    shape = [f"votes file: {fault}" for fault in _HEAD(found, "")]
    if shape:
        yield from shape
        return
    votes: list[str | None] = found["votes"]
    head = list(_belongs(certificate, found)) + list(_sums(certificate["proof"]["votes"], votes))
    yield from head
    if not head:
        yield from _path(certificate, votes)


def _belongs(certificate: Document, found: Document) -> Iterator[str]:
    proof = certificate["proof"]
    yield from differs(
        "certificate (votes file)", found["certificate"], certificate["id"], "certificate"
    )
    yield from differs(
        "subject_sha256 (votes file)",
        found["subject_sha256"],
        proof["subject_sha256"],
        "certificate",
    )
    yield from differs("n (votes file)", found["n"], proof["votes"]["n"], "certificate")
    yield from differs(
        "sha256 (votes file)", found["sha256"], proof["votes"]["sha256"], "certificate"
    )


def _sums(said: Document, votes: Sequence[str | None]) -> Iterator[str]:
    if len(votes) != said["n"]:
        yield f"the file holds {len(votes)} votes where the certificate says {said['n']}"
    sha256 = votes_sha256(votes)
    if sha256 != said["sha256"]:
        yield (
            f"votes 0 to {max(len(votes) - 1, 0)}: the SHA-256 is {sha256} where the certificate "
            f"says {said['sha256']}"
        )
    counted = Counter(votes)
    abstentions = counted.pop(None, 0)
    yield from differs("proof.votes.abstentions", said["abstentions"], abstentions, "votes file")
    counts = said["counts"]
    for label in sorted({*counts, *(label for label in counted if label is not None)}):
        if counts.get(label, 0) != counted[label]:
            yield (
                f"proof.votes.counts gives {label[:40]!r} {counts.get(label, 0)} votes where the "
                f"file holds {counted[label]}"
            )
            return  # one is enough to show


def _path(certificate: Document, votes: Sequence[str | None]) -> Iterator[str]:
    """Run the process over the votes, as the run did."""
    proof = certificate["proof"]
    how = proof["confidence"]
    look, label = how["look"], proof["label"]
    if look is not None:
        s = sum(vote == label for vote in votes[: look["n"]])
        yield from differs("proof.confidence.look.s", look["s"], s, "first n* votes")
    process = ConfidenceProcess(
        float(proof["alpha"]),
        how["named_label"],
        how["milestone"],
        margin=noise.null_margin(
            float(proof["sigma"]),
            certificate["image"]["width"] * certificate["image"]["height"] * 3,
        ),
    )
    taken, reason = first_stop(process, votes, stop_rules(options_of(certificate)))
    if taken < len(votes):
        yield (
            f"proof.votes.n is {len(votes)}, but a run with this request ends after {taken} votes "
            f"({reason})"
        )
        process.update(votes[taken:])
    elif (reason or proof["stop_reason"]) != proof["stop_reason"] or (
        reason is None and proof["stop_reason"] in BY_VOTES
    ):
        yield (
            f"proof.stop_reason is {proof['stop_reason']!r}, but the votes say "
            f"{'go on' if reason is None else repr(reason)}"
        )
    at = process.certified
    true = None if at is None else {"n": at.n, "s": at.s, "by": at.how}
    yield from differs("proof.label", label, process.label, "process over all votes")
    yield from differs(
        "proof.confidence.pointer", how["pointer"], process.pointer, "process over all votes"
    )
    for name in ("n", "s", "by"):
        said, follows = (None if one is None else one[name] for one in (look, true))
        yield from differs(f"proof.confidence.look.{name}", said, follows, "process over all votes")
