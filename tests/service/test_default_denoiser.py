"""Which denoiser a request gets that names none: by size, or as the operator says."""

import json

import pytest

from denoisers.errors import NotUsable
from service.core import Surety
from service.settings import Settings
from tests.service import test_cli
from tests.service.pictures import png

surety = test_cli.surety


@pytest.fixture
def deployment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(**settings):
        return Surety(Settings(data_dir=tmp_path / "data", secret="5a" * 32, **settings))

    return made


@pytest.mark.parametrize(
    ("size", "name"), [((32, 32), "cifar"), ((32, 33), "photo"), ((224, 224), "photo")]
)
async def test_auto_goes_by_the_size(deployment, size, name):
    surety = deployment()
    assert surety.settings.denoiser == "auto"
    assert (await surety.denoiser(None, size)).name == name
    assert (await surety.denoiser("auto", size)).name == name
    assert (await surety.denoiser("none", size)).name == "none"
    await surety.close()


async def test_a_run_gets_the_denoiser_of_its_canonical_image(deployment):
    surety = deployment()
    prepared = await surety.prepare(png(90, 70), sigma=0.25)
    assert (prepared.image.height, prepared.image.width) == (32, 32)  # local's size
    assert prepared.denoiser.name == "cifar"
    await surety.close()


async def test_what_the_operator_says_goes_for_every_size(deployment):
    surety = deployment(denoiser="none")
    assert surety.default_denoisers() == ["none"]
    for size in ((32, 32), (64, 64)):
        assert (await surety.denoiser(None, size)).name == "none"
    missing = deployment(denoiser="nobody")
    with pytest.raises(NotUsable, match="SURETY_DENOISER: unknown denoiser 'nobody'"):
        await missing.denoiser(None, (64, 64))


def test_both_have_to_be_ready(surety, monkeypatch):
    monkeypatch.setenv("SURETY_DENOISER", "auto")
    done = surety("denoisers")
    assert done.code == 0
    assert "cifar (default)" in done.out
    assert "photo (default)" in done.out
    assert json.loads(surety("denoisers", "--json").out)["default"] == "auto"


def test_show_takes_the_one_for_the_size(surety, tmp_path, monkeypatch):
    monkeypatch.setenv("SURETY_DENOISER", "auto")
    seen = []
    monkeypatch.setattr(
        "service.sheet.rows", lambda pixels, levels, chosen, index: seen.extend(chosen) or []
    )
    monkeypatch.setattr("service.sheet.sheet", lambda rows: b"png")
    for side in (32, 40):
        (tmp_path / "p.png").write_bytes(png(side, side))
        assert surety("denoisers", "show", "p.png", "--force").code == 0
    assert [denoiser.name for denoiser in seen] == ["cifar", "photo"]
