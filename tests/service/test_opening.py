"""A command that loads and opens something says so, on a terminal alone."""

import io

import pytest
from rich.console import Console

from service.commands import opening


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_terminal_is_told_that_the_store_is_opened(tmp_path, monkeypatch, terminal):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=80)
    monkeypatch.setattr(opening, "errors", lambda: console)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path))
    async with opening.opened() as surety:
        before = shown.getvalue()
        assert not await surety.state.jobs.any()
    assert (opening.WORDS in before) == terminal
    assert opening.WORDS not in shown.getvalue().removeprefix(before)
