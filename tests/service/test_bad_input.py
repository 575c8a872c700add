"""Every bad input gets the right treatment, said on the certificate, or a clear 4xx problem."""

import json
import os
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from tests.service import pictures
from tests.service.pictures import encode, gradient
from tests.service.reading import EVENTS, NOTHING, files, left_behind, problem, slug

GREY = Image.new("L", (8, 8), 100)

REFUSED_PICTURES = {
    "text": (b"this is no picture at all", 422, "not-an-image"),
    "script": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "not-an-image"),
    "pdf": (b"%PDF-1.7\n%%EOF", 422, "not-an-image"),
    "empty": (b"", 422, "not-an-image"),
    "truncated png": (pictures.truncated("PNG"), 422, "not-an-image"),
    "truncated jpeg": (pictures.truncated("JPEG"), 422, "not-an-image"),
    "only a head": (pictures.png()[:24], 422, "not-an-image"),
    "over the file limit": (pictures.png() + b"\0" * 40_000, 413, "too-large"),
    "over the body limit": (b"\0" * 1_000_000, 413, "too-large"),
    "bomb": (pictures.bomb(), 413, "too-large"),
    "animated gif": (pictures.animation("GIF"), 422, "unsupported-image"),
    "animated webp": (pictures.animation("WEBP"), 422, "unsupported-image"),
    "animated png": (pictures.animation("PNG"), 422, "unsupported-image"),
    "20000x20": (encode(Image.new("L", (20_000, 20), 9)), 422, "unsupported-image"),
}

TREATED_PICTURES = {
    "plain": (pictures.png(), None),
    "16-bit grey": (pictures.grey_16_bit(), "16-bit"),
    "16-bit colour": (pictures.colour_16_bit(), "16-bit"),
    "cmyk": (encode(gradient().convert("CMYK"), "JPEG"), "CMYK converted"),
    "grey": (encode(GREY), "grey copied"),
    "black and white": (encode(GREY.convert("1")), "grey copied"),
    "alpha": (encode(Image.new("RGBA", (8, 8), (9, 9, 9, 99))), "flattened on white"),
    "grey alpha": (encode(Image.new("LA", (8, 8), (9, 99))), "flattened on white"),
    "palette": (pictures.palette_with_transparency(), "flattened on white"),
    "rotated": (pictures.exif_rotated(), "EXIF orientation 6"),
    "1x1": (pictures.png(1, 1), None),
    "large": (pictures.png(400, 300), "reduced 400×300"),
    "still gif": (encode(gradient(), "GIF"), "palette resolved to RGB"),
}

INVALID = {
    "sigma": ["0", "-0.25", "2.001", "nan", "inf", "-inf", "1e999", "abc", " ", "0,25", "0x1"],
    "alpha": ["0", "-1", "0.500001", "1", "nan", "inf", "five"],
    "target_radius": ["0", "-1", "1.51", "nan", "inf", "far"],
    "max_votes": ["0", "-5", "1000001", "2001", "1.5", "nan", "inf", "many", "9" * 5000],
    "max_cost": ["-0.01", "nan", "inf", "cheap"],
    "max_seconds": ["0", "-1", "604801", "nan", "inf", "soon"],
    "good_enough": ["0", "-1", "1.1", "nan", "inf", "yes"],
    "milestone": ["0", "-1", "1001", "nan", "1.5", "half"],
    "size": ["0", "x", "32x", "32x32x32", "2049", "-1", "1e2", "², "],
    "rule": [
        "top2",
        "{",
        "[]",
        "3",
        '{"rule": "any_of"}',
        '{"rule": "any_of", "labels": [], "threshold": 0.5}',
        '{"rule": "any_of", "labels": ["a"], "threshold": 1e999}',
        '{"rule": "any_of", "labels": ["a"], "threshold": NaN}',
        '{"rule": "any_of", "labels": ["a"], "threshold": ' + "9" * 400 + "}",
        '{"rule": "in_top_k", "labels": [3], "k": 1}',
        '{"rule": "in_top_k", "labels": ["a"], "k": 0}',
        '{"rule": "in_top_k", "labels": ["a"], "k": 2, "k": 1}',
        "[" * 5000,
    ],
    "synonyms": [
        "[]",
        "{",
        "3",
        '{"a": 3}',
        '{"a": "b", "b": "c"}',
        '{"": "b"}',
        '{"a": "x", "a": "x"}',
    ],
    "encoding": ["", "webp", "PNG", "jpeg", "pixels"],  # the provider is given pixels
    "provider": ["nobody", "../half", "a" * 200],
    "denoiser": ["nothing", "a" * 200],
    "label": ["a" * 200],
    "colour": ["blue"],
    "image": ["text"],
}


@pytest.fixture
async def app(make_app):
    async with make_app(max_upload_bytes=30_000) as running:
        yield running


def names(body: dict) -> set[str]:
    return {error["field"] for error in body.get("errors", ())}


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["json", "events"])
async def test_pictures_that_are_refused(
    app: FastAPI, client: httpx.AsyncClient, temp_dir: Path, headers: dict
) -> None:
    for case, (data, status, kind) in REFUSED_PICTURES.items():
        response = await client.post("/certify", files=files(data), headers=headers)
        assert response.status_code == status, (case, response.text)
        body = problem(response, app)
        assert slug(body) == kind, case
        assert names(body) <= {"image"}
        assert "passwd" not in response.text
        assert left_behind(app) == NOTHING, case
        assert os.listdir(temp_dir) == [], case


async def test_pictures_that_are_converted_as_documented(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    for case, (data, step) in TREATED_PICTURES.items():
        response = await client.post("/certify", files=files(data), data={"max_votes": "5"})
        assert response.status_code == 200, (case, response.text)
        steps = response.json()["image"]["steps"]
        if step is None:
            assert steps == [], case
        else:
            assert any(step in said for said in steps), (case, steps)


@pytest.mark.parametrize("field", INVALID)
async def test_fields_out_of_range(app: FastAPI, client: httpx.AsyncClient, field: str) -> None:
    for value in INVALID[field]:
        given = {} if field == "image" else files()
        response = await client.post("/certify", files={**given, field: (None, value)})
        assert response.status_code == 422, (value, response.text)
        body = problem(response, app)
        if field not in ("rule", "synonyms"):
            assert field in names(body), (value, body)
        assert left_behind(app) == NOTHING


@pytest.mark.parametrize("value", ["0", "-1", "100001", "2001", "nan", "1.5", "few"])
async def test_predict_n_out_of_range(app: FastAPI, client: httpx.AsyncClient, value: str) -> None:
    response = await client.post("/predict", files=files(), data={"n": value})
    assert names(problem(response, app)) == {"n"}
    assert left_behind(app) == NOTHING


async def test_labels_of_a_closed_set(app: FastAPI, client: httpx.AsyncClient) -> None:
    for fields in (
        {"label": "zebra"},
        {"rule": '{"rule": "in_top_k", "labels": ["zebra"], "k": 2}'},
    ):
        response = await client.post(
            "/certify", files=files(), data={"provider": "closed"} | fields
        )
        body = problem(response, app)
        assert slug(body) == "unknown-label"
        assert "dark, bright" in body["detail"]
    assert left_behind(app) == NOTHING


async def test_bodies_that_are_no_form(app: FastAPI, client: httpx.AsyncClient) -> None:
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    picture = part % (b"image", b'; filename="a"', pictures.png())
    end = b"--x--\r\n"
    cases = [
        ({"content-type": "application/json"}, b"{}", 415, "unsupported-media-type"),
        ({"content-type": "image/png"}, pictures.png(), 415, "unsupported-media-type"),
        (
            {"content-type": "application/x-www-form-urlencoded"},
            b"sigma=1",
            415,
            "unsupported-media-type",
        ),
        ({}, pictures.png(), 415, "unsupported-media-type"),
        ({}, b"", 415, "unsupported-media-type"),
        ({"content-type": "multipart/form-data"}, b"", 400, "malformed-body"),
        (
            {"content-type": "multipart/form-data; boundary=x; charset=unicode_escape"},
            picture + end,
            415,
            "unsupported-media-type",
        ),
        (multipart, b"", 400, "malformed-body"),
        (multipart, b"rubbish", 400, "malformed-body"),
        (multipart, b"--x\r\n\r\nabc\r\n--x--\r\n", 400, "malformed-body"),
        (multipart, part % (b"image", b"", b"text") + end, 422, "invalid-request"),
        (multipart, picture + picture + end, 422, "invalid-request"),
        (multipart, picture + part % (b"sigma", b"", b"0.1") * 2 + end, 422, "invalid-request"),
        (
            multipart,
            picture + part % (b"sigma", b'; filename="s"', b"0.1") + end,
            422,
            "invalid-request",
        ),
        (
            multipart,
            picture + part % (b"other", b'; filename="s"', b"0.1") + end,
            422,
            "invalid-request",
        ),
        (multipart, picture + part % (b"label", b"", b"a" * 70_000) + end, 400, "malformed-body"),
        (multipart, part % (b"f", b"", b"1") * 100 + end, 400, "malformed-body"),
        (multipart, part % (b"f", b'; filename="s"', b"1") * 20 + end, 400, "malformed-body"),
        (multipart, picture + part % (b"label", b"", b"\xff\xfe\0") + end, 200, None),
    ]
    for headers, body, status, kind in cases:
        response = await client.post("/certify", content=body, headers=headers)
        assert response.status_code == status, (headers, body[:200], response.text)
        if kind is not None:
            assert slug(problem(response, app)) == kind
            assert left_behind(app) == NOTHING


async def test_a_chunked_body_without_length_is_counted(
    app: FastAPI, live: httpx.AsyncClient, temp_dir: Path
) -> None:
    sent = 0

    async def endless():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(12):
            sent += 100_000
            yield b"\0" * 100_000

    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = await live.post("/certify", content=endless(), headers=headers)
    assert slug(problem(response, app)) == "too-large"
    assert left_behind(app) == NOTHING
    assert os.listdir(temp_dir) == []


async def test_a_declared_length_over_the_limit_is_answered(
    app: FastAPI, live: httpx.AsyncClient
) -> None:
    response = await live.post("/certify", files=files(b"\0" * 900_000))
    assert slug(problem(response, app)) == "too-large"
    response = await live.get("/health/live")  # the next connection is fine
    assert response.status_code == 200


async def test_a_form_that_was_cut_off_is_no_form(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Whatever field comes last would be missed: a budget, say."""
    headers = {"content-type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    picture = part % (b"image", b'; filename="a"', pictures.png())
    whole = picture + part % (b"max_votes", b"", b"5") + part % (b"max_cost", b"", b"0") + b"--x--"
    for cut in (1, 2, 5, 7, 12, 40, 60):
        answer = await client.post("/certify", content=whole[:-cut], headers=headers)
        assert answer.status_code == 400, (cut, answer.text)
        assert slug(problem(answer, app)) == "malformed-body"
    assert left_behind(app) == NOTHING


async def test_fields_in_the_query_are_told_not_passed_over(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/certify?sigma=5&max_cost=0", files=files())
    body = problem(answer, app)
    assert slug(body) == "invalid-request"
    assert [e["field"] for e in body["errors"]] == ["max_cost", "sigma"]
    assert left_behind(app) == NOTHING


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"rule": '{"rule": "in_top_k"}'}, "rule"),
        ({"rule": "top2"}, "rule"),
        ({"rule": '{"rule": "any_of", "labels": ["a"], "threshold": 7}'}, "rule"),
        ({"rule": '{"rule": "in_top_k", "labels": ["a"], "k": 0}'}, "rule"),
        ({"rule": '{"rule": "in_top_k", "labels": ["zebra"], "k": 1}'}, "rule"),
        ({"rule": json.dumps({"rule": "in_top_k", "labels": ["a"] * 1001, "k": 1})}, "rule"),
        ({"synonyms": '{"a": "b", "b": "c"}'}, "synonyms"),
        ({"synonyms": '{"a": " "}'}, "synonyms"),
        ({"synonyms": '{"Cat": "x", "cat": "y"}'}, "synonyms"),
        ({"path": "1"}, "path"),
        ({"body": "1"}, "body"),
        ({"target_radius": "1.6"}, "target_radius"),
        ({"milestone": "2000", "max_votes": "20"}, "milestone"),
        ({"size": "9" * 21}, "size"),
        ({"encoding": "jpeg"}, "encoding"),
    ],
    ids=str,
)
async def test_the_field_that_is_named_is_the_one_to_mend(
    app: FastAPI, client: httpx.AsyncClient, fields: dict[str, str], blamed: str
) -> None:
    answer = await client.post("/certify", files=files(), data={"provider": "closed", **fields})
    assert answer.status_code == 422
    assert [e["field"] for e in problem(answer, app)["errors"]] == [blamed]
    assert left_behind(app) == NOTHING
