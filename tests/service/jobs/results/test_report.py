"""The report says what came of the job, and nothing in it runs, whatever pictures are called."""

import base64
from datetime import UTC, datetime

import pytest

from service.jobs.results.gathering import SHOWN, Gathered
from service.jobs.results.origin import Origin
from service.jobs.results.report import alpha_of, report_page
from service.jobs.results.report_words import counted, date, duration, moment, money
from service.jobs.rows import Row
from service.openapi_examples import CERTIFICATE
from tests.service.jobs.pages import opened
from tests.service.jobs.rowmaking import HOSTILE, JOB, abstained, failed, row, stream
from tests.service.pictures import png

NOW = datetime(2026, 11, 28, 7, 30, tzinfo=UTC)


async def page(*rows, job=JOB, origin=None, thumbnail=None):
    async def none(number):
        return None

    seen = await Gathered.of(stream(rows))
    html = await report_page(job, seen, origin or Origin(), thumbnail or none, now=NOW)
    return opened(html)


async def test_it_says_what_came_of_the_job():
    origin = Origin()
    origin.add(CERTIFICATE)
    rows = [
        *(row(k, radius=0.01 * k, n=100, cost=0.15) for k in range(40)),
        row(40, label="dog", correct=False, radius=0.3),
        *(abstained(k, n=19, cost=0.03) for k in range(41, 45)),
        failed(45),
        failed(46, "The provider is down"),
        Row(47, "w", "aa", "waiting"),
        Row(48, "u", "aa", "unpaid", truth="cat"),
    ]
    told = (await page(*rows, origin=origin)).text
    for part in (
        "Overnight",
        "job 7f3a91c2, finished",
        "Submitted 2026-11-27, 22:00 UTC, ended 2026-11-28, 05:41 UTC; report of 2026-11-28, 07:30",
        "49 pictures",
        "41 certified 85.4 % of judged",
        "40 certified and right 83.3 % of those with a true label",
        "1 certified, but wrong",
        "16 reach 0.25 33.3 % of judged",
        "4 abstained",
        "2 failed 1 more not paid for",
        "4,321 calls",
        "$38.21 cost $38.40 if lost calls are billed, cap $40.00",
        "7 h 41 min time",
        "Certified accuracy",
        "Share of 48 pictures whose certified label is the true one",
        "1 picture waiting, in work or cancelled is left out",
        "Clopper–Pearson",
        "target radius reached",
        "Not a readable picture × 1, The provider is down × 1",
        "It is empty.",
        "surety 0.1.0",
        CERTIFICATE["proof"]["subject"]["denoiser"]["weights_sha256"],
        CERTIFICATE["proof"]["subject"]["provider"]["model_version"],
        "cpu/bfloat16",
        "among 45 pictures up to N·α = 0.045 false certificates",
        "target_radius 0.25",
        "allocation closest",
    ):
        assert part in told.replace("  ", " "), part
    assert "not accuracy" not in told


async def test_shares_stand_at_the_radii_of_papers():
    rows = [row(0, radius=0.5), row(1, radius=0.25), abstained(2), failed(3)]
    table = (await page(*rows)).rows[:2]
    assert table[0] == ["", "r = 0", "r = 0.25", "r = 0.5", "r = 0.75", "r = 1"]
    assert table[1][0] == "right and certified, 4 pictures"
    assert [cell.split(" (")[0] for cell in table[1][1:]] == [
        *("50.0 %", "50.0 %", "25.0 %", "0.0 %", "0.0 %")
    ]
    assert table[1][1] == "50.0 % (6.8 – 93.2)"


async def test_without_truths_it_says_so():
    told = (await page(row(0, truth=None, correct=None))).text
    assert "Share certified" in told
    assert "No true labels are known, so this is not accuracy" in told
    assert "certified and right" not in told


async def test_where_some_truths_are_known_there_are_two_curves():
    read = await page(row(0), row(1), row(2, truth=None, correct=None, radius=0.5))
    assert read.rows[1][0] == "right and certified, 2 pictures"
    assert read.rows[2][0] == "certified, all 3 pictures"
    assert "1 picture without a true label" in read.text


async def test_a_job_that_has_just_begun():
    job = {"id": "x", "state": "running", "created": "2026-11-28T07:00:00+00:00", "ended": None}
    told = (await page(*(Row(k, f"{k}", "aa", "waiting") for k in range(3)), job=job)).text
    assert "Job x" in told
    assert "No picture is judged yet" in told
    assert "3 pictures waiting, in work or cancelled are left out" in told
    assert "30 min 0 s time" in told
    assert (await page(job=job)).text.startswith("Report of x")


async def test_each_picture_shows_its_own_thumbnail():
    asked = []

    async def thumbnail(number):
        asked.append(number)
        return None if number == 3 else png(8 + number % 5, 8)

    rows = [*(row(k, radius=0.001 * k) for k in range(100)), *map(failed, range(100, 120))]
    read = await page(*rows, thumbnail=thumbnail)
    assert sorted(asked) == [*range(SHOWN), *range(88, 112)]
    assert len(read.sources) == 3 * SHOWN - 1
    best = base64.b64decode(read.sources[0].split(",")[1])
    assert best == png(8 + 99 % 5, 8)


@pytest.mark.parametrize("given", [b"", b"GIF89a", b"<svg onload=alert(1)>", png() + b"0" * 70_000])
async def test_what_is_no_small_png_is_not_shown(given):
    async def thumbnail(number):
        return given

    assert (await page(row(0), thumbnail=thumbnail)).sources == []


async def test_nothing_that_comes_from_outside_can_run():
    rows, texts = [], [*HOSTILE, "</style><script>x</script>", "--><!--", "</title>", "&lt;"]
    for text in texts:
        here = len(rows)
        rows.append(row(here, name=text, truth=text, label=text, certificate=text, radius=0.5))
        rows.append(row(here + 1, name=text, label=text, correct=False, stop_reason=text))
        problem = {"type": text, "title": text, "detail": text}
        rows.append(Row(here + 2, text, text, "failed", problem=problem))
    origin = Origin()
    subject = {
        "provider": {"name": texts[1], "model_version": texts[2]},
        "denoiser": {"name": texts[1], "weights_sha256": texts[2]},
        "compute": texts[1],
        "rule": {"rule": texts[1]},
    }
    software = {"name": texts[1], "version": texts[2]}
    origin.add({"software": software, "proof": {"alpha": 0.5, "subject": subject}})
    for text in texts:
        arguments = {text: text, "synonyms": {text: text}, "size": [text]}
        changes = {"name": text, "id": text, "state": text, "created": text, "compute": text}
        job = JOB | changes | {"problem": {"title": text}, "arguments": arguments}
        await page(*rows, job=job, origin=origin)  # which looks at every element and attribute
    read = await page(*rows, origin=origin)
    assert "<script>alert(1)</script>.png" in read.text  # there to be read, and no more
    assert "\x1b" not in read.text
    assert "\u202e" not in read.text
    assert max(map(len, read.text.split())) <= 301


def test_alpha_is_the_certificates_own():
    origin = Origin()
    assert alpha_of({"arguments": {}}, origin) == 0.001
    assert alpha_of(JOB, origin) == 0.01
    origin.add(CERTIFICATE)
    assert alpha_of(JOB, origin) == CERTIFICATE["proof"]["alpha"]


def test_an_origin_holds_each_version_once_and_not_too_many():
    origin = Origin()
    for k in range(100):
        document = {**CERTIFICATE, "software": {"name": "surety", "version": f"{k}"}}
        origin.add(document)
    assert (origin.certificates, len(origin.software), len(origin.denoisers)) == (100, 20, 1)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (money(0), "$0.00"),
        (money(0.00012345), "$0.0001234"),
        (money(1234.5), "$1,234.50"),
        (duration(3.25), "3.2 s"),
        (duration(75), "1 min 15 s"),
        (duration(7500), "2 h 5 min"),
        (duration(200_000), "2 d 7 h"),
        (counted(1, "picture"), "1 picture"),
        (counted(2000, "picture"), "2,000 pictures"),
        (date(moment("2026-11-28T07:30:00")), "2026-11-28, 07:30 UTC"),
        (date(moment("no date")), "–"),
        (date(moment(None)), "–"),
    ],
)
def test_words(written, said):
    assert written == said
