"""Strict reading of the JSON that proofs rest on, and its one canonical form (RFC 8785).

What two readers could understand differently is refused: members given twice, NaN and
infinity, anything behind the document. A text without white space outside its strings claims
to be canonical and must be so byte for byte, so that no byte of it can be changed unseen.
"""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

import rfc8785

from certification.errors import InvalidParameter

MOST_BYTES = 4 * 2**20
"""Of a certificate: room for thousands of labels and synonyms."""
MOST_DEPTH = 64
LARGEST_WHOLE = 2**53 - 1
"""Beyond it RFC 8785 knows a number as a double alone."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_WHITE = b" \t\r\n"
_SHOWN = 40


def canonical(document: Any) -> bytes:  # noqa: ANN401
    """Return the RFC 8785 form of JSON values.

    Raises:
        InvalidParameter: if they have none: NaN, a lone surrogate, what JSON does not know.
    """
    try:
        return rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidParameter(f"the document has no canonical form ({error})") from None
    except RecursionError:
        raise InvalidParameter("the document is nested too deeply") from None


def read(
    data: bytes,
    *,
    what: str,
    most_bytes: int = MOST_BYTES,
    most_values: int = 10**6,
    compact: bool = False,
) -> Any:  # noqa: ANN401
    """Read one JSON document.

    Args:
        data: its bytes, UTF-8.
        what: the document, for messages and as the field of the error: "certificate".
        most_bytes: a larger one is refused unread.
        most_values: of all lists and objects together.
        compact: whether text without white space may be of another form than the canonical one,
            where nothing is signed, as what a web framework writes.

    Returns:
        JSON values; whole numbers beyond 2⁵³ as float.

    Raises:
        InvalidParameter: if it is not such a document; the message says where.
    """
    if len(data) > most_bytes:
        raise InvalidParameter(
            f"the {what} has {len(data):,} bytes, and at most {most_bytes:,} are read", what
        )
    bare = _STRING.sub(b"", data)  # the text without its strings
    depth = _depth(bare, MOST_DEPTH)
    if depth > MOST_DEPTH:
        raise InvalidParameter(f"the {what} is nested more than {MOST_DEPTH} deep", what)
    if bare.count(b",") > most_values:
        raise InvalidParameter(f"the {what} has more than {most_values:,} values", what)
    try:
        value = _parse(data)
    except UnicodeDecodeError as error:
        raise InvalidParameter(f"the {what} is not UTF-8 at byte {error.start}", what) from None
    except json.JSONDecodeError as error:
        at = len(error.doc[: error.pos].encode())
        raise InvalidParameter(f"the {what} is not JSON at byte {at}: {error.msg}", what) from None
    except (_Refused, RecursionError) as error:
        raise InvalidParameter(f"the {what} is not strict JSON: {error}", what) from None
    try:
        form = canonical(value)
    except InvalidParameter as error:
        raise InvalidParameter(f"the {what}: {error}", what) from None
    body = _without_line_ends(data)
    if (
        not compact
        and form != body
        and not any(space in _without_line_ends(bare) for space in _WHITE)
    ):
        at = _first_difference(form, body)
        raise InvalidParameter(
            f"the {what} is written without white space, as its canonical form (RFC 8785) would "
            f"be, but is not that at byte {at}: {_shown(body[at:])} where {_shown(form[at:])} "
            "belongs. It has been changed",
            what,
        )
    return value


class _Refused(ValueError):
    """What JSON allows, or Python reads, and a proof may not hold."""


def _parse(data: bytes) -> Any:  # noqa: ANN401
    return json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_members,
        parse_constant=_no_constant,
        parse_float=_finite,
        parse_int=_whole,
    )


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _Refused(f"the member {twice[:_SHOWN]!r} is there twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Refused(f"the number {text[:_SHOWN]} is too large")
    return number


def _whole(text: str) -> int | float:
    # Python takes a time that grows with the square of the digits, and refuses past 4,300.
    if len(text) <= len(str(LARGEST_WHOLE)) + 1 and abs(number := int(text)) <= LARGEST_WHOLE:
        return number
    return _finite(text)


def _depth(bare: bytes, most: int) -> int:
    depth = deepest = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > most:
            break
    return deepest


def _without_line_ends(data: bytes) -> bytes:
    """Leave out one line end before and one behind, which editors and shells add."""
    for end in (b"\r\n", b"\n"):
        if data.startswith(end):
            data = data[len(end) :]
            break
    for end in (b"\r\n", b"\n"):
        if data.endswith(end):
            return data[: -len(end)]
    return data


def _first_difference(one: bytes, other: bytes) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _shown(data: bytes) -> str:
    return repr(data[:12].decode("utf-8", "replace")) if data else "the end"
