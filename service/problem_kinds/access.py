"""Who asks, and what they may do."""

from service.problem_kinds.kind import Kind

UNAUTHENTICATED = Kind(
    "unauthenticated",
    401,
    "An API key is needed",
    "Send the header Authorization: Bearer surety_… with a key that whoever runs the deployment "
    "has made with `surety apikeys create`. A key that is unknown, was revoked or has expired is "
    "answered in the same way.",
)
MISSING_SCOPE = Kind(
    "missing-scope",
    403,
    "The API key may not do this",
    "The key counts, but not for this: `detail` names the scope that is needed. certify is for "
    "/certify and /predict, jobs for batch jobs, read for looking at what others have begun, "
    "admin for everything.",
)
LOCAL_ONLY = Kind(
    "local-only",
    403,
    "Only its own machine is answered",
    "The deployment has no API keys yet, so nobody but its own machine may use it. Whoever runs "
    "it makes a key with `surety apikeys create`, or allows everybody with SURETY_ALLOW_PUBLIC.",
)
KEY_NAME_TAKEN = Kind(
    "key-name-taken",
    409,
    "Another API key has this name",
    "No two API keys that count have the same name, so that a name means one of them. Choose "
    "another, or revoke or rename the other key first; to give a key another secret rotate it.",
)
