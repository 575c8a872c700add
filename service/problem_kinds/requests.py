"""How a request was sent, and what its fields hold."""

from service.problem_kinds.kind import Kind

VALIDATION = Kind(
    "invalid-request",
    422,
    "A field does not hold what it should",
    "`errors` names each field and says what it takes. Unknown fields, repeated fields, numbers "
    "out of range, NaN and infinity are all refused before anything is asked or paid for.",
)
INVALID_PARAMETER = Kind(
    "invalid-parameter",
    422,
    "A parameter is out of range",
    "Each field is sound alone but not with the others, this provider or this deployment; "
    "a target radius, for one, can be at most six times sigma.",
)
BAD_REQUEST = Kind(
    "bad-request",
    422,
    "A field of the request is wrong",
    "`detail` says which, and what it should hold.",
)
MALFORMED = Kind(
    "malformed-body",
    400,
    "The body cannot be read",
    "The body is no well-formed multipart/form-data: a missing boundary, a part without a name, "
    "a text field of more than 64 KiB, or too many parts.",
)
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type",
    415,
    "The body is not multipart/form-data",
    "Send a form with the file in the field `image`, as `curl -F image=@picture.png` does, "
    "in UTF-8.",
)
NOT_ACCEPTABLE = Kind(
    "not-acceptable",
    406,
    "The Accept header excludes every answer",
    "None of what this route answers with is accepted: application/json, and on some routes "
    "text/event-stream, text/csv and others; `detail` names them.",
)
FORBIDDEN = Kind(
    "foreign-request",
    403,
    "Not asked by this service's own clients",
    "The request comes from another site's web page, or under a name that this service is not "
    "known by. SURETY_ALLOWED_HOSTS names those of a proxy.",
)
NOT_FOUND = Kind(
    "not-found",
    404,
    "Nothing here",
    "There is nothing of this path or id. Pictures are kept only where that was asked for, and "
    "not for ever; ended runs can be looked up for some days.",
)
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed",
    405,
    "Another method is needed",
    "The path exists, but not for this method; the Allow header names those it takes.",
)
UNKNOWN_PROVIDER = Kind(
    "unknown-provider",
    422,
    "No such provider",
    "GET /providers lists those that are installed.",
    "provider",
)
UNKNOWN_DENOISER = Kind(
    "unknown-denoiser",
    422,
    "No such denoiser",
    "GET /denoisers lists those that are installed.",
    "denoiser",
)
UNKNOWN_LABEL = Kind(
    "unknown-label",
    422,
    "The provider knows no such label",
    "The labels of this provider are a closed set; `detail` lists them.",
    "label",
)
