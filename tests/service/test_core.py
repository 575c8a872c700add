"""Surety itself: what it holds open is released, and who signs what it issues."""

import pytest

from service.core import Surety
from service.keys import rotate
from service.settings import Settings
from tests.service.auditing import install
from tests.service.pictures import png
from tests.service.transferring import settings


async def test_an_adapter_that_cannot_be_closed_stops_no_other(tmp_path):
    class Closing:
        def __init__(self, error=None):
            self.error, self.closed = error, False

        async def close(self):
            self.closed = True
            if self.error is not None:
                raise self.error

    surety = Surety(Settings(data_dir=tmp_path, secret="5a" * 32))
    broken, fine = Closing(RuntimeError("stuck")), Closing()
    surety._adapters.update(broken=broken, fine=fine)
    await surety.close()
    assert broken.closed
    assert fine.closed
    assert surety._decoder._shutdown


async def asked(surety, **options):
    prepared = await surety.prepare(
        png(),
        sigma=0.25,
        provider="turning",
        denoiser="none",
        max_votes=60,
        good_enough=None,
        **options,
    )
    return await surety.certify(prepared)


@pytest.mark.usefixtures("small_providers")
async def test_after_a_rotation_the_same_request_has_the_old_signature(tmp_path, monkeypatch):
    """As docs/operating.md says of a signing key that leaked."""
    install(monkeypatch)
    here = settings(tmp_path, "here", max_votes=2000)
    async with Surety.opened(here) as surety:
        old = surety.state.keyring.signer.key_id
        first = await asked(surety)
    rotate(here, secret=False, signing=True)
    async with Surety.opened(here) as surety:
        new = surety.state.keyring.signer.key_id
        same, other = await asked(surety), await asked(surety, max_seconds=3600.0)
    assert new != old
    assert same.document == first.document
    assert same.document["signature"]["key_id"] == old
    assert other.document["signature"]["key_id"] == new
    assert other.document["proof"] == first.document["proof"]
    assert other.document["accounting"]["calls"] == 0
