"""Reads a picture again: where its text stands, what it may do, what its code holds."""

import itertools
import re
import xml.etree.ElementTree as ET

from service.picture import ACROSS, DOWN
from service.picture_text import BOLD, MONO, mono_width, width

NS = "{http://www.w3.org/2000/svg}"


def tree(svg):
    return ET.fromstring(svg)  # noqa: S314  written here


def boxes(element, dx=0.0, dy=0.0, clip=(0, 0, ACROSS, DOWN)):
    """Yield each text and where it is drawn: left, top, right, bottom."""
    moved = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
    if moved:
        dx, dy = dx + float(moved[1]), dy + float(moved[2])
    if element.tag == f"{NS}svg" and element.get("viewBox") is None:
        dx, dy = dx + float(element.get("x")), dy + float(element.get("y"))
        right, bottom = dx + float(element.get("width")), dy + float(element.get("height"))
        clip = (max(clip[0], dx), max(clip[1], dy), min(clip[2], right), min(clip[3], bottom))
    if element.tag == f"{NS}text":
        size, text = float(element.get("font-size")), element.text or ""
        factor = BOLD if element.get("font-weight") == "bold" else 1.0
        mono = element.get("font-family") == MONO
        across = mono_width(text, size) if mono else width(text, size, factor)
        share = {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor"), 0.0)
        x, y = dx + float(element.get("x")) - share * across, dy + float(element.get("y"))
        left, top, right, bottom = x, y - 0.75 * size, x + across, y + 0.22 * size
        inside = (
            max(left, clip[0]),
            max(top, clip[1]),
            min(right, clip[2]),
            min(bottom, clip[3]),
        )
        # A line may be cut at its side, where a letter is wider than can be known, and no more.
        assert top >= clip[1] - 1, text
        assert bottom <= clip[3] + 1, text
        yield text, inside
    for child in element:
        yield from boxes(child, dx, dy, clip)


def check_layout(svg):
    """See that all text is within the frame and none is drawn over another."""
    found = list(boxes(tree(svg)))
    for text, (left, top, right, bottom) in found:
        assert left >= 40, text
        assert right <= ACROSS - 40, text
        assert top >= 30, text
        assert bottom <= DOWN - 30, text
    for (one, a), (other, b) in itertools.combinations(found, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 0.5 or b[3] <= a[1] + 0.5
        assert apart, (one, other)


ELEMENTS = {"svg", "title", "desc", "style", "rect", "path", "g", "text", "image"}
ATTRIBUTES = {
    *("width", "height", "viewBox", "role", "x", "y", "fill", "stroke", "stroke-width", "d"),
    *("stroke-dasharray", "transform", "font-family", "font-size", "font-weight", "font-style"),
    *("text-anchor", "shape-rendering", "image-rendering", "href"),
    "{http://www.w3.org/XML/1998/namespace}lang",
}


def check_harmless(svg):
    """See that nothing in it runs or is fetched."""
    for element in tree(svg).iter():
        assert element.tag.removeprefix(NS) in ELEMENTS
        assert set(element.keys()) <= ATTRIBUTES
        assert element.get("href", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert "url(" not in "".join(element.attrib.values())
    assert "<!DOCTYPE" not in svg
    assert tree(svg).find(f"{NS}style").text == "@page { size: A4 portrait; margin: 0 }"


def modules(svg):
    """Return the code as rows of 0 and 1, from its path."""
    element = tree(svg)
    side = int(element.get("viewBox").split()[2])
    rows = [bytearray(side) for _ in range(side)]
    for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", element.find("path").get("d")):
        rows[int(y)][int(x) : int(x) + int(run)] = b"\1" * int(run)
    return rows
