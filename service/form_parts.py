"""Reads the parts of a multipart form: text fields into a model, files beside it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from service.single_members import TWICE

Model = TypeVar("Model", bound=BaseModel)


def read_parts(
    model: type[Model],
    items: Iterable[tuple[str, str | UploadFile]],
    files: Mapping[str, str],
    *,
    required: Collection[str] = (),
    either: Collection[str] = (),
) -> tuple[Model, dict[str, UploadFile]]:
    """Check the parts of a form.

    Args:
        model: its text fields.
        items: names and values in the order of the body; a file where a part has a file name.
        files: fields that are files, with what is in them.
        required: those that have to be there.
        either: those that may be text instead.

    Returns:
        The fields and the files.

    Raises:
        RequestValidationError: if a field is unknown, repeated, missing or wrong.
    """
    found: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    given: dict[str, UploadFile] = {}
    seen: set[str] = set()
    for name, value in items:
        if name in seen:
            found.append(wrong_part(name, TWICE))
        elif isinstance(value, UploadFile) and name in files:
            given[name] = value
        elif isinstance(value, UploadFile) and name in model.model_fields:
            found.append(wrong_part(name, "this is a file: send the value as text"))
        elif name in files and name not in either:
            found.append(wrong_part(name, f"this is text: send {files[name]} as a file"))
        else:
            texts[name] = value if isinstance(value, str) else ""
        seen.add(name)
    found += [
        wrong_part(name, f"missing: send {files[name]} as a file")
        for name in required
        if name not in seen
    ]
    try:
        form = model.model_validate(texts)
    except ValidationError as error:
        found += [
            dict(wrong)
            for wrong in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    if found:
        raise RequestValidationError(found)
    return form, given


def wrong_part(name: str, message: str) -> dict[str, Any]:
    """Say what is wrong with a part, as pydantic does."""
    return {"type": "form", "loc": (name,), "msg": message}
