"""Denoisers on photographs nobody trained on: PSNR, and how often MobileNet's answer is certified.

Measured on what `surety train` keeps apart of the same --data: what is in folders named test, or
every tenth picture by name; of ImageNet samples named by class index those that end in 9.

PSNR: float32 networks, what they return clipped to [0, 1] and not rounded; whole pictures, noise
not clipped, the mean over pictures. FFDNet was made for sigma up to 75/255 and is told that
beyond; a second row lowers the contrast instead until the noise is in its range. DnCNN knows
50/255 alone and is asked nowhere else. "as it ships" is with whole numbers in and out and the
machine's own precision. A second table says by how much each denoiser is better than FFDNet and
DnCNN on the same pictures, with the standard error of that mean.

Certificates (first --data only): each picture becomes 224×224 as an upload would, the largest
square at the centre reduced by Lanczos; the true label is the classifier's answer to that. The
label is fixed before the votes, so all --votes go into Clopper and Pearson's bound; with
--process Surety's own rule decides, its milestone at --votes. Where names say the class, as those
of ImageNet samples do (III_nXXXXXXXX_name), it is said how often that is the answer.

    python -m benchmarks.photographs --data imagenet-samples.zip --out FOLDER [--denoiser photo]
        [--ffdnet ffdnet_color.safetensors] [--dncnn dncnn_color_sigma50.safetensors]
        [--model mobilenet_v2_1.0_224_quant.onnx] [--sigma 0.25] [--votes 100] [--pictures 100]
        [--psnr 20] [--chosen-by 20]

--psnr measures PSNR on fewer pictures than are certified, or with 0 on none. Weights that were
chosen by `--psnr 20` look too good there: `--psnr 80 --chosen-by 20` measures on those of 100 that
are not among the 20, and certifies no others. The same command goes on where it was ended.
"""

import argparse
import contextlib
import io
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import psnr, report
from benchmarks.anchors import FFDNET_SIGMA, LessContrast, dncnn20, ffdnet
from benchmarks.contestants import Cleans, Entry, OnnxTarget, data_of, runtime_of, sha256_of
from benchmarks.radii import Level, anytime, fixed_n
from benchmarks.series import Series, collect_all
from benchmarks.votes import Picture, Record
from certification.canonical import canonicalise
from certification.noise import null_margin
from denoisers.device import choose
from denoisers.errors import DenoiserError
from denoisers.runtime import Runtime
from denoisers.training.parting import split
from denoisers.training.sources import Source

RADII = (0.0, 0.125, 0.25, 0.375)
DNCNN_SIGMA = 50 / 255
DNCNN, FFDNET, LOWERED = ANCHORS = ("DnCNN 50/255", "FFDNet", "FFDNet, contrast")
NOISY = "noisy"
CLASS = re.compile(r"(?:.*/)?(\d{3})_n\d{8}_[^/]*")  # of ImageNet's thousand
LEVELS = {DNCNN_SIGMA: "50/255", 0.25: "0.25", 0.5: "0.5", 1.0: "1"}
# Salman et al., "Denoised Smoothing", NeurIPS 2020: the best of four vision APIs, n = 100
PAPER: report.Points = {"paper, best API": ((0.0, 0.33), (0.25, 0.17))}


def held_out(data: Sequence[Path]) -> list[tuple[Source, list[str]]]:
    """Return the names of pictures that training on all of this data keeps apart.

    Args:
        data: folders, zips and archives; what is all to learn from is left out.

    Raises:
        SystemExit: if nothing is kept apart.
    """
    sources = [data_of(path) for path in data]
    apart = [names for _, names in split(sources)]
    found = [(source, names) for source, names in zip(sources, apart, strict=True) if names]
    if not found:
        raise SystemExit("--data: training keeps nothing apart there: give more, or a folder test")
    return found


def spread(names: Sequence[str], most: int, chosen_by: int = 0) -> list[str]:
    """Return evenly spread names.

    Args:
        names: to choose from.
        most: how many; all if there are fewer.
        chosen_by: none of those that are returned for `most` of this size.
    """
    if chosen_by:
        chosen = set(spread(names, chosen_by))
        names = [name for name in names if name not in chosen]
    most = min(most, len(names))
    return [names[i * len(names) // most] for i in range(most)]


def named_class(name: str) -> int | None:
    """Return the class that the name of an ImageNet sample says, 0…999; None of another name."""
    found = CLASS.fullmatch(name)
    return int(found[1]) if found else None


def canonical(source: Source, name: str, side: int) -> Picture:
    """Bring a picture to size as Surety does with an upload."""
    buffer = io.BytesIO()
    Image.fromarray(source.read(name)).save(buffer, "PNG", compress_level=1)
    return Picture(name, canonicalise(buffer.getvalue(), size=(side, side)).pixels)


def judges(asked: argparse.Namespace, ready: Sequence[tuple[Entry, Cleans]]) -> list[psnr.Judged]:
    """Return all whose PSNR is measured."""
    device = choose(asked.device)
    levels = list(LEVELS)
    found = [psnr.Judged(NOISY, "", psnr.noisy_itself, levels)]
    if asked.dncnn:
        network, mark = psnr.by_network(dncnn20(asked.dncnn), device), sha256_of(asked.dncnn)
        found.append(psnr.Judged(DNCNN, mark, network, [DNCNN_SIGMA]))
    if asked.ffdnet:
        network, mark = ffdnet(asked.ffdnet), sha256_of(asked.ffdnet)
        found.append(psnr.Judged(FFDNET, mark, psnr.by_network(network, device), levels))
        lower = psnr.by_network(LessContrast(network, FFDNET_SIGMA), device)
        beyond = [level for level in levels if level > FFDNET_SIGMA]
        found.append(psnr.Judged(LOWERED, mark, lower, beyond))
    for entry, shipped in ready:
        if shipped.weights_sha256 is None:
            continue
        with contextlib.suppress(DenoiserError):  # an installed one may keep its network to itself
            network, mark = entry.network()
            found.append(psnr.Judged(entry.label, mark, psnr.by_network(network, device), levels))
        mark = f"{shipped.weights_sha256} {shipped.compute}"
        as_it_ships = psnr.by_runtime(shipped)
        found.append(psnr.Judged(f"{entry.label}, ships", mark, as_it_ships, levels))
    return found


def print_psnr(
    asked: argparse.Namespace,
    data: Sequence[tuple[Source, list[str]]],
    judged_all: Sequence[psnr.Judged],
) -> dict[str, Any]:
    """Measure, print and return mean PSNR: data → denoiser → sigma → dB."""
    found: dict[str, Any] = {}
    for source, apart in data:
        names = spread(apart, asked.psnr, asked.chosen_by)
        if not names:
            print(f"\nnone of the {len(apart)} pictures of {source.title} is left for PSNR")
            continue
        print(f"\nPSNR in dB, {len(names)} pictures of {source.title}")
        print(f"{'sigma':20}" + "".join(f"{text:>9}" for text in LEVELS.values()))
        each: dict[str, Mapping[float, list[float]]] = {}
        rows: dict[str, dict[str, float]] = {}
        for judged in judged_all:
            each[judged.label] = psnr.measure(judged, source, names, asked.out / "psnr")
            means = {level: statistics.mean(dB) for level, dB in each[judged.label].items()}
            rows[judged.label] = {LEVELS[level]: dB for level, dB in means.items()}
            cells = (f"{means[level]:9.2f}" if level in means else f"{'–':>9}" for level in LEVELS)
            print(f"{judged.label:20}" + "".join(cells))
        more = print_paired(each) if len(names) > 1 else {}
        found[source.title] = {"pictures": len(names), "dB": rows, "more_than": more}
    return found


def print_paired(each: Mapping[str, Mapping[float, Sequence[float]]]) -> dict[str, Any]:
    """Print and return how much better each denoiser is than each anchor, on the same pictures.

    Args:
        each: denoiser or anchor → sigma → dB of each picture.

    Returns:
        Denoiser → anchor → sigma → mean difference in dB and its standard error.
    """
    found: dict[str, Any] = {}
    for label in each:
        for anchor in ANCHORS if label not in (NOISY, *ANCHORS) else ():
            common = [level for level in each[label] if level in each.get(anchor, {})]
            gaps = {LEVELS[at]: psnr.paired(each[label][at], each[anchor][at]) for at in common}
            if not gaps:
                continue
            if not found:
                print("\nmore than, in dB: mean over the same pictures ± its standard error")
                print(f"{'sigma':36}" + "".join(f"{text:>17}" for text in LEVELS.values()))
            found.setdefault(label, {})[anchor] = gaps
            cells = (
                f"{gaps[at][0]:+.3f} ± {gaps[at][1]:.3f}" if at in gaps else "–"
                for at in LEVELS.values()
            )
            row = f"{label} – {anchor}"
            print(f"{row:36}" + "".join(f"{cell:>17}" for cell in cells))
    return found


def print_clean(curves: Sequence[report.Curve]) -> dict[str, float]:
    """Print and return the share of clean pictures that each classifier answers with their class.

    Where names do not say the class, nothing.
    """
    found: dict[str, float] = {}
    for curve in {curve.target: curve for curve in curves}.values():
        said = [(record.clean, named_class(name)) for name, record in curve.records.items()]
        right = [answer == class_ for answer, class_ in said if class_ is not None]
        if right:
            found[curve.target] = statistics.mean(right)
            print(
                f"{curve.target}: the answer to {sum(right)} of {len(right)} clean pictures is the "
                "class that their name says"
            )
    return found


def certified(
    asked: argparse.Namespace,
    data: tuple[Source, list[str]],
    cleaners: Sequence[tuple[str, Cleans]],
) -> list[report.Curve]:
    """Collect the votes of each classifier and judge them."""
    source, names = data[0], spread(data[1], asked.pictures, asked.chosen_by)

    def stop(found: Record, _: float) -> str | None:
        return "complete" if len(found.votes) >= asked.votes else None

    def radius(found: Record, sigma: float) -> float:
        level = Level(sigma, asked.alpha, null_margin(sigma, pictures[0].pixels.size))
        if asked.process:
            return anytime(found.votes, found.clean, found.truth, level, milestone=asked.votes)
        return fixed_n(found.votes.count(found.truth), asked.votes, level)

    curves = []
    for path in asked.model:
        target = OnnxTarget(path.stem, path)
        pictures = [canonical(source, name, target.side) for name in names]
        header = {"data": source.mark, "votes": asked.votes}
        everything = [
            Series.open(asked.out / "votes", label, cleans, sigma, [target], header)
            for sigma in asked.sigma
            for label, cleans in cleaners
        ]
        for _ in collect_all(everything, pictures, stop, asked.votes):
            pass
        curves += [c for series in everything for c in series.curves(pictures, radius)]
    return curves


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--denoiser", type=Entry.parse, action="append")
    parser.add_argument("--ffdnet", type=Path)
    parser.add_argument("--dncnn", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--sigma", type=report.numbers, default=[0.25])
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--psnr", type=int)
    parser.add_argument("--chosen-by", type=int, default=0)
    parser.add_argument("--votes", type=int, default=100)
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--process", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    data = held_out(asked.data)
    asked.denoiser = asked.denoiser or [Entry.parse("photo"), Entry.parse("none")]
    ready = [(entry, runtime_of(entry, asked.device)) for entry in asked.denoiser]
    asked.psnr = asked.pictures if asked.psnr is None else asked.psnr
    quality = print_psnr(asked, data, judges(asked, ready)) if asked.psnr else {}
    cleaners = [(entry.label, cleans) for entry, cleans in ready]
    if asked.ffdnet:
        network, sha256 = ffdnet(asked.ffdnet), sha256_of(asked.ffdnet)
        cleaners.append(("FFDNet", Runtime("ffdnet", network, sha256, device=asked.device)))
    curves = certified(asked, data[0], cleaners)
    rule = "process with milestone" if asked.process else "Clopper-Pearson, label named before"
    said = {"psnr": quality, "alpha": asked.alpha, "rule": rule, "votes": asked.votes}
    if curves:
        print(f"\n{rule}, {asked.votes} votes, alpha = {asked.alpha:g}")
        report.print_table(curves, RADII, truth="true is its answer without noise")
        said["clean_is_named_class"] = print_clean(curves)
        report.draw(curves, asked.out, PAPER)
    report.write(curves, RADII, said, asked.out)


if __name__ == "__main__":
    main()
