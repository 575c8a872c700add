"""What a ledger that is kept says about a certificate, beyond its votes."""

import copy

import pytest

from certification.certificate import certificate_id
from certification.errors import LedgerDamaged
from certification.verifying import Report
from service import lasting
from tests.service.auditing import certify

pytestmark = pytest.mark.usefixtures("turning")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("confidence", "named_label"), "another"),
        (("confidence", "named_label"), None),
        (("confidence", "milestone"), 64),
        (("noise", "key_sha256"), "0" * 64),
    ],
)
async def test_what_was_fixed_before_the_first_vote_is_compared_too(surety, place, value):
    """With the same votes a stolen signing key alone could prove a larger radius."""
    document = await certify(surety)
    told = await lasting.check_ledger(surety.state, Report((), document))
    assert told["status"] == "passed"
    forged = copy.deepcopy(document)
    forged["proof"][place[0]][place[1]] = value
    forged["id"] = certificate_id(forged)
    told = await lasting.check_ledger(surety.state, Report((), forged))
    assert told["status"] == "failed"
    assert f"proof.{place[0]}.{place[1]} is {value!r}, not " in told["detail"]
    with pytest.raises(LedgerDamaged, match=f"not begun as certificate .* says: proof.{place[0]}"):
        await lasting.counted_votes(surety.state, forged)
