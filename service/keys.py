"""Where the deployment secret and the signing key come from, and how they are rotated.

From the environment, else from `keys.json` in the data directory, which is made on first start.
A new secret would be a re-roll of every picture's luck: so old ones stay for the ledgers that
were begun under them, and none is ever made where one is known.
"""

import contextlib
import secrets as random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from certification.deployment_secret import LENGTH, secret_id
from certification.signing import Signer, key_id
from service.errors import ConfigurationError
from service.keyring import Keyring, KnownKey, PublicKey, Secrets
from service.keyring_file import (
    Entries,
    SecretEntry,
    SigningEntry,
    dump,
    load,
    parse_hex,
)
from service.private_file import read_private, replace_private, writing_to
from service.settings import Settings

__all__ = [
    "Keyring",
    "KnownKey",
    "PublicKey",
    "check_rotation",
    "lacks_secret",
    "load_keyring",
    "rotate",
    "secret_id",
]

FILE = "keys.json"
OLDER_FILE = "secret"  # all that version 0.1.0 kept
SECRET, OLD_SECRETS, SIGNING = "SURETY_SECRET", "SURETY_OLD_SECRETS", "SURETY_SIGNING_KEY"


@dataclass(frozen=True)
class _Given:
    """What the environment holds."""

    secret: bytes | None
    old_secrets: tuple[bytes, ...]
    seed: bytes | None

    @classmethod
    def by(cls, settings: Settings) -> "_Given":
        old = [part for part in (_value(settings.old_secrets) or "").split(",") if part.strip()]
        secret, seed = _value(settings.secret), _value(settings.signing_key)
        return cls(
            None if secret is None else parse_hex(secret, SECRET),
            tuple(parse_hex(text, f"entry {i + 1} of {OLD_SECRETS}") for i, text in enumerate(old)),
            None if seed is None else parse_hex(seed, SIGNING),
        )


def load_keyring(settings: Settings) -> Keyring:
    """Return the keys of the environment and of the data directory; make those that lack.

    The environment's come first. Where it gives a secret and the file holds another, the file's
    stays known as an old one.

    Raises:
        ConfigurationError: if one is malformed or damaged, others may read the file, or the data
            directory cannot be used.
    """
    given, path = _Given.by(settings), settings.data_dir / FILE
    entries = _read(path)
    if _lacks(entries, given):
        entries = _add(path, given)
    elif given.seed is not None and _unseen(entries, given.seed):
        # A deployment that is given all keys works without a data directory.
        with contextlib.suppress(ConfigurationError):
            entries = _add(path, given)
    return _keyring(entries, given, path)


def lacks_secret(settings: Settings) -> bool:
    """Tell whether there is no secret yet, so that `load_keyring` would make one.

    Raises:
        ConfigurationError: see :func:`load_keyring`.
    """
    given = _Given.by(settings)
    return given.secret is None and not _read(settings.data_dir / FILE).secrets


def rotate(settings: Settings, *, secret: bool, signing: bool) -> Keyring:
    """Make a new secret, a new signing key, or both the current ones; the old ones stay.

    Args:
        settings: where the keys are.
        secret: new ledgers shall begin under a new secret.
        signing: new certificates shall be signed with a new key.

    Raises:
        ConfigurationError: if that key comes from the environment, which only its owner can
            change, or the file cannot be written.
    """
    check_rotation(settings, secret=secret, signing=signing)
    given, path = _Given.by(settings), settings.data_dir / FILE
    return _keyring(_add(path, given, secret=secret, signing=signing), given, path)


def check_rotation(settings: Settings, *, secret: bool, signing: bool) -> None:
    """See whether the keys can be rotated here.

    Raises:
        ConfigurationError: if one that shall be comes from the environment.
    """
    given = _Given.by(settings)
    if secret and given.secret is not None:
        raise ConfigurationError(
            f"the secret comes from the environment. To rotate it, set {SECRET} to a new one "
            f"(openssl rand -hex {LENGTH}), add the one it holds now to {OLD_SECRETS} (several "
            "are separated by commas), and start all processes of the deployment again"
        )
    if signing and given.seed is not None:
        raise ConfigurationError(
            f"the signing key comes from the environment. To rotate it, set {SIGNING} to a new "
            f"one (openssl rand -hex {LENGTH}) and start all processes of the deployment again; "
            "the public half of the old one stays known"
        )


def _read(path: Path) -> Entries:
    found, older = read_private(path), path.with_name(OLDER_FILE)
    entries = Entries() if found is None else load(found[0], path)
    if not entries.secrets and (found := read_private(older)) is not None:
        created = datetime.fromtimestamp(found[1], UTC).isoformat(timespec="seconds")
        entries = entries.with_secret(SecretEntry(parse_hex(found[0], str(older)), created))
    return entries


def _lacks(entries: Entries, given: _Given) -> bool:
    """Tell whether the deployment cannot work with what there is."""
    return (given.secret is None and not entries.secrets) or (
        given.seed is None and not entries.signing_whole
    )


def _add(path: Path, given: _Given, *, secret: bool = False, signing: bool = False) -> Entries:
    """Add what lacks to the file, and a new secret or signing key if asked to."""
    with writing_to(path):
        before = entries = _read(path)
        if given.secret is None and not entries.secrets:
            entries = entries.with_secret(_new_secret())
        if given.seed is None and not entries.signing_whole:
            entries = entries.with_signing(_new_signing())
        if given.seed is not None and _unseen(entries, given.seed):
            entries = entries.with_signing(SigningEntry(Signer(given.seed).public, _now()))
        if secret:
            entries = entries.with_secret(_new_secret())
        if signing:
            entries = entries.with_signing(_new_signing())
        if entries != before:  # another process may have been quicker
            replace_private(path, dump(entries))
    return entries


def _unseen(entries: Entries, seed: bytes) -> bool:
    return Signer(seed).key_id not in {entry.id for entry in entries.signing}


def _keyring(entries: Entries, given: _Given, path: Path) -> Keyring:
    signer, public_keys = _signing(entries, given, path)
    values = {entry.id: entry.secret for entry in entries.secrets}
    created: dict[str, str | None] = {entry.id: entry.created for entry in entries.secrets}
    origins = dict.fromkeys(values, str(path))
    current = given.secret or entries.secrets[-1].secret
    for variable, given_secrets in (
        (OLD_SECRETS, given.old_secrets),
        (SECRET, () if given.secret is None else (given.secret,)),
    ):
        for value in given_secrets:
            values[secret_id(value)] = value
            origins[secret_id(value)] = variable
    known = tuple(
        KnownKey(name, created.get(name), name == secret_id(current), origin)
        for name, origin in origins.items()
    )
    return Keyring(Secrets(values), secret_id(current), signer, public_keys, known)


def _signing(entries: Entries, given: _Given, path: Path) -> tuple[Signer, tuple[PublicKey, ...]]:
    seed = given.seed or entries.signing_whole[-1].seed
    assert seed is not None  # noqa: S101  that is what makes them whole
    signer = Signer(seed)
    known: dict[bytes, str | None] = {entry.public: entry.created for entry in entries.signing}
    known.setdefault(signer.public, None)
    return signer, tuple(
        PublicKey(
            key_id(public),
            created,
            public == signer.public,
            SIGNING if given.seed is not None and public == signer.public else str(path),
            public,
        )
        for public, created in known.items()
    )


def _value(held: SecretStr | None) -> str | None:
    return None if held is None else held.get_secret_value()


def _new_secret() -> SecretEntry:
    return SecretEntry(random.token_bytes(LENGTH), _now())


def _new_signing() -> SigningEntry:
    return SigningEntry.of_seed(random.token_bytes(LENGTH), _now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
