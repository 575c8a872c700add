"""JSON schemas of what is kept: lists of certificates, votes, keys, runs, and checks."""

from certification.checks.votes import SCHEMA as VOTES_SCHEMA
from certification.verifying import LEVELS
from service.lasting import LEDGER_LEVEL
from service.openapi_fields import (
    Schema,
    count,
    list_of,
    maybe,
    maybe_ref,
    of,
    one_of,
    record,
    ref,
    sha256,
)

_ID = of("string", "The certificate's id.", pattern="^[0-9a-f]{32}$")
_KIND = one_of("What it ends with.", "certificate", "prediction")

_LINE = record(
    "A certificate in one line.",
    {
        "id": _ID,
        "created": of("string", "Time of issue.", format="date-time"),
        "label": maybe("string", "The certified label, null on an abstention."),
        "radius": maybe("number", "L2 radius, rounded down, null on an abstention."),
        "sigma": of("number", "Standard deviation of the noise."),
        "alpha": of("number", "Probability that it is false."),
        "n": count("Votes counted."),
        "provider": of("string", "Who was asked."),
        "denoiser": of("string", "What cleaned the samples."),
        "image_sha256": sha256("SHA-256 of the canonical image."),
        "image_name": maybe("string", "What the client called the picture."),
    },
)

_VOTES = record(
    "The votes that a certificate counts.",
    {
        "schema": of("string", "Name and version of this form.", const=VOTES_SCHEMA),
        "certificate": _ID,
        "subject_sha256": sha256("SHA-256 of the subject."),
        "n": count("How many."),
        "sha256": sha256("SHA-256 of their sequence as canonical JSON (RFC 8785)."),
        "votes": list_of(
            "In index order: labels, and null for an abstention.", {"type": ["string", "null"]}
        ),
    },
)

_KEY = record(
    "A public key.",
    {
        "id": of("string", "First 16 digits of the SHA-256 of the key.", pattern="^[0-9a-f]{16}$"),
        "algorithm": of("string", "What it signs with.", const="Ed25519"),
        "public_key": of("string", "32 bytes in hexadecimal digits.", pattern="^[0-9a-f]{64}$"),
        "created": maybe("string", "When it was made or first seen.", format="date-time"),
        "current": of("boolean", "Whether new certificates are signed with it."),
    },
)

_OUTCOME = record(
    "What came of a run: a certificate, a prediction or a problem.",
    {
        "certificate": of("string", "Id of the certificate."),
        "prediction": ref("Prediction"),
        "problem": ref("Problem"),
        "accounting": ref("Accounting"),
    },
    optional=("certificate", "prediction", "problem", "accounting"),
)

_CHECK = record(
    "One level of checking.",
    {
        "level": one_of("Its name.", *LEVELS, LEDGER_LEVEL),
        "status": one_of("What came of it.", "passed", "failed", "not checked"),
        "detail": of("string", "What was found, what is wrong and where, or what is missing."),
    },
)

SCHEMAS: dict[str, Schema] = {
    "CertificateLine": _LINE,
    "Certificates": record(
        "Certificates that were found.",
        {
            "certificates": list_of("The latest first.", ref("CertificateLine")),
            "next": maybe(
                "string",
                "What `after` takes for the next page: date and id of the last certificate that "
                "was looked at. Null on the last page.",
            ),
        },
    ),
    "Votes": _VOTES,
    "PublicKey": _KEY,
    "Keys": record(
        "The keys that certificates are signed with.",
        {"keys": list_of("The oldest first.", ref("PublicKey"))},
    ),
    "RunState": record(
        "A run, going on or ended.",
        {
            "id": of("string", "Its name, also in the header Surety-Run."),
            "kind": _KIND,
            "owner": maybe("string", "Id of the API key that began it; null without one."),
            "created": of("string", "When it was begun.", format="date-time"),
            "request_id": maybe("string", "Of the request that began it, as in X-Request-Id."),
            "state": one_of("Whether it has ended.", "running", "ended"),
            "cancelling": of("boolean", "Whether it has been told to end."),
            "progress": maybe_ref("Progress", "Where it stands; null if it is not going on here."),
            "outcome": {
                "description": "What came of it, null while it goes on.",
                "anyOf": [_OUTCOME, {"type": "null"}],
            },
        },
    ),
    "Check": _CHECK,
    "Verification": record(
        "What came of checking a certificate.",
        {
            "verified": of("boolean", "A trusted key signed it, and nothing was found wrong."),
            "certificate": maybe("string", "Its id, null if it cannot be read."),
            "checks": list_of("One for each level.", ref("Check")),
        },
    ),
}
