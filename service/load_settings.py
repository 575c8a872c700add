"""Reads the settings for a command, so that a wrong one is told in one line."""

from typing import Any

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
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        wrong = "; ".join(f"SURETY_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{wrong}. Mend the environment or the .env file") from None
