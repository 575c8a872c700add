"""The parts of a certificate's picture: each is drawn from its own top and says its height."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import segno

from service import picture_words as words
from service.picture_text import (
    BOLD,
    MONO,
    SERIF,
    fit,
    line,
    mono_width,
    number,
    shorten,
    width,
    within,
    wrap,
)

LEFT, RIGHT = 54.0, 541.0
WIDTH = RIGHT - LEFT
CENTRE = (LEFT + RIGHT) / 2
INK, SOFT, FAINT, RULE = "#1c2321", "#59635f", "#7d8783", "#cfd5d2"
CERTAIN, UNCERTAIN = "#1f5f46", "#94600f"
BARS = {"certified": CERTAIN, "other": "#8fa39b", "rest": "#b9c4bf", "none": "#d2a458"}
LARGEST_PIXELATED = 128  # pixels; a larger picture looks better smoothed
THUMBNAIL = 140.0
MOST_NAME = 130.0
MOST_LINES = 5  # of one number or name
QR = 88.0
LONGEST_IN_QR = 300  # bytes; a longer address would give modules too small to scan


@dataclass(frozen=True)
class Part:
    """A piece of SVG.

    Attributes:
        height: what it needs, from 0 downwards.
        drawn: elements.
    """

    height: float
    drawn: tuple[str, ...]


def heading(document: Mapping[str, Any], colour: str) -> Part:
    """Draw the title, and the name of the picture."""
    title, about = words.title(document)
    about = shorten(about, within(WIDTH, 13))
    name = line(WIDTH / 2, 15, about, 13, font=SERIF, fill=SOFT, font_style="italic", **_MIDDLE)
    return Part(
        88,
        (
            line(CENTRE, 14, "S U R E T Y", 10, fill=colour, font_weight="bold", **_MIDDLE),
            line(CENTRE, 52, title, 29, font=SERIF, fill=INK, **_MIDDLE),
            *_inside(LEFT, 60, WIDTH, 22, name),
            f'<path d="M{CENTRE - 60:g} 87.5h120" stroke="{colour}" stroke-width="1"/>',
        ),
    )


def result(document: Mapping[str, Any], colour: str, thumbnail: bytes | None) -> Part:
    """Draw what is certified, large, beside the picture if it is given."""
    if thumbnail is None:
        return _middle(_result(document, colour, WIDTH, centred=True), LEFT)
    picture, beside = _thumbnail(document["image"], thumbnail)
    room = WIDTH - beside - 30
    text = _result(document, colour, room, centred=False)
    height = max(picture.height, text.height)
    return Part(
        height,
        (
            *_at(LEFT, (height - picture.height) / 2, picture.drawn),
            *_at(RIGHT - room, (height - text.height) / 2, text.drawn),
        ),
    )


def meaning(document: Mapping[str, Any]) -> Part:
    """Draw the sentences."""
    drawn, y = [], 0.0
    for place, sentence in enumerate(words.meaning(document)):
        size, fill = (12.0, INK) if place == 0 else (10.0, SOFT)
        for text in wrap(sentence, within(WIDTH, size), 4):
            y += size * 1.4
            drawn.append(line(LEFT, y - size * 0.3, text, size, fill=fill))
        y += 5
    return Part(y - 5, tuple(drawn))


def votes(document: Mapping[str, Any]) -> Part:
    """Draw a bar for each label, and where half of the votes is."""
    n, shares = document["proof"]["votes"]["n"], words.shares(document)
    drawn = list(
        _caption("The votes", "the smoothed classifier answers what most noisy copies are called")
    )
    first, step, size = 20.0, 15.0, 9.5
    if not shares:
        drawn.append(line(LEFT, first + 10, "none were counted", size, fill=SOFT))
        return Part(first + step, tuple(drawn))
    counts = [f"{share.count:,} of {n:,}" for share in shares]
    for_name = min(MOST_NAME, max(width(share.name, size, BOLD) for share in shares))
    bar = LEFT + for_name + 12
    length = RIGHT - max(width(count, size) for count in counts) - 8 - bar
    for row, (share, count) in enumerate(zip(shares, counts, strict=True)):
        y = first + row * step
        weight = "bold" if share.kind == "certified" else "normal"
        name = shorten(share.name, within(MOST_NAME, size, BOLD))
        drawn += _inside(
            LEFT, y, MOST_NAME, step, line(0, 10, name, size, fill=INK, font_weight=weight)
        )
        drawn.append(_box(bar, y + 2, length, 9, "#f0f2f1"))
        drawn.append(_box(bar, y + 2, length * share.count / n, 9, BARS[share.kind]))
        drawn.append(line(RIGHT, y + 10, count, size, fill=INK, text_anchor="end"))
    bottom, half = first + len(shares) * step, bar + length / 2
    drawn.append(
        f'<path d="M{number(half)} {first:g}V{bottom:g}" stroke="{INK}" stroke-width="0.8" '
        'stroke-dasharray="2 2"/>'
    )
    drawn.append(line(half, bottom + 8, "half", 7.5, fill=SOFT, **_MIDDLE))
    return Part(bottom + 10, tuple(drawn))


def facts(document: Mapping[str, Any], height: float) -> Part:
    """Draw the numbers, in two columns; where they need more height, the longest are shortened."""
    room = (WIDTH - 24) / 2
    left = _column(words.result_facts(document), room, height - 12)
    right = _column(words.origin_facts(document), room, height - 12)
    return Part(
        max(left.height, right.height) + 12,
        (
            f'<path d="M{LEFT:g} 0.5H{RIGHT:g}" stroke="{RULE}" stroke-width="1"/>',
            *_at(LEFT, 12, left.drawn),
            *_at(RIGHT - room, 12, right.drawn),
        ),
    )


def foot(document: Mapping[str, Any], url: str | None) -> Part:
    """Draw the names that tie the picture to the document, how to check it, and the code."""
    usable = url is not None and len(url.encode("utf-8", "replace")) <= LONGEST_IN_QR
    link = url if url is not None and usable else str(document["id"])[:LONGEST_IN_QR]
    room = WIDTH - QR - 20
    drawn = [f'<path d="M{LEFT:g} 0.5H{RIGHT:g}" stroke="{RULE}" stroke-width="1"/>']
    y = 14.0
    for name, value in words.identity(document, url):
        short = shorten(value, lambda part: mono_width(part, 7.2) <= room - 58)
        drawn.append(line(LEFT, y, name, 7.5, fill=FAINT))
        drawn += _inside(
            LEFT + 58, y - 8, room - 58, 11, line(0, 8, short, 7.2, font=MONO, fill=INK)
        )
        y += 11.5
    y += 3
    for text in wrap(words.CHECK, within(room, 8), 3):
        drawn.append(line(LEFT, y, text, 8, fill=SOFT))
        y += 10.5
    drawn += _at(RIGHT - QR, 10, (qr_code(link, QR),))
    return Part(max(y - 6, QR + 10), tuple(drawn))


def qr_code(text: str, side: float) -> str:
    """Draw a QR code as one path, a light border included."""
    code = segno.make(text.encode("utf-8", "replace"), error="m", micro=False, boost_error=False)
    rows = [bytes(row) for row in code.matrix_iter(border=2)]
    path = []
    for y, row in enumerate(rows):
        x = 0
        while (x := row.find(1, x)) >= 0:
            end = row.find(0, x)
            path.append(f"M{x} {y}h{end - x}v1h-{end - x}z")
            x = end
    return (
        f'<svg width="{side:g}" height="{side:g}" viewBox="0 0 {len(rows)} {len(rows)}" '
        f'shape-rendering="crispEdges"><path fill="#000" d="{"".join(path)}"/></svg>'
    )


_MIDDLE = {"text_anchor": "middle"}


def _result(document: Mapping[str, Any], colour: str, room: float, *, centred: bool) -> Part:
    place = {"text_anchor": "middle"} if centred else {}
    x = room / 2 if centred else 0.0
    found = words.answer(document)
    asked = shorten(words.question(document), within(room, 10))
    label, radius = ("No label is certified", None) if found is None else found
    size, lines = fit(label, (38, 32, 26, 21), room, 2, BOLD)
    drawn, y = [line(x, 12, asked, 10, fill=SOFT, **place)], 18.0
    for text in lines:
        y += size * 1.15
        drawn.append(
            line(
                x, y - size * 0.2, text, size, font=SERIF, fill=colour, font_weight="bold", **place
            )
        )
    y += 20
    if radius is None:
        drawn.append(line(x, y, "no radius, and no promise", 14, fill=SOFT, **place))
        return Part(y + 6, tuple(_inside(0, 0, room, y + 6, *drawn)))
    drawn.append(line(x, y, "Certified radius (L2)", 10, fill=SOFT, **place))
    drawn.append(line(x, y + 38, radius, 38, font=SERIF, fill=INK, font_weight="bold", **place))
    drawn.append(line(x, y + 53, "in units of pixel values from 0 to 1", 9, fill=FAINT, **place))
    return Part(y + 58, tuple(_inside(0, 0, room, y + 58, *drawn)))


def _thumbnail(image: Mapping[str, Any], png: bytes) -> tuple[Part, float]:
    """Return the framed picture and the width that it takes."""
    scale = THUMBNAIL / max(image["width"], image["height"])
    across, down = (max(4.0, image[side] * scale) for side in ("width", "height"))
    small = max(image["width"], image["height"]) <= LARGEST_PIXELATED
    how = ' image-rendering="pixelated"' if small else ""
    data = base64.b64encode(png).decode("ascii")
    frame = (
        f'<rect x="-4" y="-4" width="{number(across + 8)}" height="{number(down + 8)}" '
        f'fill="#fff" stroke="{RULE}"/>'
    )
    picture = (
        f'<image width="{number(across)}" height="{number(down)}"{how} '
        f'href="data:image/png;base64,{data}"/>'
    )
    return Part(down, (frame, picture)), across


def _column(entries: Sequence[tuple[str, str]], room: float, height: float) -> Part:
    name_room, size, step, gap = 60.0, 8.8, 10.5, 4.0
    fits = within(room - name_room, size)
    needed = [wrap(value, fits, MOST_LINES) for _, value in entries]
    lines = [1] * len(entries)  # of each: the shortest grow first, while there is room
    for count in range(2, MOST_LINES + 1):
        for place, wanted in enumerate(needed):
            total = (sum(lines) + 1) * step + (len(lines) - 1) * gap
            if len(wanted) >= count and total <= height:
                lines[place] = count
    drawn, y = [], 0.0
    for (name, value), most in zip(entries, lines, strict=True):
        drawn.append(line(0, y + 8.5, name, size, fill=FAINT))
        texts = wrap(value, fits, most)
        written = [line(0, 8.5 + step * k, text, size, fill=INK) for k, text in enumerate(texts)]
        drawn += _inside(name_room, y, room - name_room, step * len(texts) + 2, *written)
        y += step * len(texts) + gap
    return Part(y - gap, tuple(drawn))


def _caption(title: str, about: str) -> tuple[str, str]:
    return (
        line(LEFT, 10, title, 11, font=SERIF, fill=INK, font_weight="bold"),
        line(LEFT + width(title, 11, BOLD) + 6, 10, about, 9, fill=FAINT),
    )


def _middle(part: Part, x: float) -> Part:
    return Part(part.height, _at(x, 0, part.drawn))


def _box(x: float, y: float, across: float, down: float, fill: str) -> str:
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(across)}" '
        f'height="{number(down)}" fill="{fill}"/>'
    )


def _at(x: float, y: float, drawn: Sequence[str]) -> tuple[str, ...]:
    return (f'<g transform="translate({number(x)} {number(y)})">', *drawn, "</g>")


def _inside(x: float, y: float, across: float, down: float, *drawn: str) -> tuple[str, ...]:
    """Cut off what reaches out of a box: some letters are wider than any estimate."""
    box = f'x="{number(x)}" y="{number(y)}" width="{number(across)}" height="{number(down)}"'
    return (f"<svg {box}>", *drawn, "</svg>")
