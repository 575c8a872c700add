"""Arguments that several commands share. Ranges are checked where the API checks them too."""

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.errors import BadRequest
from service.output_file import same_file
from service.single_members import NamedTwice, check_members

if TYPE_CHECKING:
    from service.settings import Settings

STDIN = STDOUT = Path("-")
MOST_KEY_BYTES = 1 << 20
LONGEST_STEM = 36  # of a denoiser's name, before a number
GOOD_ENOUGH = 0.9  # the default of certification.options, which is slow to import


def check_pictures(paths: list[Path]) -> list[Path]:
    """Refuse files that are not there before anything is asked about the others.

    Not left to typer, whose releases differ on whether "-" has to exist.
    """
    for path in paths:
        if path == STDIN:
            continue
        if path.is_dir():
            raise typer.BadParameter(f"{str(path)!r} is a folder: name its pictures")
        if not path.exists():
            raise typer.BadParameter(f"{str(path)!r} does not exist")
        if not os.access(path, os.R_OK):
            raise typer.BadParameter(f"{str(path)!r} may not be read by this user")
    return paths


def _check_name(name: str | None) -> str | None:
    """Refuse an empty name, which would silently mean the default."""
    if name is not None and not name.strip():
        raise typer.BadParameter("is empty: leave it out, or give a name")
    return name


Picture = typer.Argument(
    metavar="IMAGE",
    callback=check_pictures,
    help="JPEG, PNG, WebP, BMP, TIFF, GIF or PPM; - reads standard input.",
)
Images = Annotated[list[Path], Picture]
Provider = Annotated[
    str | None,
    typer.Option(callback=_check_name, help="Who is asked; `surety providers` lists them."),
]
Sigma = Annotated[
    float, typer.Option(help="Standard deviation of the noise on the 0..1 scale of pixel values.")
]
Denoiser = Annotated[
    str | None,
    typer.Option(
        callback=_check_name,
        help="What cleans the samples: a name, `surety denoisers` lists them; or a file of your "
        "own, .safetensors or .onnx.",
    ),
]
Alpha = Annotated[float, typer.Option(help="Probability that the answer is false.")]
MaxCost = Annotated[float | None, typer.Option(help="US dollars that are never passed.")]
MaxSeconds = Annotated[
    float | None, typer.Option(help="Stop after this time with what is certain by then.")
]
TargetRadius = Annotated[
    float | None, typer.Option(help="Stop as soon as the radius reaches it, or cannot.")
]
MaxVotes = Annotated[
    int | None,
    typer.Option(
        help="Votes that may be counted.", show_default="1000, or SURETY_MAX_VOTES if less"
    ),
]
GoodEnough = Annotated[
    float,
    typer.Option(
        help="Without a target: stop once the radius is this part of what --max-votes would give."
    ),
]
NoGoodEnough = Annotated[bool, typer.Option("--no-good-enough", help="Spend all of --max-votes.")]
Milestone = Annotated[
    int | None, typer.Option(help="n of one Clopper-Pearson look, for budgets of about 100.")
]
KeepImage = Annotated[
    bool, typer.Option("--keep-image", help="Keep the canonical picture with the certificate.")
]
Size = Annotated[str | None, typer.Option(help="Size to bring the picture to: 224 or 320x240.")]
Encoding = Annotated[
    str | None,
    typer.Option(
        help="How the samples are sent: png, or jpeg, which is smaller and changes them a little.",
        show_default="png, unless the provider takes something else alone",
    ),
]
Rule = Annotated[
    str,
    typer.Option(
        help='From an answer to a vote: top1, or JSON such as {"rule": "any_of", '
        '"labels": ["cat"], "threshold": 0.5}.'
    ),
]
Synonyms = Annotated[
    str | None,
    typer.Option(help='Labels that count as others, as JSON: {"human": "person"}.'),
]
LabelMapFile = Annotated[
    Path | None,
    typer.Option(
        "--label-map",
        help="The same from a file: JSON, TOML, or CSV with two columns (Human,Person).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def parse_rule(text: str) -> str | dict[str, Any]:
    """Read --rule: a name, or a JSON object.

    Raises:
        BadRequest: if it begins like JSON and is none.
    """
    if not text.lstrip().startswith("{"):
        return text.strip()
    rule: dict[str, Any] = _parse_json(text, "rule")
    return rule


def parse_synonyms(text: str | None, file: Path | None = None) -> dict[str, str] | None:
    """Read --synonyms, a JSON object of names, and --label-map.

    Raises:
        BadRequest: if one of them is something else.
    """
    from adapters.errors import NotConfigured
    from adapters.label_map import read_label_map

    if file is not None:
        try:
            mapped = read_label_map(file)
        except NotConfigured as error:
            raise BadRequest(f"--label-map: {error}", "synonyms") from None
        return {**mapped, **(parse_synonyms(text) or {})}
    if text is None:
        return None
    found = _parse_json(text, "synonyms")
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise BadRequest(
            '--synonyms must be a JSON object of names, such as {"human": "person"}', "synonyms"
        )
    return found


def _parse_json(text: str, option: str) -> Any:  # noqa: ANN401  whatever is written there
    try:
        found = json.loads(text)
        check_members(text)
    except NamedTwice as error:
        raise BadRequest(f"--{option}: {error}", option) from None
    except ValueError as error:
        raise BadRequest(f"--{option} is no JSON: {error}", option) from None
    except RecursionError:
        raise BadRequest(f"--{option} is nested too deeply", option) from None
    return found


def with_denoiser_file(settings: "Settings", denoiser: str | None) -> "tuple[Settings, str | None]":
    """Let --denoiser be a file: here whoever asks may read it anyway, unlike over HTTP.

    Returns:
        The settings, which then hold the file, and the denoiser's name.

    Raises:
        BadRequest: if the file is not there, or of another kind.
    """
    from denoisers import files, reading, registry
    from denoisers.errors import DenoiserError

    if denoiser is None or registry.taken(denoiser) or denoiser in settings.denoiser_files:
        return settings, denoiser
    path = Path(denoiser)
    there = reading.is_file(path)
    if not there and path.suffix.lower() not in (files.WEIGHTS, files.ONNX):
        return settings, denoiser  # a name, though an unknown one
    if not there:
        raise BadRequest(f"--denoiser: there is no file {denoiser[:200]!r}", "denoiser")
    name, number = files.name_of(path), 1
    while not same_file(settings.denoiser_files.get(name, path), path):
        number += 1  # every training's file is called `weights`
        name = f"{files.name_of(path)[:LONGEST_STEM]}-{number}"
    try:
        files.check(name, path)
    except DenoiserError as error:
        raise BadRequest(f"--denoiser: {error}", "denoiser") from None
    named = {**settings.denoiser_files, name: path}
    return settings.model_copy(update={"denoiser_files": named}), name


def read_picture(path: Path, limit: int) -> bytes:
    """Read a picture, or standard input; no more of it than one byte over the limit.

    Raises:
        BadRequest: if it cannot be read; which one it is, whoever tells this says.
    """
    try:
        return _read(path, limit)
    except OSError as error:
        raise BadRequest(f"cannot be read: {error.strerror}", "image") from None


def read_file(path: Path, limit: int) -> bytes:
    """Read a file, or standard input; no more of it than one byte over the limit.

    Raises:
        BadRequest: if it cannot be read; names it.
    """
    try:
        return _read(path, limit)
    except OSError as error:
        raise BadRequest(f"{str(path)!r} cannot be read: {error.strerror}") from None


def key_or_file(given: str) -> bytes:
    """Take a key that is written out in hexadecimal digits, else the file of that name.

    Raises:
        BadRequest: if the file cannot be read; names it.
    """
    bare = given.strip()
    if re.fullmatch("([0-9a-fA-F]{32}){1,2}", bare):  # of noise, or public
        return bare.encode()
    try:
        return _read(Path(given), MOST_KEY_BYTES)
    except (OSError, ValueError) as error:  # such as digits that are too long for a file's name
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadRequest(
            f"{given[:200]!r} is no key of 32 or 64 hexadecimal digits, and as a file it cannot be "
            f"read: {reason}"
        ) from None


def _read(path: Path, limit: int) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(limit + 1)
    with path.open("rb") as file:
        return file.read(limit + 1)


def picture_name(path: Path) -> str:
    """Return what messages call a picture."""
    return "standard input" if path == STDIN else path.name
