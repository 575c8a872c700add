"""One small ledger, and a client of the server that it is kept on."""

import contextlib
import os

import redis

from certification.deployment_secret import secret_id
from certification.protocols import CleanAnswer, Header

SECRET, DRAFT = "5a" * 32, "d" * 64
HEADER = Header(
    {"image": {"sha256": "0" * 64}, "provider": {"name": "none"}},
    CleanAnswer("cat", "1"),
    None,
    100,
    "1" * 64,
    secret_id(bytes.fromhex(SECRET)),
)
VOTES = ["cat", "dog", None, "cat", "bird", "cat"] * 50


async def at_once(entering):
    return await entering


@contextlib.contextmanager
def raw():
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        yield client, os.environ["SURETY_REDIS_PREFIX"]


def rest():
    """Return all of the header behind its subject."""
    return (HEADER.clean, None, 100, HEADER.key_sha256, HEADER.secret_id)
