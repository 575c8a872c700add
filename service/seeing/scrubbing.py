"""Takes secrets and pictures out of what is logged or traced, whoever wrote it.

Two ways. Every secret that this process knows is replaced wherever it stands, in any of the
spellings that it may have in an address or in JSON. What merely looks like one is replaced too:
keys of this service and of clouds, the header Authorization, passwords in addresses, private keys,
bytes, and runs of base64 or hex that are longer than any digest.
"""

import functools
import re
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

from service.access.token import SHOWN

STARS = "***"
SHORTEST = 8  # characters of a secret: less is no secret, and stands in many a word
LONGEST_TEXT = 20_000  # characters that are looked at; a traceback has a few thousand
MOST_ENTRIES, DEEPEST = 64, 6  # of a list or table, and of tables within tables
NUMBERS = 32  # in a row: samples of a picture rather than figures
DIGEST = 64  # hexadecimal digits of a SHA-256: what is longer names nothing
PATH = 200  # characters of the path of a file, between two dots
FEW = 8  # different characters: a line of dashes

# Each takes time in proportion to the text, whatever that is: strangers write paths of requests.
# So what stands before a name is looked back at, not matched from wherever it may begin.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (SHOWN, r"\1_***"),
    # redis://:password@host, https://token@host
    (re.compile(r"(?<=://)(?:[^\s/@'\"<>:]*:[^\s/@'\"<>]*|[^\s/@'\"<>]{16,})@"), "***@"),
    (re.compile(r"-----BEGIN [A-Z ]*KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), STARS),
    (
        re.compile(
            r"((?:proxy-)?authorization|(?:set-)?cookie)"
            r"(['\"]?\s*[:=,]\s*(?:b(?=['\"]))?['\"]?)[^'\"\r\n]{4,}",
            re.IGNORECASE,
        ),
        r"\1\2***",
    ),
    (re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
    # ?key=…, "api_key": "…", x-api-key: …, Ocp-Apim-Subscription-Key: …, Signature=…
    (
        re.compile(
            r"((?<![^\W_])(?:api-?key|key|token|secret|password|passwd|sig|signature"
            r"|credential)['\"]?\s*[:=]\s*(?:b(?=['\"]))?['\"]?)"
            r"(?=[^\s'\"&,;{}\[\]()<>]*[0-9A-Z])[^\s'\"&,;{}\[\]()<>]{8,}",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}|AIza[\w-]{30,}"), STARS),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]+){1,2}"), STARS),  # a signed token
    (re.compile(r"\bb(['\"])(?:\\.|(?!\1).){8,}?(?:\1|\Z)", re.DOTALL), "<bytes>"),
    (re.compile(r"(?:\\x[0-9a-fA-F]{2}[^\\\s]{0,3}){6,}"), "<bytes>"),
)
# Where none of this stands, none of the patterns above can match.
_HINT = re.compile(
    r"surety_|://|-----B|cookie|auth|bearer|basic|key|token|secret|passw|sig|credential"
    r"|AKIA|ASIA|AIza|eyJ|b['\"]|\\x",
    re.IGNORECASE,
)
_RUN = re.compile(r"[A-Za-z0-9+/_=-]{65,}")
_DATA = re.compile(r"\x00|[\ufffd\x80-\x9f]{2,}|\x89PNG|JFIF")
_TELLING = re.compile(
    r"authorization|cookie|passw|secret(?!_id)|token|api_?key|signing_?key|credential|private",
    re.IGNORECASE,
)


@functools.lru_cache(1024)
def telling(name: str) -> bool:
    """Tell whether what has this name is secret, whatever it is."""
    return _TELLING.search(name) is not None


class Scrubber:
    """Replaces secrets. May be used from several threads."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def remember(self, secrets: Iterable[str | None]) -> None:
        """Replace these too, from now on.

        Args:
            secrets: as they are; short ones, and None, are passed over.
        """
        found = {s for secret in secrets if secret for s in _spellings(secret)}
        with self._lock:
            known = {*self._secrets, *found}
            self._secrets = tuple(sorted(known, key=len, reverse=True))  # the whole before a part

    def text(self, text: str) -> str:
        """Return a text without secrets and pictures."""
        if len(text) < SHORTEST:
            return text
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, STARS)
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
        if _HINT.search(text) is not None:
            for pattern, instead in _PATTERNS:
                text = pattern.sub(instead, text)
        if len(text) > DIGEST:
            text = _RUN.sub(_run, text)
        plain = text.isascii() and "\x00" not in text and "JFIF" not in text
        return text if plain or _DATA.search(text) is None else f"<{len(text):,} characters>"

    def value(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401
        """Return a value for the log: texts, numbers, and lists and tables of them."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value):,} bytes>"
        return self._other(value, depth)

    def table(self, table: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """Return a table for the log, such as a line's fields.

        Args:
            table: name → value. What has a telling name is replaced whatever it holds.
            depth: how many tables it stands in.
        """
        found: dict[str, Any] = {}
        for name, value in table.items():
            if len(found) == MOST_ENTRIES:
                found["…"] = f"{len(table) - MOST_ENTRIES} more"
                break
            hidden = telling(name) and value is not None and not isinstance(value, bool)
            found[self.text(name)] = STARS if hidden else self.value(value, depth)
        return found

    def __call__(
        self, logger: object, method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Scrub a log line, as a processor of structlog: the last one before it is written."""
        return self.table(line)

    def _other(self, value: Any, depth: int) -> Any:  # noqa: ANN401
        if depth >= DEEPEST:
            return f"<{type(value).__name__}>"
        if isinstance(value, Mapping):
            return self.table({str(name): entry for name, entry in value.items()}, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return self._list([*value], depth + 1)
        if hasattr(value, "shape"):  # an array, of samples as likely as not
            return f"<{type(value).__name__} {tuple(value.shape)}>"
        return self.text(repr(value))

    def _list(self, values: list[Any], depth: int) -> list[Any] | str:
        if len(values) >= NUMBERS and all(isinstance(v, int | float) for v in values):
            return f"<{len(values):,} numbers>"
        shown = [self.value(value, depth) for value in values[:MOST_ENTRIES]]
        if len(values) > MOST_ENTRIES:
            shown.append(f"… {len(values) - MOST_ENTRIES} more")
        return shown


def _run(found: re.Match[str]) -> str:
    """Replace a long run, unless it is a line or the path of a file: a slash every few letters."""
    text = found[0]
    path = len(text) < PATH and text.count("/") > len(text) / 20 and "+" not in text
    return text if path or len({*text}) < FEW else f"<{len(text):,} characters>"


def _spellings(secret: str) -> set[str]:
    """Return a secret as it is and as a part of an address, of JSON or of a `repr`."""
    data, lines = secret.encode("utf-8", "replace"), secret.splitlines()
    escaped = secret.encode("unicode_escape").decode()
    found = {secret, secret.strip(), escaped, quote(data), quote(data, safe=""), quote_plus(data)}
    found |= {text.replace('"', '\\"') for text in (secret, escaped)}
    if len(lines) > 1:
        found |= {*lines}
    return {text for text in found if len(text) >= SHORTEST}


SCRUBBER = Scrubber()
"""The log's; there is one log in a process, and what it must not tell is the same for all of it."""
