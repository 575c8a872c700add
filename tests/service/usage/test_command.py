"""`surety usage`, after commands that use something."""

import asyncio
import csv
import io
import json

import pytest

from service.commands.stored import with_state
from service.exit_codes import ExitCode
from service.load_settings import load_settings
from service.store.usage import Call
from service.usage.counts import Counts
from tests.service import test_cli

surety = test_cli.surety


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def in_store(work):
    return asyncio.run(with_state(load_settings(), work))


def test_what_commands_use_is_counted_for_no_key(surety):
    assert surety("usage").out.splitlines()[1] == "nothing was used"
    for _ in range(2):
        ended = surety("certify", "cat.png", "--max-votes", 60, "--no-good-enough", "--json")
        assert ended.code == ExitCode.DONE
    document = json.loads(ended.out)
    predicted = surety("predict", "cat.png")
    assert predicted.code == ExitCode.DONE
    told = json.loads(surety("usage", "--json").out)
    (line,) = told["usage"]
    assert (line["day"], line["key"], line["provider"]) == (None, None, "steady")
    assert (line["certificates"], line["cached"], line["predictions"]) == (2, 1, 1)
    assert line["images"] >= line["votes"] >= 100
    assert line["expected_false_at_most"] == 2 * document["proof"]["alpha"]
    audited = surety("audit", document["id"], "--sample", 10, "--image", "cat.png")
    assert audited.code == ExitCode.DONE, audited.err
    after = json.loads(surety("usage", "--json").out)["total"]
    assert after["images"] == line["images"] + 10
    assert after["votes"] == line["votes"]  # an audit adds none
    shown = surety("usage").out
    assert "(none)" in shown
    assert "Of 2 certificates at most 0.002 are expected to be false" in shown
    narrow = surety("usage", "--by", "day,key,provider").out
    assert "certificates" in narrow


def test_keys_their_names_and_what_is_left_of_budgets(surety, monkeypatch):
    async def use(state):
        key, _ = await state.api_keys.create(
            "[red]=shop", frozenset({"certify"}), budget=5.0, budget_period="day"
        )
        call = Call.of(key.id, "aws", 100, 10**8)
        await state.usage.reserve(call)
        await state.usage.settle(call, 5 * 10**7)
        await state.usage.reserve(Call.of(key.id, "aws", 10, 10**7))
        await state.usage.count(key.id, "aws", Counts(certificates=3, certified=2, votes=90))
        await state.usage.count(None, "google", Counts(certificates=1, abstained=1))
        return key.id

    key = in_store(use)
    shown = surety("usage").out
    assert f"{key} [red]=shop" in shown
    assert "$0.0500 to $0.0600" in shown  # a call is in flight
    assert f"budget of {key} [red]=shop: $5.00 a day, $4.94 left, renewed " in shown
    table = surety("usage", "--csv", "--by", "key").out
    rows = {row["key"]: row for row in csv.DictReader(io.StringIO(table))}
    assert {*rows} == {"", key}
    assert (rows[key]["name"], rows[key]["cost_at_most"]) == ("[red]=shop", "0.06")
    only = json.loads(surety("usage", "--key", "none", "--json").out)
    assert [line["provider"] for line in only["usage"]] == ["google"]
    assert only["budgets"] == []
    assert json.loads(surety("usage", "--key", key, "--json").out)["total"]["votes"] == 90
    for name in ("[red]=shop", key[:6]):
        assert json.loads(surety("usage", "--key", name, "--json").out)["total"]["votes"] == 90
    assert surety("usage", "--key", "0" * 16).code == ExitCode.DONE  # may have been cleared
    aws = json.loads(surety("usage", "--provider", "aws", "--json").out)
    assert [line["provider"] for line in aws["usage"]] == ["aws"]


def test_no_count_is_left_out_however_narrow_the_terminal(surety, monkeypatch):
    counts = Counts(
        certificates=31, certified=23, abstained=8, cached=5, predictions=97, votes=1200, calls=77
    )

    async def use(state):
        key, _ = await state.api_keys.create("a name of many words", frozenset({"certify"}))
        await state.usage.count(key.id, "aws", counts)
        await state.usage.count(None, "google", Counts(certificates=1, abstained=1, throttled=6))

    in_store(use)
    told = {"31", "23", "8", "5", "97", "1,200", "77", "6"}
    totals = {"32", "9"}
    for width in (60, 80, 100, 120, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        shown = surety("usage").out
        table = shown.partition("Of 32 certificates")[0]
        assert told | totals <= {word.strip(",") for word in table.split()}, shown
        assert max(map(len, table.splitlines())) <= width
        heads = ("certified", "abstained", "cached", "predictions", "throttled", "cost")
        assert all(head in table for head in heads), shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "yesterday"),
        ("--from", "2026-11-02", "--to", "2026-11-01"),
        ("--from", "2020-01-01", "--to", "2026-11-01"),
        ("--from", "9998-01-01"),
        ("--by", "label"),
        ("--key", "shop"),
        ("--csv", "--json"),
    ],
)
def test_what_cannot_be_asked(surety, arguments):
    ended = surety("usage", *arguments)
    assert ended.code == ExitCode.BAD_INPUT
    assert ended.out == ""
    assert "Traceback" not in ended.err
