"""One denoiser at one sigma: collects the votes that are missing, judges those that are there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.contestants import Cleans, Target
from benchmarks.kept import Kept
from benchmarks.report import Curve
from benchmarks.votes import Picture, Record, Stop, ask


@dataclass(frozen=True)
class Series:
    """See the module's text. Its samples are denoised once and go to all its targets.

    Attributes:
        label: of the denoiser.
        denoiser: cleans the samples.
        sigma: standard deviation of the noise.
        targets: are asked.
        files: name of the target → its votes.
    """

    label: str
    denoiser: Cleans
    sigma: float
    targets: Sequence[Target]
    files: Mapping[str, Kept]

    @classmethod
    def open(
        cls,
        folder: Path,
        label: str,
        denoiser: Cleans,
        sigma: float,
        targets: Sequence[Target],
        header: Mapping[str, Any],
    ) -> "Series":
        """Open the files of votes, one per target.

        Args:
            folder: where they are.
            label: of the denoiser.
            denoiser: cleans the samples.
            sigma: standard deviation of the noise.
            targets: are asked.
            header: what else shapes the votes.
        """
        shared = {
            **header,
            "weights_sha256": denoiser.weights_sha256,
            "compute": denoiser.compute,
            "sigma": sigma,
        }
        files = {
            target.name: Kept(
                folder,
                f"{target.name}-{label}-{sigma:g}",
                {**shared, "target_sha256": target.sha256},
            )
            for target in targets
        }
        return cls(label, denoiser, sigma, targets, files)

    def collect(self, pictures: Sequence[Picture], stop: Stop, most: int) -> Iterator[None]:
        """Ask for what is missing, picture by picture; see :func:`benchmarks.votes.ask`."""
        for picture in pictures:
            missing = [t for t in self.targets if picture.name not in self.files[t.name]]
            if missing:
                found = ask(picture, self.denoiser, self.sigma, missing, stop, most)
                for name, record in found.items():
                    self.files[name].add(asdict(record))
            yield

    def curves(
        self, pictures: Sequence[Picture], radius: Callable[[Record, float], float], first: int = 0
    ) -> list[Curve]:
        """Judge the votes that are there.

        Args:
            pictures: which of them.
            radius: from the votes and sigma; −1 for none or a wrong label.
            first: how many of the votes chose the label.
        """
        curves = []
        for name, file in self.files.items():
            records = {p.name: Record(**file[p.name]) for p in pictures if p.name in file}
            radii = {picture: radius(record, self.sigma) for picture, record in records.items()}
            if radii:
                curves.append(
                    Curve(name, self.label, self.sigma, file.header, radii, records, first)
                )
        return curves


def collect_all(
    everything: Sequence[Series], pictures: Sequence[Picture], stop: Stop, most: int
) -> Iterator[Series]:
    """Collect one series after the other, with a bar; Ctrl-C ends it without an error.

    Yields:
        Each series when it is complete.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(everything) * len(pictures))
        try:
            for series in everything:
                progress.update(bar, description=f"{series.label}, sigma {series.sigma:g}")
                for _ in series.collect(pictures, stop, most):
                    progress.advance(bar)
                yield series
        except KeyboardInterrupt:
            progress.console.print("ended early; the same command goes on from here")
