"""The header Authorization (RFC 6750): `Bearer surety_…`."""

import re
from collections.abc import Sequence

from service.access.token import PREFIX, Token
from service.errors import Unauthenticated

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE | re.ASCII)
LONGEST = 512  # characters; ours have 88


def shown_token(values: Sequence[str]) -> Token | None:
    """Return the API key that a request shows; None if it shows nothing.

    Args:
        values: of the request's headers Authorization.

    Raises:
        Unauthenticated: if it shows something else.
    """
    if not values:
        return None
    found = _BEARER.fullmatch(values[0]) if len(values[0]) <= LONGEST else None
    token = None if found is None or len(values) > 1 else Token.of(found[1])
    if token is None:
        raise Unauthenticated(shown=True)
    return token


def shows_one_of_ours(values: Sequence[str]) -> bool:
    """Tell whether a request shows an API key of ours, well-formed or not.

    Where no keys are needed, other credentials are a proxy's affair.
    """
    return any(PREFIX in value for value in values)
