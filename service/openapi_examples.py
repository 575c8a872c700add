"""Examples for every route and every error, and the schemas that OpenAPI shows."""

import json
from typing import Any, Literal

from service import problem_kinds as kinds
from service.negotiation import EVENTS, JSON
from service.problem_kinds import Kind
from service.problems import MEDIA_TYPE, Problem

RUN_ID = "5f0c7f3a9e0b4c2d8a614e37"

PROGRESS: dict[str, Any] = {
    "n": 96,
    "counts": {"cat": 94, "dog": 2},
    "abstentions": 0,
    "label": "cat",
    "radius": 0.21875,
    "votes_per_second": 512.4,
    "expected_remaining": 33,
    "cost": 0.0,
    "calls": 7,
}

_IMAGE = {
    "sha256": "9d4c1f4c2f9b64f4ddcb0d3ed8b5b1b6cf1f8b4f5b3f1e0e7d5b6a9c8d7e6f50",
    "width": 32,
    "height": 32,
    "source": {
        "sha256": "0b1a2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcdef",
        "format": "PNG",
        "width": 64,
        "height": 48,
        "mode": "RGBA",
    },
    "steps": [
        "transparency flattened on white",
        "reduced 64×48 to 43×32 (Lanczos)",
        "centre crop 32×32",
    ],
}

_ACCOUNTING = {
    "calls": 9,
    "images": 130,
    "retries": 0,
    "cost": 0.0,
    "currency": "USD",
    "votes_reused": 0,
    "seconds": 0.27,
}

CERTIFICATE: dict[str, Any] = {
    "schema": "surety.certificate/1",
    "id": "3b7c0f5f0c9a4a1e8d2b6c7a9e1f4d20",
    "created": "2026-11-23T09:00:00+00:00",
    "software": {"name": "surety", "version": "0.1.0"},
    "statement": "Within L2 distance 0.25 of this picture (pixel values scaled to [0, 1]) the "
    "smoothed classifier answers 'cat', with confidence 99.9 %.",
    "proof": {
        "guarantee": "probabilistic",
        "abstained": False,
        "label": "cat",
        "norm": "l2",
        "radius": 0.25,
        "radius_linf": 0.00451,
        "radius_l1": 0.25,
        "sigma": 0.25,
        "alpha": 0.001,
        "votes": {"n": 128, "counts": {"cat": 126, "dog": 2}, "abstentions": 0, "sha256": "…"},
        "stop_reason": "target",
    },
    "image": _IMAGE,
    "label_names": {"cat": "cat", "dog": "dog"},
    "truth": None,
    "request": {"target_radius": 0.25, "max_votes": 1000},
    "accounting": _ACCOUNTING,
}

PREDICTION: dict[str, Any] = {
    "schema": "surety.prediction/1",
    "software": {"name": "surety", "version": "0.1.0"},
    "label": "cat",
    "label_name": "cat",
    "abstained": False,
    "alpha": 0.001,
    "sigma": 0.25,
    "p_value": 1.3e-27,
    "n": 100,
    "n_fixed": 100,
    "counts": {"cat": 98, "dog": 2},
    "abstentions": 0,
    "stop_reason": "votes",
    "image": _IMAGE,
    "subject": {"sigma": 0.25},
    "accounting": _ACCOUNTING,
}

CERTIFY_FORM: dict[str, Any] = {
    "image": "(bytes of cat.png)",
    "provider": "local",
    "sigma": 0.25,
    "target_radius": 0.25,
    "max_votes": 1000,
}
PREDICT_FORM: dict[str, Any] = {"image": "(bytes of cat.png)", "provider": "local", "n": 100}

RUNS = {"runs": [{"id": RUN_ID, "kind": "certificate", "cancelling": False, "progress": PROGRESS}]}
CANCELLED = {"id": RUN_ID, "cancelling": True}
PROVIDERS = {
    "providers": [
        {
            "name": "local",
            "summary": "built-in CIFAR-10 classifier, 32×32, free, needs no account",
            "traits": {"payload": "pixels", "max_batch": 64, "unit": "image", "price": 0.0},
            "ready": True,
            "reason": None,
        }
    ],
    "default": "local",
}
DENOISERS = {
    "denoisers": [
        {
            "name": "cifar",
            "weights_sha256": "6b0c8f1f6a5f8f3a0d6f2d1c4b3a291807f6e5d4c3b2a1908f7e6d5c4b3a2910",
            "compute": "cpu/float32",
            "ready": True,
            "reason": None,
        }
    ],
    "default": "cifar",
}
LIVE = {"status": "live"}
READY = {"status": "ready", "provider": "local", "denoiser": "cifar"}
VERSION = {
    "name": "surety",
    "version": "0.1.0",
    "certificate_schema": "surety.certificate/1",
    "python": "3.11.9",
}
PROBLEM_KIND = {
    "type": kinds.NOT_AN_IMAGE.type,
    "title": kinds.NOT_AN_IMAGE.title,
    "status": kinds.NOT_AN_IMAGE.status,
    "explanation": kinds.NOT_AN_IMAGE.explanation,
}

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
