"""Reads the settings for a command, so that a wrong one is told in one line."""

import difflib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import ValidationError

from service import secret_files
from service.errors import ConfigurationError
from service.service_links import is_link
from service.settings import Settings
from service.terminal import say

PREFIX = "SURETY_"
OTHERS = {
    *("SURETY_DEBUG", "SURETY_GOOGLE_ENDPOINT", "SURETY_SECRETS_DIR"),
    "SURETY_METRICS_KEY_FILE",  # by docker-compose.yml, from the same .env
    "SURETY_API_KEY",  # where clients have theirs in docs/access.md
}
"""Those that are read elsewhere."""
NOT_FROM_FILE = ("SURETY_DEBUG", "SURETY_GOOGLE_ENDPOINT")
"""Those of them that are looked for in the environment alone."""


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401  fields of Settings
    """Return the settings from the environment, options of the command line first.

    Credentials that lie in files of secrets are put into the environment, for the SDKs.

    Args:
        overrides: fields of `Settings`; None leaves one to the environment.

    Raises:
        ConfigurationError: naming each variable that does not hold what it should or where it is
            looked for, or a file of secrets that cannot be read.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OTHERS
    in_file = [name for name in _names_in(Path(".env")) if name not in os.environ]
    if secret_files.VARIABLE in in_file:  # passing over it would make new keys
        raise ConfigurationError(
            f"{secret_files.VARIABLE} does nothing in the .env file: put it into the environment"
        )
    secrets = secret_files.credentials_into_environment()
    of_ours = [name for name, value in os.environ.items() if not is_link(name, value)]
    given = {*of_ours, *secrets, *in_file}
    for name in sorted(n for n in given if n.startswith(PREFIX) and n not in known):
        say(f"warning: there is no setting {name}{_meant(name, known)}", "yellow")
    for name in (n for n in NOT_FROM_FILE if n in in_file):
        say(f"warning: {name} does nothing in the .env file: put it into the environment", "yellow")
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        wrong = "; ".join(f"SURETY_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            f"{wrong}. Mend the environment, the .env file or the file of secrets"
        ) from None


def _meant(name: str, known: Collection[str]) -> str:
    bare = [one.removeprefix(PREFIX) for one in known]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=0.75)
    return f": is {PREFIX}{near[0]} meant?" if near else ""


def _names_in(path: Path) -> list[str]:
    """Refuse a line that cannot be read: passing over SURETY_SECRET would change all the noise."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the .env file cannot be read ({type(error).__name__})") from None
    broken = [line.original.line for line in lines if line.error]
    if broken:
        raise ConfigurationError(
            f"line {broken[0]} of the .env file cannot be read: mend its quotes"
        )
    return [line.key for line in lines if line.key]
