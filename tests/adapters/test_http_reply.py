"""How replies are read."""

import json

import httpx
import pytest
from aiohttp import web

from adapters.errors import BrokenReply, CallRejected
from adapters.http_paths import Mismatch, ReplyPath
from adapters.http_reply import Reply, ReplyMap, ReplyReader
from adapters.interface import Answer, Prediction, Refusal, Retry
from tests.adapters.http_endpoints import PLAIN, endpoint, made, png


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", 1),
        ("list[0].x", 1),
        ("list[-1].x", 2),
        ("list[*].x", [1, 2]),
        ('["odd. key"].y', 3),
        ('a["b"]', 1),
        ("nested[1][0]", 5),
    ],
)
def test_paths(path, found):
    document = {
        "a": {"b": 1},
        "list": [{"x": 1}, {"x": 2}],
        "odd. key": {"y": 3},
        "nested": [[4], [5]],
    }
    assert ReplyPath(path).find(document) == found


def test_a_path_may_begin_with_a_list():
    assert ReplyPath("[*].x").find([{"x": 1}]) == [1]
    assert ReplyPath("[0]").find([7]) == 7


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "a[", "a[x]", "a[0]b", "a[*][*]", "a]"])
def test_texts_that_are_no_paths(path):
    with pytest.raises(ValueError, match=r"path|name something"):
        ReplyPath(path)


@pytest.mark.parametrize("document", [{}, {"a": []}, {"a": {"b": {}}}, [], 1, None, {"a": [[]]}])
def test_places_that_are_not_there(document):
    with pytest.raises(Mismatch, match="looks for it"):
        ReplyPath("a[*].b").find(document if document != {"a": []} else {"a": [1]})
    with pytest.raises(Mismatch):
        ReplyPath("a[0].b").find(document)


def read(given, document, labels=None, headers=None, count=1):
    reply = Reply(200, httpx.Headers(headers or {}), json.dumps(document).encode())
    return ReplyReader(ReplyMap.model_validate(given), labels).read(reply, count)


@pytest.mark.parametrize(
    ("given", "document", "predictions"),
    [
        (
            {"label": "p[*].l", "score": "p[*].s", "id": "p[*].i"},
            {"p": [{"l": "Cat", "s": 0.9, "i": "c1"}, {"l": "Dog", "s": 0.1, "i": 7}]},
            [("Cat", 0.9, "c1"), ("Dog", 0.1, "7")],
        ),
        (
            {"label": "l[*]", "score": "s[*]"},
            {"l": [3, "x"], "s": [1, 0]},
            [("3", 1.0), ("x", 0.0)],
        ),
        (
            {"label": "p[*].l", "score": "p[*].s", "score_scale": 100},
            {"p": [{"l": "Cat", "s": 87}]},
            [("Cat", 0.87)],
        ),
        ({"label": "label"}, {"label": "cat"}, [("cat", 1.0)]),
        (
            {"label": "top.label", "score": "top.s"},
            {"top": {"label": "cat", "s": 0.4}},
            [("cat", 0.4)],
        ),
        (
            {"by_label": "scores"},
            {"scores": {"cat": 0.75, "dog": 0.25}},
            [("cat", 0.75), ("dog", 0.25)],
        ),
        (
            {"labels": ["cat", "dog"], "score": "[0][*]"},
            [[0.25, 0.75]],
            [("cat", 0.25), ("dog", 0.75)],
        ),
        (PLAIN, {"predictions": []}, []),
        (PLAIN, {"predictions": [{"label": "a", "score": 1.0000001}]}, [("a", 1.0)]),
    ],
)
def test_ways_to_give_labels(given, document, predictions):
    labels = given.get("labels")
    (answer,) = read(given, document, labels)
    assert answer == Answer(tuple(Prediction(n, s, *i) for n, s, *i in predictions))


def test_where_the_version_stands():
    document = {"predictions": [], "m": {"v": 3}}
    assert read({**PLAIN, "version": "m.v"}, document)[0].model_version == "3"
    by_header = {**PLAIN, "version_header": "X-Version"}
    assert ReplyMap(**by_header).names_version
    assert not ReplyMap(**PLAIN).names_version
    assert read(by_header, document, headers={"x-version": "v9"})[0].model_version == "v9"
    assert read(PLAIN, document)[0].model_version is None
    for given in (by_header, {**PLAIN, "version": "m.w"}, {**PLAIN, "version": "m"}):
        with pytest.raises(Mismatch):
            read(given, document)


def test_errors_inside_a_successful_reply():
    given = {**PLAIN, "error": "error.code", "refused_errors": ["not_allowed"], "version": "v"}
    assert read(given, {"v": "1", "error": {"code": "not_allowed"}})[0] == Refusal(
        "not_allowed", model_version="1"
    )
    assert read(given, {"error": {"code": "busy"}})[0] == Retry("busy", billed=True)
    assert isinstance(read(given, {"v": "1", "error": None, "predictions": []})[0], Answer)
    for none in ([], {}, "", False):
        document = {"v": "1", "errors": none, "predictions": []}
        assert isinstance(read({**given, "error": "errors"}, document)[0], Answer)
    batch = {**given, "results": "results"}
    assert read(batch, {"error": {"code": "busy"}}, count=2) == [Retry("busy", billed=True)] * 2


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b"null", b'{"a": [1', b"<html>", b"\xff"])
def test_empty_and_cut_replies_are_tried_again(body):
    (outcome,) = ReplyReader(ReplyMap.model_validate(PLAIN)).read(Reply(200, {}, body), 1)
    assert isinstance(outcome, Retry)
    assert outcome.billed


@pytest.mark.parametrize(
    ("score", "error"),
    [
        (1.5, BrokenReply),
        (-0.1, BrokenReply),
        (10**400, BrokenReply),
        ("0.5", Mismatch),
        (True, Mismatch),
        (None, Mismatch),
    ],
)
def test_scores_that_are_none(score, error):
    with pytest.raises(error):
        read(PLAIN, {"predictions": [{"label": "a", "score": score}]})


def test_a_reply_with_nan_is_no_json():
    reply = Reply(200, {}, b'{"predictions": [{"label": "a", "score": NaN}]}')
    assert isinstance(ReplyReader(ReplyMap.model_validate(PLAIN)).read(reply, 1)[0], Retry)


def test_other_numbers_of_scores_than_labels():
    with pytest.raises(BrokenReply, match="1 scores for 2 labels"):
        read({"labels": ["a", "b"], "score": "s[*]"}, {"s": [1]}, ["a", "b"])
    with pytest.raises(Mismatch, match="2 pictures"):
        read({**PLAIN, "results": "r"}, {"r": []}, count=2)


async def test_a_profile_that_never_fits_ends_the_run_and_a_stray_reply_does_not():
    replies = [{"other": 1}, {"predictions": []}, {"other": 1}]

    async def answer(_):
        return web.json_response(replies.pop(0))

    async with endpoint(answer) as url, made(url=url) as adapter:
        with pytest.raises(BrokenReply, match="mend the paths"):
            await adapter.classify([png()])
        assert await adapter.classify([png()]) == [Answer(())]
        (stray,) = await adapter.classify([png()])
        assert isinstance(stray, Retry)
        assert stray.billed


def test_a_batch_that_is_refused_for_one_of_its_pictures_is_no_vote_of_the_others():
    given = {**PLAIN, "error": "error", "refused_errors": ["bad image"], "results": "results"}
    with pytest.raises(
        CallRejected, match=r"refused a call with 4 .* \(bad image\): set max_batch"
    ):
        read(given, {"error": "bad image"}, count=4)
    assert read(given, {"error": "bad image"}) == [Refusal("bad image")]


def entry(score=0.5):
    return {"predictions": [{"label": "a", "score": score}]}


GOOD = Answer((Prediction("a", 0.5),))


def test_an_odd_entry_of_a_batch_costs_its_neighbours_nothing():
    """They are paid for, and would be paid again each time."""
    given = {**PLAIN, "results": "results"}
    odd, over = {"predictions": None}, entry(1.5)
    one, other, third = read(given, {"results": [entry(), odd, entry()]}, count=3)
    assert one == third == GOOD
    assert isinstance(other, Retry)
    assert other.billed
    one, other = read(given, {"results": [entry(), over]}, count=2)
    assert one == GOOD
    assert isinstance(other, Retry)
    with pytest.raises(Mismatch):
        read(given, {"results": [odd, odd]}, count=2)
    with pytest.raises(BrokenReply):
        read(given, {"results": [over, odd]}, count=2)
