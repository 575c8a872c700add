"""Names of pictures: clean relative POSIX paths, whatever an archive calls them.

They go into results, certificates and reports, and somebody may save files under them. API keys in
them are blotted out, since all of that is kept.
"""

import re
import unicodedata

from service.access.token import scrubbed
from service.errors import UnreadablePicture

LONGEST_NAME = 1024
LONGEST_LABEL = 255
LONGEST_SHOWN = 120
CLUTTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
RESOURCE_FORKS = "__MACOSX"

# Control characters, line and paragraph separators, marks that turn the direction of a line
# round, lone surrogates (bytes that are not UTF-8) and what XML does not take.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_DRIVE = re.compile("[A-Za-z]:")


def clean_name(raw: str) -> str:
    r"""Return a name as a clean relative POSIX path in Unicode NFC.

    "./a//b.jpg" and "a\b.jpg" become "a/b.jpg".

    Args:
        raw: as it was written; bytes that are not UTF-8 as lone surrogates.

    Raises:
        UnreadablePicture: if it leads out of the archive, holds characters that no name should,
            or is empty or too long.
    """
    if len(raw) > LONGEST_NAME:
        raise _refused(raw, f"has more than {LONGEST_NAME} characters")
    if harmful := _HARMFUL.search(raw):
        surrogate = "\ud800" <= harmful.group() <= "\udfff"
        raise _refused(raw, "is not UTF-8" if surrogate else "holds control characters")
    name = _composed(raw)
    if name.startswith("/") or _DRIVE.match(name):
        raise _refused(raw, "is an absolute path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refused(raw, "leads out of the folder")
    if not parts:
        raise UnreadablePicture("it has no name: give it one")
    return scrubbed("/".join(parts))


def shown_name(raw: str) -> str:
    """Return a clean name for one that :func:`clean_name` refuses, to list it under."""
    text = scrubbed(_composed(_HARMFUL.sub("\ufffd", raw)))[:LONGEST_NAME]
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    while parts and _DRIVE.match(parts[0]):
        parts[0] = parts[0][2:]
        parts = [part for part in parts if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def clean_label(raw: str) -> str:
    """Return a label without blanks around it.

    Raises:
        ValueError: if nothing is left, it is too long, or holds characters that no label should.
    """
    label = scrubbed(raw.strip())
    if not label:
        raise ValueError("is empty")
    if len(label) > LONGEST_LABEL:
        raise ValueError(f"has more than {LONGEST_LABEL} characters")
    if _HARMFUL.search(label):
        raise ValueError("holds control characters")
    return label


def is_clutter(name: str) -> bool:
    """Tell whether a clean name is hidden, or of a file that systems leave in folders."""
    parts = name.split("/")
    return (
        any(part.startswith(".") for part in parts)
        or parts[0] == RESOURCE_FORKS
        or parts[-1].lower() in CLUTTER
    )


def _composed(text: str) -> str:
    text = text.replace("\\", "/")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _refused(raw: str, why: str) -> UnreadablePicture:
    raw = scrubbed(raw)
    text = raw if len(raw) <= LONGEST_SHOWN else raw[:LONGEST_SHOWN] + "…"
    # repr escapes whatever a terminal should not print
    return UnreadablePicture(f"its name {text!r} {why}: rename it")
