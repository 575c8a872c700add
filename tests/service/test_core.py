"""Surety itself: what it holds open is released."""

from service.core import Surety
from service.settings import Settings


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
