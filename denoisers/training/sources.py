"""Where pictures come from: a folder, a zip, or CIFAR-10 as its authors publish it.

The Python version of CIFAR-10 is a pickle. It is read by an unpickler that knows the four names
that such a file needs (numpy's array, its dtype, how they are put together, and bytes) and
refuses every other, so that a prepared file cannot run anything.
"""

import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denoisers.errors import BadData

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
CIFAR_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
RECORD = 1 + 3 * 32 * 32  # label, then red, green and blue planes
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: np.ndarray((0,), np.uint8),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: np.ndarray((0,), np.uint8),
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
}


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
        return _cifar(path)
    raise BadData(f"{path} is neither a folder, nor a zip, nor a CIFAR-10 archive")


def _folder(path: Path) -> Source:
    files = [p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()]
    names = sorted(p.relative_to(path).as_posix() for p in files)
    sizes = hashlib.sha256(repr([(path / n).stat().st_size for n in names]).encode()).hexdigest()
    return _pictures(path, sizes, names, lambda name: (path / name).read_bytes())


def _zip(path: Path) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise BadData(f"{path} is a damaged zip ({error})") from None
    sizes = hashlib.sha256(repr([i.CRC for i in archive.infolist()]).encode()).hexdigest()
    names = [n for n in archive.namelist() if PurePosixPath(n).suffix.lower() in ENDINGS]
    return _pictures(path, sizes, sorted(names), archive.read)


def _pictures(path: Path, mark: str, names: list[str], read: Callable[[str], bytes]) -> Source:
    if not names:
        raise BadData(f"{path} holds no pictures ({', '.join(sorted(ENDINGS))})")

    def decode(name: str) -> NDArray[np.uint8]:
        try:
            with Image.open(io.BytesIO(read(name))) as picture:
                return np.asarray(picture.convert("RGB"))
        except Exception as error:  # noqa: BLE001  decoders raise all sorts on damaged data
            raise BadData(
                f"the picture {name} of {path} cannot be read ({type(error).__name__})"
            ) from None

    return Source(path.name, mark, names, decode)


def _cifar(path: Path) -> Source:
    parts: dict[str, NDArray[np.uint8]] = {}
    labels: dict[str, list[int]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in sorted(archive.getmembers(), key=lambda m: m.name):
                stem = PurePosixPath(member.name).name
                if not member.isfile() or not stem.startswith(("data_batch", "test_batch")):
                    continue
                file = archive.extractfile(member)
                raw = file.read() if file is not None else b""
                kinds, planes = _binary(raw) if stem.endswith(".bin") else _pickled(raw)
                parts[stem], labels[stem] = planes, kinds
    except BadData:
        raise
    except Exception as error:  # noqa: BLE001  a damaged archive raises all sorts
        raise BadData(f"{path} is no usable CIFAR-10 archive ({type(error).__name__})") from None
    if not parts:
        raise BadData(f"{path} holds no data_batch or test_batch: is it CIFAR-10?")
    found: dict[str, NDArray[np.uint8]] = {}
    for stem, planes in parts.items():
        part = "test" if stem.startswith("test") else "train"
        for place, (label, plane) in enumerate(zip(labels[stem], planes, strict=True)):
            name = f"{part}/{CIFAR_CLASSES[label]}/{stem.partition('.')[0]}-{place:05d}"
            found[name] = plane.reshape(3, 32, 32).transpose(1, 2, 0)
    digest = hashlib.sha256(b"".join(p.tobytes() for p in parts.values())).hexdigest()
    return Source(path.name, digest, sorted(found), found.__getitem__)


def _binary(raw: bytes) -> tuple[list[int], NDArray[np.uint8]]:
    records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, RECORD)
    return _checked(records[:, 0].tolist(), records[:, 1:])


def _pickled(raw: bytes) -> tuple[list[int], NDArray[np.uint8]]:
    content = _Careful(io.BytesIO(raw), encoding="bytes").load()
    return _checked(content[b"labels"], content[b"data"])


def _checked(labels: Any, planes: Any) -> tuple[list[int], NDArray[np.uint8]]:  # noqa: ANN401
    whole = isinstance(planes, np.ndarray) and planes.dtype == np.uint8
    if not whole or planes.shape != (len(labels), RECORD - 1):
        raise BadData("a batch of the CIFAR-10 archive has the wrong shape")
    if not all(type(label) is int and 0 <= label < len(CIFAR_CLASSES) for label in labels):
        raise BadData("a batch of the CIFAR-10 archive has labels outside 0..9")
    return list(labels), planes


class _Careful(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise BadData(
                f"the archive's pickle asks for {module}.{name}, which CIFAR-10 does not need"
            ) from None
