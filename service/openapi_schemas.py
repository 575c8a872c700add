"""JSON schemas of every answer, by name, as they stand under `components/schemas`."""

from service.access.openapi import SCHEMAS as ACCESS_SCHEMAS
from service.openapi_certificate import ABSTENTIONS, VOTES_BY_LABEL
from service.openapi_certificate import SCHEMAS as RUN_SCHEMAS
from service.openapi_fields import (
    Schema,
    amount,
    count,
    list_of,
    maybe,
    maybe_ref,
    of,
    one_of,
    record,
    ref,
)
from service.openapi_jobs import SCHEMAS as JOB_SCHEMAS
from service.openapi_lasting import SCHEMAS as LASTING_SCHEMAS
from service.openapi_usage import SCHEMAS as USAGE_SCHEMAS

_PROGRESS = record(
    "Where a run stands.",
    {
        "n": count("Votes counted."),
        "counts": VOTES_BY_LABEL,
        "abstentions": ABSTENTIONS,
        "label": maybe("string", "The label certified so far."),
        "radius": amount("The L2 radius certified so far, rounded down; 0 if none."),
        "votes_per_second": amount("New votes per second."),
        "expected_remaining": count("Votes that the present rate still needs."),
        "cost": amount("US dollars so far."),
        "calls": count("Calls so far."),
    },
)

_RUN = record(
    "A run that is going on.",
    {
        "id": of("string", "Its name, also in the header Surety-Run."),
        "kind": one_of("What it ends with.", "certificate", "prediction"),
        "owner": maybe("string", "Id of the API key that began it; null without one."),
        "cancelling": of("boolean", "Whether it has been told to end."),
        "progress": maybe_ref("Progress", "Where it stands, null before the first answer."),
    },
)

_READY = of("boolean", "Whether it can be used.")
_REASON = maybe("string", "Why it cannot, null if it can.")

_PARTS = record(
    "What was looked at.",
    {
        "store": record(
            "It takes what is written.",
            {"writable": of("boolean", "It does.", const=True)},
        ),
        "device": record(
            "It computes.",
            {
                "asked": of("string", "As SURETY_DEVICE says."),
                "device": of("string", "Where denoisers run."),
            },
        ),
        "weights": list_of(
            "Those of each default denoiser are loaded.",
            record(
                "One denoiser.",
                {
                    "denoiser": of("string", "Its name."),
                    "sha256": maybe("string", "SHA-256 of its weights, null if it has none."),
                    "compute": of("string", "Device class and precision."),
                },
            ),
        ),
        "provider": record(
            "Its adapter is loaded; it was not called.",
            {"provider": of("string", "The default provider.")},
        ),
    },
)

_PROBLEM = record(
    "RFC 9457 problem document.",
    {
        "type": of("string", "Which kind; it can be fetched.", format="uri-reference"),
        "title": of("string", "The kind, the same words every time."),
        "status": of("integer", "The HTTP status."),
        "detail": of("string", "What was wrong and how to mend it."),
        "instance": of("string", "The path that was asked for.", format="uri-reference"),
        "request_id": of("string", "The request's, as in the header X-Request-Id."),
        "errors": list_of(
            "The fields to blame.",
            record(
                "One field.",
                {
                    "field": of("string", "Its name."),
                    "message": of("string", "What is wrong with it."),
                },
            ),
        ),
    },
    optional=("errors", "request_id"),
)

_KIND = record(
    "A kind of problem, explained.",
    {
        "type": of("string", "As in a problem document.", format="uri-reference"),
        "title": of("string", "The same words every time."),
        "status": of("integer", "The HTTP status."),
        "explanation": of("string", "What it means and what to do about it."),
    },
)

_TRAITS = record(
    "What a provider takes and what it costs.",
    {
        "payload": one_of("How a sample is sent.", "pixels", "png", "jpeg"),
        "max_batch": of("integer", "Pictures in one call.", minimum=1),
        "concurrency": of("integer", "Most calls that may be in flight together.", minimum=1),
        "input_size": maybe(
            "array",
            "Height and width that the model takes, if they are fixed.",
            items={"type": "integer"},
            minItems=2,
            maxItems=2,
        ),
        "min_side": of("integer", "Smallest side in pixels.", minimum=1),
        "max_side": maybe("integer", "Largest side in pixels."),
        "max_pixels": maybe("integer", "Largest area in pixels."),
        "max_bytes": maybe("integer", "Largest encoded picture."),
        "unit": one_of("What is billed.", "image", "request"),
        "price": amount("US dollars per unit."),
        "labels": maybe(
            "array", "Every label it knows, if the set is closed.", items={"type": "string"}
        ),
        "pins_version": of("boolean", "Whether a model version can be asked for."),
        "names_version": of("boolean", "Whether its answers name the model's version."),
        "rate": maybe("number", "Units a second that the account may send, null if unknown."),
        "rate_unit": one_of("What the rate counts.", "image", "request"),
        "timeout": amount("Seconds within which a call has to be answered."),
    },
)

_TERMS = record(
    "What the provider charges and allows by default, as it was published once.",
    {
        "as_of": of("string", "When it was looked up.", format="date"),
        "price": amount("US dollars per unit."),
        "unit": one_of("What is billed.", "image", "request"),
        "rate": maybe("number", "Units a second, null if not published."),
        "rate_unit": one_of("What the rate counts.", "image", "request"),
        "rate_note": of("string", "The quota in the provider's words."),
        "source": of("string", "Where it is published.", format="uri"),
    },
)

_PROVIDER = record(
    "An installed provider.",
    {
        "name": of("string", "As a request gives it."),
        "adapter": of("string", "What asks it; several providers may share one."),
        "summary": of("string", "One line for people."),
        "extra": maybe("string", "The extra that brings its SDK, null if it needs none."),
        "terms": maybe_ref("Terms", "Published price and quota, null where there are none."),
        "traits": maybe_ref("Traits", "What it takes and costs, null if it is not ready."),
        "ready": _READY,
        "reason": _REASON,
    },
)

_DENOISER = record(
    "An installed denoiser.",
    {
        "name": of("string", "As a request gives it."),
        "summary": of("string", "One line for people."),
        "weights_sha256": maybe("string", "SHA-256 of its weights, null if it has none."),
        "compute": maybe("string", "Device class and precision, null if it is not ready."),
        "ready": _READY,
        "reason": _REASON,
    },
)

SCHEMAS: dict[str, Schema] = {
    **RUN_SCHEMAS,
    **LASTING_SCHEMAS,
    **JOB_SCHEMAS,
    **ACCESS_SCHEMAS,
    **USAGE_SCHEMAS,
    "Progress": _PROGRESS,
    "Run": _RUN,
    "Runs": record(
        "The runs that are going on.", {"runs": list_of("The oldest first.", ref("Run"))}
    ),
    "Cancelled": record(
        "A run that ends soon.",
        {"id": of("string", "Its name."), "cancelling": of("boolean", "True.", const=True)},
    ),
    "Traits": _TRAITS,
    "Terms": _TERMS,
    "Provider": _PROVIDER,
    "Providers": record(
        "What can be asked.",
        {
            "providers": list_of("By name.", ref("Provider")),
            "default": of("string", "Who is asked where a request names none."),
        },
    ),
    "Denoiser": _DENOISER,
    "Denoisers": record(
        "What can clean the samples.",
        {
            "denoisers": list_of("By name.", ref("Denoiser")),
            "default": of(
                "string",
                "What cleans where a request names none; auto: cifar for 32×32, else photo.",
            ),
        },
    ),
    "Live": record("The process is alive.", {"status": of("string", "It is.", const="live")}),
    "Ready": record(
        "The service can certify.",
        {
            "status": of("string", "It can.", const="ready"),
            "provider": of("string", "The default provider."),
            "denoiser": of("string", "The default denoiser."),
            "parts": _PARTS,
        },
    ),
    "Software": record(
        "The program that wrote a document.",
        {"name": of("string", "Its name."), "version": of("string", "Its version.")},
    ),
    "Version": record(
        "Which version is running.",
        {
            "name": of("string", "The program's name."),
            "version": of("string", "Its version."),
            "certificate_schema": of("string", "The form of its certificates."),
            "python": of("string", "The Python that runs it."),
        },
    ),
    "Problem": _PROBLEM,
    "ProblemKind": _KIND,
    "ProblemKinds": record(
        "Every kind of problem.", {"problems": list_of("All kinds.", ref("ProblemKind"))}
    ),
}
