"""From some pictures to all of them: totals with an interval that is honest for three pictures.

The pilot's pictures are taken as drawn at random from the job. What the others take is drawn from
the Pólya posterior (Lo, "A Bayesian bootstrap for a finite population", Annals of Statistics
1988): weights of the seen pictures from a Dirichlet distribution, then the unseen ones by these
weights. Alone it is too sure of itself where few were seen, and says nothing at all where they are
alike. So the upper end of an interval has a further picture among the seen ones that takes all it
may, and the lower end one that takes as little as it can (Learned-Miller and Thomas, "A new
confidence interval for the mean of a bounded random variable", 2019). For shares of pictures that
is Clopper and Pearson's interval. Nothing remains unsure once all pictures were seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.9
TAIL = (1.0 - CONFIDENCE) / 2.0
DRAWS = 2000
MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class Totals:
    """What the unseen pictures may take together.

    Attributes:
        expected: on average, float64 (c,).
        middle: draws without a further picture, float64 (draws, c).
        below: draws with one that takes as little as it can; their lower end is honest.
        above: draws with one that takes all it may; their upper end is honest.
    """

    expected: Floats
    middle: Floats
    below: Floats
    above: Floats


def unseen(seen: Floats, rest: int, least: Floats, most: Floats, seed: int = 0) -> Totals:
    """Draw what `rest` pictures take together, if these were seen.

    Args:
        seen: what each seen picture took, float64 (m, c), m ≥ 1.
        rest: pictures that were not.
        least: the least that a picture can take, float64 (c,).
        most: the most, float64 (c,).
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    least, most = np.minimum(least, seen.min(axis=0)), np.maximum(most, seen.max(axis=0))

    def draw(points: Floats) -> Floats:
        draws = max(200, min(DRAWS, MOST_CELLS // len(points)))
        weights = rng.dirichlet(np.ones(len(points)), draws)
        return np.asarray(rng.multinomial(rest, weights) @ points, np.float64)

    return Totals(
        rest * seen.mean(axis=0),
        draw(seen),
        draw(np.vstack([seen, least])),
        draw(np.vstack([seen, most])),
    )


def alike(pictures: Floats, rest: int, seed: int = 0) -> Totals:
    """Draw what `rest` pictures take together, if they are like these.

    Args:
        pictures: equally likely, float64 (k, c).
        rest: how many.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    draws = max(200, min(DRAWS, MOST_CELLS // len(pictures)))
    shares = np.full(len(pictures), 1.0 / len(pictures))
    drawn = rng.multinomial(rest, shares, draws) @ pictures
    return Totals(rest * pictures.mean(axis=0), drawn, drawn, drawn)
