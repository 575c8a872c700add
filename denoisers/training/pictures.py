"""Pictures to learn from: folders, zips and the original CIFAR-10 archives, any sizes mixed.

Decoded once into one flat file beside the run's output and mapped into memory, since decoding
in every epoch would take longer than the training and a large set need not fit into memory.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from denoisers.errors import BadData, CannotSave
from denoisers.training import parting
from denoisers.training.files import clear_away, moved_to, told, write_whole
from denoisers.training.sources import Source, open_source, reduced

Watch = Callable[[int, int], None]  # pictures that are decoded, of how many
Tell = Callable[[str], None]
Wanted = Sequence[tuple[Source, list[str]]]  # of each source the pictures of these names

FORMAT = 2  # of the decoded files; a new one leaves old files unread
SHOWN_DAMAGED = 20
EIGHTH = 2**8 // 8  # of the range


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of any sizes, one behind the other.

    Attributes:
        pixels: uint8, flat: the rows of one picture after the other, RGB.
        shapes: int64 (N, 2), height and width of each.
        names: where each came from.
        digest: SHA-256 of pixels and shapes; "" if nobody asked for it.
        dim: how many had 16 bits and no value in the upper seven eighths of the range.
    """

    pixels: NDArray[np.uint8]
    shapes: NDArray[np.int64]
    names: tuple[str, ...]
    digest: str = ""
    dim: int = 0

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
    hold_out: int = parting.HOLD_OUT,
    also_at: int | None = None,
    watch: Watch = lambda *_: None,
    tell: Tell = lambda _: None,
) -> tuple[Pictures, Pictures]:
    """Read pictures to train on and pictures to measure with.

    Parted as :func:`denoisers.training.parting.split` says.

    Args:
        data: folders, zips and CIFAR-10 archives.
        cache: folder for the decoded pictures.
        hold_out: 10 keeps the tenth, twentieth, … for measuring.
        also_at: shorter side to which every picture is reduced and taken once more.
        watch: called after every picture that had to be decoded.
        tell: is told of each source by what its pictures were parted, and of pictures of which
            little is left in 8 bits.

    Returns:
        Training pictures and held-out pictures.

    Raises:
        BadData: if there are none, or some are damaged; names these.
        CannotSave: if the decoded pictures have no room in the cache.
    """
    if hold_out < 2:
        raise BadData("--hold-out must be at least 2: with 10, every tenth picture is kept apart")
    sources = [open_source(path) for path in data]
    for said in parting.how(sources, hold_out):
        tell(said)
    if also_at is not None:
        sources += [reduced(source, also_at) for source in sources]
    parts = parting.split(sources, hold_out)
    train = [(source, names) for source, (names, _) in zip(sources, parts, strict=True)]
    test = [(source, names) for source, (_, names) in zip(sources, parts, strict=True)]
    if not any(names for _, names in train):
        raise BadData(
            "no pictures to learn from: what is named test, itself or a folder, is never learnt"
        )
    if not any(names for _, names in test):
        raise BadData(
            "no pictures to measure with: give more of them, or keep more apart with --hold-out 2"
        )
    learnt, apart = decoded({cache / "train": train, cache / "test": test}, watch, tell)
    return learnt, apart


def decoded(
    wanted: Mapping[Path, Wanted], watch: Watch = lambda *_: None, tell: Tell = lambda _: None
) -> list[Pictures]:
    """Decode collections of pictures, or find them decoded.

    Args:
        wanted: folder and beginning of the names of the decoded files → what goes into them.
        watch: called after every picture that had to be decoded.
        tell: is told of pictures of which little is left in 8 bits.

    Returns:
        Each collection.

    Raises:
        BadData: if some are damaged; names the first of all of them.
        CannotSave: if there is no room for the decoded files.
    """
    files = [_Files.of(stem, each) for stem, each in wanted.items()]
    if missing := [each for each in files if each.found() is None]:
        _check_room(missing)
        _decode(missing, watch)
    made = []
    for each in files:
        if (found := each.found()) is None:
            raise BadData(f"{each.flat} does not stay as it was written: delete it and try again")
        made.append(found)
    if dim := sum(found.dim for found in made):
        tell(
            f"{dim:,} 16-bit pictures have no value beyond an eighth of the range, and few greys "
            "are left of them in 8 bits: scale them to 0…65535"
        )
    return made


@dataclass(frozen=True)
class _Files:
    """Decoded files, and what they are made of."""

    flat: Path
    index: Path
    wanted: Wanted
    names: tuple[str, ...]

    @classmethod
    def of(cls, stem: Path, wanted: Wanted) -> "_Files":
        names = [f"{source.title}/{name}" for source, part in wanted for name in part]
        marks = [str(FORMAT), *(source.mark for source, _ in wanted), *names]
        key = hashlib.sha256("\n".join(marks).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        flat, index = (stem.with_name(f"{stem.name}-{key}.{end}") for end in ("raw", "json"))
        return cls(flat, index, wanted, tuple(names))

    def found(self) -> Pictures | None:
        try:
            noted = json.loads(self.index.read_text())
            shapes = np.array(noted["shapes"], dtype=np.int64).reshape(-1, 2)
            pixels = np.memmap(self.flat, dtype=np.uint8, mode="r")
            digest, dim = str(noted["sha256"]), int(noted.get("dim", 0))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # never decoded, or in part deleted
        if len(shapes) != len(self.names) or int(shapes.prod(axis=1).sum()) * 3 != len(pixels):
            return None
        return Pictures(pixels, shapes, self.names, digest, dim)


class _Damaged(Exception):
    """Leaves a file that is being written."""


def _check_room(missing: Iterable[_Files]) -> None:
    """Compare with the disk first: it would be full after hours of decoding.

    Raises:
        CannotSave: if the disk has less room than the decoded pictures take.
    """
    needed = 0
    for each in missing:
        folder = each.flat.parent
        folder.mkdir(parents=True, exist_ok=True)
        clear_away(each.flat)  # what a kill has left takes room too
        headers = (source.header(name) for source, names in each.wanted for name in names)
        needed += sum(3 * header.height * header.width for header in headers)
    disk = shutil.disk_usage(folder)
    free = disk.free
    if disk.total and needed > free:  # some file systems tell nothing
        raise CannotSave(
            f"the decoded pictures take {needed:,} bytes, 3 a pixel, and {folder} has {free:,} "
            "free: make room, or give an --out elsewhere"
        )


def _decode(missing: Iterable[_Files], watch: Watch) -> None:
    damaged: dict[str, None] = {}  # in order; a picture that is taken at two sizes is named once
    for each in missing:
        with contextlib.suppress(_Damaged):
            _decode_into(each, damaged, watch)
    if len(damaged) > 1:
        more = len(damaged) - SHOWN_DAMAGED
        raise BadData(
            f"{len(damaged):,} pictures cannot be used: {'; '.join([*damaged][:SHOWN_DAMAGED])}"
            + (f"; and {more:,} more" if more > 0 else "")
        )
    for reason in damaged:
        raise BadData(reason)


def _decode_into(each: _Files, damaged: dict[str, None], watch: Watch) -> None:
    """Decode one file after the other; once one is damaged only look for others."""
    shapes: list[tuple[int, ...]] = []
    digest, total, done, dim = hashlib.sha256(), len(each.names), 0, 0
    with told(each.flat), moved_to(each.flat) as file:  # runs may share a cache
        for source, name in ((source, name) for source, names in each.wanted for name in names):
            try:
                array = np.ascontiguousarray(source.read(name))
            except BadData as error:
                damaged[str(error)] = None
            if not damaged:
                shapes.append(array.shape[:2])
                digest.update(array.data)
                file.write(array.data)
                dim += int(array.max()) < EIGHTH and source.header(name).deep
            done += 1
            watch(done, total)
        if damaged:
            raise _Damaged
    digest.update(np.array(shapes, dtype="<i8").tobytes())
    noted = {"sha256": digest.hexdigest(), "shapes": shapes, **({"dim": dim} if dim else {})}
    write_whole(each.index, json.dumps(noted).encode())  # last: it says that all is there
