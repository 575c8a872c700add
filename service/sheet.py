"""One picture to look at: what noise does to a photograph, and what denoisers make of it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from certification.noise import draw
from certification.protocols import Denoiser

Pixels = NDArray[np.uint8]

KEY = bytes(16)  # public, so none of these is a sample of any certificate
LEAST_CELL, MOST_CELL = 192, 384  # pixels; smaller pictures are enlarged, larger ones reduced
MARGIN, LINE = 12, 22
INK, PALE, PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet and what stands below it."""

    pixels: Pixels
    title: str
    note: str


def rows(
    pixels: Pixels, sigmas: Sequence[float], denoisers: Sequence[Denoiser], index: int = 0
) -> list[list[Cell]]:
    """Make the samples: for each σ the picture, the noisy sample clipped, and each denoiser's.

    Args:
        pixels: uint8 (H, W, 3).
        sigmas: standard deviations of the noise on the [0, 1] scale.
        denoisers: what cleans the samples.
        index: of the sample; another one has other noise.

    Returns:
        One row for each σ.
    """
    made = []
    for sigma in sigmas:
        noisy = draw(KEY, index, pixels.shape, sigma) + pixels
        clipped = noisy.clip(0, 255).astype(np.uint8)
        row = [
            Cell(pixels, "picture", f"{pixels.shape[1]} x {pixels.shape[0]}"),
            Cell(clipped, f"noise, sigma = {sigma:g}", _quality(clipped, pixels)),
        ]
        for denoiser in denoisers:
            cleaned = denoiser.clean(noisy[np.newaxis], sigma)[0]
            row.append(Cell(cleaned, f"denoised by {denoiser.name}", _quality(cleaned, pixels)))
        made.append(row)
    return made


def sheet(cells: Sequence[Sequence[Cell]]) -> bytes:
    """Draw rows of pictures with their titles.

    Args:
        cells: rows of equal length, all pictures of one size.

    Returns:
        A PNG file.
    """
    height, width, _ = cells[0][0].pixels.shape
    scale = _scale(height, width)
    cell_w, cell_h = max(1, round(width * scale)), max(1, round(height * scale))
    step_x, step_y = max(cell_w, LEAST_CELL) + MARGIN, cell_h + 2 * LINE + MARGIN
    size = (MARGIN + step_x * len(cells[0]), MARGIN + step_y * len(cells))
    page = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    # Enlarged without smoothing: every pixel of a small picture shall be seen as it is.
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            x, y = MARGIN + column * step_x, MARGIN + row * step_y
            page.paste(Image.fromarray(cell.pixels).resize((cell_w, cell_h), how), (x, y))
            pen.text((x, y + cell_h + 3), cell.title, INK, font)
            pen.text((x, y + cell_h + 3 + LINE), cell.note, PALE, font)
    file = io.BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()


def _scale(height: int, width: int) -> float:
    longest = max(height, width)
    if longest > MOST_CELL:
        return MOST_CELL / longest
    return max(1, LEAST_CELL // longest)


def _quality(pixels: Pixels, original: Pixels) -> str:
    error = float(np.square(pixels.astype(np.float64) - original).mean())
    if error == 0:
        return "identical"
    return f"PSNR {10 * np.log10(255**2 / error):.2f} dB"
