"""Requests that come again, too slowly, or are none."""

from service.problem_kinds.kind import Kind

TOO_SLOW = Kind(
    "request-too-slow",
    408,
    "The request came too slowly",
    "Its head, or its body, did not arrive in time: a body has ten seconds and one more for every "
    "16 KiB unless the deployment was set otherwise. Nothing was asked or paid for.",
)
BAD_IDEMPOTENCY_KEY = Kind(
    "malformed-idempotency-key",
    400,
    "The Idempotency-Key cannot be read",
    "Send one string of 1 to 255 visible ASCII characters, in double quotes or bare, such as "
    '"8e03978e-40d5-43e8-bc93-6894a57f9324".',
)
KEY_REUSED = Kind(
    "idempotency-key-reused",
    422,
    "The Idempotency-Key belongs to another request",
    "It was sent before with another path or another body. Take a new key for a new request.",
)
KEY_IN_USE = Kind(
    "request-in-progress",
    409,
    "The first request with this Idempotency-Key is still being answered",
    "Nothing is done twice. The header Link leads to the run, where there is one already; the "
    "same request later gets the answer of the first.",
)
MALFORMED_REQUEST = Kind(
    "malformed-request",
    400,
    "This is no HTTP request",
    "The head of the request is malformed, longer than 16 KiB, or has no header Host or several.",
)
