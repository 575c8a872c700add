"""`keys.json`: all secrets and signing keys that a data directory has ever had, oldest first.

    {"schema": "surety.keys/1",
     "secrets": [{"id": …, "created": …, "secret": 64 hex}, …],
     "signing_keys": [{"id": …, "created": …, "public_key": 64 hex, "seed": 64 hex}, …]}

The last of each is the current one. A signing key that came from the environment leaves its
public half here, without a seed, so that what it signed can still be checked. Each id is
computed anew when it is read: one changed digit of a secret would be other noise.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from certification.deployment_secret import LENGTH, secret_id
from certification.signing import Signer, key_id
from service.errors import ConfigurationError

SCHEMA = "surety.keys/1"
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * LENGTH}}}")
T = TypeVar("T")


@dataclass(frozen=True)
class SecretEntry:
    """A deployment secret and when it was made."""

    secret: bytes = field(repr=False)
    created: str

    @property
    def id(self) -> str:
        """See :func:`certification.deployment_secret.secret_id`."""
        return secret_id(self.secret)


@dataclass(frozen=True)
class SigningEntry:
    """A signing key, or the public half of one, and when it was made or first seen."""

    public: bytes = field(repr=False)
    created: str
    seed: bytes | None = field(default=None, repr=False)

    @classmethod
    def of_seed(cls, seed: bytes, created: str) -> "SigningEntry":
        """Return a whole key."""
        return cls(Signer(seed).public, created, seed)

    @property
    def id(self) -> str:
        """See :func:`certification.signing.key_id`."""
        return key_id(self.public)


@dataclass(frozen=True)
class Entries:
    """What the file holds."""

    secrets: tuple[SecretEntry, ...] = ()
    signing: tuple[SigningEntry, ...] = ()

    @property
    def signing_whole(self) -> tuple[SigningEntry, ...]:
        """The keys that can sign."""
        return tuple(entry for entry in self.signing if entry.seed is not None)

    def with_secret(self, entry: SecretEntry) -> "Entries":
        """Return them with one more, the current one from now on."""
        return replace(self, secrets=(*self.secrets, entry))

    def with_signing(self, entry: SigningEntry) -> "Entries":
        """Return them with one more, the current one if it can sign."""
        return replace(self, signing=(*self.signing, entry))


def parse_hex(text: str, where: str) -> bytes:
    """Read 32 bytes.

    Raises:
        ConfigurationError: naming the place and never what stands there.
    """
    if _HEX.fullmatch(text.strip()) is None:
        raise ConfigurationError(f"{where} must hold {2 * LENGTH} hexadecimal digits")
    return bytes.fromhex(text)


def dump(entries: Entries) -> str:
    """Write the file's text."""
    signing = [
        {"id": e.id, "created": e.created, "public_key": e.public.hex()}
        | ({} if e.seed is None else {"seed": e.seed.hex()})
        for e in entries.signing
    ]
    secrets = [
        {"id": e.id, "created": e.created, "secret": e.secret.hex()} for e in entries.secrets
    ]
    body = {"schema": SCHEMA, "secrets": secrets, "signing_keys": signing}
    return json.dumps(body, indent=1) + "\n"


def load(text: str, path: Path) -> Entries:
    """Read the file's text.

    Raises:
        ConfigurationError: naming the line or the entry that is wrong, and never what it holds.
    """
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"line {error.lineno} of {path} is no JSON ({error.msg}): restore it from a backup"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path} is no JSON: restore it from a backup") from None
    if not isinstance(body, dict) or body.keys() != {"schema", "secrets", "signing_keys"}:
        raise _damaged(path, "it has not the members schema, secrets and signing_keys alone")
    if body["schema"] != SCHEMA:
        raise _damaged(path, f"its schema is not {SCHEMA}; a later version may have written it")
    return Entries(
        tuple(_each(body, "secrets", _secret, path)),
        tuple(_each(body, "signing_keys", _signing, path)),
    )


def _each(
    body: Mapping[str, Any], name: str, read: Callable[[Mapping[str, str], str], T], path: Path
) -> list[T]:
    entries = body[name]
    if not isinstance(entries, list):
        raise _damaged(path, f"{name} is no list")
    found: dict[str, T] = {}
    for number, entry in enumerate(entries):
        where = f"{name}[{number}]"
        if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
            raise _damaged(path, f"{where} is no object of texts")
        try:
            found[entry["id"]] = read(entry, f"{where} of {path}")
            datetime.fromisoformat(entry["created"])
        except KeyError as missing:
            raise _damaged(path, f"{where} has no {missing.args[0]}") from None
        except ValueError:
            raise _damaged(path, f"{where} has a date that is none") from None
    if len(found) != len(entries):
        raise _damaged(path, f"an id stands twice in {name}")
    return list(found.values())


def _secret(entry: Mapping[str, str], where: str) -> SecretEntry:
    made = SecretEntry(parse_hex(entry["secret"], f"secret in {where}"), entry["created"])
    if made.id != entry["id"]:
        raise ConfigurationError(
            f"id and secret in {where} do not belong together, one of them was changed: "
            "restore the file from a backup"
        )
    return made


def _signing(entry: Mapping[str, str], where: str) -> SigningEntry:
    public = parse_hex(entry["public_key"], f"public_key in {where}")
    seed = parse_hex(entry["seed"], f"seed in {where}") if "seed" in entry else None
    made = SigningEntry(public, entry["created"], seed)
    if made.id != entry["id"] or (seed is not None and Signer(seed).public != public):
        raise ConfigurationError(
            f"id, public_key and seed in {where} do not belong together, one of them was "
            "changed: restore the file from a backup"
        )
    return made


def _damaged(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is damaged: {what}. Restore it from a backup")
