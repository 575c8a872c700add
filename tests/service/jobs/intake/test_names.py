"""Names become clean relative POSIX paths, or are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UnreadablePicture
from service.jobs.intake.names import (
    LONGEST_NAME,
    clean_label,
    clean_name,
    is_clutter,
    shown_name,
)

NAMES = st.text(
    st.sampled_from("aB1.:/\\ é\u0301\0\n\x7f\x85\u2028\u202e\ud812\udcffC\u212a\uff0f"),
    max_size=12,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a.jpg", "a.jpg"),
        ("./a//b/./c.jpg", "a/b/c.jpg"),
        ("a\\b\\c.jpg", "a/b/c.jpg"),
        ("a ..b/...c", "a ..b/...c"),
        ("e\u0301.png", "é.png"),
        ("猫/१.png", "猫/१.png"),
        ("👩\u200d🔬.png", "👩\u200d🔬.png"),
    ],
)
def test_names_that_can_be_mended(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


@pytest.mark.parametrize(
    ("raw", "why", "shown"),
    [
        ("../a.jpg", "leads out", "a.jpg"),
        ("a/../../b.jpg", "leads out", "a/b.jpg"),
        ("a\\..\\b.jpg", "leads out", "a/b.jpg"),
        ("/etc/passwd", "absolute", "etc/passwd"),
        ("\\\\host\\share\\a.jpg", "absolute", "host/share/a.jpg"),
        ("C:\\a.jpg", "absolute", "a.jpg"),
        ("c:a.jpg", "absolute", "a.jpg"),
        ("\u212a:/a.jpg", "absolute", "a.jpg"),  # NFC makes a K of the Kelvin sign
        ("../C:/C:../D:/a.jpg", "leads out", "a.jpg"),
        ("a\0.jpg", "control", "a\ufffd.jpg"),
        ("a\x1b[2J.jpg", "control", "a\ufffd[2J.jpg"),
        ("a\u202egpj.exe", "control", "a\ufffdgpj.exe"),
        ("a\udcff.jpg", "UTF-8", "a\ufffd.jpg"),
        ("", "no name", "unnamed"),
        ("././", "no name", "unnamed"),
        ("a" * (LONGEST_NAME + 1), "more than", "a" * LONGEST_NAME),
    ],
)
def test_names_that_are_refused(raw: str, why: str, shown: str) -> None:
    with pytest.raises(UnreadablePicture, match=why) as refused:
        clean_name(raw)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250
    assert shown_name(raw) == shown


@given(NAMES)
def test_whatever_is_listed_is_clean(raw: str) -> None:
    try:
        name = clean_name(raw)
    except UnreadablePicture:
        name = shown_name(raw)
    assert clean_name(name) == name
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert "\\" not in name
    name.encode()


@pytest.mark.parametrize(
    ("name", "clutter"),
    [
        ("__MACOSX/a/._b.jpg", True),
        ("__MACOSX", True),
        (".DS_Store", True),
        ("a/.hidden/b.jpg", True),
        ("a/Thumbs.db", True),
        ("a/Desktop.ini", True),
        ("a/b.jpg", False),
        ("a/__MACOSX.jpg", False),
        ("Thumbs.db.png", False),
    ],
)
def test_clutter(name: str, clutter: bool) -> None:
    assert is_clutter(name) is clutter


def test_labels() -> None:
    assert clean_label(" tabby cat ") == "tabby cat"
    for wrong in ("", "  ", "a\nb", "a\udcff", "x" * 256):
        with pytest.raises(ValueError, match=r"is empty|control|more than"):
            clean_label(wrong)
