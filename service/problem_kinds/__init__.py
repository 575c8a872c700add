"""The kinds of problem that a client may meet, each with an explanation for people.

One module for each theme; this package is all of them together.
"""
# ruff: noqa: F403, F405

from service.problem_kinds.access import *
from service.problem_kinds.deployment import *
from service.problem_kinds.edges import *
from service.problem_kinds.kind import Kind as Kind
from service.problem_kinds.providers import *
from service.problem_kinds.requests import *
from service.problem_kinds.runs import *
from service.problem_kinds.uploads import *
from service.problem_kinds.usage import *

KINDS: tuple[Kind, ...] = tuple(k for k in list(globals().values()) if isinstance(k, Kind))
BY_SLUG = {kind.slug: kind for kind in KINDS}
BY_STATUS = {
    400: MALFORMED,
    401: UNAUTHENTICATED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    406: NOT_ACCEPTABLE,
    408: TOO_SLOW,
    413: TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
    500: INTERNAL,
}
