"""Pictures for training, from a folder or a zip laid out as train/CLASS/*.jpg, test/CLASS/*.

Decoded once into one uint8 array and kept beside the run's output, since decoding 50,000
pictures in every epoch would take longer than the training.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from denoisers.errors import BadData

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
Read = Callable[[str], bytes]


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures of one size.

    Attributes:
        images: uint8 tensor (N, 3, H, W).
        labels: int64 tensor (N,), indices into `classes`.
        classes: names, sorted.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]


def load_pictures(data: Path, part: str, cache: Path, size: int = 32) -> Pictures:
    """Read one part ("train" or "test") of a data set.

    Args:
        data: folder or zip.
        part: name of the part's folder.
        cache: folder for the decoded array.
        size: side that every picture must have, in pixels.

    Returns:
        The pictures, ordered by path.

    Raises:
        BadData: if there are none, one is damaged or of another size, or the layout differs.
    """
    names, read = _listing(data, part)
    classes = tuple(sorted({PurePosixPath(name).parts[-2] for name in names}))
    digest = hashlib.sha256("\n".join([str(size), *names]).encode()).hexdigest()[:16]
    kept = cache / f"{part}-{digest}.npy"
    if kept.exists():
        array = np.load(kept, allow_pickle=False)
    else:
        array = np.stack([_decode(name, read, size) for name in names])
        cache.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}.tmp")
        with aside.open("wb") as file:
            np.save(file, array)
        aside.replace(kept)
    labels = [classes.index(PurePosixPath(name).parts[-2]) for name in names]
    images = torch.from_numpy(array).permute(0, 3, 1, 2).contiguous()
    return Pictures(images, torch.tensor(labels), classes)


def _listing(data: Path, part: str) -> tuple[list[str], Read]:
    if data.is_dir():
        paths = [p.relative_to(data).as_posix() for p in data.rglob("*") if p.is_file()]

        def read(name: str) -> bytes:
            return (data / name).read_bytes()
    elif data.is_file():
        try:
            archive = zipfile.ZipFile(data)
        except (zipfile.BadZipFile, OSError) as error:
            raise BadData(f"{data} is neither a folder nor a zip ({error})") from None
        paths, read = archive.namelist(), archive.read
    else:
        raise BadData(f"{data} does not exist: name a folder or a zip of pictures")
    names = sorted(
        path
        for path in paths
        if PurePosixPath(path).suffix.lower() in ENDINGS
        and PurePosixPath(path).parts[-3:-2] == (part,)
    )
    if not names:
        raise BadData(
            f"{data} holds no pictures under {part}/CLASS/: expected files such as "
            f"{part}/cat/0001.jpg ({', '.join(sorted(ENDINGS))})"
        )
    return names, read


def _decode(name: str, read: Read, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(read(name))) as picture:
            array = np.asarray(picture.convert("RGB"))
    except Exception as error:  # noqa: BLE001  decoders raise all sorts on damaged data
        raise BadData(f"the picture {name} cannot be read ({type(error).__name__})") from None
    if array.shape != (size, size, 3):
        height, width = array.shape[:2]
        raise BadData(f"the picture {name} is {width}×{height}, not {size}×{size}")
    return array
