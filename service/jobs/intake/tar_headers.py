"""The headers of a tar, read one by one.

Not by `tarfile`: that reads a long name or a sparse map of any length into memory, and keeps all
members.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from service.errors import BadArchive
from service.jobs.intake.flow import Flow

BLOCK = 512
_MOST_EXTENDED = 256 * 2**10  # bytes of a long name or of pax fields
_MOST_HEADERS = 8  # in front of one member
_FILES = (b"0", b"\0", b"7")
_FOLDERS = (b"5", b"D", b"V")  # also GNU's lists of a folder, and the label of a volume
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_LONG_NAME, _LONG_LINK, _SPARSE = b"L", b"K", b"S"
_PAX, _PAX_OF_ALL = (b"x", b"X"), b"g"
_SUM = slice(148, 156)
_SUM_BLANK = 8 * ord(" ")  # its own bytes count as blanks


@dataclass(frozen=True)
class Header:
    """A member, as its headers have it.

    Attributes:
        name: bytes that are not UTF-8 as lone surrogates.
        size: bytes of data that follow in the file.
        kind: its type, one byte.
        sparse: whether the data are those of a file with holes, in a form of their own.
        more: whether a block with the map of an old sparse file follows.
    """

    name: str
    size: int
    kind: bytes
    sparse: bool = False
    more: bool = False

    @property
    def folder(self) -> bool:
        """Whether it is a folder, or a word about the archive."""
        return self.kind in _FOLDERS or (self.kind == b"\0" and self.name.endswith("/"))

    @property
    def regular(self) -> bool:
        """Whether it is a plain file."""
        return self.kind in _FILES


def damaged(how: str) -> NoReturn:
    """Refuse the archive as a whole: what comes behind cannot be found."""
    raise BadArchive(f"the tar is cut off or damaged: {how}; send it again, or pack it again")


def is_header(block: bytes) -> bool:
    """Tell whether a block is the header of a member, by its check sum."""
    return _decoded(block) is not None


def headers(flow: Flow) -> Iterator[Header]:
    """Yield the members in order; the reader of each must take or skip its data.

    Archives that were joined are read one after the other.

    Raises:
        BadArchive: if a header is damaged, or the end is missing.
    """
    ended = False
    while True:
        block = flow.read(BLOCK)
        if not block and ended:
            return
        if len(block) < BLOCK:
            damaged("it has no mark at its end")
        if not block.strip(b"\0"):
            ended = True
            continue
        header = _decoded(block)
        if header is None:
            if ended:  # whatever lay in the last record before
                return
            damaged("a header is none")
        yield _whole(flow, header)


def padding(size: int) -> int:
    """Return how many bytes fill the last block of `size` bytes."""
    return -size % BLOCK


def _decoded(block: bytes) -> Header | None:
    try:
        told, size = _number(block[_SUM]), _number(block[124:136])
    except ValueError:
        return None
    if told != sum(block) - sum(block[_SUM]) + _SUM_BLANK and told != _signed_sum(block):
        return None
    name = _text(_terminated(block[:100]))
    if block[345:346] != b"\0" and block[257:263] == b"ustar\0":
        name = f"{_text(_terminated(block[345:500]))}/{name}"
    kind = block[156:157]
    return Header(name, size, kind, kind == _SPARSE, kind == _SPARSE and block[482] != 0)


def _signed_sum(block: bytes) -> int:
    """Return the check sum as some old systems have it, with bytes from -128 to 127."""
    signed = sum(memoryview(block).cast("b"))
    return signed - sum(memoryview(block[_SUM]).cast("b")) + _SUM_BLANK


def _number(field: bytes) -> int:
    """Read octal digits, or a large number as binary.

    Raises:
        ValueError: if it is none, or below 0.
    """
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = _terminated(field).strip()
    if digits and not digits.isdigit():
        raise ValueError("no octal number")
    return int(digits or b"0", 8)


def _terminated(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _whole(flow: Flow, header: Header) -> Header:
    """Read what stands in front of a member: long names and pax fields."""
    name: str | None = None
    fields: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        if header.kind == _LONG_NAME:
            name = _text(_terminated(_extended(flow, header.size)))
        elif header.kind in _PAX:
            fields |= _pax(_extended(flow, header.size))
        elif header.kind in (_LONG_LINK, _PAX_OF_ALL):
            _extended(flow, header.size)
        else:
            break
        following = _decoded(flow.read(BLOCK).ljust(BLOCK, b"\0"))
        if following is None:
            damaged("a header is none")
        header = following
    else:
        damaged("too many headers stand in front of one file")
    if header.more:
        _pass_map(flow)
    if header.kind in _WITHOUT_DATA:
        header = replace(header, size=0)
    elif "size" in fields:
        header = replace(header, size=_pax_size(fields["size"]))
    if fields or name:
        named = fields.get("GNU.sparse.name") or fields.get("path") or name or header.name
        sparse = header.sparse or any(key.startswith("GNU.sparse.") for key in fields)
        header = replace(header, name=named, sparse=sparse)
    return header


def _pax_size(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        damaged("a size is no number")
    return int(text[:20])


def _extended(flow: Flow, size: int) -> bytes:
    if size > _MOST_EXTENDED:
        damaged(f"a name or its fields have {size:,} bytes")
    data = flow.read(size)
    if len(data) < size or not flow.skip(padding(size)):
        damaged("it ends within a header")
    return data


def _pax(data: bytes) -> dict[str, str]:
    """Read fields of the form "LENGTH KEY=VALUE", one a line."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        digits, blank, _ = data[at : at + 12].partition(b" ")
        if not blank or not digits.isdigit():
            break
        end = at + int(digits)
        key, equals, value = data[at + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or end <= at or data[end - 1 : end] != b"\n":
            break
        found[_text(key)] = _text(value)
        at = end
    if data[at:].strip(b"\0"):
        damaged("the fields of a file are no fields")
    return found


def _pass_map(flow: Flow) -> None:
    """Pass over the blocks in which old sparse files go on with their map."""
    more = True
    while more:
        block = flow.read(BLOCK)
        if len(block) < BLOCK:
            damaged("it ends within a header")
        more = block[504] != 0


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
