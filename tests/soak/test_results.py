"""Results of a job of 100,000 pictures take no more memory than those of 10,000."""

import pytest

from service.jobs.results.export import FORMATS
from tests.service.jobs.results.test_export_memory import zipped
from tests.service.jobs.rowmaking import peak, row, stream
from tests.soak.place import SOAK

pytestmark = [
    pytest.mark.skipif(not SOAK, reason="minutes; the suite has a small one"),
    pytest.mark.timeout(600),
]
MARGIN = 3_000_000  # bytes; the rows that are left over would take 100 million

WAYS = {name: known.write for name, known in FORMATS.items()} | {"zip": zipped}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
async def test_memory_does_not_grow_with_the_job(write):
    small = await peak(write(stream(map(row, range(10_000)))))
    large = await peak(write(stream(map(row, range(100_000)))))
    assert large < small + MARGIN
