"""No keys are made beside a store that is another deployment's."""

import asyncio
import shutil

import pytest

from service.errors import ConfigurationError
from service.settings import Settings
from service.state import State
from service.store.unclaimed import check_unclaimed
from tests.service import test_keys_command

folder, keys = test_keys_command.folder, test_keys_command.keys  # fixtures


async def opened(settings):
    state = await State.open(settings)
    secret = state.keyring.current_secret_id
    await state.close()
    return secret


@pytest.fixture(params=["embedded", "shared"])
def settings(request, data_dir, monkeypatch):
    """Settings of a deployment without keys of the environment."""
    if request.param == "embedded":
        monkeypatch.delenv("SURETY_REDIS_URL")
    return Settings(data_dir=data_dir / "data")


async def test_a_store_without_its_keys_is_left_as_it_is(settings, data_dir):
    file = settings.data_dir / "keys.json"
    secret = await opened(settings)
    file.rename(data_dir / "kept")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"the secret {secret}") as refused:
            await opened(settings)
        assert f"keys.json back into {settings.data_dir}" in str(refused.value)
        assert not file.exists()
    (data_dir / "kept").rename(file)
    assert await opened(settings) == secret


def test_nor_are_they_made_by_the_commands_about_keys(folder, keys):
    asyncio.run(opened(Settings()))
    (folder / "keys.json").unlink()
    for arguments in (("show",), ("rotate", "--signing", "--yes"), ("rotate", "--secret", "--yes")):
        ended = keys(*arguments)
        assert isinstance(ended.exception, ConfigurationError)
        assert not (folder / "keys.json").exists()


async def test_an_empty_store_is_anybodys(settings):
    await check_unclaimed(settings)
    assert not settings.data_dir.exists()
    await opened(settings)
    shutil.rmtree(settings.data_dir)
    if settings.redis_url is None:
        await opened(settings)
