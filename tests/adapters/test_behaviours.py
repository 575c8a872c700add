"""One table of behaviours over all providers: real SDKs, real wire protocols, real faults.

What only one provider does is tested in its own file.
"""

import asyncio
import time
from typing import Any

import pytest

from adapters.errors import AuthenticationFailed, PermissionDenied, QuotaExceeded
from adapters.interface import Answer, Refusal, Retry
from adapters.policy.gate import AccountGates
from certification.asking import Asker
from certification.errors import ProviderUnreliable
from certification.patience import Patience
from tests.adapters.stands import BATCHES, CLOUDS, NAMES_VERSION, standing

QUICK = Patience(attempts=6, first_wait=0.001, longest_wait=0.01)

pytestmark = pytest.mark.parametrize("name", CLOUDS)


async def test_it_answers_with_labels_on_the_unit_scale(name, monkeypatch):
    async with standing(name, monkeypatch) as stand:
        (bright,), (dark,) = [
            await stand.adapter.classify([stand.payload(level)]) for level in (220, 30)
        ]
        assert isinstance(bright, Answer)
        assert isinstance(dark, Answer)
        for answer, label in ((bright, "bright"), (dark, "dark")):
            best = max(answer.predictions, key=lambda p: p.score)
            assert best.name.casefold() == label
            assert 0.9 < best.score <= 1.0
            assert all(0.0 <= p.score <= 1.0 for p in answer.predictions)
            assert (answer.model_version is not None) is (name in NAMES_VERSION)
        assert stand.calls == 2


@pytest.mark.parametrize(
    ("fault", "throttled"),
    [
        ("throttle", True),
        ("server_error", False),
        ("unavailable", False),
        ("timeout", False),
        ("drop", False),
        ("truncate", False),
        ("empty", False),
    ],
)
async def test_what_may_go_away_is_a_retry_after_one_call(name, monkeypatch, fault, throttled):
    timeout = 0.4 if fault == "timeout" else 5.0  # a busy machine may be slow to answer
    async with standing(name, monkeypatch, script=[fault], timeout=timeout) as stand:
        (outcome,) = await stand.adapter.classify([stand.payload()])
        assert isinstance(outcome, Retry), outcome
        assert outcome.throttled is throttled
        assert outcome.reason
        await asyncio.sleep(0.05)
        assert stand.calls == 1  # the SDK has not asked again
        (outcome,) = await stand.adapter.classify([stand.payload()])
        assert isinstance(outcome, Answer)  # and is not broken by it
        assert stand.calls == 2


async def test_the_time_that_the_provider_names_is_handed_on(name, monkeypatch):
    async with standing(name, monkeypatch, script=["throttle"], retry_after=7) as stand:
        (outcome,) = await stand.adapter.classify([stand.payload()])
        assert isinstance(outcome, Retry)
        assert outcome.after == (None if name == "clarifai" else 7)  # which has no place for it


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("bad_credentials", AuthenticationFailed),
        ("forbidden", PermissionDenied),
        ("quota", QuotaExceeded),
    ],
)
async def test_what_no_further_call_would_mend_ends_the_run(name, monkeypatch, fault, error):
    async with standing(name, monkeypatch, script=[fault]) as stand:
        with pytest.raises(error) as caught:
            await stand.adapter.classify([stand.payload()])
        assert stand.calls == 1
        said = str(caught.value)
        assert len(said) > 20
        for secret in stand.emulator.environment().values():
            assert not secret or secret not in said or secret.startswith("http")


async def test_all_credentials_refused(name, monkeypatch):
    async with standing(name, monkeypatch, credentials="bad") as stand:
        with pytest.raises(AuthenticationFailed):
            await stand.adapter.classify([stand.payload()])


async def test_a_picture_refused_for_good_is_a_refusal(name, monkeypatch):
    async with standing(name, monkeypatch, refused=1.0) as stand:
        (outcome,) = await stand.adapter.classify([stand.payload()])
        assert isinstance(outcome, Refusal), outcome
        assert outcome.reason
        assert stand.emulator.desk.counts.answered.total() == 0


async def test_only_the_failed_pictures_of_a_batch_are_asked_again(name, monkeypatch):
    if name not in BATCHES:
        pytest.skip("one picture a call")
    async with standing(name, monkeypatch, script=["partial"]) as stand:
        asker = Asker(stand.adapter, patience=QUICK)
        payloads = [stand.payload(seed=i) for i in range(6)]
        answers = await asker.ask(payloads)
        assert [max(a.predictions, key=lambda p: p.score).name for a in answers] == ["bright"] * 6
        first, second = stand.emulator.desk.counts.calls
        assert len(first.images) == 6
        assert set(second.images) == first.failing
        assert stand.emulator.desk.counts.answered.total() == 6 == asker.bill.units


async def test_the_asker_goes_through_a_storm_with_the_same_bytes(name, monkeypatch):
    storm = ["throttle", "server_error", "drop", "unavailable", "truncate", "empty"]
    async with standing(name, monkeypatch, script=storm, timeout=2.0) as stand:
        patience = Patience(attempts=9, first_wait=0.001, longest_wait=0.01)
        asker = Asker(stand.adapter, patience=patience, gate=AccountGates().of(stand.adapter))
        (answer,) = await asker.ask([stand.payload()])
        assert isinstance(answer, Answer)
        assert stand.calls == 1 + len(storm) == asker.bill.calls
        assert len(stand.emulator.desk.counts.received) == 1  # one SHA-256: the same bytes
        assert asker.bill.units >= stand.emulator.desk.counts.answered.total()


async def test_a_sample_that_always_fails_is_given_up_not_skipped(name, monkeypatch):
    async with standing(name, monkeypatch, shares={"server_error": 1.0}) as stand:
        asker = Asker(stand.adapter, patience=QUICK)
        with pytest.raises(ProviderUnreliable, match="6 times"):
            await asker.ask([stand.payload()])
        assert stand.calls == QUICK.attempts


async def test_the_cap_holds_against_what_the_provider_has_billed(name, monkeypatch):
    profile = {"price": 0.01}
    async with standing(
        name, monkeypatch, profile=profile, shares={"server_error": 0.2}, seed=3
    ) as stand:
        asker = Asker(stand.adapter, max_cost=0.10, patience=QUICK)
        await asyncio.gather(
            *(asker.ask([stand.payload(seed=i)]) for i in range(30)), return_exceptions=True
        )
        assert 8 <= stand.emulator.desk.counts.answered.total() <= 10


async def test_cancelling_a_call_returns_at_once_and_leaks_nothing(name, monkeypatch):
    async with standing(name, monkeypatch, script=["timeout"], timeout=1.0) as stand:
        before = {task for task in asyncio.all_tasks() if not task.done()}
        call = asyncio.create_task(stand.adapter.classify([stand.payload()]))
        for _ in range(100):
            await asyncio.sleep(0.01)
            if stand.calls:
                break
        assert stand.calls == 1
        started = time.monotonic()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert time.monotonic() - started < 0.5
        (outcome,) = await stand.adapter.classify([stand.payload(seed=1)])
        assert isinstance(outcome, Answer)  # it can still be used
        await stand.adapter.close()
        await asyncio.sleep(0.05)
        left = {task for task in asyncio.all_tasks() if not task.done()} - before
        assert not [task for task in left if "adapters" in repr(task.get_coro())]


async def test_many_calls_at_once_reuse_their_connections(name, monkeypatch):
    async with standing(name, monkeypatch) as stand:
        pictures = [stand.payload(seed=i) for i in range(40)]
        outcomes = await asyncio.gather(*(stand.adapter.classify([p]) for p in pictures))
        assert all(isinstance(outcome, Answer) for (outcome,) in outcomes)
        assert stand.calls == 40


async def test_the_options_and_the_account_hold_no_secret(name, monkeypatch):
    async with standing(name, monkeypatch) as stand:
        shown = repr((dict(stand.adapter.options), stand.adapter.account, stand.adapter))
        for variable, value in stand.emulator.environment().items():
            secret = any(word in variable for word in ("KEY", "SECRET", "PAT", "TOKEN", "CRED"))
            assert not (secret and value) or value not in shown


async def test_prices_and_rates_of_a_profile_go_before_the_table(name, monkeypatch):
    profile: dict[str, Any] = {"price": 0.25, "rate": 3.0, "rate_unit": "request"}
    async with standing(name, monkeypatch, profile=profile) as stand:
        traits = stand.adapter.traits
        assert (traits.price, traits.rate, traits.rate_unit) == (0.25, 3.0, "request")
