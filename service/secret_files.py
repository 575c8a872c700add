"""Secrets from files, as Compose and Kubernetes mount them.

`/run/secrets/NAME` stands for the environment variable NAME, in upper or lower case, and goes
before it. `SURETY_SECRETS_DIR` names another folder. `Settings` reads those of its own; those that
an SDK looks for in the environment, such as VISION_KEY, are put there.
"""

import os
import re
from pathlib import Path

from service.errors import ConfigurationError

PREFIX = "SURETY_"
VARIABLE = "SURETY_SECRETS_DIR"
USUAL = Path("/run/secrets")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def folder() -> Path | None:
    """Return where the files are, None if there is no such folder."""
    found = Path(os.environ.get(VARIABLE) or USUAL)
    return found if found.is_dir() else None


def read_secrets() -> dict[str, str]:
    """Return what the files hold, by the variable that each stands for.

    Folders, and files with other names than variables have, are passed over.

    Raises:
        ConfigurationError: if `SURETY_SECRETS_DIR` names no folder, or a file cannot be read.
    """
    found = folder()
    if found is None:
        if os.environ.get(VARIABLE):
            raise ConfigurationError(f"{VARIABLE} names no folder")
        return {}
    files = [path for path in found.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
    return {path.name.upper(): _text(path) for path in sorted(files)}


def credentials_into_environment() -> list[str]:
    """Put what SDKs look for into the environment; return the names of all that files stand for.

    Raises:
        ConfigurationError: as `read_secrets`.
    """
    found = read_secrets()
    os.environ.update({n: v for n, v in found.items() if not n.startswith(PREFIX)})
    return [*found]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"the secret {path} cannot be read ({error.strerror}): user {os.geteuid()} needs "
            "leave to read the file"
        ) from None
    except ValueError:
        raise ConfigurationError(f"the secret {path} is no text") from None
