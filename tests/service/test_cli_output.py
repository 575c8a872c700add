"""`surety certify --output`: where certificates may go, and where not."""

import json
import os
import stat
import threading

import pytest

from service import output_file
from service.errors import BadRequest
from service.exit_codes import ExitCode
from service.output_file import check_output, write_output
from tests.service import test_cli

surety = test_cli.surety

CERTIFY = ("certify", "cat.png", "--max-votes", 30)


def refused(surety, path, *more):
    """Refused before anything was asked, in one line."""
    done = surety(*CERTIFY, "--output", path, *more)
    assert done.code == ExitCode.BAD_INPUT
    assert done.out == ""
    assert done.err.count("\n") == 1
    return done.err


@pytest.mark.parametrize("length", [200, 250, 255])
def test_long_names(surety, tmp_path, length):
    target = tmp_path / ("n" * length)
    assert surety(*CERTIFY, "--output", target).code == 0
    assert json.loads(target.read_text())["proof"]["votes"]["n"] == 30


def test_names_that_are_too_long(surety, tmp_path):
    assert "too long" in refused(surety, tmp_path / ("n" * 256))


def test_places_that_cannot_be_written_to(surety, tmp_path):
    assert "folder does not exist" in refused(surety, tmp_path / "none" / "x.json")
    assert "Not a directory" in refused(surety, tmp_path / "cat.png" / "x.json")
    refused(surety, "/proc/x.json")
    (tmp_path / "loop").symlink_to("loop")
    refused(surety, tmp_path / "loop")


def test_a_pipe_is_written_into(surety, tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert surety(*CERTIFY, "--output", pipe, "--force").code == 0
    reader.join(10)
    assert json.loads(read[0])["proof"]["votes"]["n"] == 30
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_link_stays_and_its_target_is_replaced(surety, tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target.json", tmp_path / "link.json"
    link.symlink_to("folder/target.json")
    assert surety(*CERTIFY, "--output", link).code == 0  # there was no target yet
    target.write_text("old")
    assert "--force" in refused(surety, link)
    assert surety(*CERTIFY, "--output", link, "--force").code == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())["proof"]["votes"]["n"] == 30


def test_no_picture_is_overwritten(surety, tmp_path):
    picture = (tmp_path / "cat.png").read_bytes()
    (tmp_path / "again.png").symlink_to("cat.png")
    for name in ("cat.png", "./cat.png", "again.png"):
        assert "one of the pictures" in refused(surety, name, "--force")
    assert (tmp_path / "cat.png").read_bytes() == picture


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_dash_is_standard_output(surety, tmp_path, more):
    done = surety(*CERTIFY, "--output", "-", *more)
    assert done.code == 0
    assert json.loads(done.out)["proof"]["votes"]["n"] == 30
    assert done.err == ""
    assert not (tmp_path / "-").exists()


def test_an_error_is_not_hidden_by_the_tidying_up(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    def gone(*_, **__):
        raise PermissionError(1, "not allowed")

    monkeypatch.setattr(output_file.os, "fsync", full)
    monkeypatch.setattr(output_file.Path, "unlink", gone)
    with pytest.raises(BadRequest, match="No space left"):
        write_output(tmp_path / "x.json", "{}", force=False)


@pytest.mark.parametrize("force", [False, True])
def test_file_systems_without_hard_links(tmp_path, monkeypatch, force):
    def cannot(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(output_file.os, "link", cannot)
    write_output(tmp_path / "x.json", "{}", force=force)
    assert (tmp_path / "x.json").read_text() == "{}"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(BadRequest, match="exists by now"):
        write_output(tmp_path / "x.json", "[]", force=False)
    assert (tmp_path / "x.json").read_text() == "{}"


def test_surrogates_come_out_as_json_calls_them(tmp_path):
    check_output(tmp_path / "x.json", force=False)
    write_output(tmp_path / "x.json", json.dumps("a\udcff", ensure_ascii=False), force=False)
    assert json.loads((tmp_path / "x.json").read_bytes()) == "a\udcff"
