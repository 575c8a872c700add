"""What the OpenAPI document says about access: who may call what, and how a key is shown."""

from collections.abc import Iterable
from typing import Any, get_args

from fastapi.routing import APIRoute

from service import problem_kinds as kinds
from service.access.api_key import BudgetPeriod, KeyState
from service.access.needs import needs_of
from service.access.scopes import SCOPES, Scope
from service.access.token import PATTERN
from service.openapi_answers import problem_responses
from service.openapi_fields import Schema, list_of, maybe, of, one_of, record, ref

SCHEME = "apiKey"
REFUSALS = (
    *(kinds.UNAUTHENTICATED, kinds.MISSING_SCOPE, kinds.LOCAL_ONLY),
    *(kinds.TOO_MANY_REQUESTS, kinds.STORE_AWAY),
)
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "How to show a key (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
        "example": 'Bearer realm="surety"',
    }
}

_KEY: dict[str, Schema] = {
    "id": of("string", "Its name, also `owner` of what it began.", pattern="^[0-9a-f]{16}$"),
    "name": of("string", "What people call it."),
    "scopes": list_of("What it may do.", {"type": "string", "enum": list(SCOPES)}),
    "state": one_of("Whether it counts.", *get_args(KeyState)),
    "created": of("string", "When it was made.", format="date-time"),
    "expires": maybe("string", "From when on it counts no more.", format="date-time"),
    "revoked": maybe("string", "Since when it counts no more.", format="date-time"),
    "rate": maybe("number", "Requests a second; null for no limit."),
    "budget": maybe("number", "US dollars in a period; null for no limit."),
    "budget_period": one_of("Of the budget, in UTC.", *get_args(BudgetPeriod)),
    "overlap": maybe(
        "string", "Until when the secret before the last rotation counts.", format="date-time"
    ),
}

SCHEMAS: dict[str, Schema] = {
    "ApiKey": record("An API key, without its secret.", _KEY),
    "ApiKeys": record("All API keys.", {"api_keys": list_of("The oldest first.", ref("ApiKey"))}),
    "NewApiKey": record(
        "An API key, with what clients show.",
        {**_KEY, "key": of("string", "What clients show; not kept.", pattern=f"^{PATTERN}$")},
    ),
}


def describe_access(document: dict[str, Any], routes: Iterable[APIRoute]) -> None:
    """Say at every operation what it needs, and how it answers whoever lacks it.

    Args:
        document: the OpenAPI document, which is changed.
        routes: all that state what they need.
    """
    document.setdefault("components", {})["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "surety_ID_SECRET",
            "description": "An API key, made with `surety apikeys create`. A deployment that never "
            "had one needs none, and answers its own machine alone.",
        }
    }
    for route in routes:
        scopes = needs_of(route).scopes
        for method in route.methods or ():
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is None:
                continue  # not shown
            operation["security"] = [{SCHEME: []}] if scopes else []
            if scopes:
                operation["description"] += f"\n\n{_words(scopes)}"
                _add(operation["responses"])


def _words(scopes: tuple[Scope, ...]) -> str:
    if scopes == ("admin",):
        return "Where there are API keys: needs the scope `admin`."
    named = [f"`{scope}`" for scope in (*scopes, "admin")]
    return f"Where there are API keys: needs the scope {', '.join(named[:-1])} or {named[-1]}."


def _add(responses: dict[str, Any]) -> None:
    """Put the refusals beside the problems that are there."""
    for status, told in problem_responses(*REFUSALS).items():
        known = responses.setdefault(str(status), told)
        if status == kinds.UNAUTHENTICATED.status:
            known["headers"] = CHALLENGE
        if known is told:
            continue
        media = "application/problem+json"
        known["content"][media]["examples"] |= told["content"][media]["examples"]
        known.setdefault("headers", {}).update(told.get("headers", {}))
        for title in told["description"].split(" · "):
            if title not in known["description"].split(" · "):
                known["description"] += f" · {title}"
        if not known["headers"]:
            del known["headers"]
