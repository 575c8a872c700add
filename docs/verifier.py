"""An independent verifier for Surety's certificates, to be read by whoever writes their own.

It shares no code with Surety: the standard library, `cryptography` for Ed25519 and `mpmath` for
the arithmetic. What the levels mean stands in docs/checking.md, the formulas in
docs/confidence.md and docs/noise.md.

    python verifier.py CERT.json --key KEY [--votes VOTES.json] [--image CANONICAL.png]
                       [--noise-key NOISE [--sample 0]]

KEY is 64 hexadecimal digits, or a file with them, a PEM or the JSON of `GET /keys`. The exit code
is 0 if the certificate is good, 1 if it is not, 2 for wrong usage.
"""

# ruff: noqa: ANN001, ANN201, ANN202, D103, T201

import argparse
import base64
import hashlib
import json
import math
import re
import struct
import sys
import zlib
from bisect import bisect_right
from collections import Counter
from datetime import datetime
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import mpmath
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

mp = mpmath.MPContext()
mp.dps = 40
STEPS = 1200


class Wrong(Exception):
    """What does not hold, in words."""


def demand(condition, words):
    if not condition:
        raise Wrong(words)


# ---- JSON, and its canonical form (RFC 8785)


def read(data, most_bytes=4 * 2**20, most_values=10**6, compact=False):
    """Read strict JSON. Text without white space must be canonical, unless nothing is signed."""
    demand(len(data) <= most_bytes, "the file is too large")
    bare = re.sub(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', b"", data, flags=re.DOTALL)
    depths = accumulate((byte in b"[{") - (byte in b"]}") for byte in bare)
    demand(max(depths, default=0) <= 64, "it is nested more than 64 deep")
    demand(bare.count(b",") <= most_values, "it has too many values")
    hooks = {"object_pairs_hook": members, "parse_constant": finite, "parse_float": finite}
    try:
        value = json.loads(data.decode(), parse_int=whole, **hooks)
        form = canonical(value).encode()
    except (ValueError, RecursionError) as error:
        raise Wrong(f"no strict JSON: {error}") from None
    if not compact and not any(space in bare.strip(b"\r\n") for space in b" \t\r\n"):
        demand(form == data.strip(b"\r\n"), "compact text, but not the canonical form: changed")
    return value


def members(pairs):
    demand(len(dict(pairs)) == len(pairs), "a member is there twice")
    return dict(pairs)


def finite(text):
    demand(math.isfinite(float(text)), f"{text} is no number of JSON")
    return float(text)


def whole(text):
    return int(text) if len(text) < 17 and abs(int(text)) < 2**53 else finite(text)


def canonical(value):
    """Write a value as RFC 8785 says: sorted members, shortest numbers, no white space."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(n)}:{canonical(value[n])}" for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return es6(value)
    return json.dumps(value, ensure_ascii=False)  # escapes what RFC 8785 escapes, and no more


def es6(number):
    """Write a double as ECMAScript's Number::toString does, which RFC 8785 refers to."""
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    # repr() has the same shortest digits, but another idea of when to use an exponent.
    _, digits, exponent = Decimal(repr(abs(number))).as_tuple()
    text = "".join(map(str, digits))
    exponent += len(text) - len(text.rstrip("0"))
    text = text.rstrip("0")
    point = len(text) + exponent  # where the decimal point stands in the digits
    if len(text) <= point <= 21:
        return sign + text + "0" * (point - len(text))
    if 0 < point <= 21:
        return sign + text[:point] + "." + text[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + text
    mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
    return f"{sign}{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def sha256(data):
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


# ---- signature


def read_keys(text):
    """Return the raw public keys in a text: hexadecimal digits, PEM, or the JSON of GET /keys."""
    text = text.strip()
    try:
        if text.startswith("{"):
            return [listed(entry) for entry in read(text.encode(), compact=True)["keys"]]
        if text.startswith("-----BEGIN PUBLIC"):
            key = load_pem_public_key(text.encode())
            # An X25519 key has 32 bytes as well.
            demand(isinstance(key, Ed25519PublicKey), "the PEM is no Ed25519 key")
            return [key.public_bytes_raw()]
    except (ValueError, LookupError, TypeError, UnsupportedAlgorithm):
        text = ""
    wanted = "the key is neither 64 hexadecimal digits, PEM nor the JSON of /keys"
    demand(re.fullmatch("[0-9a-fA-F]{64}", text), wanted)
    return [bytes.fromhex(text)]


def listed(entry):
    """Return the raw key of an entry of GET /keys."""
    demand(re.fullmatch("[0-9a-fA-F]{64}", entry["public_key"]), "a key has 64 hexadecimal digits")
    key = bytes.fromhex(entry["public_key"])
    demand(entry["algorithm"] == "Ed25519", f"the algorithm of {entry['id']} is not Ed25519")
    demand(entry["id"] == sha256(key)[:16], f"the id {entry['id']} is not that of its public_key")
    return key


def check_signature(certificate, keys):
    demand("signature" in certificate, "there is no signature")
    signature = certificate["signature"]
    exact(signature, "algorithm key_id value", "signature")
    demand(signature["algorithm"] == "Ed25519", "signature.algorithm is not Ed25519")
    key = next((key for key in keys if sha256(key)[:16] == signature["key_id"]), None)
    demand(key is not None, f"signed with the key {signature['key_id']}, which was not given")
    value = base64.b64decode(signature["value"], validate=True)
    # The last character holds four bits that decoding drops.
    demand(base64.b64encode(value).decode() == signature["value"], "signature.value is no base64")
    signed = {name: member for name, member in certificate.items() if name != "signature"}
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(value, canonical(signed).encode())
    except InvalidSignature:
        raise Wrong("the signature is not that of this document") from None
    return f"signed with the key {signature['key_id']}"


# --------------------------------------------------------------------------------------- form

# Every member: + if it may be absent, its kind if no more is said of it below, ? if null is fine.
MEMBERS = """
certificate: schema id created=time software statement=text proof image label_names=names truth request accounting signature
software: name=text version=text
proof: guarantee abstained label=text? norm radius=number? radius_linf=number? radius_l1=number? sigma=number alpha=number confidence votes subject subject_sha256 noise stop_reason
proof.confidence: method named_label=text? levels grid margin=number milestone=count? pointer=whole? look
proof.confidence.levels: named=number? other=number
proof.confidence.grid: step last
proof.votes: n=whole counts=object abstentions=whole sha256=digest
proof.subject: image sigma=number denoiser=object compute=text postprocess=object provider rule=object label_map=names +rerolls
proof.subject.rerolls: count=count alpha_spent=number
proof.subject.image: sha256=digest width=count height=count
proof.subject.provider: name=text options=object model_version=text? +adapter=text
proof.noise: law generator key_sha256=digest
image: sha256=digest width=count height=count source steps=texts
image.source: name=text? sha256=digest format=text width=count height=count mode=text
request: target_radius=number? max_votes=count max_cost=number? max_seconds=number? good_enough=number?
accounting: calls=whole images=whole retries=whole cost=number currency votes_reused=whole seconds=number +cost_before_interruption_at_most=number
"""  # noqa: E501
KINDS = {
    "text": lambda value: type(value) is str and len(value) <= 65536,
    "number": lambda value: type(value) in (int, float) and value >= 0,
    "whole": lambda value: type(value) is int and 0 <= value < 2**53,
    "count": lambda value: type(value) is int and 1 <= value < 2**53,
    "digest": lambda value: type(value) is str and re.fullmatch("[0-9a-f]{64}", value),
    "time": lambda value: datetime.fromisoformat(value).tzinfo is not None,
    "object": lambda value: type(value) is dict,
    "texts": lambda value: type(value) is list and all(map(KINDS["text"], value)),
    "names": lambda value: type(value) is dict and all(map(KINDS["text"], value.values())),
}
FIXED = {
    "schema": "surety.certificate/1",
    "proof.guarantee": "probabilistic",
    "proof.norm": "l2",
    "proof.confidence.method": (
        "mixture test martingale on a grid of radii, looked at after every vote"
    ),
    "proof.confidence.grid.step": "1/200",
    "proof.confidence.grid.last": STEPS,
    "proof.noise.law": "rounded Gaussian on 0..255",
    "proof.noise.generator": "philox4x64-10",
    "accounting.currency": "USD",
}
REASONS = "target_reached hopeless good_enough votes_spent max_cost cancelled deadline"


def exact(value, names, where, optional=""):
    odd = set(value) ^ set(names.split())
    demand(type(value) is dict and odd <= set(optional.split()), f"{where}: members {sorted(odd)}")


def at(document, path):
    for name in path.split("."):
        document = document if name == "certificate" else document[name]
    return document


def count(value, least=0, most=10**6):
    demand(type(value) is int and least <= value <= most, f"{value!r} is no such count")
    return value


def check_form(certificate):
    """The members are those of a certificate, and agree with one another."""
    for path, line in re.findall(r"(.+): (.+)", MEMBERS):
        if path == "proof.subject.rerolls" and "rerolls" not in certificate["proof"]["subject"]:
            continue
        value, parts = at(certificate, path), re.findall(r"(\+?)(\w+)=?(\w*)(\??)", line)
        optional = " ".join(name for plus, name, _, _ in parts if plus)
        exact(value, " ".join(name for _, name, _, _ in parts), path, optional)
        for _, name, kind, null in parts:
            fine = not kind or name not in value or (null and value[name] is None)
            demand(fine or KINDS[kind](value[name]), f"{path}.{name} is no {kind}")
    for path, value in FIXED.items():
        said = at(certificate, path)
        # To Python 1200.0 is the same.
        demand(said == value and type(said) is type(value), f"{path} is not {value!r}")
    proof, image = certificate["proof"], certificate["image"]
    outside = ("schema", "id", "created", "software", "accounting", "signature")
    said = {name: member for name, member in certificate.items() if name not in outside}
    demand(certificate["id"] == sha256(canonical(said))[:32], "id is not that of the document")
    subject = proof["subject"]
    demand(proof["subject_sha256"] == sha256(canonical(subject)), "subject_sha256 is wrong")
    demand(proof["sigma"] == subject["sigma"], "two values of sigma")
    for name in ("sha256", "width", "height"):
        demand(image[name] == subject["image"][name], f"image.{name} is not the subject's")
    demand(proof["stop_reason"] in REASONS.split(), "unknown stop_reason")

    how, votes, label = proof["confidence"], proof["votes"], proof["label"]
    none = {value is None for value in (label, proof["radius"], how["pointer"], how["look"])}
    demand(none in ({True}, {False}), "label, radius, pointer and look: some null, some not")
    demand(proof["abstained"] is none.pop(), "abstained is not what label and radius say")
    total = sum(count(votes["counts"][one], 1) for one in votes["counts"])
    demand(count(votes["n"]) == total + count(votes["abstentions"]), "the counts do not sum to n")
    demand(votes["n"] <= certificate["request"]["max_votes"], "n is above max_votes")
    demand(set(certificate["label_names"]) == set(votes["counts"]), "label_names is not of counts")
    if label is not None:
        look = how["look"]
        exact(look, "n s by", "look")
        demand(label in votes["counts"], "the label has no votes")
        against = votes["n"] - votes["counts"][label]
        demand(count(look["s"], 1) <= votes["counts"][label], "look.s is above the label's count")
        demand(count(look["n"], 1) - look["s"] <= against, "look.n does not fit the counts")
    # Which characters Python prints and which it escapes depends on its version.
    said, wanted = (
        text.encode("ascii", "backslashreplace")
        for text in (certificate["statement"], statement(certificate))
    )
    demand(said == wanted, "statement is not what proof says")
    return certificate["statement"]


def statement(certificate):
    """Return the sentence; names and numbers as Python prints them."""
    proof, image = certificate["proof"], certificate["image"]
    down = Context(prec=50, rounding=ROUND_DOWN)
    alpha = Decimal(repr(float(proof["alpha"])))
    certainty = f"{down.subtract(100, down.multiply(100, alpha)).normalize(down):f} %"
    if proof["abstained"]:
        n = proof["votes"]["n"]
        return f"No label could be certified at confidence {certainty} from {n} votes."
    return (
        f"Within L2 distance {float(proof['radius'])} of the {image['width']}×{image['height']} "
        "canonical image (pixel values scaled to [0, 1]) the smoothed classifier answers "
        f"{certificate['label_names'][proof['label']]!r}, with confidence {certainty}."
    )


# ---- radius


def mass_above(a, b, p, q):
    """Integrate θ^(a−1) (1−θ)^(b−1) from p to 1; q = 1 − p."""

    def from_zero(a, b, x, rest):
        # ∫ from 0 to x = x^a (1−x)^b / a · 2F1(a+b, 1; a+1; x), whose terms are all positive.
        total, term, k = mp.one, mp.one, 0
        while term > total * mp.eps:
            term *= (a + b + k) / (a + 1 + k) * x
            total, k = total + term, k + 1
        return mp.exp(a * mp.log(x) + b * mp.log(rest)) / a * total

    # Below the mean the integral is also all but a small part. The sum with fewer terms is taken.
    ratio = max(p, p * (a + b) / (a + 1))
    if ratio < 1 and 100 / (1 - ratio) < ((a + b) * q - b) / p + 100:
        whole = mp.exp(mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b))
        return whole - from_zero(a, b, p, q)
    return from_zero(b, a, q, p)


def log_martingale(s, f, p, q):
    """Return log M after s successes and f failures against "the true probability is ≤ p"."""
    mixture = mp.zero
    for a, b in ((mp.one, mp.one), (8 * p, 8 * q), (128 * p, 128 * q)):
        mixture += mass_above(a + s, b + f, p, q) / mass_above(a, b, p, q)
    return mp.log(mixture / 3) - s * mp.log(p) - f * mp.log(q)


def binomial_tail(s, n, p, q):
    """Return P(Bin(n, p) ≥ s) for s > n·p: what Clopper and Pearson's look compares."""
    choose = mp.loggamma(n + 1) - mp.loggamma(s + 1) - mp.loggamma(n - s + 1)
    term = total = mp.exp(choose + s * mp.log(p) + (n - s) * mp.log(q))
    for k in range(s + 1, n + 1):
        term *= mp.mpf(n - k + 1) / k * p / q
        total += term
        if term < total * mp.eps:
            break
    return total


def justified(proof, margin):
    """Tell whether the look (n*, S*) rejects "p ≤ Φ(j/200) + margin" at the label's level."""
    how = proof["confidence"]
    j, n, s = count(how["pointer"], 0, STEPS), how["look"]["n"], how["look"]["s"]
    milestone, named = how["milestone"], how["named_label"]
    share = 0.5 if named is None else 0.9 if proof["label"] == named else 0.1
    level = share * mp.mpf(proof["alpha"])
    q = mp.ncdf(-mp.mpf(j) / 200) - mp.mpf(margin)
    if not (q > 0 and n < 2 * s <= 2 * n):
        return False
    half = level if milestone is None else level / 2
    if n == milestone and s > n * (1 - q) and binomial_tail(s, n, 1 - q, q) <= half:
        return True
    # A float implementation adds 1e-6 to the threshold for its own rounding; the exact M need not.
    return log_martingale(s, n - s, 1 - q, q) >= mp.log(1 / half)


def check_radius(certificate):
    """The levels follow from alpha, the pointer from the look, and the radii from the pointer."""
    proof, image = certificate["proof"], certificate["image"]
    how, alpha, sigma = proof["confidence"], float(proof["alpha"]), float(proof["sigma"])
    demand(1e-300 <= alpha <= 0.5 and 0 < sigma <= 2, "alpha or sigma is out of its range")
    named = how["named_label"] is not None
    levels = (0.9 * alpha, 0.1 * alpha) if named else (None, alpha / 2)
    demand((how["levels"]["named"], how["levels"]["other"]) == levels, "the levels are wrong")
    d = count(image["width"], 1, 2048) * count(image["height"], 1, 2048) * 3
    margin = max(1e-11, float(d * thresholds(sigma)[1]))
    # The last digits of a sum of thousands of tails depend on how it is rounded.
    demand(abs(how["margin"] / margin - 1) < 1e-12, f"margin is not {margin}")
    demand(how["milestone"] is None or count(how["milestone"], 1), "no such milestone")
    radii = [None] * 3
    if not proof["abstained"]:
        units = Fraction(repr(sigma)) * count(how["pointer"], 0, STEPS) / 200 * 10**6
        linf = math.isqrt(math.floor(units**2 / d))
        radii = [float(Fraction(n, 10**6)) for n in (math.floor(units), linf, math.floor(units))]
    told = [proof["radius"], proof["radius_linf"], proof["radius_l1"]]
    demand(told == radii, f"the radii are {told}, but sigma and the pointer give {radii}")
    if not proof["abstained"]:
        look = how["look"]
        demand(look["by"] in ("mixture", "milestone"), "unknown test")
        demand(look["by"] == "mixture" or look["n"] == how["milestone"], "no look at a milestone")
        seen = f"the look (n={look['n']}, S={look['s']})"
        demand(justified(proof, margin), f"{seen} justifies no pointer {how['pointer']}")
        return f"{seen} justifies radius {proof['radius']}"
    return "it claims no radius"


# ---- votes


def check_votes(certificate, data):
    """The votes have the certificate's hash, and its look is among them."""
    proof, file = certificate["proof"], read(data, 64 * 2**20, 2 * 10**6)
    exact(file, "schema certificate subject_sha256 n sha256 votes", "votes file")
    votes, said = file["votes"], proof["votes"]
    demand(file["schema"] == "surety.votes/1", "this is no votes file")
    demand(file["certificate"] == certificate["id"], "these votes are of another certificate")
    demand(file["subject_sha256"] == proof["subject_sha256"], "these votes are of another subject")
    demand(type(votes) is list and count(file["n"]) == said["n"] == len(votes), "n is wrong")
    digest = sha256(canonical(votes))
    demand(digest == file["sha256"] == said["sha256"], f"the SHA-256 of the votes is {digest}")
    counts = Counter(votes)
    demand(counts.pop(None, 0) == said["abstentions"], "the abstentions are miscounted")
    demand(counts == Counter(said["counts"]), "the votes are miscounted")
    if not proof["abstained"]:
        look = proof["confidence"]["look"]
        s = votes[: look["n"]].count(proof["label"])
        demand(s == look["s"], f"the first {look['n']} votes hold the label {s} times")
    return f"all {len(votes)} are there"


# ---- image


def read_png(data):
    """Return (width, height, RGB bytes) of an 8-bit RGB PNG without interlacing."""
    demand(data[:8] == b"\x89PNG\r\n\x1a\n", "the picture is no PNG")
    place, packed, head = 8, b"", None
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        head = struct.unpack(">IIBBBBB", body) if kind == b"IHDR" else head
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    width, height, *form = head
    demand(form == [8, 2, 0, 0, 0], "the PNG is not 8-bit RGB without interlacing")
    demand(1 <= width <= 2048 and 1 <= height <= 2048, "the PNG is too large")
    stride = 3 * width
    raw = zlib.decompressobj().decompress(packed, (stride + 1) * height + 1)
    demand(len(raw) == (stride + 1) * height, "the PNG is damaged")
    above, rows = bytes(stride), []
    for y in range(height):
        start = y * (stride + 1)
        above = unfiltered(raw[start], raw[start + 1 : start + 1 + stride], above)
        rows.append(above)
    return width, height, b"".join(rows)


def unfiltered(kind, row, above):
    demand(kind <= 4, "the PNG is damaged")
    out = bytearray(row)
    for i in range(len(row)):
        a, b, c = (out[i - 3] if i > 2 else 0), above[i], (above[i - 3] if i > 2 else 0)
        nearest = min((a, b, c), key=lambda value: abs(a + b - c - value))
        out[i] = row[i] + (0, a, b, (a + b) // 2, nearest)[kind] & 255
    return bytes(out)


def check_image(certificate, data):
    width, height, pixels = read_png(data)
    digest = sha256(struct.pack(">II", height, width) + pixels)
    demand(digest == certificate["image"]["sha256"], f"the SHA-256 of the picture is {digest}")
    return "it is the canonical image"


# ---- noise


@lru_cache(maxsize=8)
def thresholds(sigma):
    """Return the thresholds on 64 bits of the rounded Gaussian, and its total variation."""
    high = mpmath.MPContext()
    high.prec = 128
    scale = 255 * high.mpf(repr(sigma)) * high.sqrt(2)
    tails, variation, last = [], high.zero, None
    while True:
        tail = high.erfc(min((len(tails) + 0.5) / scale, 40)) / 2
        units = int(high.floor(tail * 2**64 + 0.5))
        error = high.mpf(units) / 2**64 - tail
        variation += abs(error if last is None else last - error)
        if units == 0:
            below = [2**64 - t for t in tails]
            return [*reversed(tails), *below], variation + tail
        tails.append(units)
        last = error


def philox(counter, key):
    """Philox4x64-10: four 64-bit words in, four out (Salmon and others, SC 2011)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    mask = 2**64 - 1
    for _ in range(10):
        one, two = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = two >> 64 ^ c1 ^ k0, two & mask, one >> 64 ^ c3 ^ k1, one & mask
        k0, k1 = k0 + 0x9E3779B97F4A7C15 & mask, k1 + 0xBB67AE8584CAA73B & mask
    return c0, c1, c2, c3


def noise(key, index, size, sigma):
    """Return the integers that are added to the picture's values in sample `index`."""
    table = thresholds(sigma)[0]
    words, drawn = struct.unpack("<QQ", key), []
    for block in range(-(-size // 16)):
        levels = [
            struct.pack("<4Q", *philox((block, 0, index, level), words)) for level in range(4)
        ]
        quarters = [struct.unpack("<16H", level) for level in levels]
        for a, b, c, d in zip(*quarters, strict=True):
            drawn.append(bisect_right(table, a << 48 | b << 32 | c << 16 | d) - len(table) // 2)
    return drawn[:size]


def check_noise(certificate, text, png, sample):
    """The revealed key is the one it committed to; with the picture a sample can be rebuilt."""
    proof = certificate["proof"]
    if text.strip().startswith("{"):
        file = read(text.encode())
        exact(file, "schema subject_sha256 key key_sha256 sealed", "noise key")
        demand(file["schema"] == "surety.noise-key/1", "this is no noise key")
        demand(file["subject_sha256"] == proof["subject_sha256"], "the key of another subject")
        text = file["key"]
        demand(file["key_sha256"] == sha256(bytes.fromhex(text)), "key_sha256 is not of the key")
    key = bytes.fromhex(text.strip())
    digest = sha256(key)
    demand(len(key) == 16, "a noise key has 32 hexadecimal digits")
    demand(digest == proof["noise"]["key_sha256"], f"the SHA-256 of the key is {digest}")
    if png is None:
        return "the key is the one it committed to"
    pixels = read_png(png)[2]
    drawn = noise(key, sample, len(pixels), float(proof["sigma"]))
    noisy = [k + x for k, x in zip(drawn, pixels, strict=True)]
    digest = sha256(struct.pack(f"<{len(noisy)}h", *noisy))
    return f"noisy sample {sample} (int16, little-endian) has SHA-256 {digest}"


# ---- main


def verify(data, keys, votes=None, image=None, noise_key=None, sample=0):
    """Check what is at hand, and go on behind what is wrong, but for a form that all rests on.

    Returns:
        (level, what was found) for each level; raises Wrong with a line for each that failed, the
        level's name in front.
    """
    steps = [("signature", check_signature, keys), ("form", check_form), ("radius", check_radius)]
    if votes is not None:
        steps.append(("votes", check_votes, votes))
    if image is not None:
        steps.append(("image", check_image, image))
    if noise_key is not None:
        steps.append(("noise", check_noise, noise_key, image, sample))
    done, failed = [], []

    def attempt(level, check, given):
        try:
            return check(*given)
        except Wrong as error:
            failed.append(f"{level}: {error}")
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            failed.append(f"{level}: malformed ({type(error).__name__}: {error})")
        except (struct.error, zlib.error) as error:
            failed.append(f"{level}: a damaged PNG ({error})")

    certificate = attempt("form", read, (data,))
    if not failed and type(certificate) is not dict:
        failed.append("form: this is no certificate")
    if not failed:
        for level, check, *given in steps:
            done.append((level, attempt(level, check, (certificate, *given))))
            if level == "form" and done[-1][1] is None:
                break
    if failed:
        raise Wrong("\n".join(failed))
    return done


def main():
    parser = argparse.ArgumentParser(description="Check a certificate of Surety.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--key", required=True, help="64 hexadecimal digits, or a file")
    parser.add_argument("--votes", type=Path)
    parser.add_argument("--image", type=Path, help="the canonical PNG")
    parser.add_argument("--noise-key", help="32 hexadecimal digits, or a file")
    parser.add_argument("--sample", type=int, default=0, help="index of the sample to rebuild")
    given = parser.parse_args()

    def text_of(value):
        return value if re.fullmatch("[0-9a-fA-F]+", value) else Path(value).read_text("utf-8")

    try:
        found = verify(
            given.certificate.read_bytes(),
            read_keys(text_of(given.key)),
            given.votes and given.votes.read_bytes(),
            given.image and given.image.read_bytes(),
            given.noise_key and text_of(given.noise_key),
            given.sample,
        )
    except (OSError, UnicodeDecodeError) as error:
        parser.error(str(error))
    except Wrong as error:
        print("\n".join(f"NOT VERIFIED  {line}" for line in str(error).splitlines()))
        return 1
    for level, words in found:
        print(f"{level:10} {words}")
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
