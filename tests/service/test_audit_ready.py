"""What keeps an audit from asking anybody, and which samples it draws."""

import json

import pytest

import denoisers.registry
from adapters.errors import UnknownAdapter
from certification.canonical import canonicalise
from certification.certificate import certificate_id
from certification.errors import InvalidParameter, LedgerConflict
from denoisers.none import NoDenoiser
from service.audit_ready import prepare
from service.errors import BadRequest, ConfigurationError, NotFound, StoreDamaged
from tests.service.auditing import (
    SECRET,
    Turning,
    ask_again,
    certify,
    opened,
)
from tests.service.pictures import png

OTHER = "c3" * 32


pytestmark = pytest.mark.usefixtures("turning")


async def test_samples_are_drawn_at_random_and_again_by_seed(surety):
    certificate = await certify(surety)

    async def drawn(sample, seed=None):
        return await prepare(surety, certificate["id"], sample=sample, seed=seed)

    one, other = await drawn(30), await drawn(30)
    assert one.indices != other.indices
    assert (await drawn(30, one.seed)).indices == one.indices
    assert (await drawn(10, one.seed)).indices != sorted((await drawn(10, one.seed)).indices)
    assert sorted((await drawn(1000)).indices) == list(range(64))
    with pytest.raises(InvalidParameter, match="sample must be at least 1"):
        await drawn(0)
    assert Turning.asked == []


async def test_the_picture_may_be_given(surety):
    certificate = await certify(surety, keep_image=False)
    with pytest.raises(NotFound, match=r"not kept here: give .* with --image"):
        await ask_again(surety, certificate)
    with pytest.raises(InvalidParameter, match="not the picture of the certificate"):
        await ask_again(surety, certificate, image=png(8, 12))
    canonical = canonicalise(png()).png()
    for given in (png(), canonical):
        assert (await ask_again(surety, certificate, image=given)).asked == 20


async def test_a_kept_picture_that_is_another_one_is_refused(surety):
    certificate = await certify(surety)
    sha256 = certificate["image"]["sha256"]
    for wrong in (png(8, 12), b"no picture"):
        await surety.state.images.put(sha256, wrong)
        with pytest.raises(StoreDamaged, match="the picture kept here"):
            await ask_again(surety, certificate)
    assert (await ask_again(surety, certificate, image=png())).asked == 20


async def test_a_certificate_that_is_not_here_or_was_forged(surety):
    with pytest.raises(NotFound, match="no certificate"):
        await ask_again(surety, {"id": "0" * 32})
    certificate = await certify(surety)
    forged = {**certificate, "image": {**certificate["image"], "steps": ["nothing"]}}
    forged["id"] = certificate_id(forged)
    await surety.state.certificates.put(forged)
    with pytest.raises(StoreDamaged, match=r"not as it was issued .*signature"):
        await ask_again(surety, forged)
    assert Turning.asked == []


async def test_a_certificate_without_votes(surety):
    certificate = await certify(surety, max_cost=0.001)  # pays for the clean picture
    with pytest.raises(BadRequest, match="counts no votes"):
        await ask_again(surety, certificate)


async def test_a_rotated_secret_is_still_needed(tmp_path):
    async with opened(tmp_path) as surety:
        certificate = await certify(surety)
    async with opened(tmp_path, secret=OTHER, old_secrets=SECRET) as surety:
        assert (await ask_again(surety, certificate)).differences == []
    async with opened(tmp_path, secret=OTHER) as surety:
        with pytest.raises(LedgerConflict, match="SURETY_OLD_SECRETS"):
            await ask_again(surety, certificate)
    assert len(Turning.asked) == 20


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("settings", {"model": "b"}, r'provider.options.model is "a" there and "b" here'),
        ("settings", {}, 'provider.options.model is "a" there and null here'),
    ],
)
async def test_other_options_are_refused(attribute, value, said, tmp_path, monkeypatch):
    monkeypatch.setattr(Turning, "settings", {"model": "a"})
    async with opened(tmp_path) as surety:
        certificate = await certify(surety)
    monkeypatch.setattr(Turning, attribute, value)
    async with opened(tmp_path) as surety:
        with pytest.raises(ConfigurationError, match=said):
            await ask_again(surety, certificate)
    assert Turning.asked == []


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("compute", "cuda/bfloat16", 'compute is "cpu/int16" there and "cuda/bfloat16" here'),
        ("weights_sha256", "0" * 64, "denoiser.weights_sha256 is null there"),
    ],
)
async def test_another_denoiser_is_refused(attribute, value, said, tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        certificate = await certify(surety)
    monkeypatch.setattr(NoDenoiser, attribute, value)
    async with opened(tmp_path) as surety:
        with pytest.raises(ConfigurationError, match=said):
            await ask_again(surety, certificate)
    assert Turning.asked == []


async def test_a_denoiser_or_provider_that_is_gone(tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        certificate = await certify(surety)
    with monkeypatch.context() as patch:
        patch.setattr(denoisers.registry, "_entries", dict)
        async with opened(tmp_path) as surety:
            with pytest.raises(ConfigurationError, match=r"unknown denoiser 'none'.*--denoiser"):
                await ask_again(surety, certificate)
    monkeypatch.setattr("adapters.registry._entries", dict)
    async with opened(tmp_path) as surety:
        with pytest.raises(UnknownAdapter, match="'turning'"):
            await ask_again(surety, certificate)


async def test_an_operators_profile_whose_label_map_has_changed_by_now(tmp_path):
    profiles, table = tmp_path / "providers.toml", tmp_path / "map.json"
    profiles.write_text('[mine]\nadapter = "turning"\nlabel_map = "map.json"\n')
    table.write_text(json.dumps({"dark": "night"}))
    async with opened(tmp_path, providers_file=profiles, provider="mine") as surety:
        certificate = await certify(surety)
    assert set(certificate["proof"]["votes"]["counts"]) == {"night", "bright"}
    table.write_text(json.dumps({"dark": "evening"}))
    async with opened(tmp_path, providers_file=profiles) as surety:
        assert (await ask_again(surety, certificate)).differences == []


async def test_a_secret_is_in_no_representation(surety):
    certificate = await certify(surety)
    ready = await prepare(surety, certificate["id"], sample=5)
    assert len(ready.key) == 16
    assert repr(ready.key) not in repr(ready)
