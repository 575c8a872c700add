"""Whatever is done to an archive: entries, or our errors, within bounds of memory."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from service.jobs.intake.names import clean_name
from tests.service.jobs.packing import PACKERS, PNG

LIMITS = ArchiveLimits(max_entries=20, max_entry_bytes=100_000, free_bytes=10**6)
FILES = [
    ("a.png", PNG),
    ("dir/", b""),
    ("dir/b.png", PNG + b"\0" * 3000),
    ("é/" + "c" * 90 + ".png", PNG),
    ("labels.csv", b"name,label\na.png,cat\n"),
]
ARCHIVES = {name: pack(FILES) for name, pack in PACKERS.items()}


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[float, bytes, int]]:
    """Places as a part of the length, what is put there, and how much is taken away."""
    values = st.one_of(
        st.binary(max_size=4),
        st.sampled_from(
            [
                *(b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\xff\xff"),
                *(b"77777777777", b"\x80\x7f\xff", b"../", b"L", b"x", b"S", b"g"),
            ]
        ),
    )
    place = st.floats(0, 1) | st.floats(0.9, 1)
    return draw(st.lists(st.tuples(place, values, st.integers(0, 6)), min_size=1, max_size=5))


@pytest.mark.parametrize("packer", PACKERS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=mutations(), cut=st.none() | st.floats(0, 1))
def test_mutated(
    packer: str, changes: list[tuple[float, bytes, int]], cut: float | None, tmp_path: Path
) -> None:
    data = bytearray(ARCHIVES[packer])
    for place, value, removed in changes:
        at = int(place * len(data))
        data[at : at + removed] = value
    judge(tmp_path, bytes(data[: None if cut is None else int(cut * len(data))]))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    head=st.sampled_from([b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0\0\4", b""]),
    data=st.binary(max_size=2000),
)
def test_rubbish(head: bytes, data: bytes, tmp_path: Path) -> None:
    judge(tmp_path, head + data)


def judge(folder: Path, data: bytes) -> None:
    path = folder / "archive"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        try:
            for entry in open_archive(path, LIMITS).entries():
                assert (entry.data is None) is bool(entry.problem)
                assert clean_name(entry.name) == entry.name
                assert len(entry.data or b"") <= LIMITS.max_entry_bytes
        except (BadArchive, ArchiveTooLarge):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 2**20  # xz has a dictionary of 8 MiB
