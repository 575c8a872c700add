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
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from certification.canonical import FORMATS
from certification.errors import UnsupportedImage
from certification.samples import SIXTEEN_BIT, depth_steps, to_rgb, upright
from denoisers.errors import BadData
from denoisers.training import cifar

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
PARTS = ("train", "test")
HIDDEN = (".", "__MACOSX")
LARGEST, PIECE = 2**29, 2**20  # bytes of a file, and of what is read of it at once


class Header(NamedTuple):
    """What is known of a picture before it is decoded.

    Attributes:
        height: of the file; 0, as the width, where it is damaged.
        width: of the file.
        deep: whether its samples have 16 bits.
    """

    height: int
    width: int
    deep: bool = False


@dataclass(frozen=True)
class Source:
    """A collection of pictures.

    Attributes:
        title: its file name.
        mark: changes when the collection does.
        names: of its pictures, sorted, with "/" between folders.
        read: name → uint8 (H, W, 3).
        header: name → its header; cheap.
        part: "train" or "test" if the collection itself is called so, else "".
    """

    title: str
    mark: str
    names: list[str]
    read: Callable[[str], NDArray[np.uint8]]
    header: Callable[[str], Header]
    part: str = ""


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
        names, read = sorted(pictures), pictures.__getitem__
        return Source(path.name, digest, names, read, lambda name: Header(*read(name).shape[:2]))
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
        width, height = smaller(whole.size)
        if (width, height) != whole.size:
            whole = whole.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(whole, dtype=np.uint8)

    def header(name: str) -> Header:
        height, width, _ = source.header(name)
        return Header(*smaller((height, width)))

    def smaller(size: tuple[int, int]) -> tuple[int, int]:
        shorter = min(size)
        if shorter <= side:
            return size
        one, other = (max(side, round(length * side / shorter)) for length in size)
        return one, other

    title, mark = (f"{text} at {side}" for text in (source.title, source.mark))
    return Source(title, mark, source.names, read, header, source.part)


def _folder(path: Path) -> Source:
    names = sorted(name for name in _walk(path) if _is_picture(PurePosixPath(name)))
    if not names and any(path.glob("data_batch_*")):
        raise BadData(f"{path} is CIFAR-10 unpacked: name the archive that it came in instead")
    states = [(path / name).stat() for name in names]
    # Pictures of one size and time may have changed their names among each other.
    mark = _digest([(s.st_size, s.st_mtime_ns, s.st_ino) for s in states])
    return _pictures(path, mark, names, lambda name: (path / name).open("rb"))


def _walk(top: Path) -> Iterator[str]:
    """Yield all files below a folder, links to others followed, but not round in a circle."""
    above: dict[str, frozenset[tuple[int, int]]] = {}
    for folder, below, files in os.walk(top, followlinks=True, onerror=_unreadable):
        state = os.stat(folder)
        here = above.pop(folder, frozenset()) | {(state.st_dev, state.st_ino)}
        below[:] = [name for name in below if not name.startswith(HIDDEN)]
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


def _unreadable(error: OSError) -> None:
    if Path(error.filename).name == "lost+found":  # of a whole disk, and the system's own
        return
    raise BadData(f"the folder {error.filename} cannot be read: {error.strerror}")


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
    return _pictures(path, mark, names, lambda name: archive.open(files[name]))


def _is_picture(name: PurePosixPath | Path) -> bool:
    """Tell by its ending; what macOS adds to a zip and hidden files are none."""
    hidden = any(part.startswith(HIDDEN) and part != ".." for part in name.parts)
    return name.suffix.lower() in ENDINGS and not hidden


def _digest(what: object) -> str:
    return hashlib.sha256(repr(what).encode("utf-8", "surrogateescape")).hexdigest()


def _own_part(path: Path) -> str:
    place = Path(os.path.abspath(path))  # `.` has no name
    name = (place.name if path.is_dir() else place.stem).casefold()
    return name if name in PARTS else ""


def _pictures(
    path: Path, mark: str, names: list[str], opened: Callable[[str], IO[bytes]]
) -> Source:
    if not names:
        raise BadData(f"{path} holds no pictures ({', '.join(sorted(ENDINGS))})")

    def decode(name: str) -> NDArray[np.uint8]:
        try:
            with opened(name) as file:
                return _decoded(_content(file))
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

    def header(name: str) -> Header:
        try:
            with opened(name) as file:
                return _header(file)
        except Exception:  # noqa: BLE001  which decoding will tell of
            return Header(0, 0)

    return Source(path.name, mark, names, decode, header, _own_part(path))


def _content(file: IO[bytes]) -> bytes:
    """Read a file in pieces: of a zip a small one may become endless."""
    data = bytearray()
    while piece := file.read(PIECE):
        data += piece
        if len(data) > LARGEST:
            raise UnsupportedImage(f"it has more than {LARGEST:,} bytes")
    return bytes(data)


def _header(file: IO[bytes]) -> Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=FORMATS) as picture:
            deep = picture.mode.startswith("I;16") or SIXTEEN_BIT in depth_steps(picture)
            return Header(picture.height, picture.width, deep)


def _decoded(data: bytes) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large and odd files
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            frames = getattr(picture, "n_frames", 1)
            if frames > 1 and picture.format != "MPO":  # of which the service takes the first too
                raise UnsupportedImage(
                    f"it holds {frames} frames or pages: save each in a file of its own"
                )
            steps = depth_steps(picture)
            picture.load()
            return np.asarray(to_rgb(upright(picture, steps), steps), dtype=np.uint8)
