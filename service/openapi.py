"""The OpenAPI document: what FastAPI writes, with our schemas, examples and problems."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.access.openapi import describe_access
from service.openapi_answers import method_not_allowed
from service.openapi_edges import REQUEST_ID, describe_edges
from service.openapi_examples import EXAMPLES
from service.openapi_schemas import SCHEMAS
from service.problems import MEDIA_TYPE, methods_at


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Let an application serve the completed document.

    Args:
        app: with all its routes.
        routes: those that state what they need of their callers.
    """
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            describe_access(document, routes)
            _complete(document)
        assert app.openapi_schema is not None  # noqa: S101  set by `generate`
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    # FastAPI's own validation error is never sent: every error is a problem.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(SCHEMAS)
    components["examples"] = {name: {"value": value} for name, value in EXAMPLES.items()}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            instance = _filled(path, operation)
            allowed = ", ".join(methods_at(document, instance))
            responses = operation["responses"]
            _drop_framework_error(responses)
            responses["405"] = method_not_allowed(instance, allowed)
            describe_edges(path, method, operation)
            operation["responses"] = dict(sorted(responses.items()))
            for answer in responses.values():
                _finish(answer, instance)


def _filled(path: str, operation: dict[str, Any]) -> str:
    """Put a path's first examples in the place of its parameters."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            example = parameter["schema"]["examples"][0]
            path = path.replace(f"{{{parameter['name']}}}", str(example))
    return path


def _finish(answer: dict[str, Any], instance: str) -> None:
    """Say where each example of a problem happened; take FastAPI's guesses from the schemas."""
    for media_type, media in answer.get("content", {}).items():
        if "$ref" in media["schema"]:
            media["schema"] = {"$ref": media["schema"]["$ref"]}
        if media_type == MEDIA_TYPE:
            for example in media["examples"].values():
                example["value"] |= {"instance": instance, "request_id": REQUEST_ID}
                example["value"] = {  # `errors` last, as in an answer
                    name: example["value"][name]
                    for name in SCHEMAS["Problem"]["properties"]
                    if name in example["value"]
                }


def _drop_framework_error(responses: dict[str, Any]) -> None:
    content = responses.get("422", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if schema.get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
