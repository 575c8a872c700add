"""Words for writing JSON schemas of answers: a value, a value or null, a record, a list, a map."""

from collections.abc import Collection
from typing import Any

Schema = dict[str, Any]

SHA256 = "^[0-9a-f]{64}$"


def of(kind: str, description: str, **more: Any) -> Schema:  # noqa: ANN401  any keyword of a schema
    """Describe a value of one type; `more` are further keywords."""
    return {"type": kind, "description": description, **more}


def maybe(kind: str, description: str, **more: Any) -> Schema:  # noqa: ANN401
    """Describe a value of one type, or null."""
    return {"type": [kind, "null"], "description": description, **more}


def sha256(description: str) -> Schema:
    """Describe a SHA-256 in hexadecimal digits."""
    return of("string", description, pattern=SHA256)


def count(description: str) -> Schema:
    """Describe a whole number, 0 or more."""
    return of("integer", description, minimum=0)


def amount(description: str) -> Schema:
    """Describe a number, 0 or more."""
    return of("number", description, minimum=0)


def one_of(description: str, *values: str) -> Schema:
    """Describe a string of a closed set."""
    return of("string", description, enum=list(values))


def record(description: str, members: dict[str, Schema], optional: Collection[str] = ()) -> Schema:
    """Describe an object with fixed members.

    Args:
        description: one line.
        members: by name.
        optional: names of those that may be missing; all others are required.
    """
    required = [name for name in members if name not in optional]
    return of("object", description, required=required, properties=members)


def map_of(description: str, value: Schema | bool) -> Schema:
    """Describe an object whose names are free; `value` is True where the values are, too."""
    return of("object", description, additionalProperties=value)


def list_of(description: str, item: Schema) -> Schema:
    """Describe a list."""
    return of("array", description, items=item)


def ref(name: str) -> Schema:
    """Refer to one of the document's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def maybe_ref(name: str, description: str) -> Schema:
    """Refer to one of the document's schemas, or null."""
    return {"description": description, "anyOf": [ref(name), {"type": "null"}]}
