"""Which vote rates do pictures have? The reference that an estimate without a pilot rests on.

For pictures spread evenly over the test part: the share of the noisy copies that the label with
the most votes gets, and whether that is the label of the clean picture, with the built-in
classifier.

    python -m benchmarks.vote_rates --data FOLDER_OR_ZIP [--pictures 40] [--votes 60]
        [--sigmas 0.25 0.5 0.12 1] [--denoisers cifar none]
        [--out service/jobs/estimates/reference_rates.json]

The data are laid out as for `surety train`.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

import denoisers.registry
from adapters.local.adapter import LocalAdapter
from certification import noise
from certification.decision import LabelMap, Top1
from certification.protocols import Answer, Denoiser, Pixels, at_once
from certification.spoken import spoken
from denoisers.training.data import load_pictures


async def labels(adapter: LocalAdapter, samples: list[Pixels]) -> list[str | None]:
    """Return the vote on each sample."""
    found: list[str | None] = []
    for start in range(0, len(samples), adapter.traits.max_batch):
        batch = samples[start : start + adapter.traits.max_batch]
        for answer in await adapter.classify(batch):
            if not isinstance(answer, Answer):
                raise SystemExit("the built-in classifier did not answer")
            found.append(spoken(answer, Top1(), LabelMap()).vote)
    return found


async def rate(
    pixels: Pixels, number: int, sigma: float, votes: int, denoiser: Denoiser, adapter: LocalAdapter
) -> tuple[float, bool]:
    """Return the leading label's share, and whether it is the clean picture's."""
    key, samples = number.to_bytes(16, "big"), []
    step = at_once(denoiser, *pixels.shape[:2])
    for start in range(0, votes, step):
        indices = range(start, min(votes, start + step))
        noisy = noise.draw_many(key, indices, pixels.shape, sigma)
        noisy += pixels
        samples += list(denoiser.clean(noisy, sigma))
    (clean,) = await labels(adapter, [pixels])
    leader, most = Counter(await labels(adapter, samples)).most_common(1)[0]
    return most / votes, leader == clean


def write(out: Path, tables: list[dict[str, object]], pictures: int, votes: int) -> None:
    """Write the tables that there are by now."""
    command = "python -m benchmarks.vote_rates --data cifar10-jpeg.zip"
    about = f"{pictures} CIFAR-10 test pictures, {votes} votes each, classifier local"
    head = json.dumps({"command": command, "about": about})[:-1]
    rows = ",\n".join(json.dumps(table) for table in tables)
    out.write_text(f'{head}, "tables": [\n{rows}\n]}}\n')


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--votes", type=int, default=60)
    parser.add_argument("--sigmas", type=float, nargs="+", default=[0.25, 0.5, 0.12, 1.0])
    parser.add_argument("--denoisers", nargs="+", default=["cifar", "none"])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        test = load_pictures(asked.data, "test", Path(cache))
    chosen = torch.linspace(0, len(test.images) - 1, asked.pictures).round().int().tolist()
    adapter, tables = LocalAdapter(), []
    for sigma in asked.sigmas:
        for name in asked.denoisers:
            denoiser, found = denoisers.registry.load(name), []
            for i in track(chosen, description=f"{name} {sigma:g}"):
                pixels = np.ascontiguousarray(test.images[i].permute(1, 2, 0).numpy())
                found.append(asyncio.run(rate(pixels, i, sigma, asked.votes, denoiser, adapter)))
            found.sort()
            named = sum(named for _, named in found) / len(found)
            middle = found[len(found) // 2][0]
            print(f"{name:6} {sigma:5g}: median rate {middle:.3f}, clean label {named:.0%}")
            rates = [[round(share, 3), named] for share, named in found]
            tables.append({"denoiser": name, "sigma": sigma, "rates": rates})
            if asked.out is not None:
                write(asked.out, tables, len(chosen), asked.votes)


if __name__ == "__main__":
    main()
