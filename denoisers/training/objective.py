"""What a denoiser is trained to minimise, and on what: the numbers, checked."""

import math
from dataclasses import dataclass

from denoisers.errors import BadPlan

LEAST_SIGMA, MOST_SIGMA = 0.001, 2.0  # beyond 2 the service draws no noise
LEAST_SIZE, MOST_SIZE = 8, 2048
OPTIMIZERS = ("muon", "adamw")
BATCH, SMALLEST_BATCH, SIDE = 128, 4, 32


def batch_for(size: int) -> int:
    """Return how many squares make a step of about the time of 128 with 32×32 pixels.

    Args:
        size: side of the squares.
    """
    return max(SMALLEST_BATCH, min(BATCH, BATCH * SIDE**2 // max(size, 1) ** 2))


@dataclass(frozen=True)
class Objective:
    """What is minimised: mse·(squared error / σ) + stability·(cross-entropy to surrogates).

    Attributes:
        mse: weight of the squared error; divided by σ, so that strong noise does not drown weak.
        relative: in place of squared error / σ stands a hundredth of the logarithm of the squared
            error of the clipped picture, so that mean PSNR is learnt: the same share off any
            error counts the same, and even squares then count most (Chen, Lu, Zhang, Chu, Chen,
            "HINet: Half Instance Normalization Network for Image Restoration", CVPR workshops
            2021, "PSNR loss").
        stability: weight of the cross-entropy.
        stable_from: noise level from which the cross-entropy counts in full; at a weaker one it
            counts in proportion, since there a picture keeps its answer as it is.
        sigmas: range of noise levels, on [0, 1]; drawn log-uniformly.
        jitter: pixels by which the surrogates see both pictures shifted, alike and at random, so
            that nothing is learnt that hangs on one surrogate's grid of strides.
        even: share of the pictures whose level is drawn uniformly instead, which is stronger.
        focus: narrower range from which half of the levels are drawn, log-uniformly, whatever the
            rest is drawn by; None for no such range.
        turns: turn the squares by quarter turns at random.
        size: side of the squares that are cut out of the pictures; whole pictures of that size
            are shifted by up to an eighth.
        batch: pictures per step.
        seed: of order, noise and flips.
        rate: peak learning rate.
        optimizer: "muon" or "adamw".

    Raises:
        BadPlan: if a number is out of its range; names the option.
    """

    mse: float = 1.0
    relative: bool = False
    stability: float = 0.0
    stable_from: float = 0.0
    sigmas: tuple[float, float] = (0.05, 1.0)
    even: float = 0.0
    focus: tuple[float, float] | None = None
    jitter: int = 0
    turns: bool = False
    size: int = 32
    batch: int = BATCH
    seed: int = 0
    rate: float = 1.5e-3
    optimizer: str = "muon"

    def __post_init__(self) -> None:
        low, high = self.sigmas
        least, most = self.focus or self.sigmas
        weights = (self.mse, self.stability)
        checks = {
            "--mse and --stability must be 0 or more, and one of them more than 0": (
                all(0 <= w < math.inf for w in weights) and max(weights) > 0
            ),
            f"--sigma must be a level or a range within {LEAST_SIGMA} and {MOST_SIGMA:g}, the "
            "smaller first, such as 0.05,1.0": LEAST_SIGMA <= low <= high <= MOST_SIGMA,
            "--focus must be a level or a range within --sigma, the smaller first, such as "
            "0.15,0.3": low <= least <= most <= high,
            "--even must be a share from 0 to 1": 0 <= self.even <= 1,
            f"--crop must be from {LEAST_SIZE} to {MOST_SIZE} pixels": (
                LEAST_SIZE <= self.size <= MOST_SIZE
            ),
            f"--stable-from must be a level from 0 to {MOST_SIGMA:g}": (
                0 <= self.stable_from <= MOST_SIGMA
            ),
            "--jitter must be pixels from 0 to less than --crop": 0 <= self.jitter < self.size,
            "--jitter and --stable-from are about --stability, such as 0.1: give that too, or "
            "leave them out": self.stability > 0 or not (self.jitter or self.stable_from),
            "--relative is about the squared error: give --mse more than 0, or leave it out": (
                self.mse > 0 or not self.relative
            ),
            "--batch must be at least 1": self.batch >= 1,
            f"--optimizer is one of {', '.join(OPTIMIZERS)}": self.optimizer in OPTIMIZERS,
            "--rate must be more than 0 and at most 1": 0 < self.rate <= 1,
        }
        for wanted, holds in checks.items():
            if not holds:  # which nan does nowhere
                raise BadPlan(wanted)
