"""A certificate as a page for people: A4, SVG, nothing loaded from anywhere, no script.

It says what the document says and proves nothing by itself: what counts is the signed document,
which it names. Drawn from the document alone, so the same one gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from service import picture_parts as parts
from service.picture_text import clean, number

ACROSS, DOWN = 595, 842  # points of an A4 page
TOP, BOTTOM = 46.0, 801.0
LEAST_SPACE, MOST_SPACE = 11.0, 34.0  # between two parts


def certificate_svg(
    document: Mapping[str, Any], *, thumbnail_png: bytes | None = None, url: str | None = None
) -> str:
    """Draw a certificate.

    Args:
        document: a certificate of the form that `certification.certificate.build` writes, with
            or without a signature. Its names may be any texts.
        thumbnail_png: the canonical image, if it may be shown.
        url: where the certificate is found; the code holds it, else the certificate's id.

    Returns:
        Well-formed XML.
    """
    colour = parts.UNCERTAIN if document["proof"]["abstained"] else parts.CERTAIN
    foot = parts.foot(document, url)
    above = [
        parts.heading(document, colour),
        parts.result(document, colour, thumbnail_png),
        parts.meaning(document),
        parts.votes(document),
    ]
    above.append(parts.facts(document, _free([*above, foot]) - LEAST_SPACE * (len(above) + 1)))
    free = _free([*above, foot])
    space = min(MOST_SPACE, free / len(above))
    # What is left beyond that goes above and below, so that the page stays in balance.
    y = TOP + (free - space * len(above)) / 3
    drawn = []
    for part in above:
        drawn += [f'<g transform="translate(0 {number(y)})">', *part.drawn, "</g>"]
        y += part.height + space
    drawn += [f'<g transform="translate(0 {number(BOTTOM - foot.height)})">', *foot.drawn, "</g>"]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="210mm" height="297mm" '
            f'viewBox="0 0 {ACROSS} {DOWN}" role="img" xml:lang="en">',
            f"<title>Certificate {escape(clean(document['id']))}</title>",
            f"<desc>{escape(clean(document['statement']))}</desc>",
            "<style>@page { size: A4 portrait; margin: 0 }</style>",
            f'<rect width="{ACROSS}" height="{DOWN}" fill="#fff"/>',
            f'<rect x="22" y="22" width="{ACROSS - 44}" height="{DOWN - 44}" fill="none" '
            f'stroke="{colour}" stroke-width="2"/>',
            f'<rect x="27.5" y="27.5" width="{ACROSS - 55}" height="{DOWN - 55}" fill="none" '
            f'stroke="{colour}" stroke-width="0.6"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _free(needed: Sequence[parts.Part]) -> float:
    return BOTTOM - TOP - sum(part.height for part in needed)
