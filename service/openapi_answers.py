"""Describes answers for OpenAPI: documents, streams and every problem, each with an example."""

import json
from typing import Any, Literal

from service import problem_kinds as kinds
from service.negotiation import EVENTS, JSON
from service.openapi_examples import CERTIFICATE, PREDICTION, PROGRESS, RUN_ID
from service.problem_kinds import Kind
from service.problems import MEDIA_TYPE, Problem

_TEXT = {"type": "string"}
SCHEMAS: dict[str, Any] = {
    "Problem": {
        "title": "Problem",
        "description": "RFC 9457 problem document.",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong and how to mend it."},
            "instance": {"type": "string", "format": "uri-reference"},
            "errors": {
                "type": "array",
                "description": "The fields to blame.",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {"field": _TEXT, "message": _TEXT},
                },
            },
        },
    },
    "Certificate": {
        "title": "Certificate",
        "type": "object",
        "required": ["schema", "id", "created", "statement", "proof", "image", "accounting"],
        "properties": {
            "schema": _TEXT,
            "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "created": {"type": "string", "format": "date-time"},
            "software": {"type": "object"},
            "statement": {"type": "string", "description": "What it means, in one sentence."},
            "proof": {"type": "object", "description": "All that the guarantee rests on."},
            "image": {"type": "object", "description": "The canonical image and its origin."},
            "label_names": {"type": "object", "additionalProperties": _TEXT},
            "truth": {"type": ["object", "null"]},
            "request": {"type": "object"},
            "accounting": {"type": "object", "description": "Calls, retries, cost, seconds."},
        },
    },
    "Prediction": {
        "title": "Prediction",
        "type": "object",
        "required": ["schema", "label", "abstained", "n", "counts", "p_value"],
        "properties": {
            "schema": _TEXT,
            "label": {"type": ["string", "null"]},
            "abstained": {"type": "boolean"},
            "p_value": {"type": "number"},
            "n": {"type": "integer"},
            "n_fixed": {"type": "integer"},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    },
}

RUN_ERRORS = tuple(
    kind
    for kind in kinds.KINDS
    if kind
    not in (kinds.NOT_FOUND, kinds.METHOD_NOT_ALLOWED, kinds.NOT_READY, kinds.OTHER_IMAGE_ERROR)
)

Responses = dict[int | str, dict[str, Any]]


def form_body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Return a route's `openapi_extra`: its body is a multipart form."""
    content = {"multipart/form-data": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def json_response(
    description: str,
    example: dict[str, Any],
    schema: str | None = None,
    *,
    status: int = 200,
) -> Responses:
    """Describe a JSON answer."""
    shape = {"type": "object"} if schema is None else {"$ref": f"#/components/schemas/{schema}"}
    content = {JSON: {"schema": shape, "example": example}}
    return {status: {"description": description, "content": content}}


def problem_responses(*possible: Kind) -> Responses:
    """Describe the problems of a route, by status; 500 is always among them."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in sorted({*possible, kinds.INTERNAL}, key=lambda k: (k.status, k.slug)):
        entry = by_status.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                        "examples": {},
                    }
                },
            },
        )
        if kind.title not in entry["description"]:
            entry["description"] += f" · {kind.title}"
        detail = kind.explanation.split(". ")[0].rstrip(".")
        errors = [] if kind.field is None else [{"field": kind.field, "message": detail}]
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {
            "summary": kind.title,
            "value": Problem(kind, detail, errors).describe(),
        }
    return by_status


def run_responses(kind: Literal["certificate", "prediction"]) -> Responses:
    """Describe the answers of a route that begins a run."""
    example = CERTIFICATE if kind == "certificate" else PREDICTION
    stream = "".join(
        f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
        for name, data in (("run", {"id": RUN_ID}), ("progress", PROGRESS), (kind, example))
    )
    answer = json_response(f"The {kind}, or its run as events.", example, kind.capitalize())
    answer[200]["content"][EVENTS] = {"schema": _TEXT, "example": stream}
    answer[200]["headers"] = {
        "Surety-Run": {"description": "Id of the run.", "schema": _TEXT, "example": RUN_ID}
    }
    return answer | problem_responses(*RUN_ERRORS)
