"""JSON or server-sent events, by the Accept header."""

import pytest
from starlette.exceptions import HTTPException

from service.negotiation import choose


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/*", "json"),
        ("text/html, */*;q=0.1", "json"),
        ("text/event-stream", "events"),
        ("TEXT/Event-Stream", "events"),
        ("text/event-stream; charset=utf-8", "events"),
        ("text/*", "events"),
        ("text/event-stream, */*", "events"),
        ("text/event-stream, application/json;q=0.9", "events"),
        ("text/event-stream;q=0.9, application/json", "json"),
        ("text/event-stream;q=0.9, */*", "json"),
        ("application/json, text/event-stream", "json"),
        ("text/event-stream, application/json", "json"),
        ("application/json;q=0, */*", "events"),
        ("text/event-stream;q=0, */*", "json"),
        ("text/event-stream;q=0.001", "events"),
        ("text/event-stream;q=high, application/json;q=0.1", "json"),
        (",,text/event-stream,,", "events"),
    ],
)
def test_choice(accept: str | None, answer: str) -> None:
    assert choose(accept) == answer


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "application/json;q=0", "*/*;q=0", "text/event-stream;q=2"]
)
def test_neither(accept: str) -> None:
    with pytest.raises(HTTPException) as raised:
        choose(accept)
    assert raised.value.status_code == 406
