"""Names of files for pictures, whatever the pictures are called."""

import hashlib
import re
import unicodedata

SUFFIX = ".certificate.json"
MOST_PART, MOST_PATH = 120, 180  # bytes of UTF-8, the suffix not counted
_BITS = 1 << 23  # 1 MiB
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


class Names:
    """Makes names that any system can unpack, no two of them the same.

    Which ones are taken is remembered in a Bloom filter of fixed size: now and then a name gets
    a number that it would not have needed, and memory does not grow.
    """

    def __init__(self) -> None:
        self._taken = bytearray(_BITS // 8)

    def take(self, name: str, number: int) -> str:
        """Return a relative path for the certificate of a picture.

        Args:
            name: of the picture; any text.
            number: of the picture.
        """
        path = safe_path(name)
        tried, more = path, 0
        while not self._new(tried):
            tried = f"{path}~{number}" + (f"~{more}" if more else "")
            more += 1
        return tried + SUFFIX

    def _new(self, path: str) -> bool:
        """Tell whether a path was not there, and remember it; as systems that know no case do."""
        told = unicodedata.normalize("NFKC", path.casefold()).casefold().encode()
        digest = hashlib.blake2b(told, digest_size=16).digest()
        new = False
        for start in (0, 8):
            at = int.from_bytes(digest[start : start + 8]) % _BITS
            new = new or not self._taken[at >> 3] >> (at & 7) & 1
            self._taken[at >> 3] |= 1 << (at & 7)
        return new


def safe_path(name: str) -> str:
    """Return a relative path with no step up, no character or name that a system refuses."""
    parts = [_safe(part) for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    # A folder must not be called like the file of another picture.
    folders = [part + "_" if part.casefold().endswith(SUFFIX) else part for part in parts[:-1]]
    path = "/".join([*folders, *parts[-1:]]) or "_"
    return path if len(path.encode()) <= MOST_PATH else parts[-1]


def _safe(part: str) -> str:
    kept = "".join("_" if _refused(character) else character for character in part)
    kept = _cut(kept).rstrip(". ") or "_"
    return "_" + kept if _DEVICE.match(kept) or kept[0] in " -~" else kept


def _refused(character: str) -> bool:
    return character in '<>:"|?*' or unicodedata.category(character)[0] == "C"


def _cut(part: str) -> str:
    """Keep the end, where the extension is."""
    return part.encode()[-MOST_PART:].decode(errors="ignore")
