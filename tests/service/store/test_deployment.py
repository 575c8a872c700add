"""All processes of a deployment share a secret, and keep each other's public keys."""

import os

import pytest
import redis

from service.errors import ConfigurationError
from service.settings import Settings
from service.state import State
from service.store.deployment import FORMAT

ONE, TWO, THREE = "1a" * 32, "2b" * 32, "3c" * 32


@pytest.fixture
def process(tmp_path):
    """Start a process with a data directory and a secret, and end it."""

    async def started(folder, secret, old=None):
        settings = Settings(data_dir=tmp_path / folder, secret=secret, old_secrets=old)
        state = await State.open(settings)
        try:
            current = state.keyring.signer.key_id
            return current, {k.id for k in await state.deployment.public_keys(current)}
        finally:
            await state.close()

    return started


async def test_a_process_with_another_secret_is_refused(process):
    await process("a", ONE)
    with pytest.raises(ConfigurationError, match="SURETY_REDIS_PREFIX") as refused:
        await process("b", TWO)
    assert ONE not in str(refused.value)
    assert TWO not in str(refused.value)


async def test_a_secret_is_rotated_by_whoever_knows_the_old_one(process):
    first, _ = await process("a", ONE)
    await process("a", TWO, ONE)
    with pytest.raises(ConfigurationError, match="rotated away"):
        await process("b", ONE)
    with pytest.raises(ConfigurationError, match="rotated away"):
        await process("b", ONE, TWO)  # no way back
    await process("a", THREE, f"{ONE},{TWO}")
    _, known = await process("c", THREE)  # the old ones are not needed to read public keys
    assert first in known


async def test_public_keys_of_all_processes_stay(process):
    first, _ = await process("a", ONE)
    second, known = await process("b", ONE)
    assert first != second
    assert known == {first, second}


@pytest.mark.parametrize("written", ["1", None], ids=["an older format", "none"])
async def test_a_store_of_another_format_is_left_as_it_is(process, written):
    await process("a", ONE)
    prefix = os.environ["SURETY_REDIS_PREFIX"]
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        if written is None:
            client.hdel(f"{prefix}deployment", "format")
        else:
            client.hset(f"{prefix}deployment", "format", written)
        with pytest.raises(ConfigurationError) as refused:
            await process("b", ONE)
        assert client.hget(f"{prefix}deployment", "format") == (written and written.encode())
    said = str(refused.value)
    assert f"format {written or '?'}, this one reads {FORMAT}" in said
    assert "surety ledgers export" in said
    assert "surety ledgers import" in said
