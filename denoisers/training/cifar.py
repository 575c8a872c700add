"""CIFAR-10 in the archives of its authors, `cifar-10-binary.tar.gz` and `cifar-10-python.tar.gz`.

The Python version is a pickle. It is read by an unpickler that knows the four names that such a
file needs (numpy's array, its dtype, how they are put together, and bytes), gives it objects of our
own for them, and refuses every other, so that a prepared file cannot run anything: numpy's own
would take addresses from the file for objects.
"""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoisers.errors import BadData

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
BATCHES = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")
RECORD = 1 + 3 * 32 * 32  # label, then red, green and blue planes


class _Kind:
    """Stands for numpy's dtype, of which a file needs uint8 alone."""

    __slots__ = ()

    def __init__(self, kind: object = None, *_: object) -> None:
        if kind not in ("u1", b"u1"):
            raise BadData("a batch of the CIFAR-10 archive does not hold bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which bytes have none of."""


class _Planes:
    """Stands for numpy's array while it is put together."""

    __slots__ = ("pixels",)

    def __init__(self, *_: object) -> None:
        self.pixels = np.empty((0, 0), np.uint8)

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401  what a file says
        _, shape, kind, by_columns, raw = state
        if not isinstance(kind, _Kind) or type(raw) is not bytes:
            raise BadData("a batch of the CIFAR-10 archive holds another array than of bytes")
        order: Literal["F", "C"] = "F" if by_columns else "C"
        self.pixels = np.frombuffer(raw, np.uint8).reshape(shape, order=order)


class _Call:
    """What a pickle may call, and do nothing else with: it could set a function's attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise BadData("the archive's pickle does what CIFAR-10 does not need")


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Call(_Planes),
    ("numpy._core.multiarray", "_reconstruct"): _Call(_Planes),
    ("numpy", "ndarray"): None,  # _reconstruct's argument
    ("numpy", "dtype"): _Call(_Kind),
    ("_codecs", "encode"): _Call(lambda text, _: text.encode("latin1")),
}


def read(path: Path) -> tuple[str, dict[str, NDArray[np.uint8]]]:
    """Read an archive.

    Args:
        path: the tar, compressed or not.

    Returns:
        A digest of the pictures, and name → uint8 (32, 32, 3). The names are such as
        `train/cat/data_batch_1-00042`.

    Raises:
        BadData: if it is damaged, lacks one of the six batches, or is something else.
    """
    try:
        with tarfile.open(path) as archive:
            raw = {
                PurePosixPath(member.name).name: _content(archive, member)
                for member in archive.getmembers()
                if member.isfile() and PurePosixPath(member.name).stem in BATCHES
            }
        batches = {
            stem: _binary(data) if stem.endswith(".bin") else _pickled(data)
            for stem, data in sorted(raw.items())
        }
    except BadData:
        raise
    except Exception as error:  # noqa: BLE001  a damaged archive raises all sorts
        raise BadData(
            f"{path} is damaged, or no CIFAR-10 archive ({type(error).__name__}): get it again"
        ) from None
    lacking = set(BATCHES) - {PurePosixPath(stem).stem for stem in batches}
    if lacking:
        raise BadData(f"{path} lacks {', '.join(sorted(lacking))}: is it CIFAR-10, and complete?")
    pictures: dict[str, NDArray[np.uint8]] = {}
    for stem, (labels, planes) in batches.items():
        part = "test" if stem.startswith("test") else "train"
        for place, (label, plane) in enumerate(zip(labels, planes, strict=True)):
            name = f"{part}/{CLASSES[label]}/{PurePosixPath(stem).stem}-{place:05d}"
            pictures[name] = plane.reshape(3, 32, 32).transpose(1, 2, 0)
    digest = hashlib.sha256()
    for labels, planes in batches.values():
        digest.update(bytes(labels))
        digest.update(planes.tobytes())
    return digest.hexdigest(), pictures


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    data = b"" if file is None else file.read()
    if len(data) != member.size:  # a tar that ends in the middle is read without an error
        raise EOFError(member.name)
    return data


def _binary(data: bytes) -> tuple[list[int], NDArray[np.uint8]]:
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD)
    return _checked(records[:, 0].tolist(), records[:, 1:])


def _pickled(data: bytes) -> tuple[list[int], NDArray[np.uint8]]:
    content = _Careful(io.BytesIO(data), encoding="bytes").load()
    planes = content[b"data"]
    if type(planes) is not _Planes:
        raise BadData("a batch of the CIFAR-10 archive holds no array of pictures")
    return _checked(content[b"labels"], planes.pixels)


def _checked(labels: object, planes: NDArray[np.uint8]) -> tuple[list[int], NDArray[np.uint8]]:
    if type(labels) is not list or planes.shape != (len(labels), RECORD - 1):
        raise BadData("a batch of the CIFAR-10 archive has the wrong shape")
    if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        raise BadData("a batch of the CIFAR-10 archive has labels outside 0..9")
    return labels, planes


class _Careful(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise BadData(
                f"the archive's pickle asks for {module}.{name}, which CIFAR-10 does not need"
            ) from None
