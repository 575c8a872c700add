"""`surety version`: quick, so that scripts can ask for it often."""

import json
import platform
from importlib import metadata

import typer

from service.commands.arguments import Json


def installed_version() -> str:
    """Return the version without importing the mathematics, which takes most of a second."""
    try:
        return metadata.version("surety")
    except metadata.PackageNotFoundError:
        from certification.certificate import VERSION

        return VERSION


def version(as_json: Json = False) -> None:
    """Print the version.

    Exit codes: 0 printed, 2 bad usage, 141 nobody reads the output.
    """
    if as_json:
        about = {
            "name": "surety",
            "version": installed_version(),
            "python": platform.python_version(),
        }
        typer.echo(json.dumps(about))
    else:
        typer.echo(f"surety {installed_version()}")
