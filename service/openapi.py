"""The OpenAPI document: what FastAPI writes, with the problem document as a schema."""

from typing import Any

from fastapi import FastAPI

from service.openapi_answers import SCHEMAS


def install(app: FastAPI) -> None:
    """Let an application serve the completed document.

    Args:
        app: with all its routes.
    """
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            # FastAPI's own validation error is never sent: every error is a problem.
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            schemas.update(SCHEMAS)
            for path in document["paths"].values():
                for operation in path.values():
                    _drop_framework_error(operation["responses"])
        assert app.openapi_schema is not None  # noqa: S101  set by `generate`
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _drop_framework_error(responses: dict[str, Any]) -> None:
    content = responses.get("422", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if schema.get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
