"""The file of ledgers: whatever is changed about it, nothing of it is taken."""

import io
import itertools
import json
import os
import random
import threading

import pytest

from certification.errors import InvalidParameter
from certification.signing import Signer
from service import ledger_file
from service.ledger_file import Writer, opened
from tests.service.transferring import (
    begin,
    deployment,
    everything,
    exported,
    imported,
    subject,
    trusted,
    votes,
)

SIGNER = Signer(b"\1" * 32)
TRUSTED = {SIGNER.key_id: SIGNER.public}


def written(*lines, signer=SIGNER, count=None):
    out = io.BytesIO()
    writer = Writer(out, signer)
    writer.begin(len(lines) if count is None else count, [])
    for line in lines:
        writer.add(line)
    writer.end()
    return out.getvalue()


def line(place):
    return json.dumps({"place": place, "pad": "x" * 300}).encode()


WHOLE = written(*map(line, range(4)))


def read(data, trust=TRUSTED):
    with opened(io.BytesIO(data), trust) as signed:
        return [*signed.lines()]


def refused(data, *said, trust=TRUSTED):
    with pytest.raises(InvalidParameter) as error:
        read(data, trust)
    assert all(word in str(error.value) for word in said), str(error.value)


def test_it_is_read_as_it_was_written():
    assert read(WHOLE) == [line(place) + b"\n" for place in range(4)]
    assert read(written()) == []
    manifest = json.loads(WHOLE.splitlines()[0])
    assert manifest["schema"] == "surety.ledgers/1"
    assert (manifest["deployment"], manifest["count"]) == (SIGNER.key_id, 4)


def test_every_flipped_bit_is_found():
    places = {*range(0, len(WHOLE), 17), *range(len(WHOLE) - 330, len(WHOLE))}
    for at in places:
        for bit in (0, 3, 5, 7):
            changed = bytearray(WHOLE)
            changed[at] ^= 1 << bit
            refused(bytes(changed))


def test_every_truncation_is_found():
    ends = {0, 1, *itertools.accumulate(len(x) for x in WHOLE.splitlines(keepends=True))}
    for end in sorted({*ends, *(e - 1 for e in ends if e > 1), *range(7, len(WHOLE), 61)}):
        if end < len(WHOLE):
            refused(WHOLE[:end])


def test_every_other_order_of_lines_is_found():
    lines = WHOLE.splitlines(keepends=True)
    for i, j in itertools.combinations(range(len(lines)), 2):
        other = [*lines]
        other[i], other[j] = other[j], other[i]
        refused(b"".join(other))
    for i in range(len(lines)):
        refused(b"".join(lines[:i] + lines[i + 1 :]))
        refused(b"".join(lines[: i + 1] + lines[i:]))
    refused(WHOLE + WHOLE)
    refused(WHOLE + b"\n")
    refused(b"\n" + WHOLE)
    refused(WHOLE.replace(b"\n", b"\r\n"))
    refused(WHOLE[:-1])


def test_a_count_that_is_not_the_signed_one_is_found():
    lines = WHOLE.splitlines(keepends=True)
    fewer = lines[0].replace(b'"count":4', b'"count":3')
    refused(b"".join([fewer, *lines[1:4], lines[-1]]), "changed")
    refused(written(line(0), count=3))
    refused(written(line(0), line(1), count=1))


def test_only_a_named_deployment_is_trusted():
    other = Signer(b"\2" * 32)
    refused(WHOLE, SIGNER.key_id, "--trust", trust={})
    refused(WHOLE, other.key_id, "--trust", trust={other.key_id: other.public})
    # Somebody else's signature under a trusted name, in the manifest or at the end.
    theirs = written(*map(line, range(4)), signer=other)
    renamed = theirs.replace(other.key_id.encode(), SIGNER.key_id.encode())
    refused(renamed)
    refused(b"".join(WHOLE.splitlines(keepends=True)[:-1] + theirs.splitlines(keepends=True)[-1:]))
    # A trusted name for another key.
    refused(WHOLE, trust={SIGNER.key_id: other.public})


def test_a_certificate_of_the_deployment_is_no_signature_of_a_file():
    lines = WHOLE.splitlines(keepends=True)
    end = json.loads(lines[-1])
    for changed in ({"schema": "surety.certificate/1"}, {"more": "x"}):
        signed = SIGNER.sign({k: v for k, v in (end | changed).items() if k != "signature"})
        refused(b"".join(lines[:-1]) + json.dumps(signed).encode() + b"\n", "no signature")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cut off"),
        (b"\n", "no manifest"),
        (b"{}\n", "no manifest"),
        (b"[" * 10_000 + b"\n", "no manifest"),
        (b"\xff\xfe\n", "no manifest"),
        (b'{"schema":"surety.votes/1"}\n', "no manifest"),
        (b'{"count":1e999}\n', "no manifest"),
    ],
)
def test_what_is_no_such_file_is_refused(data, said):
    refused(data, said)


def test_a_line_without_end_is_not_read_into_memory(monkeypatch):
    monkeypatch.setattr(ledger_file._read_line, "__defaults__", (1000,))

    class Endless(io.RawIOBase):
        given = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:] = b"x" * len(buffer)
            self.given += len(buffer)
            return len(buffer)

    source = Endless()
    with pytest.raises(InvalidParameter, match="bytes"), opened(io.BufferedReader(source), TRUSTED):
        pass
    assert source.given < 100_000
    refused(written(b"y" * 2000), "line 2", "1,000 bytes")


def test_a_count_beyond_reason_ends_with_the_file():
    refused(written(line(0), count=2**53 - 1))


def test_short_lines_are_refused_at_once():
    refused(written(*[b"{}"] * 3), "line 2")


def test_a_pipe_is_read_once_and_no_file_stays():
    reading, writing = os.pipe()

    def feed():
        with os.fdopen(writing, "wb") as end:
            end.write(WHOLE)

    feeding = threading.Thread(target=feed)
    feeding.start()
    with os.fdopen(reading, "rb") as pipe, opened(pipe, TRUSTED) as signed:
        feeding.join()
        assert [*signed.lines()] == [*signed.lines()] == [line(p) + b"\n" for p in range(4)]


def test_what_changes_while_it_is_read_is_not_taken(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(WHOLE)
    with path.open("rb", buffering=0) as file, opened(file, TRUSTED) as signed:
        lines = signed.lines()
        next(lines)
        path.write_bytes(WHOLE.replace(b'"place": 1', b'"place": 7'))
        with pytest.raises(InvalidParameter, match="line 3 was changed"):
            next(lines)


async def test_of_a_real_file_no_changed_byte_reaches_the_store(tmp_path):
    async with deployment(tmp_path, "there") as there:
        for picture in "ab":
            await begin(there, subject(picture), votes(20))
        data, trust = await exported(there), trusted(there)
    chance = random.Random(5)
    async with deployment(tmp_path, "here") as here:
        before = await everything(here)
        for _ in range(60):
            changed = bytearray(data)
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            with pytest.raises(InvalidParameter):
                await imported(here, bytes(changed), trust)
        with pytest.raises(InvalidParameter, match="--trust"):
            await imported(here, data, {})
        assert await everything(here) == before
        assert [one.outcome for one in await imported(here, data, trust)] == ["added"] * 2
