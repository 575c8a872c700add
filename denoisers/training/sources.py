"""Where pictures come from: a folder, a zip, or CIFAR-10 as its authors publish it.

Decoded as the service decodes an upload: turned upright, transparency flattened on white, 16-bit
grey reduced to its upper byte, so that a denoiser learns from what it will be given.
"""

import hashlib
import io
import os
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from certification.errors import UnsupportedImage
from certification.samples import depth_steps, to_rgb, upright
from denoisers.errors import BadData
from denoisers.training import cifar

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Source:
    """A collection of pictures.

    Attributes:
        title: its file name.
        mark: changes when the collection does.
        names: of its pictures, sorted, with "/" between folders.
        read: name → uint8 (H, W, 3).
    """

    title: str
    mark: str
    names: list[str]
    read: Callable[[str], NDArray[np.uint8]]


def open_source(path: Path) -> Source:
    """Open a folder, a zip or a CIFAR-10 archive (`cifar-10-binary.tar.gz` or `-python`).

    Raises:
        BadData: if it is none of these, or holds no pictures.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise BadData(f"{path} does not exist: name a folder, a zip or a CIFAR-10 archive")
    if zipfile.is_zipfile(path):
        return _zip(path)
    if tarfile.is_tarfile(path):
        digest, pictures = cifar.read(path)
        return Source(path.name, digest, sorted(pictures), pictures.__getitem__)
    raise BadData(
        f"{path} is neither a folder, nor a zip, nor a CIFAR-10 archive; or it is not complete"
    )


def reduced(source: Source, side: int) -> Source:
    """Return the same pictures, each reduced until its shorter side has so many pixels.

    A picture that is brought to a classifier's size shows more detail in a square of pixels than
    the one that was taken.

    Args:
        source: the pictures; smaller ones stay as they are.
        side: pixels.
    """

    def read(name: str) -> NDArray[np.uint8]:
        whole = Image.fromarray(source.read(name))
        shorter = min(whole.size)
        if shorter > side:
            width, height = (max(side, round(length * side / shorter)) for length in whole.size)
            whole = whole.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(whole, dtype=np.uint8)

    return Source(f"{source.title} at {side}", f"{source.mark} at {side}", source.names, read)


def _folder(path: Path) -> Source:
    names = sorted(name for name in _walk(path) if _is_picture(PurePosixPath(name)))
    if not names and any(path.glob("data_batch_*")):
        raise BadData(f"{path} is CIFAR-10 unpacked: name the archive that it came in instead")
    states = [(path / name).stat() for name in names]
    mark = _digest([(state.st_size, state.st_mtime_ns) for state in states])
    return _pictures(path, mark, names, lambda name: (path / name).read_bytes())


def _walk(top: Path) -> Iterator[str]:
    """Yield all files below a folder, links to others followed, but not round in a circle."""
    above: dict[str, frozenset[tuple[int, int]]] = {}
    for folder, below, files in os.walk(top, followlinks=True):
        state = os.stat(folder)
        here = above.pop(folder, frozenset()) | {(state.st_dev, state.st_ino)}
        for name in list(below):
            path = os.path.join(folder, name)
            state = os.stat(path)
            if (state.st_dev, state.st_ino) in here:
                below.remove(name)
            above[path] = here
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield Path(path).relative_to(top).as_posix()


def _zip(path: Path) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise BadData(f"{path} is a damaged zip ({error})") from None
    mark = _digest([(i.filename, i.CRC, i.file_size) for i in archive.infolist()])
    # Some of Windows' packers leave its own sign between folders.
    files = {
        i.filename.replace("\\", "/"): i.filename for i in archive.infolist() if not i.is_dir()
    }
    names = sorted(name for name in files if _is_picture(PurePosixPath(name)))
    return _pictures(path, mark, names, lambda name: archive.read(files[name]))


def _is_picture(name: PurePosixPath | Path) -> bool:
    """Tell by its ending; what macOS adds to a zip and hidden files are none."""
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in name.parts)
    return name.suffix.lower() in ENDINGS and not hidden


def _digest(what: object) -> str:
    return hashlib.sha256(repr(what).encode("utf-8", "surrogateescape")).hexdigest()


def _pictures(path: Path, mark: str, names: list[str], read: Callable[[str], bytes]) -> Source:
    if not names:
        raise BadData(f"{path} holds no pictures ({', '.join(sorted(ENDINGS))})")

    def decode(name: str) -> NDArray[np.uint8]:
        try:
            return _decoded(read(name))
        except UnidentifiedImageError:
            raise BadData(
                f"{name} of {path} is not a picture of a known format: take it away, or mend it"
            ) from None
        except UnsupportedImage as error:
            raise BadData(f"the picture {name} of {path} cannot be used: {error}") from None
        except Exception as error:  # noqa: BLE001  decoders raise all sorts on damaged data
            raise BadData(
                f"the picture {name} of {path} cannot be read ({type(error).__name__})"
            ) from None

    return Source(path.name, mark, names, decode)


def _decoded(data: bytes) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large and odd files
        with Image.open(io.BytesIO(data)) as picture:
            steps = depth_steps(picture)
            picture.load()
            return np.asarray(to_rgb(upright(picture, steps), steps), dtype=np.uint8)
