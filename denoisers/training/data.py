"""Pictures of one size with labels, for training a classifier: train/CLASS/* and test/CLASS/*.

From the same folders, zips and CIFAR-10 archives, and kept decoded in the same way, as the
pictures that a denoiser learns from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from denoisers.errors import BadData
from denoisers.training.pictures import Tell, decoded
from denoisers.training.sources import open_source


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled pictures of one size.

    Attributes:
        images: uint8 tensor (N, 3, H, W).
        labels: int64 tensor (N,), indices into `classes`.
        classes: names, sorted.
        digest: SHA-256 of the pictures.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    digest: str = ""


def load_pictures(
    data: Path,
    part: str,
    cache: Path,
    size: int = 32,
    classes: Sequence[str] | None = None,
    tell: Tell = lambda _: None,
) -> Pictures:
    """Read one part ("train" or "test") of a data set.

    Args:
        data: folder, zip or CIFAR-10 archive.
        part: name of the part's folder.
        cache: folder for the decoded pictures.
        size: side that every picture must have, in pixels.
        classes: that the labels count, such as the training part's; None for those found.
        tell: is told of pictures of which little is left in 8 bits, and of those that lie deeper.

    Returns:
        The pictures, ordered by path.

    Raises:
        BadData: if there are none, one is damaged, of another size or of no such class, or the
            layout differs.
        CannotSave: if the decoded pictures have no room in the cache.
    """
    source = open_source(data)
    names = [n for n in source.names if PurePosixPath(n.casefold()).parts[-3:-2] == (part,)]
    if not names:
        raise BadData(
            f"{data} holds no pictures under {part}/CLASS/: expected files such as "
            f"{part}/cat/0001.jpg"
        )
    others = set(source.names) - set(names)
    if deeper := sum(part in PurePosixPath(n.casefold()).parts[:-3] for n in others):
        tell(f"{deeper:,} pictures lie deeper than {part}/CLASS/ and are left alone")
    (found,) = decoded({cache / part: [(source, names)]}, tell=tell)
    for name, (height, width) in zip(names, found.shapes.tolist(), strict=True):
        if (height, width) != (size, size):
            raise BadData(f"the picture {name} is {width}×{height}, not {size}×{size}")
    folders = [PurePosixPath(name).parts[-2] for name in names]
    classes = tuple(sorted(set(folders)) if classes is None else classes)
    if strange := sorted(set(folders) - set(classes)):
        raise BadData(
            f"{data}: {part} has a class {strange[0]!r}, which is none of those learnt "
            f"({', '.join(classes)}): folders of one class must be called alike in both parts"
        )
    number = {name: place for place, name in enumerate(classes)}
    pixels = torch.from_numpy(found.pixels.reshape(-1, size, size, 3).copy())
    images = pixels.permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([number[folder] for folder in folders])
    return Pictures(images, labels, classes, found.digest)
