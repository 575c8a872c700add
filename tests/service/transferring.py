"""Two deployments, each with its own secret, key and part of the store, and ledgers in them."""

import hashlib
import io
import os
from contextlib import asynccontextmanager

import rfc8785

from certification import noise
from certification.deployment_secret import secret_id
from certification.protocols import CleanAnswer, Header
from service.ledger_entry import draft_of
from service.settings import Settings
from service.state import State
from service.transfer import export_ledgers, import_ledgers

SECRETS = {"here": "5a" * 32, "there": "c3" * 32}


def settings(folder, name, **fields):
    """Return the settings of one of several deployments that share a server."""
    prefix = os.environ["SURETY_REDIS_PREFIX"] + f"{name}:"
    given = {"secret": SECRETS.get(name, "7e" * 32), "redis_prefix": prefix} | fields
    return Settings(data_dir=folder / name, **given)


@asynccontextmanager
async def deployment(folder, name, **fields):
    state = await State.open(settings(folder, name, **fields))
    try:
        yield state
    finally:
        await state.close()


def subject(picture="a", version="v1", rerolls=None):
    found = {
        "image": {"sha256": hashlib.sha256(picture.encode()).hexdigest(), "width": 8, "height": 8},
        "sigma": 0.25,
        "denoiser": {"name": "none", "weights_sha256": None},
        "compute": "cpu/float32",
        "postprocess": {},
        "provider": {"name": "half", "options": {}, "model_version": version},
        "rule": {"rule": "top1"},
        "label_map": {},
    }
    return found if rerolls is None else {**found, "rerolls": rerolls.describe()}


def header(secret, body, milestone=None):
    key = noise.derive_key(secret, rfc8785.dumps(body))
    clean = CleanAnswer("cat", body["provider"]["model_version"])
    return Header(body, clean, milestone, 100, noise.key_sha256(key), secret_id(secret))


def votes(n, seed=0):
    return [(None, "cat", "cat", "dog")[(3 * i + i // 5 + seed) % 4] for i in range(n)]


async def begin(state, body, cast, *, milestone=None, secret=None, alpha=0.001):
    """Begin a ledger as the engine does, or go on with it."""
    made = header(secret or state.keyring.current_secret, body, milestone)
    ledger = await state.ledgers.open(draft_of(body), made, {"cat": "Cat"})
    await ledger.spend(alpha)
    await ledger.append(0, cast, {"dog": "Dog"} if "dog" in cast else {})
    return ledger


async def exported(state, subjects=None, **options):
    out = io.BytesIO()
    await export_ledgers(state, out, subjects, **options)
    return out.getvalue()


def trusted(state):
    return {key.id: key.public for key in state.keyring.public_keys}


async def imported(state, data, trust):
    return [one async for one in import_ledgers(state, io.BytesIO(data), trust)]


async def everything(state):
    """Return all that a deployment has in the store but what runs by the clock."""
    prefix, redis = state.store.prefix, state.store._client
    found = {}
    for key in sorted([k async for k in redis.scan_iter(prefix + "*")]):
        name = key.decode().removeprefix(prefix)
        if name.startswith(("process:", "claim")):
            continue
        kind = (await redis.type(key)).decode()
        found[name] = await {
            "string": lambda key=key: redis.get(key),
            "hash": lambda key=key: redis.hgetall(key),
            "list": lambda key=key: redis.lrange(key, 0, -1),
            "set": lambda key=key: redis.smembers(key),
            "zset": lambda key=key: redis.zrange(key, 0, -1, withscores=True),
        }[kind]()
        if kind == "zset":
            found[name] = dict(found[name])
    return found
