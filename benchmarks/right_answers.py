"""How many noisy pictures classifiers get right once they are denoised: one look at each.

The first thing to know about a denoiser, in a minute; what can be certified takes hours
(:mod:`benchmarks.black_box`). All denoisers see the same pictures with the same noise.

    python -m benchmarks.right_answers --data cifar10.zip --denoiser cifar --denoiser mine=FILE
        --target resnet44=cifar10_resnet44.th [--sigma 0.25,0.5,1.0] [--pictures 1000]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.contestants import Entry, target_of
from certification.protocols import at_once
from denoisers.device import choose
from denoisers.training.data import load_pictures


def main() -> None:
    """Denoise, ask, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--denoiser", action="append", type=Entry.parse, required=True)
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--sigma", default="0.25,0.5,1.0")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        test = load_pictures(asked.data, "test", Path(cache))
    chosen = np.linspace(0, len(test.labels) - 1, min(asked.pictures, len(test.labels))).astype(int)
    clean = test.images[chosen].permute(0, 2, 3, 1).numpy()
    truth = test.labels[chosen].numpy()
    targets = [target_of(text, choose(asked.device)) for text in asked.target]
    noise = np.random.default_rng(1).standard_normal(clean.shape, dtype=np.float32)
    print(f"{'denoiser':16}sigma  " + "".join(f"{target.name:>12}" for target in targets))
    for entry in asked.denoiser:
        cleaner = entry.runtime(asked.device)
        batch = at_once(cleaner, *clean.shape[1:3])
        for sigma in map(float, asked.sigma.split(",")):
            noisy = clean + np.rint(255 * sigma * noise).astype(np.int16)
            parts = [
                cleaner.clean(noisy[i : i + batch], sigma) for i in range(0, len(noisy), batch)
            ]
            seen = np.concatenate(parts)
            right = [np.mean(np.array(target.labels(seen)) == truth) for target in targets]
            print(f"{entry.label:16}{sigma:<7g}" + "".join(f"{share:12.1%}" for share in right))


if __name__ == "__main__":
    main()
