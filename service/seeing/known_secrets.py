"""What this process must not tell: the deployment's secrets and the credentials of providers."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from service.keyring import Keyring
    from service.settings import Settings

# Whatever adapter reads them, a stranger's too: a name that ends so holds a credential.
_TELLING = re.compile(
    r"(?:^|_)(?:KEY|SECRET|SECRETS|TOKEN|PASSWD|PAT|CREDENTIAL|HEADERS|REDIS_URL)$"
    r"|(?:API_?KEY|ACCESS_KEY|KEY_ID|PASSWORD)$"
)
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_OF_KEY_FILE = ("private_key", "private_key_id", "client_secret", "refresh_token")
_MOST_BYTES = 100_000  # of a key file


def of_environment(environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the values of variables whose names tell that they are secret.

    Args:
        environment: name → value; None for this process's own.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if _TELLING.search(name.upper()):
            yield value
            yield from _parts(name, value)
        elif "://" in value and "@" in value:
            yield from _password(value)
        if name == _KEY_FILE:
            yield from _key_file(value)


def of_settings(settings: "Settings") -> Iterator[str]:
    """Yield the secrets among a deployment's settings."""
    for name in type(settings).model_fields:
        reveal = getattr(getattr(settings, name), "get_secret_value", None)
        if reveal is not None:
            yield reveal()
            yield from _parts(name, reveal())


def of_keyring(keyring: "Keyring") -> Iterator[str]:
    """Yield the keys of a deployment, those that it has made itself too."""
    for secret in keyring.secrets.values():
        yield secret.hex()
    yield keyring.signer.seed.hex()


def _parts(name: str, value: str) -> Iterator[str]:
    """Yield the entries of a list, or the password of an address."""
    if "://" in value:
        yield from _password(value)
    elif name.upper().endswith("HEADERS"):  # of OpenTelemetry: name=value,name=value
        yield from (unquote(entry.partition("=")[2]) for entry in value.split(","))
    elif "," in value:
        yield from (entry.strip() for entry in value.split(","))


def _password(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)


def _key_file(path: str) -> Iterator[str]:
    """Yield what is secret in the key file of a service account."""
    try:
        with Path(path).open("rb") as file:
            told = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return
    if isinstance(told, dict):
        yield from (told[name] for name in _OF_KEY_FILE if isinstance(told.get(name), str))
