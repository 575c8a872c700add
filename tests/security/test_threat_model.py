"""SECURITY.md: every item has its tests, and every test that is named is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
ITEMS = dict(re.findall(r"^\*\*([A-Z]\d+)\. (.*?)(?=^\*\*[A-Z]\d+\. |^#|\Z)", TEXT, re.M | re.S))
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ATTACKERS = {"C", "O", "E", "P", "N", "S", "F", "D"}


def test_every_attacker_is_there() -> None:
    assert {name[0] for name in ITEMS} == ATTACKERS
    assert len(ITEMS) == len(re.findall(r"^\*\*[A-Z]\d+\.", TEXT, re.M))


@pytest.mark.parametrize("name", ITEMS)
def test_every_item_is_shown_by_tests_that_are_there(name: str) -> None:
    found = NAMED.findall(ITEMS[name].partition("\nTests: ")[2])
    assert found, f"{name} names no test"
    for path, test in found:
        assert test in names_in(path), f"{name}: there is no {path}::{test}"


@cache
def names_in(path: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {n.name for n in ast.walk(tree) if isinstance(n, kinds) and n.name.startswith("test_")}


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([\w/.]+)\)", TEXT):
        assert (ROOT / link).exists(), link
