"""Certified accuracy of classifiers that are only asked, on CIFAR-10 pictures nobody learnt from.

A picture counts at radius r if the certified label is its true one and the radius is at least r.
Certified as in Cohen et al. 2019: 100 votes choose the label, Clopper and Pearson's bound over the
next --votes gives the radius; with --process Surety's own anytime rule looks at all of them.
Asking ends early only where no answer could change the result.

With --reach R the question is Surety's own, "is the radius at least R?": asking ends when it is
reached or hopeless, at the latest after --votes, where Clopper and Pearson's bound has its one
look. Ten times the votes then cost less than the fixed thousand: nobody asks on about a picture
whose answer is clear. Below R the table then says only what was certified by the way.

    python -m benchmarks.black_box --data cifar10.zip --out FOLDER
        --target resnet20=cifar10_resnet20.th --target resnet44=cifar10_resnet44.th
        --denoiser none --denoiser cifar --denoiser dncnn=dncnn.safetensors
        [--denoiser LABEL@TARGET=FILE] [--sigma 0.25,0.5,1.0] [--pictures 500] [--votes 1000]

With --offset 3 the pictures are others, for what was chosen by looking at those without it.
The same command goes on where it was ended, and another --alpha or --process needs no new votes.
FOLDER gets results.json with the counts of every picture, TARGET.svg, best.svg (the best sigma for
each radius, chosen on these very pictures as papers do) and the votes.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.contestants import Entry, check, data_of, runtime_of, target_of
from benchmarks.radii import Level, anytime, certify, decided, settled
from benchmarks.series import Series, collect_all
from benchmarks.votes import Picture, Record
from certification.noise import null_margin
from denoisers.device import choose
from denoisers.training.sources import Source

RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
FIRST = 100  # votes that choose the label


def pictures_of(source: Source, part: str, count: int, offset: int = 0) -> list[Picture]:
    """Take pictures spread evenly over one part, sorted by path: as many of each class.

    Args:
        source: laid out PART/CLASS/FILE.
        part: "test".
        count: how many; all if there are fewer.
        offset: of each, in the order of the paths: other pictures than without it, if it is less
            than their distance.

    Returns:
        The pictures in an order that mixes the classes, so that the first few stand for all.
    """
    names = [name for name in source.names if part in name.split("/")[:-2]]
    if not names:
        raise SystemExit(f"--data {source.title} holds no pictures under {part}/CLASS/")
    classes = sorted({name.split("/")[-2] for name in names})
    count = min(count, len(names))
    chosen = [names[(i * len(names) // count + offset) % len(names)] for i in range(count)]
    mixed = [chosen[i] for i in np.random.default_rng(0).permutation(count)]
    return [Picture(n, source.read(n), classes.index(n.split("/")[-2])) for n in mixed]


def main() -> None:
    """Ask, judge, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="test")
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--denoiser", action="append", type=Entry.parse, required=True)
    parser.add_argument("--sigma", type=report.numbers, default=[0.25, 0.5, 1.0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--votes", type=int, default=1000)
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--process", action="store_true")
    parser.add_argument("--reach", type=float)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    source = data_of(asked.data)
    targets = [target_of(text, choose(asked.device)) for text in asked.target]
    check(asked.denoiser, [target.name for target in targets])
    pictures = pictures_of(source, asked.part, asked.pictures, asked.offset)
    ready = [(entry, runtime_of(entry, asked.device)) for entry in asked.denoiser]
    most = asked.votes if asked.reach is not None else FIRST + asked.votes
    header = {"data": source.mark, "first": FIRST, "votes": asked.votes}
    if asked.reach is not None:
        header = {"data": source.mark, "reach": asked.reach, "votes": most, "alpha": asked.alpha}
    everything = [
        Series.open(
            asked.out / "votes",
            entry.label,
            denoiser,
            sigma,
            [target for target in targets if entry.target in (None, target.name)],
            header,
        )
        for sigma in asked.sigma
        for entry, denoiser in ready
    ]

    def level_at(sigma: float) -> Level:
        return Level(sigma, asked.alpha, null_margin(sigma, pictures[0].pixels.size))

    def stop(found: Record, sigma: float) -> str | None:
        if asked.reach is None:
            return settled(found.votes, found.truth, FIRST, asked.votes)
        level, n = level_at(sigma), asked.votes
        return decided(found.votes, found.clean, level, asked.reach, n, milestone=n)[2]

    def radius(found: Record, sigma: float) -> float:
        level = level_at(sigma)
        if asked.reach is not None:
            return anytime(found.votes, found.clean, found.truth, level, milestone=asked.votes)
        if asked.process:
            return anytime(found.votes, found.clean, found.truth, level)
        return certify(found.votes, found.truth, FIRST, asked.votes, level)

    rule = "anytime process" if asked.process else f"{FIRST} + {asked.votes} votes"
    if asked.reach is not None:
        rule = f'"is the radius at least {asked.reach:g}?", {asked.votes} votes at most'
    said = {"alpha": asked.alpha, "rule": rule, "pictures": len(pictures)}
    curves: list[report.Curve] = []
    for series in collect_all(everything, pictures, stop, most):
        curves += series.curves(pictures, radius, FIRST)
        report.write(curves, RADII, said, asked.out)
    curves = [c for some in everything for c in some.curves(pictures, radius, FIRST)]
    print(f"{len(pictures)} pictures, {rule}, alpha = {asked.alpha:g}")
    report.print_table(curves, RADII)
    report.write(curves, RADII, said, asked.out)
    report.draw(curves, asked.out, report.PAPER)


if __name__ == "__main__":
    main()
