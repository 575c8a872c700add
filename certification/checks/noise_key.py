"""Level `noise`: a revealed key is the one that the certificate committed to.

With it any sample can be rebuilt, and so be asked about again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from certification import document as documents
from certification import noise
from certification.canonical import pixel_sha256
from certification.checks.kinds import Kind, digits, exactly, record, text
from certification.errors import InvalidParameter
from certification.protocols import Pixels

Document = Mapping[str, Any]

SCHEMA = "surety.noise-key/1"

_KEY: Kind = record(
    {
        "schema": exactly(SCHEMA),
        "subject_sha256": digits(64),
        "key": digits(32),
        "key_sha256": digits(64),
        "sealed": text,
    }
)


@dataclass(frozen=True)
class NoiseKey:
    """A revealed noise key.

    Attributes:
        key: 16 bytes.
        subject_sha256: whose it is, None where the bare key was given.
        key_sha256: what it says of itself, None likewise.
    """

    key: bytes = field(repr=False)
    subject_sha256: str | None = None
    key_sha256: str | None = None


def parse(data: bytes) -> NoiseKey:
    """Read a revealed noise key: its JSON, or 32 hexadecimal digits.

    Raises:
        InvalidParameter: if it is neither.
    """
    if re.fullmatch(rb"\s*[0-9a-fA-F]{32}\s*", data[:100]) and len(data) <= 100:
        return NoiseKey(bytes.fromhex(data.decode("ascii").strip()))
    found = documents.read(data, what="noise_key")
    wrong = next(_KEY(found, ""), None)
    if wrong is not None:
        raise InvalidParameter(f"the noise key: {wrong}", "noise_key")
    return NoiseKey(bytes.fromhex(found["key"]), found["subject_sha256"], found["key_sha256"])


def faults(certificate: Document, revealed: NoiseKey) -> list[str]:
    """Return why a key is not that of a certificate of the right shape."""
    proof = certificate["proof"]
    wrong, sha256 = [], noise.key_sha256(revealed.key)
    if revealed.subject_sha256 not in (None, proof["subject_sha256"]):
        wrong.append(
            f"the key is that of the subject {revealed.subject_sha256}, and the certificate is "
            f"about {proof['subject_sha256']}"
        )
    if sha256 != proof["noise"]["key_sha256"]:
        wrong.append(
            f"the SHA-256 of the key is {sha256} where proof.noise.key_sha256 is "
            f"{proof['noise']['key_sha256']}"
        )
    if revealed.key_sha256 not in (None, sha256):
        wrong.append(f"key_sha256 beside the key is {revealed.key_sha256}, but it is {sha256}")
    return wrong


def rebuild(
    certificate: Document, pixels: Pixels, noise_key: bytes, index: int
) -> NDArray[np.int16]:
    """Rebuild one noisy sample bit by bit: what the denoiser was given.

    Args:
        certificate: of the right shape.
        pixels: uint8 (H, W, 3), the canonical image.
        noise_key: 16 bytes.
        index: of the sample, from 0.

    Returns:
        int16 (H, W, 3), picture plus noise on the 0..255 scale, not clipped.

    Raises:
        InvalidParameter: if picture or key are not those of the certificate.
    """
    proof = certificate["proof"]
    if pixel_sha256(pixels) != certificate["image"]["sha256"]:
        raise InvalidParameter("this is not the picture of the certificate", "image")
    if noise.key_sha256(noise_key) != proof["noise"]["key_sha256"]:
        raise InvalidParameter("this is not the noise key of the certificate", "noise_key")
    noisy = noise.draw(noise_key, index, pixels.shape, float(proof["sigma"]))
    noisy += pixels
    return noisy
