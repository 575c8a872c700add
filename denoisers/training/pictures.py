"""Pictures to learn from: folders, zips and the original CIFAR-10 archives, any sizes mixed.

Decoded once into one flat file beside the run's output and mapped into memory, since decoding
in every epoch would take longer than the training and a large set need not fit into memory.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from denoisers.errors import BadData
from denoisers.training.files import moved_to, told, write_whole
from denoisers.training.sources import Source, open_source, reduced

Watch = Callable[[int, int], None]  # pictures that are decoded, of how many

FORMAT = 2  # of the decoded files; a new one leaves old files unread


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of any sizes, one behind the other.

    Attributes:
        pixels: uint8, flat: the rows of one picture after the other, RGB.
        shapes: int64 (N, 2), height and width of each.
        names: where each came from.
        digest: SHA-256 of pixels and shapes; "" if nobody asked for it.
    """

    pixels: NDArray[np.uint8]
    shapes: NDArray[np.int64]
    names: tuple[str, ...]
    digest: str = ""

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
        self,
        chosen: Iterable[int],
        size: int,
        generator: torch.Generator,
        *,
        shift: int = 0,
        turns: bool = False,
    ) -> torch.Tensor:
        """Cut one square out of each chosen picture, at random, flipped at random.

        Args:
            chosen: indices of pictures, none smaller than `size`.
            size: side of the squares, in pixels.
            generator: source of every choice.
            shift: pixels by which a square may stand over the edge, which is reflected there.
            turns: turn each by 0 to 3 quarter turns as well.

        Returns:
            uint8 (N, 3, size, size).
        """
        wanted = list(chosen)
        places = torch.rand((len(wanted), 3), generator=generator).numpy()
        quarters = torch.randint(4, (len(wanted),), generator=generator).tolist() if turns else []
        out = np.empty((len(wanted), size, size, 3), dtype=np.uint8)
        for row, index in enumerate(wanted):
            whole = self.picture(index)
            if shift:
                whole = np.pad(whole, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
            top, left = (int(p * (s - size + 1)) for p, s in zip(places[row], whole.shape[:2]))  # noqa: B905
            cut = whole[top : top + size, left : left + size]
            cut = cut[:, ::-1] if places[row, 2] < 0.5 else cut
            out[row] = np.rot90(cut, quarters[row]) if turns else cut
        return torch.from_numpy(out).permute(0, 3, 1, 2)

    def at_least(self, size: int) -> list[int]:
        """Return the indices of all pictures whose sides are both at least `size`."""
        return [int(i) for i in np.flatnonzero(self.shapes.min(axis=1) >= size)]


def load_all(
    data: Iterable[Path],
    cache: Path,
    *,
    hold_out: int = 10,
    also_at: int | None = None,
    watch: Watch = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Pictures, Pictures]:
    """Read pictures to train on and pictures to measure with.

    Where a path leads through a folder `train` or `test` (or `Test`), that decides; pictures of
    such a source that are in neither are left alone. Of a source with neither every `hold_out`-th
    picture is kept for measuring, and of one with `train` alone every `hold_out`-th of those.

    Args:
        data: folders, zips and CIFAR-10 archives.
        cache: folder for the decoded pictures.
        hold_out: 10 keeps the tenth, twentieth, … for measuring.
        also_at: shorter side to which every picture is reduced and taken once more.
        watch: called after every picture that had to be decoded.
        tell: is told of each source by what its pictures were parted.

    Returns:
        Training pictures and held-out pictures.

    Raises:
        BadData: if there are none, or one is damaged.
        CannotSave: if the decoded pictures have no room in the cache.
    """
    if hold_out < 2:
        raise BadData("--hold-out must be at least 2: with 10, every tenth picture is kept apart")
    sources = [open_source(path) for path in data]
    for source in sources:
        tell(f"{source.title}: {_how(source.names, hold_out)}")
    if also_at is not None:
        sources += [reduced(source, also_at) for source in sources]
    parts = [_split(source.names, hold_out) for source in sources]
    train = [(source, names) for source, (names, _) in zip(sources, parts, strict=True)]
    test = [(source, names) for source, (_, names) in zip(sources, parts, strict=True)]
    if not any(names for _, names in train):
        raise BadData("no pictures to learn from: those in folders named test are never learnt")
    if not any(names for _, names in test):
        raise BadData(
            "no pictures to measure with: give more of them, or keep more apart with --hold-out 2"
        )
    return decoded(train, cache / "train", watch), decoded(test, cache / "test", watch)


def _parts(names: list[str]) -> dict[str, list[str]]:
    """Return the names by the first folder of their path that is called train or test."""
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for name in names:
        for folder in name.casefold().split("/")[:-1]:
            if folder in parts:
                parts[folder].append(name)
                break
    return parts


def _split(names: list[str], hold_out: int) -> tuple[list[str], list[str]]:
    parts = _parts(names)
    if parts["test"]:
        return parts["train"], parts["test"]
    names = parts["train"] or names
    return (
        [name for place, name in enumerate(names) if (place + 1) % hold_out],
        names[hold_out - 1 :: hold_out],
    )


def _how(names: list[str], hold_out: int) -> str:
    """Say by what names were parted, since a folder that is called otherwise decides nothing."""
    parts = _parts(names)
    there = [part for part, found in parts.items() if found]
    kept_apart = f"one of {hold_out} is kept apart to measure with"
    if not there:
        return f"no folder train or test; {kept_apart}"
    left_alone = len(names) - sum(map(len, parts.values()))
    said = f"by its folder{'s' if len(there) > 1 else ''} {' and '.join(there)}"
    if there == ["train"]:
        said += f"; {kept_apart}"
    return said + (f"; {left_alone:,} pictures elsewhere are left alone" if left_alone else "")


def decoded(
    wanted: list[tuple[Source, list[str]]], stem: Path, watch: Watch = lambda *_: None
) -> Pictures:
    """Decode pictures, or find them decoded.

    Args:
        wanted: sources, and the names of the pictures that are wanted of each.
        stem: folder and beginning of the names of the decoded files.
        watch: called after every picture that had to be decoded.

    Raises:
        BadData: if one is damaged.
        CannotSave: if there is no room for the decoded files.
    """
    names = [f"{source.title}/{name}" for source, part in wanted for name in part]
    marks = [str(FORMAT), *(source.mark for source, _ in wanted), *names]
    key = hashlib.sha256("\n".join(marks).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    flat, index = (stem.with_name(f"{stem.name}-{key}.{end}") for end in ("raw", "json"))
    found = _kept(flat, index, tuple(names))
    if found is None:
        _decode_into(wanted, flat, index, watch)
        found = _kept(flat, index, tuple(names))
    if found is None:
        raise BadData(f"{flat} does not stay as it was written: delete it and try again")
    return found


def _kept(flat: Path, index: Path, names: tuple[str, ...]) -> Pictures | None:
    try:
        noted = json.loads(index.read_text())
        shapes = np.array(noted["shapes"], dtype=np.int64).reshape(-1, 2)
        pixels = np.memmap(flat, dtype=np.uint8, mode="r")
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never decoded, or in part deleted
    if len(shapes) != len(names) or int(shapes.prod(axis=1).sum()) * 3 != len(pixels):
        return None
    return Pictures(pixels, shapes, names, str(noted["sha256"]))


def _decode_into(
    wanted: list[tuple[Source, list[str]]], flat: Path, index: Path, watch: Watch
) -> None:
    flat.parent.mkdir(parents=True, exist_ok=True)
    shapes: list[tuple[int, ...]] = []
    digest, total = hashlib.sha256(), sum(len(names) for _, names in wanted)
    with told(flat), moved_to(flat) as file:  # runs may share a cache
        for source, names in wanted:
            for name in names:
                array = np.ascontiguousarray(source.read(name))
                shapes.append(array.shape[:2])
                digest.update(array.data)
                file.write(array.data)
                watch(len(shapes), total)
    digest.update(np.array(shapes, dtype="<i8").tobytes())
    noted = {"sha256": digest.hexdigest(), "shapes": shapes}
    write_whole(index, json.dumps(noted).encode())  # last: its presence says that all is there
