"""CIFAR-10 in its authors' archives: labels and pixels in order, nothing executed, nothing cut."""

import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from denoisers.errors import BadData
from denoisers.training import cifar
from denoisers.training.pictures import load_all
from denoisers.training.sources import open_source

COUNT = 7  # pictures in a batch, where the authors have 10,000


def batches():
    """Labels and planes of the six batches; each pixel says where it belongs."""
    rng = np.random.default_rng(2)
    return {
        name: (rng.integers(0, 10, COUNT), rng.integers(0, 256, (COUNT, 3072), dtype=np.uint8))
        for name in cifar.BATCHES
    }


def binary(labels, planes):
    return b"".join(bytes([label]) + plane.tobytes() for label, plane in zip(labels, planes))  # noqa: B905


def python2_pickle(labels, planes, title="training batch 1 of 5"):
    """Write what cPickle of Python 2 wrote: protocol 2, every string a byte string."""

    def text(value):
        raw = value.encode()
        return b"U" + bytes([len(raw)]) + raw

    def number(value):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n" + text("u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    raw = planes.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    array += number(0) + b"\x85" + text("b") + b"\x87R"
    array += b"(" + number(1) + number(len(planes)) + number(3072) + b"\x86" + dtype + b"\x89"
    array += b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    listed = b"](" + b"".join(number(int(label)) for label in labels) + b"e"
    names = b"](" + b"".join(text(f"picture_{i}.png") for i in range(len(labels))) + b"e"
    return (
        b"\x80\x02}(" + text("batch_label") + text(title) + text("labels") + listed
        + text("data") + array + text("filenames") + names + b"u."
    )  # fmt: skip


def archive(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path


def binary_archive(path, known, mode="w:gz"):
    files = {f"cifar-10-batches-bin/{n}.bin": binary(*known[n]) for n in known}
    files["cifar-10-batches-bin/batches.meta.txt"] = b"airplane\nautomobile\n"
    return archive(path, files, mode)


def python_archive(path, known, mode="w:gz"):
    files = {f"cifar-10-batches-py/{name}": python2_pickle(*known[name]) for name in known}
    files["cifar-10-batches-py/batches.meta"] = b"cos\nsystem\n(S'false'\ntR."  # is never read
    return archive(path, files, mode)


@pytest.mark.parametrize("make", [binary_archive, python_archive])
def test_labels_and_pixels_are_where_the_authors_put_them(tmp_path, make):
    known = batches()
    source = open_source(make(tmp_path / "cifar-10.tar.gz", known))
    assert len(source.names) == 6 * COUNT
    for batch, (labels, planes) in known.items():
        part = "test" if batch == "test_batch" else "train"
        for place, (label, plane) in enumerate(zip(labels, planes, strict=True)):
            name = f"{part}/{cifar.CLASSES[label]}/{batch}-{place:05d}"
            picture = source.read(name)
            for channel, row, column in ((0, 0, 0), (1, 2, 3), (2, 31, 30)):
                value = plane[channel * 1024 + row * 32 + column]  # red plane first, row by row
                assert picture[row, column, channel] == value


def test_both_archives_give_the_same_pictures_and_the_test_batch_is_held_out(tmp_path):
    known = batches()
    one = load_all([binary_archive(tmp_path / "bin.tar.gz", known)], tmp_path / "c1")
    two = load_all([python_archive(tmp_path / "py.tar", known, "w")], tmp_path / "c2")
    assert [len(part) for part in one] == [5 * COUNT, COUNT]
    assert [part.digest for part in one] == [part.digest for part in two]


def test_pickles_of_newer_pythons_are_read_too(tmp_path):
    known = batches()
    files = {
        f"cifar-10-batches-py/{name}": pickle.dumps(
            {b"labels": labels.tolist(), b"data": planes}, protocol=2
        )
        for name, (labels, planes) in known.items()
    }
    digest, pictures = cifar.read(archive(tmp_path / "new.tar.gz", files))
    assert len(pictures) == 6 * COUNT
    assert digest == cifar.read(python_archive(tmp_path / "old.tar.gz", known))[0]


class Evil:
    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path, protocol):
    mark = tmp_path / "executed"
    for evil in (Evil(exec, f"open({str(mark)!r}, 'w')"), Evil(open, str(mark), "w")):
        data = pickle.dumps({b"labels": [0], b"data": evil}, protocol=protocol)
        path = archive(tmp_path / "evil.tar.gz", {"x/data_batch_1": data})
        with pytest.raises(BadData, match=r"asks for .*, which CIFAR-10 does not need"):
            open_source(path)
        assert not mark.exists()


def pickled(*parts):
    """Put a pickle together: Python's values, and opcodes as they are."""
    return b"\x80\x02" + b"".join(map(opcodes, parts)) + b"."


def opcodes(part):
    return part if isinstance(part, bytes) else pickle.dumps(part, 2)[2:-1]


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"
RAW = b"T\x08\x00\x00\x00ABCDEFGH"  # eight bytes, which could be an address
OBJECTS = pickled(DTYPE, ("O8", False, True), b"R", (3, "|", None, None, None, -1, -1, 61), b"b")
WIDE = pickled(DTYPE, ("u8", False, True), b"R")


@pytest.mark.parametrize("kind", [OBJECTS, WIDE])
def test_an_address_in_a_pickle_does_not_become_an_object(tmp_path, kind):
    """Numpy's dtype believes a file that says of objects that they are none."""
    array = [ARRAY, (0,), b"U\x01b\x87R", b"(", 1, (1,), kind[2:-1], False, RAW, b"tb"]
    data = pickled(b"}(U\x06labels", *array, b"U\x04data", *array, b"u")
    path = archive(tmp_path / "evil.tar.gz", {"x/data_batch_1": data})
    with pytest.raises(BadData, match="does not hold bytes"):
        open_source(path)


@pytest.mark.parametrize("state", [{"a": 1}, (None, {"__defaults__": ("x", "y")})])
@pytest.mark.parametrize("name", [ARRAY[: ARRAY.index(b"cnumpy\nndarray")], DTYPE])
def test_a_pickle_does_not_change_what_it_may_call(tmp_path, name, state):
    path = archive(tmp_path / "e.tar.gz", {"x/data_batch_1": pickled(name, state, b"b")})
    with pytest.raises(BadData, match="does what CIFAR-10 does not need"):
        open_source(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({b"labels": [0], b"data": [0] * 3072}, "no array of pictures"),
        ({b"labels": (0,), b"data": np.zeros((1, 3072), np.uint8)}, "wrong shape"),
        ({b"labels": [10], b"data": np.zeros((1, 3072), np.uint8)}, "labels outside"),
        ({b"labels": [True], b"data": np.zeros((1, 3072), np.uint8)}, "labels outside"),
    ],
)
def test_a_batch_of_other_things_is_refused(tmp_path, content, says):
    path = archive(tmp_path / "odd.tar.gz", {"x/data_batch_1": pickle.dumps(content, 2)})
    with pytest.raises(BadData, match=says):
        open_source(path)


@pytest.mark.parametrize("make", [binary_archive, python_archive])
def test_truncated_archives_are_refused_wherever_they_end(tmp_path, make):
    for mode in ("w:gz", "w"):
        whole = make(tmp_path / "whole.tar", batches(), mode).read_bytes()
        for share in (0.1, 0.4, 0.6, 0.8):
            path = tmp_path / "cut.tar"
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(BadData, match=r"damaged|lacks|not complete"):
                open_source(path)


def test_archives_that_are_not_cifar_10(tmp_path):
    with pytest.raises(BadData, match=r"lacks data_batch_1.*is it CIFAR-10"):
        open_source(archive(tmp_path / "other.tar.gz", {"train.bin": b"x"}))
    known = batches()
    labels, planes = known["data_batch_3"]
    known["data_batch_3"] = (labels * 0 + 77, planes)
    with pytest.raises(BadData, match="labels outside"):
        open_source(binary_archive(tmp_path / "labels.tar.gz", known))
    known["data_batch_3"] = (labels[1:], planes)
    with pytest.raises(BadData, match="wrong shape"):
        open_source(python_archive(tmp_path / "shape.tar.gz", known))
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(b"x")
    with pytest.raises(BadData, match="name the archive"):
        open_source(tmp_path / "cifar-10-batches-py")
