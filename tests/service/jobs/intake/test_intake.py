"""From archives and manifests to pictures with their true labels."""

import hashlib
import json
import zipfile

import pytest

from service.errors import BadArchive, BadTable, UnknownLabel
from service.jobs.intake.archive import open_archive
from service.jobs.intake.intake import TOGETHER, from_manifest, from_source
from service.jobs.submit import check_truths, spec_of
from tests.service.jobs.running import opened
from tests.service.pictures import png


def archive(tmp_path, **members):
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "/"), data)
    return open_archive(path)


async def handed(intake):
    return [one async for one in intake.handed()]


async def test_an_archive_with_what_cannot_be_read(tmp_path):
    members = {"cat__1.png": png(), "dog__2.png": png(9), "dog__no.png": b"none", ".hidden": b"x"}
    intake = await from_source(archive(tmp_path, **members), "folders")
    assert (intake.count, intake.skipped, intake.truths) == (3, 1, {"cat", "dog"})
    found = await handed(intake)
    assert [(one.name, one.truth, one.data is None) for one in found] == [
        ("cat/1.png", "cat", False),
        ("dog/2.png", "dog", False),
        ("dog/no.png", "dog", True),
    ]
    assert found[2].problem


async def test_labels_that_lie_in_the_archive_hold_for_pictures_before_them(tmp_path):
    labels = b"name,label\na.png,cat\n"
    source = archive(tmp_path, **{"a.png": png(), "labels.csv": labels})
    assert [one.truth for one in await handed(await from_source(source))] == ["cat"]


async def test_labels_of_no_picture_are_refused_before_anything_is_kept(tmp_path):
    with pytest.raises(BadTable, match="line 2"):
        await from_source(archive(tmp_path, **{"a.png": png()}), b"name,label\nb.png,cat\n")


async def test_an_archive_that_is_cut_off_is_found_out_before_anything_is_kept(tmp_path):
    archive(tmp_path, **{"a.png": png(), "b.png": png(300, 300)})
    path = tmp_path / "pictures.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadArchive):
        await from_source(open_archive(path))


async def test_many_are_handed_on_in_order(tmp_path):
    count = 2 * TOGETHER + 1
    members = {f"{n:04}.png": png(8 + n % 5) for n in range(count)}
    found = await handed(await from_source(archive(tmp_path, **members)))
    assert [one.name for one in found] == sorted(members)


async def test_a_manifest_names_uploads(tmp_path, small_providers):
    async with opened(tmp_path) as surety:
        uploads = surety.state.uploads
        sha256 = await uploads.put(png())
        lines = [
            {"image": f"sha256:{sha256}", "name": "cats/1.png", "label": "cat"},
            {"image": f"sha256:{sha256}", "name": "dogs/2.png"},
        ]
        manifest = "\n".join(map(json.dumps, lines)).encode()
        intake = await from_manifest(manifest, uploads, "folders")
        found = await handed(intake)
        assert [(one.data, one.truth) for one in found] == [(sha256, "cat"), (sha256, "dogs")]
        other = hashlib.sha256(b"other").hexdigest()
        missing = manifest + b'\n{"image": "sha256:' + other.encode() + b'"}'
        with pytest.raises(BadTable, match="line 3, column image") as refused:
            await from_manifest(missing, uploads)
        assert refused.value.field == "manifest"


async def test_true_labels_that_the_provider_cannot_give_are_refused(tmp_path, small_providers):
    async with opened(tmp_path) as surety:
        spec = await spec_of(surety, {"sigma": 0.25, "provider": "closed"})
        await check_truths(surety, spec, ["dark", "Bright "])
        with pytest.raises(UnknownLabel, match="cat") as refused:
            await check_truths(surety, spec, ["cat", "dark"])
        assert refused.value.field == "labels"
        anything = await spec_of(surety, {"sigma": 0.25, "provider": "half"})
        await check_truths(surety, anything, ["cat"])
