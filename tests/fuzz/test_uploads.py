"""A few of the mutated uploads; `make fuzz` tries a hundred thousand."""

import io
from collections import Counter
from typing import Any

import pytest

from certification.canonical import FORMATS
from tests.fuzz.archives import archive_maker, attempt_archive
from tests.fuzz.containers import CONTAINERS
from tests.fuzz.hostile import FILES, MOST
from tests.fuzz.mutating import mutant
from tests.fuzz.requests import send_them
from tests.fuzz.seeds import seeds
from tests.fuzz.trying import attempt
from tests.fuzz.watching import watched
from tests.soak.place import SOAK

RUN = 7
SOUND = seeds()
HARMLESS = {
    "png_compressed_texts": "NotAnImage",  # the decoder has a bound of its own for what is unpacked
    "png_profile_bomb": "NotAnImage",
    "png_many_frames": "picture",  # they are counted, not believed
    "png_largest": "picture",
    "png_slowest": "picture",
    "jpeg_many_photoshop_blocks": "picture",
    "tiff_many_tags": "NotAnImage",
    "webp_many_chunks": "picture",
    "mpo_many_pictures": "picture",
}
TOO_LARGE = {"jpeg_some_scans", "tiff_progressive", "bmp_runs_8", "bmp_runs_4", "ppm_odd_depth"}
TOO_LARGE |= {"ppm_plain", "ppm_many_comments"}


def test_every_accepted_format_has_seeds_of_its_own() -> None:
    assert {seed.format for seed in SOUND} == {*FORMATS} == {*CONTAINERS}
    kinds = Counter(attempt(seed.data).kind for seed in SOUND)
    assert kinds["picture"] > 0.9 * len(SOUND)


@pytest.mark.parametrize("seed", SOUND, ids=lambda seed: seed.name)
def test_taken_apart_and_put_together_it_is_the_same_picture(seed: Any) -> None:
    container = CONTAINERS[seed.format]
    again = container.join(container.split(seed.data))
    assert attempt(again).kind == attempt(seed.data).kind


def test_mutated_pictures() -> None:
    outcomes = [attempt(mutant(SOUND, RUN, number).data) for number in range(300)]
    assert [outcome for outcome in outcomes if outcome.wrong is not None] == []
    assert {outcome.kind for outcome in outcomes} == {
        *("picture", "NotAnImage", "UnsupportedImage", "ImageTooLarge")
    }


def test_a_number_makes_the_same_picture_each_time() -> None:
    assert mutant(SOUND, RUN, 3) == mutant(seeds(), RUN, 3)
    assert mutant(SOUND, RUN, 3).data != mutant(SOUND, RUN + 1, 3).data


def test_mutated_archives() -> None:
    make = archive_maker(RUN)
    outcomes = [attempt_archive(make(number)) for number in range(40)]
    assert [outcome for outcome in outcomes if outcome.wrong is not None] == []
    assert {outcome.kind for outcome in outcomes} == {"archive", "BadArchive", "ArchiveTooLarge"}


async def test_mutated_pictures_by_http(make_app: Any) -> None:
    async with make_app() as app:
        said = io.StringIO()
        assert await send_them(app, RUN, range(30), said) == 0, said.getvalue()
    assert "200 " in said.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_files_made_to_be_expensive_are_refused_unseen(name: str) -> None:
    data = FILES[name](MOST if SOAK else 5 * 2**20)
    assert len(data) <= MOST
    outcome = attempt(data)
    if name in HARMLESS:
        assert outcome.kind == HARMLESS[name], outcome
    else:
        assert outcome.kind == ("ImageTooLarge" if name in TOO_LARGE else "UnsupportedImage")


def test_what_kills_or_stops_the_process_is_found() -> None:
    """The watch itself: number 2 of this kind of run ends the process, number 4 hangs."""
    tried = [*watched("self-test", RUN, 0, 6, hangs=6.0)]
    assert [one.number for one in tried] == [*range(6)]
    wrong = {one.number: one.wrong for one in tried if one.wrong is not None}
    assert wrong == {2: "the process died (status -11)", 4: "it hangs"}
