"""What a denoised sample costs to encode, and how large it gets: PNG writers against each other.

    python -m benchmarks.encoders --data imagenet-samples.zip [--pictures 12] [--rounds 96]
        [--cpu] [--votes-per-second 30]

Material: pictures that the denoiser was not trained on, sigma = 0.25, two samples each: 224×224
cleaned by `photo`, and 32×32 cleaned by `cifar` and enlarged to 80×80, the least that AWS takes.
Every round each encoder writes one sample; the title says what the denoiser takes for one. The
table shows medians, and medians of the ratios to Pillow's level 1 within a round. Rows without
Pillow: PNG's filter, and how the outcome is packed; share: of the pixels' own bytes. With --cpu
the clock counts this process's CPU time, so that other work on the machine weighs less.
`isal` and `zlib-ng` take part where they are installed; Surety does not need them.
"""

import argparse
import importlib
import io
import statistics
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

import denoisers.registry
from benchmarks.photographs import canonical, held_out, spread
from certification import noise, png
from certification.postprocess import JPEG_QUALITY
from certification.protocols import Denoiser, at_once

Pixels = NDArray[np.uint8]
Encoder = Callable[[Pixels], bytes]

SIGMA = 0.25
KEY = bytes(range(16))
SAMPLES = 2  # of each picture
SETS = (("photo", 224, 224), ("cifar", 32, 80))  # denoiser, its side, the side that is sent
AGAINST = "Pillow, level 1"
CHOSEN = "average, Huffman only (Surety)"
JPEG = f"Pillow, JPEG {JPEG_QUALITY}"


def pillow(**options: Any) -> Encoder:  # noqa: ANN401  whatever Pillow takes
    """Return an encoder of Pillow's."""

    def encode(pixels: Pixels) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, **options)
        return buffer.getvalue()

    return encode


def own(filter_: str, library: Any, level: int, strategy: int = 0) -> Encoder:  # noqa: ANN401
    """Return a PNG writer of one filter and one way to pack.

    Args:
        filter_: "none", "sub", "up" or "average".
        library: zlib, or a module that looks like it.
        level: how hard it searches; 0 stores.
        strategy: zlib's.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = library.crc32(data, library.crc32(kind))
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    def encode(pixels: Pixels) -> bytes:
        height, width, _ = pixels.shape
        packer = library.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, 8, strategy)
        packed = packer.compress(FILTERS[filter_](pixels).data) + packer.flush()
        about = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        parts = chunk(b"IHDR", about), chunk(b"IDAT", packed), chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

    return encode


def _none(pixels: Pixels) -> Pixels:
    height = len(pixels)
    rows = np.empty((height, 1 + pixels.size // height), np.uint8)
    rows[:, 0], rows[:, 1:] = 0, pixels.reshape(height, -1)
    return rows


def _sub(pixels: Pixels) -> Pixels:
    rows = _none(pixels)
    rows[:, 4:] -= pixels.reshape(len(pixels), -1)[:, :-3]
    rows[:, 0] = 1
    return rows


def _up(pixels: Pixels) -> Pixels:
    rows = _none(pixels)
    rows[1:, 1:] -= pixels.reshape(len(pixels), -1)[:-1]
    rows[:, 0] = 2
    return rows


FILTERS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "none": _none,
    "sub": _sub,
    "up": _up,
    "average": png._filtered,
}


def encoders() -> dict[str, Encoder]:
    """Return all that take part, the one that Surety uses among them."""
    found = {f"Pillow, level {n}": pillow(format="PNG", compress_level=n) for n in range(4)}
    for name, kind in (("Huffman only", zlib.Z_HUFFMAN_ONLY), ("runs", zlib.Z_RLE)):
        found[f"Pillow, {name}"] = pillow(format="PNG", compress_level=1, compress_type=kind)
    found["none, stored"] = own("none", zlib, 0)
    for filter_ in FILTERS:
        found[f"{filter_}, level 1"] = own(filter_, zlib, 1)
        if filter_ != "average":
            found[f"{filter_}, Huffman only"] = own(filter_, zlib, 1, zlib.Z_HUFFMAN_ONLY)
        found[f"{filter_}, runs"] = own(filter_, zlib, 1, zlib.Z_RLE)
    found[CHOSEN] = png.encode
    for module, level, strategy, name in (
        ("isal.isal_zlib", 0, 0, "isal, level 0"),
        ("isal.isal_zlib", 1, 0, "isal, level 1"),
        ("zlib_ng.zlib_ng", 1, zlib.Z_HUFFMAN_ONLY, "zlib-ng, Huffman only"),
    ):
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        found[f"average, {name}"] = own("average", library, level, strategy)
    return found | {JPEG: pillow(format="JPEG", quality=JPEG_QUALITY, subsampling=0)}


def samples(
    denoiser: Denoiser, pictures: list[Pixels], sent: int, clock: Callable[[], float]
) -> tuple[list[Pixels], float]:
    """Return denoised samples as they are sent, and the denoiser's seconds a sample."""
    noisy = np.concatenate(
        [noise.draw_many(KEY, range(SAMPLES), p.shape, SIGMA) + p for p in pictures]
    )
    batch = at_once(denoiser, *noisy.shape[1:3])
    denoiser.clean(noisy[:1], SIGMA)  # warms up
    began = clock()
    cleaned = denoiser.clean(noisy, SIGMA)
    seconds = (clock() - began) / (-(-len(noisy) // batch) * batch)  # the last batch is filled up
    pillows = (Image.fromarray(sample) for sample in cleaned)
    fits = [each.resize((sent, sent), Image.Resampling.BILINEAR) for each in pillows]
    return [np.asarray(fit, np.uint8) for fit in fits], seconds


def check(found: Mapping[str, Encoder], sample: Pixels) -> None:
    """Make sure that nothing is lost but by JPEG.

    Raises:
        ValueError: if Pillow reads something else back.
    """
    for name, encode in found.items():
        read = np.asarray(Image.open(io.BytesIO(encode(sample))))
        if name != JPEG and not np.array_equal(read, sample):
            raise ValueError(f"{name} changes the picture")


def take_turns(
    found: Mapping[str, Encoder], given: list[Pixels], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return the seconds of each encoder in each round."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for i in track(range(rounds), description="rounds", console=Console(stderr=True)):
        for name, encode in found.items():
            began = clock()
            encode(given[i % len(given)])
            times[name].append(clock() - began)
    return times


def main() -> None:
    """Print a table for each kind of material."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=96)
    parser.add_argument("--cpu", action="store_true", help="count CPU time, not wall time")
    parser.add_argument("--votes-per-second", type=float, default=30.0)
    asked = parser.parse_args()
    clock = time.process_time if asked.cpu else time.perf_counter
    found, console = encoders(), Console()
    source, apart = held_out([asked.data])[0]
    names = spread(apart, asked.pictures)
    console.print(
        f"zlib {zlib.ZLIB_RUNTIME_VERSION}; Pillow {Image.__version__} with "
        f"zlib-ng {features.version_feature('zlib_ng') or 'left out'}"
    )
    for name, side, sent in SETS:
        pictures = [canonical(source, each, side).pixels for each in names]
        denoiser = denoisers.registry.load(name)
        given, cleaning = samples(denoiser, pictures, sent, clock)
        check(found, given[0])
        times = take_turns(found, given, asked.rounds, clock)
        table = Table(
            box=SIMPLE_HEAD,
            title=f"{sent}×{sent}, cleaned by {name} in {cleaning * 1e3:.2f} ms each",
            caption=f"Mbit/s: what {asked.votes_per_second:g} votes a second upload",
        )
        table.add_column("encoder", no_wrap=True)
        for column in ("ms", "ratio", "bytes", "share", "Mbit/s"):
            table.add_column(column, justify="right", no_wrap=True)
        for encoder in sorted(found, key=lambda each: statistics.median(times[each])):
            pairs = zip(times[encoder], times[AGAINST], strict=True)
            size = statistics.mean(len(found[encoder](sample)) for sample in given)
            table.add_row(
                encoder,
                f"{statistics.median(times[encoder]) * 1e3:.3f}",
                f"{statistics.median(a / b for a, b in pairs):.2f}",
                f"{size:,.0f}",
                f"{100 * size / given[0].size:.0f} %",
                f"{8e-6 * size * asked.votes_per_second:.1f}",
                style="bold" if encoder == CHOSEN else None,
            )
        console.print(table)


if __name__ == "__main__":
    main()
