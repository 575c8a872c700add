"""An audit asks again about the samples that were asked about, and counts what differs."""

import json
from collections import Counter

import numpy as np
import pytest

from adapters.errors import QuotaExceeded
from adapters.interface import Refusal
from certification.canonical import canonicalise
from certification.errors import InvalidParameter, RunInterrupted
from certification.interrupt import Interrupt
from certification.verifying import rebuild
from service import lasting
from service.audit import audit
from service.audit_ready import prepare
from tests.service.auditing import (
    Turning,
    ask_again,
    certify,
    label,
    ledgers,
)
from tests.service.pictures import gradient, png

SYNONYMS = {"dark": "night"}


pytestmark = pytest.mark.usefixtures("turning")


async def samples(surety, certificate, indices):
    """What the provider was sent, rebuilt by the code of `surety verify`."""
    ledger = await lasting.ledger_of(surety.state, certificate["proof"]["subject_sha256"])
    key = surety.machine.noise_key(ledger.header)
    pixels = canonicalise(png()).pixels
    return [np.clip(rebuild(certificate, pixels, key, i), 0, 255).astype(np.uint8) for i in indices]


async def test_the_same_provider_gives_the_same_votes(surety):
    certificate = await certify(surety)
    assert len(certificate["proof"]["votes"]["counts"]) == 2  # else nothing could differ
    ready = await prepare(surety, certificate["id"], sample=20)
    found = await audit(surety, ready)
    assert (found.asked, found.differences, found.stop_reason) == (20, [], "complete")
    assert (found.changed, found.versions) == (False, ["v1"])
    assert found.accounting["images"] == 20
    assert found.accounting["cost"] == pytest.approx(0.02)
    expected = await samples(surety, certificate, ready.indices)
    sent = Counter(image.tobytes() for image in Turning.asked)
    assert sent == Counter(sample.tobytes() for sample in expected)
    assert json.loads(json.dumps(found.describe()))["check"] == {
        "level": "provider",
        "status": "passed",
        "detail": "none of 20 votes that were asked again differs",
    }


async def test_answers_that_changed_are_told_and_nothing_is_written(surety, monkeypatch):
    certificate = await certify(surety)
    before = await ledgers(surety)
    assert before
    monkeypatch.setattr(Turning, "threshold", 97.0)
    found = await ask_again(surety, certificate, 64)
    expected = [
        (index, label(sample, 95), label(sample, 97))
        for index, sample in enumerate(await samples(surety, certificate, range(64)))
        if label(sample, 95) != label(sample, 97)
    ]
    assert expected
    assert [(d.index, d.then, d.now) for d in found.differences] == expected
    told = found.describe()
    assert (told["differing"], told["check"]["status"]) == (len(expected), "failed")
    assert told["bound"]["share"] > len(expected) / 64
    assert await ledgers(surety) == before
    assert (await surety.state.certificates.get(certificate["id"])) == certificate


async def test_another_model_is_told_and_proves_nothing(surety, monkeypatch):
    certificate = await certify(surety)
    before = await ledgers(surety)
    monkeypatch.setattr(Turning, "version", "v2")
    same = await ask_again(surety, certificate)
    assert same.changed
    assert same.describe()["model_version"] == {"then": "v1", "now": ["v2"], "changed": True}
    assert same.describe()["check"]["status"] == "passed"
    monkeypatch.setattr(Turning, "threshold", 0.0)
    other = await ask_again(surety, certificate)
    assert other.differences
    assert other.describe()["check"]["status"] == "not checked"
    assert await ledgers(surety) == before


async def test_a_model_without_a_version_is_known_by_the_clean_picture(surety, monkeypatch):
    monkeypatch.setattr(Turning, "version", None)
    certificate = await certify(surety)
    same = await ask_again(surety, certificate, 10)
    then = certificate["proof"]["subject"]["provider"]["model_version"]
    assert (same.changed, same.versions, same.accounting["images"]) == (False, [then], 11)
    monkeypatch.setattr(Turning, "score", 0.7)
    other = await ask_again(surety, certificate, 10)
    assert other.changed
    assert "0.7" in other.versions[0]
    assert other.differences == []
    monkeypatch.setattr(Turning, "version", "v1")
    named = await ask_again(surety, certificate, 10)
    assert (named.changed, named.versions) == (True, ["v1"])


async def test_a_sealed_ledger_can_be_audited(surety):
    certificate = await certify(surety)
    await lasting.reveal(surety.state, surety.machine, certificate["id"])
    before = await ledgers(surety)
    assert (await ask_again(surety, certificate)).differences == []
    assert await ledgers(surety) == before


@pytest.mark.parametrize(
    "options",
    [
        {"rule": {"rule": "any_of", "labels": ["night"], "threshold": 0.5}, "synonyms": SYNONYMS},
        {"rule": {"rule": "in_top_k", "labels": ["Bright"], "k": 1}},
        {"provider": "reading", "encoding": "jpeg"},
        {"provider": "reading", "size": "16x12"},
        {"sigma": 1.0},
    ],
    ids=["any_of", "in_top_k", "jpeg", "png", "sigma"],
)
async def test_every_kind_of_subject_can_be_rebuilt(options, surety):
    certificate = await certify(surety, **options)
    found = await ask_again(surety, certificate, image=png())
    assert (found.asked, found.differences, found.changed) == (20, [], False)


async def test_the_money_is_never_passed(surety):
    certificate = await certify(surety)
    ready = await prepare(surety, certificate["id"], sample=40)
    found = await audit(surety, ready, max_cost=0.018)
    assert (found.asked, found.sample, found.stop_reason) == (18, 40, "max_cost")
    assert len(Turning.asked) == 18
    expected = await samples(surety, certificate, ready.indices[:18])
    assert {i.tobytes() for i in Turning.asked} == {sample.tobytes() for sample in expected}
    with pytest.raises(InvalidParameter, match="does not pay for the first answer"):
        await audit(surety, ready, max_cost=0.0005)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidParameter, match="max_cost must be"):
            await audit(surety, ready, max_cost=wrong)


async def test_money_that_pays_for_the_canary_at_most(surety, monkeypatch):
    monkeypatch.setattr(Turning, "version", None)
    certificate = await certify(surety)
    for too_little in (0.0005, 0.001):
        with pytest.raises(InvalidParameter, match="does not pay"):
            await ask_again(surety, certificate, max_cost=too_little)


async def test_an_audit_that_is_cancelled_tells_what_it_has(surety, monkeypatch):
    monkeypatch.setattr(Turning, "traits", Turning.traits.__class__(payload="pixels", max_batch=1))
    certificate = await certify(surety)
    interrupt, seen = Interrupt(), []

    def on_asked(asked, differing, cost):
        seen.append(asked)
        if asked >= 5:
            interrupt.cancel()

    found = await ask_again(surety, certificate, 60, interrupt=interrupt, on_asked=on_asked)
    assert found.stop_reason == "cancelled"
    assert 5 <= found.asked == len(Turning.asked) < 60
    assert seen == sorted(seen)
    assert found.differences == []
    asked = len(Turning.asked)
    with pytest.raises(RunInterrupted, match="before it had any answer"):
        await ask_again(surety, certificate, 60, interrupt=interrupt)
    assert len(Turning.asked) == asked


async def test_a_provider_that_fails_in_the_middle(surety, monkeypatch):
    certificate = await certify(surety)
    monkeypatch.setattr(Turning, "answers", 32)
    found = await ask_again(surety, certificate, 60)
    assert (found.asked, found.stop_reason) == (32, "failed")
    assert isinstance(found.error, QuotaExceeded)
    assert found.describe()["problem"] == "turning: the quota is spent"
    with pytest.raises(QuotaExceeded):
        await ask_again(surety, certificate, 60)


def test_the_gradient_is_where_the_provider_turns():
    assert abs(float(np.asarray(gradient()).mean()) - Turning.threshold) < 2


async def test_where_the_clean_picture_was_refused_the_grey_one_is_compared(surety, monkeypatch):
    clean = canonicalise(png()).pixels
    answers = Turning.classify

    async def moderated(self, images):
        told = await answers(self, images)
        refused = Refusal("not today", model_version=None)
        return [
            refused if np.array_equal(image, clean) else outcome
            for image, outcome in zip(images, told, strict=True)
        ]

    monkeypatch.setattr(Turning, "version", None)
    monkeypatch.setattr(Turning, "classify", moderated)
    certificate = await certify(surety)
    version = certificate["proof"]["subject"]["provider"]["model_version"]
    assert version.endswith(" of grey")
    found = await ask_again(surety, certificate, 8)
    assert (found.changed, found.versions, found.asked) == (False, [version], 8)
    monkeypatch.setattr(Turning, "score", 0.5)
    found = await ask_again(surety, certificate, 8)
    assert found.changed
    assert found.versions[0].endswith(" of grey")
