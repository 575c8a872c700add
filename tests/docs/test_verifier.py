"""The verifier in docs/: it stands alone, and comes to the same conclusions as ours."""

import ast
import copy
import importlib.util
import io
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import rfc8785
from PIL import Image
from scipy import stats

from certification import noise
from certification.confidence import recheck
from certification.document import canonical
from certification.gaussian_table import gaussian_table
from certification.verifying import verify
from tests.certification.papers import (
    KEYS,
    LIES,
    SIGNER,
    STRANGER,
    WAYS,
    make,
    mended,
    paper,
    png,
)
from tests.certification.worlds import World, half_space

PATH = Path(__file__).parents[2] / "docs" / "verifier.py"


def load():
    spec = importlib.util.spec_from_file_location("docs_verifier", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verifier = load()


def verdict(text: bytes, **enclosed) -> str | None:
    """Return what the verifier says against a certificate, None if it is good."""
    try:
        verifier.verify(text, [SIGNER.public], **enclosed)
    except verifier.Wrong as error:
        return str(error)
    return None


def test_it_imports_nothing_of_ours():
    allowed = {"mpmath", "cryptography", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(PATH.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert {name.name.split(".")[0] for name in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.module.split(".")[0] in allowed


@pytest.mark.parametrize("way", WAYS)
def test_it_accepts_ours(way):
    one = paper(way)
    enclosed = {
        "votes": one.votes,
        "image": one.image.png(),
        "noise_key": one.noise_key.hex(),
    }
    assert verdict(one.text, **enclosed) is None
    assert verdict(json.dumps(one.document, indent=1).encode(), **enclosed) is None


def test_it_refuses_a_thousand_mutated_ones():
    luck, refused = random.Random(11), 0
    near = b'0123456789abcdefE.+-"nz '
    for turn in range(120):
        for way in WAYS:
            text = bytearray(paper(way).text)
            place = luck.randrange(len(text))
            old = text[place]
            text[place] = luck.choice([b for b in near if b != old])
            assert verdict(bytes(text)) is not None, (way, place)
            assert turn % 4 or not verify(bytes(text), keys=KEYS).verified
            refused += 1
    for way, lie, _, _ in LIES.values():
        document = copy.deepcopy(paper(way).document)
        lie(document)
        for text in (canonical(document), mended(document, STRANGER)):
            assert verdict(text).startswith("signature")
            refused += 1
    assert refused >= 1000


@pytest.mark.parametrize("name", LIES)
def test_it_refuses_lies_that_are_signed_with_the_right_key(name):
    way, lie, level, _ = LIES[name]
    document = copy.deepcopy(paper(way).document)
    lie(document)
    text = mended(document)
    found = verdict(text)
    assert found is not None
    assert found.startswith(("form", "radius"))
    assert not verify(text, keys=KEYS).verified
    if level == "radius" and name != "look":  # which does not fit the counts either
        assert found.startswith("radius")


def test_it_finds_any_changed_byte_of_the_votes():
    one, luck = paper("truth"), random.Random(4)
    certificate = json.loads(one.text)
    verifier.check_votes(certificate, one.votes)
    for place in range(len(one.votes)):
        data = bytearray(one.votes)
        data[place] = luck.choice([b for b in b'abcdi0123"n, ' if b != data[place]])
        with pytest.raises((verifier.Wrong, TypeError)):
            verifier.check_votes(certificate, bytes(data))


def test_it_says_where_the_votes_are_wrong():
    one = paper("plain")
    document = json.loads(one.votes)
    document["votes"].reverse()
    assert verdict(one.text, votes=canonical(document)).startswith("votes: the SHA-256")


def test_it_tells_all_that_is_wrong_and_not_only_the_first():
    one, other = paper("plain"), paper("truth")
    text = mended(copy.deepcopy(one.document), STRANGER)
    found = verdict(text, votes=other.votes, image=one.image.png(), noise_key="00" * 16)
    assert [line.split(":")[0] for line in found.splitlines()] == ["signature", "votes", "noise"]
    del (shapeless := copy.deepcopy(one.document))["proof"]["votes"]  # all the rest rests on that
    found = verdict(mended(shapeless, STRANGER), votes=other.votes)
    assert [line.split(":")[0] for line in found.splitlines()] == ["signature", "form"]


def test_it_refuses_without_the_key():
    text = paper("plain").text
    with pytest.raises(verifier.Wrong, match="signature"):
        verifier.verify(text, [STRANGER.public])
    with pytest.raises(verifier.Wrong, match="signature"):
        verifier.verify(text, [])
    document = copy.deepcopy(paper("plain").document)
    del document["signature"]
    assert verdict(canonical(document)).startswith("signature")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"[" * 100_000, b"1" * 10_000, b'{"a":1,"a":1}', b"NaN", b"\xff", b'"\\']
)
def test_it_survives_what_is_no_certificate(data):
    assert verdict(data) is not None


# ------------------------------------------------------------------------- the arithmetic


def proof(n, s, pointer, *, named=True, milestone=None):
    how = {
        "pointer": pointer,
        "look": {"n": n, "s": s},
        "milestone": milestone,
        "named_label": "cat" if named else None,
    }
    return {"confidence": how, "label": "cat", "alpha": 0.001}


@pytest.mark.parametrize(
    ("s", "f", "z", "more"),
    [
        (100, 0, 1.355, {}),
        (95, 5, 0.870, {}),
        (1000, 0, 2.410, {}),
        (990, 10, 1.895, {}),
        (900, 100, 1.060, {}),
        (600, 400, 0.085, {}),
        (9900, 100, 2.170, {}),
        (100, 0, 1.315, {"named": False}),
        (100, 0, 1.445, {"milestone": 100}),
    ],
)
def test_the_check_values_of_the_design(s, f, z, more):
    j = round(200 * z)
    assert verifier.justified(proof(s + f, s, j, **more), 1e-11)
    assert not verifier.justified(proof(s + f, s, j + 1, **more), 1e-11)


@pytest.mark.parametrize(
    ("n", "s"), [(1, 1), (30, 30), (57, 50), (10**6, 999_980), (10**6, 950_000), (10**5, 99_999)]
)
def test_it_draws_the_same_line_as_ours_at_any_size(n, s):
    allowed = [j for j in range(1201) if recheck(j, n, s, 0.001, True, True, 1e-11)]
    last = max(allowed, default=-1)
    assert last < 0 or verifier.justified(proof(n, s, last), 1e-11)
    assert not verifier.justified(proof(n, s, last + 1), 1e-11)


def test_its_integrals_are_those_of_mpmath():
    mp = verifier.mp
    for a, b, p in [(1, 1, "0.5"), (96, 6, "0.8"), (96, 6, "0.97"), (40.5, 0.3, "0.999")]:
        exact = mp.mpf(p)
        mass = verifier.mass_above(mp.mpf(a), mp.mpf(b), exact, 1 - exact)
        assert abs(mass / mpmath.betainc(a, b, exact, 1) - 1) < 1e-12


def test_its_binomial_tail_is_the_one_of_scipy():
    for s, n, p in [(95, 100, 0.8), (100, 100, 0.9), (700, 1000, 0.6)]:
        tail = float(verifier.binomial_tail(s, n, verifier.mp.mpf(p), 1 - verifier.mp.mpf(p)))
        assert tail == pytest.approx(stats.binom.sf(s - 1, n, p), rel=1e-9)


def test_its_canonical_form_is_the_one_of_rfc_8785():
    luck = random.Random(5)
    numbers = [struct.unpack("<d", luck.randbytes(8))[0] for _ in range(3000)]
    numbers += [luck.uniform(0, 10) * 10.0**e for e in range(-12, 26) for _ in range(20)]
    numbers += [0.0, -0.0, 1e21, 1e20, 1e-6, 1e-7, 5e-324, 2.0**53, 123456789012345680000.0]
    for number in numbers:
        if np.isfinite(number):
            assert verifier.canonical(number).encode() == rfc8785.dumps(number)
    document = {"€": 1, "\r": 2, "דּ": 3, "1": 4, "😀": 5, "\x80": 6, "ö": '\u0007"\\/\x7f '}
    assert verifier.canonical(document).encode() == rfc8785.dumps(document)


# ------------------------------------------------------------------------ pictures and noise


@pytest.mark.parametrize("sigma", [0.05, 0.25, 1.0])
def test_its_noise_is_ours(sigma):
    key = bytes(range(16))
    drawn = noise.draw(key, 12345, (5, 7, 3), sigma)
    assert verifier.noise(key, 12345, 105, sigma) == drawn.reshape(-1).tolist()
    table, variation = verifier.thresholds(sigma)
    assert tuple(table) == gaussian_table(sigma).thresholds
    assert float(variation) == pytest.approx(gaussian_table(sigma).total_variation, rel=1e-9)


def test_it_reads_pngs_with_every_filter():
    rng = np.random.default_rng(1)
    smooth = np.linspace(0, 255, 31 * 17 * 3).reshape(17, 31, 3).astype(np.uint8)
    for pixels in (smooth, rng.integers(0, 256, (9, 5, 3), dtype=np.uint8)):
        assert verifier.read_png(png(pixels)) == (*pixels.shape[1::-1], pixels.tobytes())
    # Each filter by hand, from the definition in the PNG specification.
    row, above = bytes([10, 20, 30, 250, 7, 99]), bytes([5, 6, 7, 8, 9, 200])
    plain = verifier.unfiltered(0, row, above)
    for kind in range(1, 5):
        a, b, c = bytes(3) + plain[:3], above, bytes(3) + above[:3]
        guess = {
            1: list(a),
            2: list(b),
            3: [(x + y) // 2 for x, y in zip(a, b, strict=True)],
            4: [
                min((x, y, z), key=lambda v, x=x, y=y, z=z: abs(x + y - z - v))
                for x, y, z in zip(a, b, c, strict=True)
            ],
        }[kind]
        filtered = bytes((v - g) & 255 for v, g in zip(plain, guess, strict=True))
        assert verifier.unfiltered(kind, filtered, above) == plain


@pytest.mark.parametrize("cut", [0, 7, 20, 45])
def test_it_survives_damaged_pngs(cut):
    one = paper("plain")
    assert verdict(one.text, image=one.image.png()[:cut]).startswith("image")


def test_it_refuses_pictures_of_other_kinds():
    one, buffer = paper("plain"), io.BytesIO()
    Image.fromarray(one.image.pixels).convert("L").save(buffer, "PNG")
    assert "8-bit RGB" in verdict(one.text, image=buffer.getvalue())
    other = one.image.pixels.copy()
    other[0, 0, 0] += 1
    assert "SHA-256 of the picture" in verdict(one.text, image=png(other))


def test_it_refuses_another_noise_key():
    one = paper("plain")
    assert verdict(one.text, noise_key="0" * 32).startswith("noise: the SHA-256")
    assert verdict(one.text, noise_key="0" * 30).startswith("noise")
    assert verdict(one.text, noise_key="{}").startswith("noise")


# ------------------------------------------------------------------------------ command line


async def test_it_runs_from_the_command_line(tmp_path):
    rng = np.random.default_rng(2)
    upload = png(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    one = await make(upload, World(half_space(9)), sigma=0.25, max_votes=40, good_enough=None)
    keys = {"id": SIGNER.key_id, "algorithm": "Ed25519", "public_key": SIGNER.public.hex()}
    (tmp_path / "cert.json").write_bytes(one.text)
    (tmp_path / "votes.json").write_bytes(one.votes)
    (tmp_path / "image.png").write_bytes(one.image.png())
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [keys]}))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        # -I: neither this directory nor ours is on its path.
        command = [sys.executable, "-I", str(PATH), "cert.json", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    enclosed = ["--votes", "votes.json", "--image", "image.png", "--noise-key"]
    key = one.noise_key.hex()
    found = run("--key", "keys.json", *enclosed, key, "--sample", "3")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith("VERIFIED\n")
    noisy = noise.draw(one.noise_key, 3, one.image.pixels.shape, 0.25) + one.image.pixels
    assert verifier.sha256(noisy.astype("<i2").tobytes()) in found.stdout
    assert key not in found.stdout
    found = run("--key", STRANGER.public.hex())
    assert found.returncode == 1
    assert found.stdout.startswith("NOT VERIFIED  signature")
    assert run("--key", "nowhere").returncode == 2
