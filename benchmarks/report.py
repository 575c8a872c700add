"""Certified accuracy as a table, as JSON and as curves."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.curves import draw_curves
from benchmarks.radii import envelope, shares
from benchmarks.votes import Record

Points = Mapping[str, Sequence[tuple[float, float]]]
# Salman et al., "Denoised Smoothing", NeurIPS 2020, CIFAR-10, the best sigma for each radius
PAPER: Points = {
    "paper, black-box": ((0.25, 0.45), (0.5, 0.20), (0.75, 0.15), (1.0, 0.13)),
    "paper, white-box": ((0.25, 0.56), (0.5, 0.41), (0.75, 0.28), (1.0, 0.19)),
}


@dataclass(frozen=True)
class Curve:
    """What one denoiser certifies at one sigma for one target.

    Attributes:
        target: asked.
        denoiser: label of the denoiser in front of it.
        sigma: standard deviation of the noise.
        header: all that shaped the votes.
        radii: picture → certified radius; −1 for none, or a wrong label.
        records: the votes.
        first: how many of the votes chose the label.
    """

    target: str
    denoiser: str
    sigma: float
    header: Mapping[str, object]
    radii: Mapping[str, float]
    records: Mapping[str, Record]
    first: int = 0

    @property
    def name(self) -> str:
        """What the curve's legend says."""
        return f"{self.denoiser}, σ = {self.sigma:g}"

    @property
    def clean(self) -> float:
        """Share of pictures whose bare answer is the true label."""
        return statistics.mean(r.clean == r.truth for r in self.records.values())

    def row(self, at: Sequence[float]) -> str:
        """Return a line of the table."""
        votes = statistics.mean(len(r.votes) for r in self.records.values())
        return _row(self.denoiser, f"{self.sigma:g}", shares([*self.radii.values()], at)) + (
            f"{votes:8.0f} {len(self.radii):9}"
        )

    def document(self, at: Sequence[float]) -> dict[str, Any]:
        """Return JSON values: shares, and for each picture the counts that they come from."""
        return {
            "target": self.target,
            "denoiser": self.denoiser,
            "sigma": self.sigma,
            **self.header,
            "right_when_clean": self.clean,
            "certified": shares([*self.radii.values()], at),
            "pictures": [
                {
                    "picture": name,
                    "truth": record.truth,
                    "clean": record.clean,
                    "first": _counts(record.votes[: self.first]),
                    "votes": _counts(record.votes[self.first :]),
                    "stopped": record.stopped,
                    "radius": self.radii[name],
                }
                for name, record in sorted(self.records.items())
            ],
        }


def best(curves: Iterable[Curve]) -> Iterator[tuple[str, str, list[float], str]]:
    """Go through target and denoiser with the best sigma for each radius, on common pictures.

    Yields:
        Target, denoiser, radii of the envelope, the sigmas it is made of.
    """
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.target, curve.denoiser), []).append(curve)
    for (target, denoiser), group in groups.items():
        common = sorted(set.intersection(*(set(curve.radii) for curve in group)))
        if common:
            radii = envelope([[curve.radii[name] for name in common] for curve in group])
            yield target, denoiser, radii, ", ".join(f"{curve.sigma:g}" for curve in group)


def print_table(curves: Sequence[Curve], at: Sequence[float], truth: str | None = None) -> None:
    """Print shares in percent, target by target.

    Args:
        curves: to print.
        at: radii.
        truth: what the true label is, where it is not the data's.
    """
    envelopes = list(best(curves))
    for target in dict.fromkeys(curve.target for curve in curves):
        mine = [curve for curve in curves if curve.target == target]
        print(f"\n{target}: {truth or f'{100 * mine[0].clean:.1f} % right without noise'}")
        radii = "".join(f"  r={r:<5g}" for r in at)
        print(f"{'denoiser':16} {'sigma':>6}{radii}   votes  pictures")
        for curve in mine:
            print(curve.row(at))
        for name, denoiser, found, sigmas in envelopes:
            if name == target and "," in sigmas:
                print(f"{_row(denoiser, 'best', shares(found, at))}{'':8} {len(found):9}")


def write(curves: Sequence[Curve], at: Sequence[float], said: dict[str, Any], out: Path) -> None:
    """Write `results.json`."""
    document = {
        **said,
        "best_sigma": [
            {"target": target, "denoiser": name, "sigmas": sigmas, "certified": shares(radii, at)}
            for target, name, radii, sigmas in best(curves)
        ],
        "runs": [curve.document(at) for curve in curves],
    }
    aside = out / "results.json.tmp"
    aside.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    aside.replace(out / "results.json")


def draw(curves: Sequence[Curve], out: Path, points: Points) -> None:
    """Draw `TARGET.svg` with every sigma; of several sigmas `best.svg` too, the best everywhere.

    Args:
        curves: to draw.
        out: folder.
        points: figures to compare with, in the last of these pictures.
    """
    labels = list(dict.fromkeys(curve.denoiser for curve in curves))
    sigmas = sorted({curve.sigma for curve in curves})
    targets = list(dict.fromkeys(curve.target for curve in curves))
    for target in targets:
        mine = [curve for curve in curves if curve.target == target]
        lines = {curve.name: [*curve.radii.values()] for curve in mine}
        styles = {c.name: (labels.index(c.denoiser), sigmas.index(c.sigma)) for c in mine}
        title = f"{target}: certified accuracy, {len(mine[0].radii)} pictures"
        beside = points if len(sigmas) == 1 else {}
        drawn = draw_curves(lines, title, styles=styles, points=beside)
        (out / f"{target}.svg").write_text(drawn)
    if len(sigmas) > 1:
        lines, styles = {}, {}
        for target, label, radii, _ in best(curves):
            name = f"{label}, {target}" if len(targets) > 1 else label
            lines[name], styles[name] = radii, (labels.index(label), targets.index(target))
        title = "certified accuracy with the best σ for each radius"
        (out / "best.svg").write_text(draw_curves(lines, title, styles=styles, points=points))


def numbers(text: str) -> list[float]:
    """Read 0.25,0.5,1."""
    return [float(part) for part in text.split(",")]


def _row(label: str, sigma: str, found: Mapping[str, float]) -> str:
    return f"{label:16.16} {sigma:>6}" + "".join(f"{100 * s:6.1f} %" for s in found.values())


def _counts(votes: Sequence[int]) -> dict[str, int]:
    return {str(label): count for label, count in Counter(votes).most_common()}
