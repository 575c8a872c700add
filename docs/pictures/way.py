"""Draws docs/pictures/way.svg: the way of one picture, with real noisy and denoised samples.

    python docs/pictures/way.py [--sigma 0.25] [--provider local]

The samples are those of a real certification with a key of zeros; labels under them are the
votes that the built-in classifier gave.
"""

import argparse
import asyncio
import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

import denoisers.registry
from adapters.local.adapter import LocalAdapter
from certification import noise
from certification.canonical import canonicalise
from certification.certify import certify
from certification.decision import LabelMap, Top1
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.radius import show

HERE = Path(__file__).parent
SAMPLES, SIDE = 5, 72


def embed(pixels: np.ndarray) -> str:
    """Return an enlarged picture as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture(x: int, y: int, pixels: np.ndarray) -> str:
    """Draw one picture."""
    return f'<image x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" href="{embed(pixels)}"/>'


def text(x: int, y: int, words: str, kind: str = "small") -> str:
    """Draw centred words."""
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


async def draw(sigma: float) -> str:
    """Make the samples, ask about them, certify, and lay everything out."""
    data = (HERE.parents[1] / "service" / "samples" / "cat.png").read_bytes()
    image = canonicalise(data, size=(32, 32))
    denoiser, adapter = denoisers.registry.load("cifar"), LocalAdapter()
    drawn = noise.draw_many(bytes(16), range(SAMPLES), image.pixels.shape, sigma) + image.pixels
    cleaned = denoiser.clean(drawn, sigma)
    answers = await adapter.classify(list(cleaned))
    votes = [Top1()(a.predictions, LabelMap()) for a in answers]  # type: ignore[union-attr]
    machine = Machine(MemoryLedgers(), bytes(32))
    document = await certify(
        machine, image, Options(sigma=sigma), denoiser=denoiser, classifier=adapter
    )
    proof = document["proof"]
    parts, left, step = [], 150, SIDE + 14
    parts.append(picture(20, 118, image.pixels))
    parts.append(text(20 + SIDE // 2, 108, "canonical image"))
    for row, (name, samples) in enumerate(
        [
            (f"+ noise, σ = {sigma:g}", np.clip(drawn, 0, 255).astype(np.uint8)),
            ("denoised", cleaned),
        ]
    ):
        y = 40 + row * (SIDE + 40)
        parts.append(text(left + (SAMPLES * step - 14) // 2, y - 8, name))
        parts += [picture(left + i * step, y, samples[i]) for i in range(SAMPLES)]
    base = 40 + 2 * (SIDE + 40)
    parts.append(text(left + (SAMPLES * step - 14) // 2, base + 2, "the classifier's votes"))
    parts += [
        text(left + i * step + SIDE // 2, base + 22, vote or "–", "vote")
        for i, vote in enumerate(votes)
    ]
    right = left + SAMPLES * step + 16
    counts = proof["votes"]["counts"]
    lines = [
        ("certificate", "small"),
        (str(proof["label"] or "abstained"), "label"),
        ("" if proof["abstained"] else f"radius {show(proof['radius'])}", "vote"),
        (f"{next(iter(counts.values()))} of {proof['votes']['n']} votes", "small"),
        (f"confidence {100 * (1 - proof['alpha']):g} %", "small"),
    ]
    parts.append(f'<rect x="{right}" y="92" width="150" height="132" rx="8" class="box"/>')
    parts += [text(right + 75, 116 + 25 * i, words, kind) for i, (words, kind) in enumerate(lines)]
    for x in (20 + SIDE + 8, right - 28):
        parts.append(f'<path d="M{x} 158 h22 m-7 -5 l7 5 l-7 5" class="arrow"/>')
    style = (
        "text{font-family:sans-serif;text-anchor:middle;fill:#24292f}"
        ".small{font-size:12px}.vote{font-size:13px;font-weight:600}"
        ".label{font-size:20px;font-weight:700;fill:#1a7f37}"
        ".box{fill:#f6f8fa;stroke:#d0d7de}.arrow{fill:none;stroke:#57606a;stroke-width:1.5}"
    )
    width, height = right + 170, base + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{style}</style>'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sigma", type=float, default=0.25)
    (HERE / "way.svg").write_text(asyncio.run(draw(parser.parse_args().sigma)))
