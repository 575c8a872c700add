"""Every command that a page names is one that there is, with the options that it shows."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from service.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / "README.md", ROOT / "SECURITY.md", ROOT / ".env.example", ROOT / "docker-compose.yml"),
    *(p for folder in ("docs", "docker", "denoisers") for p in sorted(ROOT.glob(f"{folder}/**/*"))),
]
PAGES = [page for page in PAGES if page.suffix in (".md", ".yml", ".example")]
ROOT_COMMAND = typer.main.get_command(app)
SURETY = re.compile(r"(?:\S*/)?surety")
ANYTHING = re.compile(r"[A-Z_]+|\W+|\S*…\S*|\[.*")
"""What a page writes where a reader puts something."""


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words behind `surety` of every command in a page."""
    fenced = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    for block in fenced.findall(text):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield from in_line(line)
    for code in re.findall(r"`([^`]+)`", fenced.sub("", text)):
        yield from in_line(" ".join(code.split()))


def in_line(line: str) -> Iterator[list[str]]:
    """Yield those of a line of a shell, with a prompt or without."""
    line = re.sub(r" {3,}.*", "", line.strip().removeprefix("$ "))  # what a table says beside it
    for part in re.split(r"\$\(|<\(|\\?\|+|&&?|;|\)", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # an apostrophe of the text around
            words = part.split()
        while words and re.fullmatch(r"\w+=.*", words[0]):  # variables of this command alone
            del words[0]
        if words[:2] in (["docker", "exec"], ["docker", "compose"], ["kubectl", "exec"]):
            inside = [i for i, word in enumerate(words) if word == "surety"]
            words = words[inside[0] :] if "exec" in words and inside else []
        if words and SURETY.fullmatch(words[0]) and words[1:2] != ["-"]:
            yield words[1:]


def complaint(words: list[str]) -> str | None:
    """Say what is wrong with a command; None if it is sound."""
    command, options = ROOT_COMMAND, set()
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        inner = command.commands.get(words[0])
        if inner is None:
            return None if ANYTHING.fullmatch(words[0]) else f"there is no {words[0]!r}"
        command, words = inner, words[1:]
    for parameter in command.params:
        options |= {*parameter.opts, *parameter.secondary_opts}
    options |= {"--help", "-h"}
    for word in words:
        name = word.lstrip("[").rstrip("]").partition("=")[0]
        if re.fullmatch(r"--[a-z][\w-]*", name) and name not in options:
            return f"{command.name} has no {name}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_named_exist(page: Path) -> None:
    wrong = [
        f"surety {' '.join(words)}: {why}"
        for words in commands(page.read_text("utf-8"))
        if (why := complaint(words))
    ]
    assert not wrong


def test_pages_name_commands_in_every_way_that_is_looked_for() -> None:
    found = [words for page in PAGES for words in commands(page.read_text("utf-8"))]
    assert len(found) > 200
    assert {words[0] for words in found if words} >= ROOT_COMMAND.commands.keys() - {"version"}
    page = "```sh\nA=1 surety x --y \\\n  z  # surety q\nB=$(bin/surety w) | cat\n```\n`surety\nv`"
    assert [*commands(page)] == [["x", "--y", "z"], ["w"], ["v"]]
    assert [*in_line("docker compose exec -T api surety check - < a")] == [["check", "-", "<", "a"]]
    assert not [*in_line("docker build -t surety .")]


@pytest.mark.parametrize("words", ["workers", "jobs nonsense", "serve --nonsense", "keys --secret"])
def test_what_is_no_command_is_found(words: str) -> None:
    assert complaint(words.split())
    assert complaint(["jobs", "workers", "--json"]) is None
