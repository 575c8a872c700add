"""Reads the pages about jobs again, as a browser would."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from service.jobs.results.report_style import POLICY

ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "figure", "figcaption"),
    *("h1", "h2", "p", "b", "br", "span", "small", "div", "code", "img"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("svg", "path", "rect", "text"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "alt", "src"),
    *("viewbox", "role", "d", "x", "y", "width", "height"),
}
VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """A page, taken apart.

    Attributes:
        text: all that is said, titles of bars included.
        sources: of the pictures.
        style: the style sheet.
        policy: the Content-Security-Policy.
        rows: of all tables, each a list of texts.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.said: list[str] = []
        self.sources: list[str] = []
        self.styles: list[str] = []
        self.policy = ""
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == [], "an element is not closed"
        self.text = " ".join(" ".join(self.said).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        assert {name for name, _ in attrs} <= ATTRIBUTES, attrs
        told = dict(attrs)
        if "src" in told:
            self.sources.append(told["src"] or "")
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"] or ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.styles.append(data)
            return
        self.said.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def opened(html: str) -> Page:
    """Read a page, and see that nothing in it runs or is fetched."""
    page = Page(html)  # no other elements and attributes than those above
    assert page.policy == POLICY
    (style,) = page.styles
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy
    assert "url(" not in style
    assert "@import" not in style
    for source in page.sources:
        assert re.match(r"data:image/png;base64,[A-Za-z0-9+/]+=*$", source)
    return page
