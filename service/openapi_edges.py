"""Describes for OpenAPI what holds at the edges: request ids, Idempotency-Key, Prefer, 202."""

from typing import Any

from service.edges import idempotency_key, prefer, request_id
from service.negotiation import JSON
from service.openapi_fields import ref

REQUEST_ID = "8f14e45fceea167a5a36dedd"
SPENDING = (
    *("/certify", "/predict", "/jobs", "/estimate"),
    *(f"/jobs/{{job_id}}/{action}" for action in ("resume", "retry", "extend")),
)
"""What a POST to spends money, and so takes an Idempotency-Key."""

WAITING = {"/certify": "certificate", "/predict": "prediction"}


def _parameter(name: str, description: str, example: str, **schema: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema, "examples": [example]},
    }


def _header(description: str, example: str, *, required: bool) -> dict[str, Any]:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string"},
        "example": example,
    }


_KEY = _parameter(
    idempotency_key.HEADER,
    "Names this request: the same again, with the same key, is not done twice but answered with "
    "the same. Visible ASCII, in double quotes or bare; kept for a day.",
    '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
    minLength=1,
    maxLength=2 * idempotency_key.MOST,
)
_PREFER = _parameter(
    prefer.HEADER,
    "respond-async answers 202 at once, and the run goes on without the client; wait=N (seconds) "
    "does so only if it has not ended by then. Others are ignored, and so are both where events "
    "are asked for.",
    "respond-async",
)
_ID = _parameter(
    request_id.HEADER,
    "The client's own name for this request. One that is no visible ASCII without quotes, or is "
    f"longer than {request_id.MOST} characters, is ignored.",
    REQUEST_ID,
)


def describe_edges(path: str, method: str, operation: dict[str, Any]) -> None:
    """Complete an operation.

    Args:
        path: its template.
        method: in lower case.
        operation: is changed.
    """
    parameters, responses = operation.setdefault("parameters", []), operation["responses"]
    spends = method == "post" and path in SPENDING
    if spends:
        parameters.append(_KEY)
    if method == "post" and path in WAITING:
        parameters.append(_PREFER)
        responses["202"] = _accepted(WAITING[path])
        responses["200"]["headers"][prefer.APPLIED] = _header(
            "Where Prefer asked to wait, and the run has ended in time.",
            "respond-async, wait=10",
            required=False,
        )
    parameters.append(_ID)
    for answer in responses.values():
        headers = answer["headers"] = dict(answer.get("headers", {}))
        headers[request_id.HEADER] = _header(
            "The request's name, the client's own or made here.", REQUEST_ID, required=True
        )
        if spends:
            headers[idempotency_key.REPLAYED] = _header(
                "true where this is the answer of an earlier request with this Idempotency-Key.",
                "true",
                required=False,
            )


def _accepted(kind: str) -> dict[str, Any]:
    run = "/runs/8e03978e40d543e8bc93"
    return {
        "description": f"The run goes on; its {kind} will be found at Location.",
        "headers": {
            "Location": _header("The run.", run, required=True),
            "Surety-Run": _header("Id of the run.", run.removeprefix("/runs/"), required=True),
            prefer.APPLIED: _header("What was preferred.", "respond-async", required=True),
        },
        "content": {
            JSON: {
                "schema": ref("RunState"),
                "examples": {"recorded": {"$ref": "#/components/examples/RunState"}},
            }
        },
    }
