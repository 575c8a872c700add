"""Describes answers for OpenAPI: documents, streams and every problem, each with an example."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi.sse import format_sse_event

from service import problem_kinds as kinds
from service.answers import ACCOUNTING_HEADER, RUN_HEADER
from service.negotiation import EVENTS, JSON
from service.openapi_examples import STREAMS
from service.openapi_fields import ref
from service.problem_kinds import Kind
from service.problems import MEDIA_TYPE, Problem, validation_problem
from service.settings import Settings

NOT_OF_RUNS = (
    *(kinds.NOT_FOUND, kinds.METHOD_NOT_ALLOWED, kinds.NOT_READY, kinds.OTHER_IMAGE_ERROR),
    *(kinds.JOB_CONFLICT, kinds.BAD_ARCHIVE, kinds.ARCHIVE_TOO_LARGE, kinds.BAD_TABLE),
    *(kinds.UNREADABLE_PICTURE, kinds.FORMAT_NOT_READY, kinds.MALFORMED_REQUEST),
    kinds.KEY_NAME_TAKEN,
    kinds.TOO_MANY_REQUESTS,  # of every route that needs a key
)
RUN_ERRORS = tuple(kind for kind in kinds.KINDS if kind not in NOT_OF_RUNS)

# Every route may answer so.
ALWAYS = (kinds.INTERNAL, kinds.FORBIDDEN, kinds.OVERLOADED)

_MOST_VOTES = Settings.model_fields["max_votes"].default
# What a form's schema cannot know, since it is the same for every deployment.
_MORE_WORDS: Mapping[str, str] = {
    "n": "A deployment takes no more than its SURETY_MAX_VOTES, "
    f"{_MOST_VOTES:,} unless it was set otherwise.",
    "milestone": "At most max_votes.",
}

_RETRY_AFTER = {
    "description": "Seconds after which to try again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
    "example": 5,
}
_HEADERS: Mapping[int, dict[str, Any]] = {
    402: {
        "Retry-After": {
            "description": "Seconds until the budget is renewed; missing where it never is, and "
            "for a pilot.",
            "required": False,
            "schema": {"type": "integer", "minimum": 1},
            "example": 3600,
        }
    },
    429: {"Retry-After": _RETRY_AFTER},
    503: {
        "Retry-After": _RETRY_AFTER
        | {
            "description": "Seconds after which to try again; missing where nobody can tell, "
            "such as for a provider that is not set up.",
            "required": False,
        }
    },
    507: {"Retry-After": _RETRY_AFTER},
}
_OF_KINDS: Mapping[Kind, dict[str, Any]] = {
    kinds.KEY_IN_USE: {
        "Retry-After": _RETRY_AFTER | {"required": False},
        "Link": {
            "description": "The run that the first request with this Idempotency-Key has begun.",
            "required": False,
            "schema": {"type": "string"},
            "example": '</runs/8e03978e40d543e8bc93>; rel="status"',
        },
    }
}

Responses = dict[int | str, dict[str, Any]]


def form_body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Return a route's `openapi_extra`: its body is a multipart form."""
    properties = {
        name: field | {"description": f"{field['description']} {_MORE_WORDS[name]}"}
        if name in _MORE_WORDS
        else field
        for name, field in schema["properties"].items()
    }
    described = {**schema, "properties": properties}
    content = {"multipart/form-data": {"schema": described, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def json_body(
    schema: dict[str, Any], example: dict[str, Any], *, required: bool = True
) -> dict[str, Any]:
    """Return a route's `openapi_extra`: its body is JSON."""
    content = {JSON: {"schema": schema, "example": example}}
    return {"requestBody": {"required": required, "content": content}}


def json_response(description: str, schema: str, *, status: int = 200) -> Responses:
    """Describe a JSON answer.

    Args:
        description: one line.
        schema: name of its schema and of its example among the document's components. FastAPI
            would drop the null members of an example that stands here.
        status: HTTP status.
    """
    examples = {"recorded": {"$ref": f"#/components/examples/{schema}"}}
    content = {JSON: {"schema": ref(schema), "examples": examples}}
    return {status: {"description": description, "content": content}}


def no_content(description: str) -> Responses:
    """Describe an answer without a body."""
    return {204: {"description": description}}


def media_response(description: str, *media_types: str) -> Responses:
    """Describe an answer that is a file, of one media type or another."""
    content = {
        media_type: {
            "schema": {"type": "string", "contentMediaType": media_type},
            "example": "(its bytes)",
        }
        for media_type in media_types
    }
    return {200: {"description": description, "content": content}}


def also(answer: Responses, other: Responses) -> Responses:
    """Describe an answer that may have other media types, too."""
    answer[200]["content"] |= other[200]["content"]
    return answer


def event_response(description: str, events: Sequence[tuple[str, Any]]) -> Responses:
    """Describe a stream of events.

    Args:
        description: one line, which event follows which.
        events: names and data of an example.
    """
    content = {
        EVENTS: {"schema": {"type": "string", "description": description}, "example": _text(events)}
    }
    return {200: {"description": description, "content": content}}


def problem_responses(*possible: Kind) -> Responses:
    """Describe the problems of a route, by status; 403, 429 and 500 are always among them."""
    by_status: dict[int | str, dict[str, Any]] = {}
    # A store that can be away can also refuse.
    more = (kinds.STORE_REFUSES,) if kinds.STORE_AWAY in possible else ()
    for kind in sorted({*possible, *more, *ALWAYS}, key=lambda k: (k.status, k.slug)):
        entry = by_status.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": ref("Problem"), "examples": {}}},
            },
        )
        if kind.title not in entry["description"]:
            entry["description"] += f" · {kind.title}"
        if kind.status in _HEADERS:
            entry["headers"] = _HEADERS[kind.status]
        if kind in _OF_KINDS:
            entry["headers"] = _OF_KINDS[kind]
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {
            "summary": kind.title,
            "value": _problem(kind).describe(),
        }
    return by_status


def method_not_allowed(path: str, allowed: str) -> dict[str, Any]:
    """Describe what another method than `allowed` gets at a path."""
    kind = kinds.METHOD_NOT_ALLOWED
    problem = Problem(kind, f"use {allowed} here")
    example = {"summary": kind.title, "value": problem.describe(path)}
    return {
        "description": f"{kind.title}: this path takes {allowed}",
        "headers": {
            "Allow": {
                "description": "The methods of this path.",
                "required": True,
                "schema": {"type": "string"},
                "example": allowed,
            }
        },
        "content": {MEDIA_TYPE: {"schema": ref("Problem"), "examples": {kind.slug: example}}},
    }


def run_responses(kind: Literal["certificate", "prediction"]) -> Responses:
    """Describe the answers of a route that begins a run."""
    events = STREAMS[kind]
    answer = json_response(f"The {kind}, or its run as events.", kind.capitalize())
    answer[200]["content"][EVENTS] = {
        "schema": {
            "type": "string",
            "description": f"Server-sent events: run, progress …, then accounting and {kind}, or "
            "problem.",
        },
        "example": _text(events),
    }
    answer[200]["headers"] = {
        RUN_HEADER: {
            "description": "Id of the run.",
            "required": True,
            "schema": {"type": "string"},
            "example": events[0][1]["id"],
        },
        ACCOUNTING_HEADER: {
            "description": "What this request cost, as JSON; with events it is one of them.",
            "required": False,
            "schema": {"type": "string", "contentMediaType": JSON},
            "example": json.dumps(dict(events)["accounting"]),
        },
    }
    return answer | problem_responses(*RUN_ERRORS)


def _text(events: Sequence[tuple[str, Any]]) -> str:
    """Write events as they are sent."""
    return b"".join(
        format_sse_event(
            data_str=json.dumps(data, ensure_ascii=False, separators=(",", ":")), event=name
        )
        for name, data in events
    ).decode()


def _problem(kind: Kind) -> Problem:
    if kind is kinds.VALIDATION:
        message = "Input should be less than or equal to 2"
        return validation_problem([{"loc": ("sigma",), "msg": message}])
    detail = kind.explanation.split(". ")[0].rstrip(".")
    errors = [] if kind.field is None else [{"field": kind.field, "message": detail}]
    return Problem(kind, detail, errors)
