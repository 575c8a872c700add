"""Provider texts, made fit to be shown: short, on one line, and without secrets."""

from collections.abc import Iterable
from urllib.parse import quote, quote_plus

LONGEST = 200
SHORTEST_LINE = 8  # of a secret with several lines, such as a private key


def redacted(text: object, secrets: Iterable[str | None] = ()) -> str:
    """Return a text without the secrets, on one line, cut to a readable length.

    Args:
        text: what a provider or an SDK said.
        secrets: credentials that it may have repeated, as they are or as a part of an address.
    """
    said = _one_line(str(text))
    given = [secrets] if isinstance(secrets, str) else secrets
    for secret in sorted({s for g in given if g for s in _spellings(g)}, key=len, reverse=True):
        said = said.replace(secret, "***")
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def _one_line(text: str) -> str:
    """Replace what a terminal would obey rather than show."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _spellings(secret: str) -> set[str]:
    lines = [line for line in secret.splitlines() if len(line) >= SHORTEST_LINE]
    data = secret.encode("utf-8", "replace")
    quoted = [quote(data), quote(data, safe=""), quote_plus(data)]
    found = [secret, secret.replace("\n", "\\n"), *lines, *quoted]
    return {spelling for text in found if (spelling := _one_line(text))}
