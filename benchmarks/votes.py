"""Votes over noisy, denoised copies of pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants import Cleans, Target
from certification.noise import derive_key, draw_many
from certification.protocols import at_once

SECRET = b"a benchmark's noise need not be secret"
CHUNK = 128  # copies at a time, rounded up to whole batches of the denoiser


@dataclass(frozen=True)
class Picture:
    """A picture to certify.

    Attributes:
        name: its path in the data.
        pixels: uint8 (H, W, 3).
        truth: its label; None where the target's own answer to it counts as true.
    """

    name: str
    pixels: NDArray[np.uint8]
    truth: int | None = None


@dataclass(frozen=True)
class Record:
    """The votes about one picture.

    Attributes:
        picture: its name.
        truth: the label that counts.
        clean: the target's answer to the picture itself.
        votes: in order.
        stopped: why there are no more.
    """

    picture: str
    truth: int
    clean: int
    votes: list[int]
    stopped: str = ""


Stop = Callable[[Record, float], str | None]  # from the votes so far and sigma


def ask(
    picture: Picture,
    denoiser: Cleans,
    sigma: float,
    targets: Sequence[Target],
    stop: Stop,
    most: int,
) -> dict[str, Record]:
    """Ask several targets about the same noisy copies, each denoised once.

    The noise is Surety's own, keyed by picture and sigma: the same for every denoiser.

    Args:
        picture: what is copied.
        denoiser: cleans the copies.
        sigma: standard deviation of the noise.
        targets: are asked.
        stop: why to stop, or None to go on; asked now and then, at the latest after `most` votes,
            where it must not say None.
        most: votes a target is asked for at most.

    Returns:
        The record of each target.
    """
    pixels = picture.pixels
    key = derive_key(SECRET, f"{picture.name} {sigma!r}".encode())
    batch = at_once(denoiser, *pixels.shape[:2])
    step, start = batch * -(-CHUNK // batch), 0
    clean = {target.name: target.labels(pixels[None].copy())[0] for target in targets}
    truths = {n: c if picture.truth is None else picture.truth for n, c in clean.items()}
    votes: dict[str, list[int]] = {target.name: [] for target in targets}
    done: dict[str, Record] = {}
    while len(done) < len(targets):
        indices = range(start, min(start + step, most))
        noisy = draw_many(key, indices, pixels.shape, sigma) + pixels
        cleaned = denoiser.clean(noisy, sigma)
        for target in targets:
            name = target.name
            if name in done:
                continue
            votes[name] += target.labels(cleaned)
            so_far = Record(picture.name, truths[name], clean[name], votes[name])
            if (reason := stop(so_far, sigma)) is not None:
                done[name] = replace(so_far, stopped=reason)
        start += step
    return done
