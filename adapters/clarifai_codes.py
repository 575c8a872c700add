"""Every status code of Clarifai's, and every one of gRPC's, by what follows from it.

Clarifai has some 450 codes for all that its platform does; few of them can answer a prediction.
A test walks through clarifai-grpc's own list of them. A code that is not here yet is judged by the
HTTP status that Clarifai sends beside it, if that is plain.
"""

from collections.abc import Iterator, Mapping
from enum import Enum


class Kind(Enum):
    """What follows from a code."""

    ANSWERED = "answered"
    MIXED = "each picture has a code of its own"
    REFUSED = "this picture is refused for good"
    RETRY = "may go away"
    TIMED_OUT = "may go away, but may have been charged for"
    THROTTLED = "fewer calls are asked for"
    AUTHENTICATION = "the token is not accepted"
    PERMISSION = "the token may not do this"
    QUOTA = "quota, budget or payment"
    REJECTED = "the call as such is wrong"


Codes = tuple[int | tuple[int, int], ...]

NAMED: Mapping[Kind, Codes] = {
    Kind.ANSWERED: ((10000, 10002),),  # the docs name 10001 and 10002: success, with a warning
    Kind.MIXED: (10010,),
    # Format, invalid argument, too large, cannot be decoded; the same of the media processor.
    Kind.REFUSED: (30101, (30104, 30105), 30300, 46003, (47103, 47105)),
    Kind.TIMED_OUT: (40032, 98009),
    Kind.THROTTLED: (
        11003,  # hourly
        11005,
        21354,  # the model is busy
        40030,  # a queue is full
    ),
    Kind.AUTHENTICATION: (
        (11001, 11002),
        (11008, 11009),
        11102,  # something is wrong with a header, and the only one that is sent is the token's
        11200,
        53001,  # single sign-on
        65000,
    ),
    Kind.PERMISSION: (
        11007,
        11104,  # a consent is missing
        21201,
        22103,
        24156,
        25301,
        25601,
        30103,
        31103,
        46002,  # the user is flagged
        46006,
        50001,  # a consent is missing
        54103,
        (60001, 60005),  # licences
        62002,
    ),
    Kind.QUOTA: (
        11000,  # expired card, trial, not in this plan
        11004,  # monthly
        11006,
        (44001, 44002),  # payment
        60006,
        (69000, 69001),  # billing
        99005,
    ),
    Kind.REJECTED: (
        10040,  # not implemented
        10050,  # moved
        (11100, 11101),
        11103,
        11105,
        21102,  # untrained
        (21105, 21106),  # uploading or training has failed
        (21108, 21119),  # building or training has failed
        21200,
        (21202, 21203),
        21400,
        21420,
        (22001, 22002),  # workflows
        (22100, 22102),
        (22104, 22107),
        22999,
        24155,
        24900,
        25204,
        25300,
        (25302, 25303),
        25404,
        25600,  # runners
        (25602, 25603),
        (25700, 25702),  # node pools
        (25800, 25802),  # clusters
        (25900, 25903),  # deployments
        (26000, 26002),
        26100,
        (26200, 26202),
        (26300, 26302),
        (26400, 26405),
        30100,  # a duplicate: not the picture's fault, it may be the same one asked again
        30102,
        30106,
        (31100, 31102),
        (31104, 31106),
        39999,
        (40001, 40004),
        40033,  # message too large
        40036,  # unknown method
        40050,
        43104,
        (54101, 54102),
        61002,
        (62000, 62001),
        62003,
        70000,
        90400,
    ),
}
# What lies in one of these and is not named above.
MAY_GO_AWAY: Codes = (
    0,  # a reply without a status
    (10020, 10070),  # failure, try again
    (21100, 21104),  # training, queued, uploading
    21107,  # building
    (21150, 21152),
    (21300, 21355),  # evaluating; deploying, not deployed, loading
    (21500, 21503),
    (22108, 22153),
    (23150, 25174),  # concepts, annotations, trainer, dumps
    (25200, 25406),
    (25604, 25609),  # runners
    (26203, 26209),
    # With bytes there is no download: 30002 says that Clarifai could not process them, which may
    # be its own fault, so it is no refusal.
    (30000, 30005),
    (30200, 31450),
    (39996, 39998),  # maintenance
    (40010, 40037),  # databases, calls between Clarifai's servers
    (41000, 43109),  # queues, search, evaluation
    (45001, 47201),  # caches, counts, media processor
    (51000, 55004),  # workers, tasks, label orders
    (60000, 64204),  # maintenance, datasets, jobs
    (66000, 68006),
    (71003, 71005),
    (90500, 99009),  # internal, uncategorized
)
BY_HTTP: Mapping[int, Kind] = {
    401: Kind.AUTHENTICATION,
    402: Kind.QUOTA,
    403: Kind.PERMISSION,
    429: Kind.THROTTLED,
}
# Of a call that gRPC calls failed. Whether it was charged for is not known then.
BY_GRPC: Mapping[str, Kind] = {
    "CANCELLED": Kind.TIMED_OUT,
    "UNKNOWN": Kind.TIMED_OUT,
    "INVALID_ARGUMENT": Kind.REJECTED,
    "DEADLINE_EXCEEDED": Kind.TIMED_OUT,
    "NOT_FOUND": Kind.REJECTED,
    "ALREADY_EXISTS": Kind.REJECTED,
    "PERMISSION_DENIED": Kind.PERMISSION,
    "RESOURCE_EXHAUSTED": Kind.THROTTLED,
    "FAILED_PRECONDITION": Kind.REJECTED,
    "ABORTED": Kind.TIMED_OUT,
    "OUT_OF_RANGE": Kind.REJECTED,
    "UNIMPLEMENTED": Kind.REJECTED,
    "INTERNAL": Kind.TIMED_OUT,
    "UNAVAILABLE": Kind.TIMED_OUT,
    "DATA_LOSS": Kind.TIMED_OUT,
    "UNAUTHENTICATED": Kind.AUTHENTICATION,
}


def kind_of(code: int, http: int = 0) -> Kind | None:
    """Return what follows from a code; None if it is new, and its HTTP status says no more."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if any(first <= code <= last for first, last in _RANGES):
        return Kind.RETRY
    return BY_HTTP.get(http)


def _ranges(codes: Codes) -> Iterator[tuple[int, int]]:
    for code in codes:
        yield code if isinstance(code, tuple) else (code, code)


_BY_CODE = {
    code: kind
    for kind, codes in NAMED.items()
    for first, last in _ranges(codes)
    for code in range(first, last + 1)
}
_RANGES = tuple(_ranges(MAY_GO_AWAY))
