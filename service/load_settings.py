"""Reads the settings for a command, so that a wrong one is told in one line."""

from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import ValidationError

from service.errors import ConfigurationError
from service.settings import Settings


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401  fields of Settings
    """Return the settings from the environment, options of the command line first.

    Args:
        overrides: fields of `Settings`; None leaves one to the environment.

    Raises:
        ConfigurationError: naming each variable that does not hold what it should.
    """
    _check_env_file(Path(".env"))
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        wrong = "; ".join(f"SURETY_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{wrong}. Mend the environment or the .env file") from None


def _check_env_file(path: Path) -> None:
    """Refuse a line that cannot be read: passing over SURETY_SECRET would change all the noise."""
    try:
        with path.open(encoding="utf-8") as file:
            broken = [line.original.line for line in parse_stream(file) if line.error]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the .env file cannot be read ({type(error).__name__})") from None
    if broken:
        raise ConfigurationError(
            f"line {broken[0]} of the .env file cannot be read: mend its quotes"
        )
