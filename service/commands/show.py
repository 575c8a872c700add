"""`surety denoisers show IMAGE`: one sheet of noisy and denoised samples."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands import arguments as a
from service.errors import BadRequest

MOST_ROWS, MOST_DENOISERS = 20, 8
MOST_INDEX = 2**63


def show(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="A picture; - reads standard input.")
    ],
    sigma: Annotated[
        str, typer.Option(help="Noise levels on the 0..1 scale, one row each, by commas.")
    ] = "0.25,0.5,1.0",
    denoiser: Annotated[
        list[str] | None,
        typer.Option(
            help="What cleans the samples: a name, or a .safetensors or .onnx file of your own; "
            "one column each if given several times."
        ),
    ] = None,
    size: a.Size = None,
    index: Annotated[
        int, typer.Option(help="Another number draws other noise.", min=0, max=MOST_INDEX)
    ] = 0,
    output: Annotated[
        Path | None, typer.Option(help="The sheet, a PNG; IMAGE-denoised.png if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Draw a sheet: the picture, noisy samples of it, and the same samples denoised.

    The noise has a public key: none of these is a sample of any certificate.

    Exit codes: 0 drawn, 2 bad usage or input, 6 configuration, 1 internal error.
    """
    import asyncio

    from certification.canonical import Limits, canonicalise, parse_size
    from certification.errors import ImageError
    from service.core import Surety
    from service.load_settings import load_settings
    from service.output_file import check_output, write_output
    from service.sheet import rows, sheet

    levels = _levels(sigma)
    a.check_pictures([image])
    settings = load_settings()
    target = output or _beside(image)
    check_output(target, force=force, inputs=[image])
    if len(denoiser or ()) > MOST_DENOISERS:
        raise BadRequest(f"at most {MOST_DENOISERS} denoisers fit on a sheet", "denoiser")
    try:
        picture = canonicalise(
            a.read_file(image, settings.max_upload_bytes),
            size=None if size is None else parse_size(size),
            limits=Limits(settings.max_upload_bytes, settings.max_pixels),
            name=a.picture_name(image),
        )
    except ImageError as error:
        raise type(error)(f"{a.picture_name(image)}: {error}") from error

    names: list[str | None] = []
    given: list[str | None] = [*denoiser] if denoiser else [None]
    for wanted in given:
        settings, name = a.with_denoiser_file(settings, wanted)
        names.append(name)

    async def drawn() -> bytes:
        surety = Surety(settings)
        try:
            size = (picture.height, picture.width)
            chosen = [await surety.denoiser(name, size) for name in names]
            return sheet(await asyncio.to_thread(rows, picture.pixels, levels, chosen, index))
        finally:
            await surety.close()

    write_output(target, asyncio.run(drawn()), force=force)
    typer.echo(str(target))


def _levels(text: str) -> list[float]:
    from certification.errors import InvalidParameter
    from certification.gaussian_table import check_sigma

    try:
        levels = [check_sigma(float(part)) for part in text.split(",")]
    except (ValueError, InvalidParameter):
        raise BadRequest(
            f"--sigma must be numbers above 0 and at most 2, such as 0.25,0.5: not {text[:40]!r}",
            "sigma",
        ) from None
    if len(levels) > MOST_ROWS:
        raise BadRequest(f"--sigma: at most {MOST_ROWS} levels fit on a sheet", "sigma")
    return levels


def _beside(image: Path) -> Path:
    return Path(f"{'picture' if image == a.STDIN else image.stem}-denoised.png")
