"""What a decision costs: "is the radius at least R?", by Surety and with the papers' fixed n.

    python -m benchmarks.decisions --data cifar10.zip --out FOLDER
        --target resnet44=cifar10_resnet44.th [--denoiser cifar] [--sigma 0.25] [--radius 0.25]
        [--pictures 60] [--most 10000]

Every picture is asked about --most + 100 times, and all rules look at the same votes. A fixed n
spends 100 votes on choosing the label (Cohen, Rosenfeld, Kolter, ICML 2019) and n on its bound,
whatever they say. Surety stops as soon as the radius is reached or hopeless, at --most votes at the
latest. A picture counts if the radius is certified for its true label.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.black_box import FIRST, pictures_of
from benchmarks.contestants import Entry, check, data_of, runtime_of, target_of
from benchmarks.radii import Level, certify, decided
from benchmarks.series import Series, collect_all
from benchmarks.votes import Record
from certification.noise import null_margin
from denoisers.device import choose

FIXED = (100, 1000, 10_000)


def surety(record: Record, level: Level, radius: float, most: int) -> tuple[bool, int]:
    """Tell whether Surety certifies the radius for the true label, and after how many votes."""
    label, used, reason = decided(record.votes, record.clean, level, radius, most)
    return label == str(record.truth) and reason == "target_reached", used


def main() -> None:
    """Ask, decide by every rule, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--denoiser", type=Entry.parse, default=Entry.parse("cifar"))
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--radius", type=float, default=0.25)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    source, target = data_of(asked.data), target_of(asked.target, choose(asked.device))
    check([asked.denoiser], [target.name])
    pictures = pictures_of(source, "test", asked.pictures)
    wanted = asked.most + FIRST
    series = Series.open(
        asked.out / "votes",
        asked.denoiser.label,
        runtime_of(asked.denoiser, asked.device),
        asked.sigma,
        [target],
        {"data": source.mark, "votes": wanted},
    )

    def stop(found: Record, _: float) -> str | None:
        return "complete" if len(found.votes) >= wanted else None

    for _ in collect_all([series], pictures, stop, wanted):
        pass
    file = series.files[target.name]
    records = [Record(**file[p.name]) for p in pictures if p.name in file]
    level = Level(asked.sigma, asked.alpha, null_margin(asked.sigma, pictures[0].pixels.size))
    table = Table("rule", "certified", "votes a picture", "of the most")
    most = float(FIRST + max(n for n in FIXED if n <= asked.most))
    for n in (n for n in FIXED if n <= asked.most):
        radii = [certify(r.votes, r.truth, FIRST, n, level) for r in records]
        share = sum(radius >= asked.radius for radius in radii) / len(records)
        table.add_row(f"n = {n:,}", f"{share:.1%}", f"{FIRST + n:,}", f"{(FIRST + n) / most:.3f}")
    found = [surety(r, level, asked.radius, asked.most) for r in records]
    share = sum(right for right, _ in found) / len(found)
    mean = sum(used for _, used in found) / len(found)
    table.add_row("Surety", f"{share:.1%}", f"{mean:,.0f}", f"{mean / most:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
