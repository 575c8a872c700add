"""Provider texts, made fit to be shown: short, on one line, and without secrets."""

from collections.abc import Iterable

LONGEST = 200


def redacted(text: object, secrets: Iterable[str | None] = ()) -> str:
    """Return a text without the secrets, on one line, cut to a readable length.

    Args:
        text: what a provider or an SDK said.
        secrets: credentials that it may have repeated.
    """
    said = " ".join(str(text).split())
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        said = said.replace(secret, "***")
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"
