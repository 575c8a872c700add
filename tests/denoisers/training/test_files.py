"""Files and checkpoints are written whole or not at all."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from denoisers.errors import BadCheckpoint, CannotSave
from denoisers.training import checkpoint
from denoisers.training.files import alone_in, moved_to, write_whole


def test_checkpoints_are_written_whole(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.arange(3.0)}, {"step": 1})
    checkpoint.save(path, {"a": torch.arange(4.0), "n": torch.tensor(7)}, {"step": 2})
    tensors, state = checkpoint.load(path)
    assert state == checkpoint.state_of(path) == {"step": 2}
    assert tensors["a"].tolist() == [0, 1, 2, 3]
    assert tensors["n"].item() == 7
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_layout_does_not_matter_to_a_checkpoint(tmp_path):
    weights = torch.rand(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    checkpoint.save(tmp_path / "c.safetensors", {"w": weights}, {})
    tensors, _ = checkpoint.load(tmp_path / "c.safetensors")
    assert torch.equal(tensors["w"], weights)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x00" * 100])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match="--fresh"):
        checkpoint.load(path)
    assert checkpoint.state_of(path) == {}


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, limit_files):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.arange(3.0)}, {"step": 1})
    with limit_files(1000), pytest.raises(CannotSave, match=r"c\.safetensors cannot be written"):
        checkpoint.save(path, {"a": torch.zeros(10_000)}, {"step": 2})
    assert checkpoint.load(path)[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_files_are_as_readable_as_others_of_the_user(tmp_path):
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    run = tmp_path / "run"
    with alone_in(run), pytest.raises(BadCheckpoint, match="wait for it"), alone_in(run):
        pass
    with alone_in(run):
        pass
    assert list(run.iterdir()) == []


def test_what_a_kill_leaves_is_cleared_away_and_what_is_being_written_is_not(tmp_path):
    path = tmp_path / "data[1].raw"
    (tmp_path / "data[1].raw.0123abcd.tmp").write_bytes(b"left by a kill")
    (tmp_path / "data1.raw.0123abcd.tmp").write_bytes(b"another file's")
    with moved_to(path) as mine:
        mine.write(b"mi")
        with moved_to(path) as theirs:
            theirs.write(b"theirs")
        assert path.read_bytes() == b"theirs"
        mine.write(b"ne")
    assert path.read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data1.raw.0123abcd.tmp", path.name]
    with pytest.raises(ZeroDivisionError), moved_to(path):
        raise ZeroDivisionError
    assert path.read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_cleared_away_before_it_was_locked_is_opened_anew(tmp_path, monkeypatch):
    path, calls = tmp_path / "file", []

    def late(file, how):
        calls.append(file)
        if len(calls) < 3:
            os.unlink(file.name)  # another process was here first
        if len(calls) == 2:
            raise BlockingIOError

    monkeypatch.setattr("denoisers.training.files.fcntl.flock", late)
    write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert len(calls) == 3


def test_several_write_one_file_at_once(tmp_path):
    """`surety train plot` draws the curve of a training that draws it too."""
    path = tmp_path / "curve.svg"
    texts = [bytes([65 + i]) * 50_000 for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write_whole, path, t) for _ in range(25) for t in texts]:
            done.result()
    assert path.read_bytes() in texts
    assert [p.name for p in tmp_path.iterdir()] == ["curve.svg"]


def test_a_system_without_locks_is_told_where_to_train(tmp_path, monkeypatch):
    """Such as Windows, where the rest of Surety runs: the module can be imported all the same."""
    code = "import sys; sys.modules['fcntl'] = None; import denoisers.training.files"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setattr("denoisers.training.files.fcntl", None)
    with pytest.raises(CannotSave, match="Linux, macOS or, under Windows, in WSL"):
        write_whole(tmp_path / "file", b"x")
    with pytest.raises(CannotSave, match="WSL"), alone_in(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []
