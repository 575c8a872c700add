"""JSON schemas of what the routes about jobs answer with."""

from typing import Any, get_args

from service.jobs.estimates.estimate_result import Bottleneck
from service.jobs.spec import Allocation, Priority
from service.jobs.states import FROM, JOB_STATES, PICTURE_STATES
from service.openapi_fields import (
    Schema,
    amount,
    count,
    list_of,
    map_of,
    maybe,
    maybe_ref,
    of,
    one_of,
    record,
    ref,
)

_ID = of("string", "Its name.", pattern="^[0-9a-f]{16}$")
_UPLOAD = of("string", "SHA-256 of the bytes; empty for what could not be read.")

_JOB: dict[str, Schema] = {
    "id": _ID,
    "state": one_of("Where it stands.", *JOB_STATES),
    "actions": list_of(
        "What can be done with it now.",
        {"type": "string", "enum": [action for action in FROM if action != "start"]},
    ),
    "created": of("string", "When it was submitted.", format="date-time"),
    "ended": maybe("string", "When it ended, null while it goes on.", format="date-time"),
    "pictures": count("How many."),
    "by_state": record(
        "Pictures by state.", {state: count(f"That are {state}.") for state in PICTURE_STATES}
    ),
    "skipped": count("Files that were passed over, being hidden or clutter by their names."),
    "images": count("Noisy copies and clean pictures sent to the provider."),
    "calls": count("Calls made."),
    "throttled": count("Calls that the provider had no capacity for."),
    "cost": amount("US dollars of answered calls."),
    "cost_at_most": amount("US dollars, if all calls in flight or lost are billed."),
    "currency": of("string", "Of the costs.", const="USD"),
    "problem": maybe_ref("Problem", "Why it does not go on by itself."),
    "arguments": map_of("The fields of POST /certify, the same for every picture.", True),
    "compute": of("string", "Compute type that its votes belong to."),
    "name": maybe("string", "What its owner calls it."),
    "max_cost": maybe("number", "US dollars that all calls may cost together."),
    "rate": maybe("number", "Units a second, beside the limit of the account."),
    "priority": one_of("Its share where several jobs wait.", *get_args(Priority)),
    "allocation": one_of("Where the next votes go.", *get_args(Allocation)),
    "owner": maybe("string", "Id of the API key that submitted it; null where none was needed."),
}

_PROGRESS = record(
    "How fast it goes.",
    {
        "images_per_second": amount("Over all workers."),
        "throttled_per_second": amount("Calls that the provider had no capacity for."),
        "seconds_left": maybe("integer", "Estimated; null while there is nothing to go by."),
        "seconds_left_from": {
            "description": "What the estimate rests on: what those pictures took that have ended, "
            "or the money, where it ends before.",
            "type": ["string", "null"],
            "enum": ["pictures", "max_cost", None],
        },
        "workers": count("Those that can work on it."),
    },
)

_ROW = record(
    "A picture of a job, and what came of it.",
    {
        "number": count("Its place in the job, from 0."),
        "name": of("string", "Path in the archive, or as the manifest calls it."),
        "sha256": _UPLOAD,
        "state": one_of("Where it stands.", *PICTURE_STATES),
        "truth": maybe("string", "The true label, where it is known."),
        "label": maybe("string", "The certified label, null where there is none."),
        "abstained": maybe("boolean", "Whether nothing is certified; null without a certificate."),
        "radius": maybe("number", "Certified L2 radius, 0 on an abstention."),
        "correct": maybe("boolean", "Whether the label is the true one; false on an abstention."),
        "n": count("Votes counted."),
        "abstentions": count("Votes for no label."),
        "calls": count("Calls, over all attempts."),
        "retries": count("Calls that asked again."),
        "images": count("Pictures sent, the clean one included."),
        "cost": amount("US dollars, over all attempts."),
        "stop_reason": maybe("string", "Why the votes ended."),
        "certificate": maybe("string", "Its id."),
        "problem": maybe_ref("Problem", "What went wrong."),
        "seconds": amount("Of work, over all attempts."),
    },
)

_WORKER = record(
    "Who works on jobs.",
    {
        "id": of("string", "Of its process."),
        "host": of("string", "Machine and process number."),
        "computes": list_of("Compute types that it works on.", {"type": "string"}),
        "pictures": count("That it works on at the same time, at most."),
        "inside": of("boolean", "Whether it is a service's own."),
        "busy": count("Pictures that it works on now."),
        "done": count("Pictures that ended with it."),
        "rates": record(
            "A second, over the last ones.",
            {
                "images": amount("Pictures sent."),
                "calls": amount("Calls."),
                "throttled": amount("Calls that the provider had no capacity for."),
            },
        ),
    },
)

_WHAT = {
    "votes": "Counted by certificates.",
    "images": "Pictures sent.",
    "calls": "Calls.",
    "cost": "US dollars.",
    "reached": "Pictures that reach the target radius; without one, that are certified at all.",
    "seconds": "From beginning to end.",
}


def _figure(description: str) -> Schema:
    members = {
        "expected": amount("The mean."),
        "low": amount("Lower end of the interval."),
        "high": amount("Upper end of the interval."),
    }
    return record(description, members)


def _amounts(description: str) -> Schema:
    return record(description, {name: _figure(words) for name, words in _WHAT.items()})


def _plain(description: str, *left_out: str, **more: Schema) -> Schema:
    kept = {name: amount(words) for name, words in _WHAT.items() if name not in left_out}
    return record(description, {**more, **kept})


def _or_null(schema: Schema) -> Schema:
    return {"description": schema["description"], "anyOf": [schema, {"type": "null"}]}


_ESTIMATE = record(
    "What a job will take.",
    {
        "pictures": count("Of the job, as far as they can be read."),
        "unreadable": count("Further ones that cannot be read: they fail, and cost nothing."),
        "problems": list_of(
            "The first of these.",
            record(
                "One of them.",
                {
                    "name": of("string", "What the job calls it."),
                    "detail": of("string", "What is wrong, and how to mend it."),
                },
            ),
        ),
        "target_radius": maybe("number", "Of the job, null if it has none."),
        "basis": one_of("Some of its own pictures, or others: a guess.", "pilot", "reference"),
        "confidence": amount("Of every interval."),
        "pilot": _or_null(
            _plain("What the pilot has taken.", "seconds", pictures=count("Of the pilot."))
        ),
        "job": _amounts("The whole job, the pilot included."),
        "rest": _amounts("What is still to come."),
        "picture": _amounts("One further picture."),
        "worst": _plain(
            "If every picture that is left uses up its votes, and no call fails.", "reached"
        ),
        "bottleneck": one_of("What the time is decided by.", *get_args(Bottleneck)),
        "budget": _or_null(
            record(
                "What max_cost is enough for.",
                {
                    "max_cost": amount("US dollars."),
                    "pictures": _figure("That it pays for."),
                    "completes": _figure("Chance that it does for the whole job."),
                },
            )
        ),
        "cheaper": list_of(
            "What would cost less.",
            record(
                "The same job with one field changed.",
                {
                    "change": map_of("Field and its other value.", {"type": "number"}),
                    **{
                        name: amount(words)
                        for name, words in _WHAT.items()
                        if name not in ("images", "seconds")
                    },
                },
            ),
        ),
        "rests_on": list_of("What all this rests on, a sentence each.", {"type": "string"}),
    },
)

_SHARE = record(
    "A share of pictures with its 95 % band.",
    {
        "share": amount("From 0 to 1."),
        "low": amount("Lower end."),
        "high": amount("Upper end."),
        "count": count("Pictures."),
        "total": count("Of so many."),
    },
)

_COMPARISON = record(
    "Jobs beside one another.",
    {
        "measure": one_of("What is compared.", "certified_accuracy", "share_certified"),
        "jobs": list_of(
            "In the order that was asked for.",
            record(
                "A job.",
                {
                    "name": of("string", "Its name, or its id."),
                    "pictures": count("That are judged."),
                    "left_out": count("That are not yet."),
                    "certified": map_of("By radius: the share that is certified for it.", _SHARE),
                },
            ),
        ),
        "pairs": list_of(
            "Each two of them.",
            record(
                "Two jobs over the pictures that both have.",
                {
                    "first": of("string", "Name of a job."),
                    "second": of("string", "Name of the other."),
                    "common": count("Pictures, told apart by their SHA-256."),
                    "differences": list_of(
                        "By radius.",
                        record(
                            "At one radius.",
                            {
                                "radius": amount("L2."),
                                "both": count("Certified by both."),
                                "only_first": count("By the first alone."),
                                "only_second": count("By the second alone."),
                                "neither": count("By none."),
                                "p_value": amount("McNemar's exact test, two-sided."),
                            },
                        ),
                    ),
                },
            ),
        ),
    },
)

SCHEMAS: dict[str, Any] = {
    "Job": record("A batch job.", _JOB),
    "JobEvent": record("A job that is followed.", {**_JOB, "progress": _PROGRESS}),
    "Jobs": record(
        "Jobs that were found.",
        {
            "jobs": list_of("The latest first.", ref("Job")),
            "next": maybe("string", "What `before` takes for the next page, null on the last."),
        },
    ),
    "Row": _ROW,
    "Rows": record(
        "Pictures of a job.",
        {
            "pictures": list_of("By number.", ref("Row")),
            "next": maybe("integer", "What `start` takes for the next page, null on the last."),
        },
    ),
    "Uploaded": record(
        "Uploads that a manifest can name.",
        {
            "pictures": list_of(
                "In the order of the form.",
                record(
                    "One picture.",
                    {
                        "name": of("string", "As the client called the file."),
                        "sha256": _UPLOAD,
                        "bytes": count("How long it is."),
                    },
                ),
            ),
            "kept_until": of(
                "string", "If no job has named them by then, they go.", format="date-time"
            ),
        },
    ),
    "Worker": _WORKER,
    "Workers": record(
        "The workers of the deployment.", {"workers": list_of("By id.", ref("Worker"))}
    ),
    "Estimate": _ESTIMATE,
    "Comparison": _COMPARISON,
}
