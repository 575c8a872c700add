"""Certificates through the clouds' emulators: faults change nothing, prices and versions count."""

import numpy as np
import pytest

from adapters.emulators.faults import Faults
from adapters.interface import Adapter, Prediction
from adapters.policy.gate import AccountGates
from certification.canary import is_canary
from certification.canonical import CanonicalImage
from certification.certify import certify
from certification.decision import parse_rule
from certification.errors import ModelVersionChanged
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.patience import Patience
from certification.postprocess import PostProcess
from certification.protocols import Answer, Traits
from tests.adapters.stands import BATCHES, CLOUDS, Brightness, standing
from tests.certification.worlds import Clip

SECRET = bytes(range(32))
PATIENT = Patience(attempts=50, first_wait=0.001, longest_wait=0.01)
SHARES = {
    kind: 0.05
    for kind in (
        "throttle",
        "server_error",
        "unavailable",
        "timeout",
        "drop",
        "truncate",
        "empty",
        "partial",
    )
}

pytestmark = pytest.mark.parametrize("name", CLOUDS)


def picture() -> CanonicalImage:
    """Barely bright, so that votes for both labels come."""
    pixels = np.full((8, 8, 3), 130, dtype=np.uint8)
    return CanonicalImage(pixels, {"format": "PNG", "width": 8, "height": 8}, ())


async def certified(adapter: Adapter, **options):
    machine = Machine(MemoryLedgers(), SECRET, patience=PATIENT, gates=AccountGates())
    chosen = Options(**{"sigma": 0.25, "max_votes": 80, "good_enough": None} | options)
    document = await certify(machine, picture(), chosen, denoiser=Clip(), classifier=adapter)
    (ledger,) = machine.ledgers._all.values()
    return document, await ledger.read()


async def test_faults_of_every_kind_change_no_vote(name, monkeypatch):
    async with standing(name, monkeypatch, timeout=0.5) as stand:
        calm, votes = await certified(stand.adapter)
        stand.emulator.desk.faults = Faults(shares=SHARES, seed=5)
        stand.emulator.desk.reset()
        rough, same = await certified(stand.adapter)
        counts = stand.emulator.desk.counts
        failed = sum(counts.faults[kind] for kind in SHARES)
    assert failed > 0
    named = rough["proof"]["subject"]["provider"]["model_version"]
    assert is_canary(named) != stand.adapter.traits.names_version  # what estimates rely on
    length = min(len(votes), len(same))
    assert length >= 80
    assert votes[:length] == same[:length]
    assert len(set(votes[:80])) == 2  # else it would prove little
    assert rough["proof"] == calm["proof"]
    # Only failed calls and those in flight at the end are billed beside the votes: a reply that
    # was cut, and what shared a connection or a time limit with a failure.
    canaries = 0 if name != "google" else 1
    most = stand.adapter.traits.max_batch
    extra = counts.answered.total() - len(same) - 1 - canaries
    assert 0 <= extra <= most * (failed + stand.adapter.traits.concurrency)
    assert rough["accounting"]["calls"] >= len(counts.calls)  # a cut connection carries several


async def test_votes_are_those_of_the_classifier_asked_directly(name, monkeypatch):
    async with standing(name, monkeypatch) as stand:
        _, votes = await certified(stand.adapter)
        traits = stand.adapter.traits
        brain = stand.emulator.brain

        sample = PostProcess.plan(8, 8, traits)(picture().pixels)
        (told,) = await stand.adapter.classify([sample])
        said = {p.name.casefold(): p for p in told.predictions}  # spelling and ids of the provider

        class Direct(Adapter):
            """The emulator's classifier, without protocol: the same pictures, the same scores."""

            @property
            def options(self):
                return stand.adapter.options

            async def classify(self, images):
                found = []
                for image in images:
                    pairs = await brain.classify(image)
                    predictions = tuple(
                        Prediction(said[label].name, score, said[label].id)
                        for label, score in pairs
                    )
                    found.append(Answer(predictions, told.model_version))
                return found

        direct = Direct()
        direct.name, direct.traits = name, Traits(**{**vars(traits), "rate": None})
        _, same = await certified(direct)

    length = min(len(votes), len(same))
    assert length >= 80
    assert votes[:length] == same[:length]


async def test_a_change_of_the_model_voids_the_run(name, monkeypatch):
    if name == "google":
        pytest.skip("names no version: the canary's own tests")
    async with standing(name, monkeypatch, change_version_after=30) as stand:
        with pytest.raises(ModelVersionChanged, match="version"):
            await certified(stand.adapter)


async def test_money_is_counted_as_the_provider_counts_it(name, monkeypatch):
    async with standing(name, monkeypatch, profile={"price": 0.01}) as stand:
        document, votes = await certified(stand.adapter, max_cost=0.30)
        billed = stand.emulator.desk.counts.answered.total()
    assert billed <= 30
    assert document["accounting"]["cost"] == pytest.approx(0.01 * billed)
    assert document["proof"]["stop_reason"] == "max_cost"
    assert len(votes) >= 28 - (stand.adapter.traits.max_batch if name in BATCHES else 0)


async def test_a_refused_share_is_abstentions_in_both_runs(name, monkeypatch):
    async with standing(name, monkeypatch, refused=0.2) as stand:
        document, votes = await certified(stand.adapter)
    assert document["proof"]["votes"]["abstentions"] == votes[:80].count(None) > 3


async def test_a_yes_or_no_rule_with_a_threshold(name, monkeypatch):
    rule = parse_rule({"rule": "any_of", "labels": ["Bright"], "threshold": 0.5})
    async with standing(name, monkeypatch, model=Brightness()) as stand:
        document, votes = await certified(stand.adapter, rule=rule)
    assert set(votes) == {"yes", "no"}
    assert document["proof"]["subject"]["rule"]["threshold"] == 0.5
