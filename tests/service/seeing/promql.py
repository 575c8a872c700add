"""Reads enough of PromQL to know which metrics, labels and values a query names."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<range>\[[^\]]*\])|(?P<number>\d[\w.]*)"""
    r"""|(?P<name>[A-Za-z_:][\w:]*)|(?P<mark>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){},])|(?P<space>\s+)"""
)
FUNCTIONS = {
    *("sum", "max", "min", "avg", "count", "rate", "increase", "absent", "histogram_quantile"),
    *("avg_over_time", "vector"),
}
GROUPING = {"by", "without", "on", "ignoring"}
OPERATORS = {"and", "or", "unless", "bool", "offset"}


@dataclass
class Named:
    """What a query names.

    Attributes:
        metrics: name → labels that its selectors name.
        grouped: labels that it groups by.
        values: (metric, label, operator, value) of every matcher.
    """

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)
    values: list[tuple[str, str, str, str]] = field(default_factory=list)


def named(query: str) -> Named:
    """Read a query.

    Raises:
        ValueError: if there is something in it that this does not know.
    """
    tokens, found = _tokens(query), Named()
    while tokens:
        kind, text = tokens.pop(0)
        if kind != "name" or text in OPERATORS:
            continue
        if text in GROUPING:
            found.grouped |= {word for what, word in _until(tokens, ")") if what == "name"}
        elif (tokens and tokens[0][1] == "(") or text in FUNCTIONS:
            if text not in FUNCTIONS:
                raise ValueError(f"unknown function {text!r}")
        else:
            labels = found.metrics.setdefault(text, set())
            if tokens and tokens[0][1] == "{":
                _matchers(text, _until(tokens, "}"), labels, found)
    return found


def _matchers(metric: str, inside: list[tuple[str, str]], labels: set[str], found: Named) -> None:
    words = [token for token in inside if token[1] not in "{},"]
    for (_, label), (_, operator), (_, value) in zip(
        words[::3], words[1::3], words[2::3], strict=True
    ):
        labels.add(label)
        found.values.append((metric, label, operator, value.strip("\"'")))


def _until(tokens: list[tuple[str, str]], end: str) -> list[tuple[str, str]]:
    inside = []
    while (token := tokens.pop(0))[1] != end:
        inside.append(token)
    return inside


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise ValueError(f"cannot be read from {query[at : at + 20]!r} on")
        assert match.lastgroup is not None
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match[0]))
        at = match.end()
    return tokens
