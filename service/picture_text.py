"""Words for a picture: made harmless, measured without a font, cut into lines.

Which font a reader has is not known, so widths are those of the widest common ones (DejaVu
Sans and Serif), rounded up; elsewhere lines come out a little shorter than they could be.
"""

import unicodedata
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape, quoteattr

from service.terminal import plain

SANS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
SERIF = "Georgia, Cambria, 'Times New Roman', 'Liberation Serif', 'DejaVu Serif', serif"
MONO = "Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
MONO_WIDTH = 0.61
BOLD = 1.15
MOST = 2000  # characters of one text that are looked at; no place has room for more
MOST_MARKS = 3  # accents on one letter; more would reach into other lines

_WIDTHS = {
    0.30: "'",
    0.35: " ,./:;\\ijl|",
    0.40: "()-I[]f",
    0.45: "!Jt",
    0.50: '"*_`r',
    0.55: "?sz",
    0.60: "cvxy",
    0.65: "$0123456789abdeghknopqu{}·×σα",
    0.70: "FLPSTYZ",
    0.75: "ABEKVX",
    0.80: "CGR",
    0.85: "#+<=>DOQU^~",
    0.90: "&HNw",
    1.00: "%@m…",
    1.05: "MW",
}
_WIDTH = {character: width for width, those in _WIDTHS.items() for character in those}


def clean(text: object) -> str:
    """Make a text from outside fit for a picture.

    Control characters become �, also those that only turn the writing direction; blanks are
    single, and accents do not pile up.
    """
    kept: list[str] = []
    marks = 0
    for character in " ".join(plain(str(text)[:MOST]).split()):
        marks = marks + 1 if _is_mark(character) else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept) or "(blank)"


def width(text: str, size: float, factor: float = 1.0) -> float:
    """Return the width of a cleaned text, rather too wide than too narrow.

    Args:
        text: the text.
        size: of the font.
        factor: BOLD for bold.
    """
    return sum(map(_em, text)) * size * factor


def mono_width(text: str, size: float) -> float:
    """Return the width of letters and digits in MONO."""
    return len(text) * MONO_WIDTH * size


def within(room: float, size: float, factor: float = 1.0) -> Callable[[str], bool]:
    """Return a test whether a text is no wider than `room`."""
    return lambda text: width(text, size, factor) <= room


def wrap(text: str, room: Callable[[str], bool], most: int) -> list[str]:
    """Cut a cleaned text into lines; what does not fit ends in an ellipsis.

    Args:
        text: the text.
        room: whether a line is short enough.
        most: lines.
    """
    lines: list[str] = []
    words = text.split(" ")
    while words and len(lines) < most:
        taken = _fitting(words, room)
        if taken:
            lines.append(" ".join(words[:taken]))
            words = words[taken:]
        else:  # a word longer than a line
            cut = _longest(words[0], room)
            lines.append(words[0][:cut])
            words[0] = words[0][cut:]
    if words:
        lines[-1] = shorten(" ".join([lines[-1], *words[:1]]) + " …", room)
    return lines


def shorten(text: str, room: Callable[[str], bool]) -> str:
    """Return the text, or as much of its beginning as fits with an ellipsis behind it."""
    if room(text):
        return text
    return text[: _longest(text, lambda part: room(part + "…"))].rstrip() + "…"


def fit(
    text: str, sizes: Sequence[float], room: float, most: int, factor: float = 1.0
) -> tuple[float, list[str]]:
    """Return the largest of some sizes at which a cleaned text fits, and its lines.

    Args:
        text: the text.
        sizes: from large to small.
        room: width of a line.
        most: lines; at the smallest size the text is shortened to them.
        factor: BOLD for bold.
    """
    for size in sizes:
        lines = wrap(text, within(room, size, factor), most)
        # A word is not cut as long as it fits at a smaller size.
        if " ".join(lines) == text:
            return size, lines
    return sizes[-1], lines


def line(
    x: float, y: float, text: str, size: float, *, font: str = SANS, fill: str, **more: object
) -> str:
    """Write one line as an SVG element.

    Args:
        x: where it begins, or what `anchor` says.
        y: the baseline.
        text: what to write; escaped here.
        size: of the font.
        font: the family.
        fill: the colour.
        more: other attributes; _ stands for -.
    """
    attributes = {"x": number(x), "y": number(y), "font-family": font, "font-size": number(size)}
    attributes |= {"fill": fill} | {k.replace("_", "-"): str(v) for k, v in more.items()}
    written = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    return f"<text {written}>{escape(text)}</text>"


def number(value: float) -> str:
    """Write a coordinate: short, and the same everywhere."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _fitting(words: Sequence[str], room: Callable[[str], bool]) -> int:
    taken, text = 0, ""
    for word in words:
        text = f"{text} {word}" if taken else word
        if not room(text):
            break
        taken += 1
    return taken


def _longest(text: str, room: Callable[[str], bool]) -> int:
    """Return how many characters of a text fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if room(text[:middle]) else (low, middle - 1)
    while low < len(text) and _is_mark(text[low]):  # an accent stays with its letter
        low += 1
    return low


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me")


def _em(character: str) -> float:
    known = _WIDTH.get(character)
    if known is not None:
        return known
    if _is_mark(character):
        return 0.0
    if character > "\U0001f000":  # emoji
        return 1.4
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.05
    return 0.75 if character.islower() else 1.1
