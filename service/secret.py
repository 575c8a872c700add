"""The deployment secret: 32 bytes that all noise keys are derived from.

Kept in the data directory with mode 0600, so that a restart does not change the noise: a new
secret would be a re-roll of every picture's luck.
"""

import contextlib
import os
import secrets
from pathlib import Path

from service.errors import ConfigurationError
from service.settings import Settings

LENGTH = 32


def deployment_secret(settings: Settings) -> bytes:
    """Return the secret from the environment, else from the data directory, else a new one.

    Raises:
        ConfigurationError: if it is malformed, or the data directory cannot be used.
    """
    if settings.secret is not None:
        return _parse(settings.secret.get_secret_value(), "SURETY_SECRET")
    path = settings.data_dir / "secret"
    try:
        if not path.exists():
            _create(path)
        return _parse(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        if settings.data_dir.exists() and not settings.data_dir.is_dir():
            raise ConfigurationError(
                f"{settings.data_dir} is a file: SURETY_DATA_DIR names a directory"
            ) from None
        raise ConfigurationError(
            f"the deployment secret in {settings.data_dir} cannot be used "
            f"({type(error).__name__}): make the directory writable, or set SURETY_DATA_DIR"
        ) from None


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written aside and linked, so that of two processes starting together one wins whole.
    aside = path.with_name(f".secret.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()


def _parse(text: str, where: str) -> bytes:
    try:
        value = bytes.fromhex(text.strip())
    except ValueError:
        value = b""
    if len(value) != LENGTH:
        raise ConfigurationError(f"{where} must hold {2 * LENGTH} hexadecimal digits")
    return value
