"""Values that must not come out again, and where to look for them."""

import base64
import secrets
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

KEY_LETTERS = string.ascii_letters + string.digits


def word(length: int = 40) -> str:
    """Return a value that stands nowhere by chance."""
    return "".join(secrets.choice(KEY_LETTERS) for _ in range(length))


def spellings(value: str) -> list[bytes]:
    """Return a value as it may be written: raw, base64, hex, percent-encoded, as bytes of hex."""
    raw = value.encode()
    found = {
        raw,
        quote(value, safe="").encode(),
        quote_plus(value).encode(),
        value.upper().encode(),
    }
    found |= {raw.hex().encode(), raw.hex().upper().encode()}
    # Three alignments: what a secret becomes within a longer text that was encoded as a whole.
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
        inner = whole[(4 if shift else 0) : -4]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    if all(c in string.hexdigits for c in value) and len(value) % 2 == 0:
        plain = bytes.fromhex(value)
        found |= {plain, base64.b64encode(plain).rstrip(b"=")}
        found |= {base64.urlsafe_b64encode(plain).rstrip(b"=")}
    return sorted(found)


def leaks(planted: Mapping[str, str], where: str, data: bytes) -> Iterator[str]:
    """Yield what is found of the planted values, without repeating it.

    Args:
        planted: name → value.
        where: what the data are.
        data: all of it.
    """
    for name, value in planted.items():
        for spelling in spellings(value):
            at = data.find(spelling)
            if at >= 0:
                before = data[max(0, at - 120) : at].decode("utf-8", "replace")
                yield f"{name} in {where}, behind …{before}"
                break


def files_under(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of all files."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path.read_bytes()
