"""`keys.json`: what is damaged, or others may use, is refused and left alone."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.keys import load_keyring, rotate
from tests.service.keyrings import OTHER, OWN, hidden, mode, older, settings


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def _other_digit(text, name):
    """Change the last digit of the first member of this name."""
    value = re.search(rf'"{name}": "([0-9a-f]+)"', text)[1]
    return text.replace(value, value[:-1] + ("0" if value[-1] != "0" else "1"))


DAMAGE = {
    "empty": (lambda t: "", "line 1 of .* is no JSON"),
    "half": (lambda t: t[: len(t) // 2], "line .* of .* is no JSON"),
    "a line": (lambda t: t.replace('"created"', "created", 1), "line 6 of .* is no JSON"),
    "deep": (lambda t: "[" * 100_000, "is no JSON"),
    "long number": (lambda t: "9" * 10_000, "is no JSON"),
    "list": (lambda t: "[]", "has not the members"),
    "more": (lambda t: t.replace("{", '{"more": 1,', 1), "has not the members"),
    "newer": (lambda t: t.replace("keys/1", "keys/2"), "a later version"),
    "no list": (lambda t: re.sub(r'"secrets": \[.*?\]', '"secrets": 5', t, flags=re.S), "no list"),
    "numbers": (lambda t: re.sub(r'"id": "\w+"', '"id": 5', t, count=1), r"secrets\[0\] is no"),
    "no id": (lambda t: t.replace('"id"', '"name"', 1), r"secrets\[0\] has no id"),
    "no seed": (lambda t: t.replace('"secret":', '"value":'), r"secrets\[0\] has no secret"),
    "date": (
        lambda t: re.sub('"2[^"]+T[^"]+"', '"yesterday"', t, count=1),
        r"secrets\[0\] .* date",
    ),
    "digits": (
        lambda t: re.sub('("secret": ")..', r"\1zz", t),
        r"secret in secrets\[0\] of .* must",
    ),
    "other secret": (lambda t: _other_digit(t, "secret"), r"secrets\[0\] .* do not belong"),
    "other id": (lambda t: _other_digit(t, "id"), r"secrets\[0\] .* do not belong"),
    "other public": (
        lambda t: _other_digit(t, "public_key"),
        r"signing_keys\[0\] .* do not belong",
    ),
    "other seed": (lambda t: _other_digit(t, "seed"), r"signing_keys\[0\] .* do not belong"),
    "twice": (
        lambda t: re.sub(r'("secrets": \[)(.*?)(\n \])', r"\1\2,\2\3", t, flags=re.S),
        "stands twice in secrets",
    ),
    "not text": (lambda t: t.replace("surety", "süreté"), "other than ASCII"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_refused_and_left_alone(kind, folder):
    load_keyring(settings(folder))
    damage, message = DAMAGE[kind]
    secrets, file = hidden(folder), folder / "keys.json"
    changed = damage(file.read_text())
    file.write_text(changed, encoding="utf-8")
    for use in (
        lambda: load_keyring(settings(folder)),
        lambda: load_keyring(settings(folder, secret=OWN, signing_key=OWN)),
        lambda: rotate(settings(folder), secret=True, signing=True),
    ):
        with pytest.raises(ConfigurationError, match=message) as refused:
            use()
        assert "keys.json" in str(refused.value)
        assert not any(secret[:8] in str(refused.value) for secret in secrets)
        assert file.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o620, 0o660])
@pytest.mark.parametrize("name", ["keys.json", "secret"])
def test_a_file_that_others_may_use_is_refused(name, permissions, folder):
    if name == "keys.json":
        load_keyring(settings(folder))
    else:
        older(folder)
    (folder / name).chmod(permissions)
    with pytest.raises(ConfigurationError, match=rf"chmod 600 \S+/{name}") as refused:
        load_keyring(settings(folder))
    assert not any(secret in str(refused.value) for secret in hidden(folder))
    (folder / name).chmod(0o400)
    load_keyring(settings(folder))


def test_links_and_other_things_are_refused(folder):
    folder.mkdir()
    file, elsewhere = folder / "keys.json", folder / "elsewhere"
    load_keyring(settings(elsewhere))
    file.symlink_to(elsewhere / "keys.json")
    with pytest.raises(ConfigurationError, match="is a link"):
        load_keyring(settings(folder))
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(ConfigurationError, match="no regular file"):
        load_keyring(settings(folder))
    file.unlink()
    file.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="no regular file"):
        load_keyring(settings(folder))


def test_a_directory_that_is_a_file_is_said_to_be_one(folder):
    folder.write_text("")
    with pytest.raises(ConfigurationError, match="SURETY_DATA_DIR names a directory"):
        load_keyring(settings(folder))


@pytest.fixture
def read_only(monkeypatch):
    """A directory with keys and an empty one, neither of which this user may write to."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        load_keyring(settings(root / "full"))
        (root / "empty").mkdir()
        user, nobody = os.geteuid(), 65534
        if user == 0:  # root may write anywhere
            root.chmod(0o755)
            (root / "full").chmod(0o755)
            os.chown(root / "full" / "keys.json", nobody, nobody)
            os.seteuid(nobody)
        else:
            for folder in ("full", "empty"):
                (root / folder).chmod(0o555)
        try:
            yield root
        finally:
            os.seteuid(user)
            for folder in ("full", "empty"):
                (root / folder).chmod(0o755)


def test_a_directory_that_may_only_be_read(read_only):
    full, empty = (read_only / name for name in ("full", "empty"))
    keyring = load_keyring(settings(full))
    for lacking in (settings(empty), settings(empty, secret=OWN)):
        with pytest.raises(ConfigurationError, match=r"make \S+ writable .* SURETY_DATA_DIR"):
            load_keyring(lacking)
    with pytest.raises(ConfigurationError, match="writable"):
        rotate(settings(full), secret=True, signing=True)
    given = load_keyring(settings(empty, secret=OWN, signing_key=OTHER))
    assert given.current_secret == bytes.fromhex(OWN)
    assert [(k.created, k.current) for k in given.public_keys] == [(None, True)]
    both = load_keyring(settings(full, secret=OWN, signing_key=OTHER))
    assert both.secrets.items() > keyring.secrets.items()
    assert [k.current for k in both.public_keys] == [False, True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_stays_the_services(folder):
    folder.mkdir(mode=0o700)
    os.chown(folder, 4711, 4712)
    load_keyring(settings(folder))
    for name in ("keys.json", ".keys.json.lock"):
        owner = (folder / name).stat()
        assert (owner.st_uid, owner.st_gid) == (4711, 4712)
        assert mode(folder / name) == 0o600
