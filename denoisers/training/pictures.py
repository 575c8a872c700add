"""Pictures to learn from: folders, zips and the original CIFAR-10 archives, any sizes mixed.

Decoded once into one flat file beside the run's output and mapped into memory, since decoding
in every epoch would take longer than the training and a large set need not fit into memory.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from denoisers.errors import BadData
from denoisers.training.sources import Source, open_source

FORMAT = 1  # of the decoded files; a new one leaves old files unread


@dataclass(frozen=True)
class Pictures:
    """Pictures of any sizes, one behind the other.

    Attributes:
        pixels: uint8, flat: the rows of one picture after the other, RGB.
        shapes: int64 (N, 2), height and width of each.
        names: where each came from.
    """

    pixels: NDArray[np.uint8]
    shapes: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        ends = np.cumsum(self.shapes.prod(axis=1) * 3)
        object.__setattr__(self, "_starts", np.concatenate([[0], ends[:-1]]))

    def __len__(self) -> int:
        return len(self.shapes)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return one picture, uint8 (H, W, 3); a view."""
        height, width = (int(side) for side in self.shapes[index])
        start = int(self._starts[index])  # type: ignore[attr-defined]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def crops(
        self, chosen: Iterable[int], size: int, generator: torch.Generator, *, shift: int = 0
    ) -> torch.Tensor:
        """Cut one square out of each chosen picture, at random, flipped at random.

        Args:
            chosen: indices of pictures, none smaller than `size`.
            size: side of the squares, in pixels.
            generator: source of every choice.
            shift: pixels by which a square may stand over the edge, which is reflected there.

        Returns:
            uint8 (N, 3, size, size).
        """
        wanted = list(chosen)
        places = torch.rand((len(wanted), 3), generator=generator).numpy()
        out = np.empty((len(wanted), size, size, 3), dtype=np.uint8)
        for row, index in enumerate(wanted):
            whole = self.picture(index)
            if shift:
                whole = np.pad(whole, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
            top, left = (int(p * (s - size + 1)) for p, s in zip(places[row], whole.shape[:2]))  # noqa: B905
            cut = whole[top : top + size, left : left + size]
            out[row] = cut[:, ::-1] if places[row, 2] < 0.5 else cut
        return torch.from_numpy(out).permute(0, 3, 1, 2)

    def at_least(self, size: int) -> "list[int]":
        """Return the indices of the pictures whose sides are both at least `size` pixels."""
        return [int(i) for i in np.flatnonzero(self.shapes.min(axis=1) >= size)]


def load_all(
    data: Iterable[Path], cache: Path, *, hold_out: int = 10
) -> tuple[Pictures, Pictures]:
    """Read pictures to train on and pictures to measure with.

    Args:
        data: folders, zips or CIFAR-10 archives. One that holds folders `train` and `test` is
            taken at its word; of another every `hold_out`-th picture, by name, is kept apart.
        cache: folder for the decoded pictures.
        hold_out: 10 keeps the tenth, twentieth, … for measuring.

    Returns:
        Training pictures and held-out pictures.

    Raises:
        BadData: if there are none, or one is damaged.
    """
    sources = [open_source(path) for path in data]
    parts = [_split(source.names, hold_out) for source in sources]
    train = [(source, names) for source, (names, _) in zip(sources, parts, strict=True)]
    test = [(source, names) for source, (_, names) in zip(sources, parts, strict=True)]
    return _decoded(train, cache / "train"), _decoded(test, cache / "test")


def _split(names: list[str], hold_out: int) -> tuple[list[str], list[str]]:
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for name in names:
        for folder in name.split("/")[:-1]:
            if folder in parts:
                parts[folder].append(name)
                break
    if parts["train"]:
        return parts["train"], parts["test"]
    return (
        [name for place, name in enumerate(names) if (place + 1) % hold_out],
        names[hold_out - 1 :: hold_out],
    )


def _decoded(wanted: list[tuple[Source, list[str]]], stem: Path) -> Pictures:
    names = [f"{source.title}:{name}" for source, part in wanted for name in part]
    if not names:
        raise BadData(f"no pictures to {'learn from' if stem.name == 'train' else 'measure with'}")
    marks = [str(FORMAT), *(source.mark for source, _ in wanted), *names]
    digest = hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16]
    flat, index = (stem.with_name(f"{stem.name}-{digest}.{end}") for end in ("raw", "json"))
    if not index.exists():
        _decode_into(wanted, flat, index)
    shapes = np.array(json.loads(index.read_text()), dtype=np.int64)
    pixels = np.memmap(flat, dtype=np.uint8, mode="r")
    if len(shapes) != len(names) or int(shapes.prod(axis=1).sum()) * 3 != len(pixels):
        raise BadData(f"{flat.name} was left half-written: delete {flat.parent} and try again")
    return Pictures(pixels, shapes, tuple(names))


def _decode_into(wanted: list[tuple[Source, list[str]]], flat: Path, index: Path) -> None:
    flat.parent.mkdir(parents=True, exist_ok=True)
    aside = flat.with_suffix(f".{os.getpid()}.tmp")
    shapes: list[tuple[int, ...]] = []
    try:
        with aside.open("wb") as file:
            for source, names in wanted:
                for name in names:
                    array = source.read(name)
                    shapes.append(array.shape[:2])
                    file.write(np.ascontiguousarray(array).data)
        aside.replace(flat)
    finally:
        aside.unlink(missing_ok=True)
    listed = index.with_suffix(f".{os.getpid()}.tmp")
    listed.write_text(json.dumps(shapes))
    listed.replace(index)  # last: its presence says that the pixels are complete
