"""Signing certificates, and checking the signature: Ed25519 (RFC 8032) over RFC 8785.

What is signed is the canonical form of the document without its `signature`. A key is named by
the first 64 bits of the SHA-256 of its 32 public bytes.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from certification import document as documents
from certification.errors import InvalidParameter

ALGORITHM = "Ed25519"
KEY_BYTES = 32
ID_DIGITS = 16
MOST_KEYS_BYTES = 256 * 2**10
"""A key has 32 bytes, and a deployment has a few."""

# What lies between has no dash, so that a beginning without its end is not looked for far and wide.
_PEM = re.compile("-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \\1-----")
_PRIVATE = re.compile("-----BEGIN [A-Z0-9 ]{0,40}PRIVATE")


def key_id(public: bytes) -> str:
    """Name a public key by 16 hexadecimal digits.

    Raises:
        InvalidParameter: if it is not 32 bytes.
    """
    if len(public) != KEY_BYTES:
        raise InvalidParameter(f"a public key has {KEY_BYTES} bytes, not {len(public)}", "key")
    return hashlib.sha256(public).hexdigest()[:ID_DIGITS]


class Signer:
    """Signs documents with one key.

    Args:
        seed: the 32 private bytes.

    Attributes:
        public: the 32 public bytes.
        key_id: their name.

    Raises:
        InvalidParameter: if the seed is not 32 bytes.
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise InvalidParameter(f"the seed of a signing key has {KEY_BYTES} bytes")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    @property
    def seed(self) -> bytes:
        """The private bytes, for whoever has to keep them from being shown."""
        return self._private.private_bytes_raw()

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document with this key's signature, in place of any it had.

        Raises:
            InvalidParameter: if the document has no canonical form.
        """
        value = self._private.sign(signed_bytes(document))
        signature = {
            "algorithm": ALGORITHM,
            "key_id": self.key_id,
            "value": base64.b64encode(value).decode("ascii"),
        }
        return {**document, "signature": signature}

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"


def signed_bytes(document: Mapping[str, Any]) -> bytes:
    """Return what is signed: the canonical form without `signature`.

    Raises:
        InvalidParameter: if the document has no canonical form.
    """
    return documents.canonical({k: v for k, v in document.items() if k != "signature"})


class Outcome(StrEnum):
    """What came of checking a signature."""

    GOOD = "good"
    NO_KEYS = "no keys"
    UNSIGNED = "unsigned"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown key"
    WRONG = "wrong"


@dataclass(frozen=True)
class SignatureCheck:
    """What came of checking a signature, and in words."""

    outcome: Outcome
    detail: str


def check_signature(document: Mapping[str, Any], keys: Mapping[str, bytes]) -> SignatureCheck:
    """Tell whether a document is signed with one of these keys.

    Args:
        document: JSON values, the member `signature` among them.
        keys: key id → 32 public bytes, as :func:`parse_public_keys` reads them.

    Raises:
        InvalidParameter: if the document has no canonical form, or a key is not 32 bytes.
    """
    if "signature" not in document:
        return SignatureCheck(Outcome.UNSIGNED, "the document carries no signature")
    signature = document["signature"]
    fault, value = _read_signature(signature)
    if fault is not None:
        return SignatureCheck(Outcome.MALFORMED, fault)
    named = signature["key_id"]
    if not keys:
        return SignatureCheck(
            Outcome.NO_KEYS, f"no public key was given; it says that {named} signed it"
        )
    public = next((key for key in keys.values() if key_id(key) == named), None)
    if public is None:
        given = ", ".join(sorted({key_id(key) for key in keys.values()})[:4])
        return SignatureCheck(
            Outcome.UNKNOWN_KEY,
            f"signature.key_id is {named}, which is none of the keys given ({given})",
        )
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(value, signed_bytes(document))
    except InvalidSignature:
        return SignatureCheck(
            Outcome.WRONG,
            f"signature.value is not that of the key {named} over this document: it was changed, "
            "or another key signed it",
        )
    return SignatureCheck(Outcome.GOOD, f"signed with the key {named}")


def _read_signature(signature: Any) -> tuple[str | None, bytes]:  # noqa: ANN401
    """Return what is wrong with a signature's form, and its bytes."""
    members = {"algorithm", "key_id", "value"}
    if not isinstance(signature, dict) or set(signature) != members:
        return f"signature must have exactly the members {', '.join(sorted(members))}", b""
    if signature["algorithm"] != ALGORITHM:
        return f"signature.algorithm must be {ALGORITHM!r}", b""
    named, text = signature["key_id"], signature["value"]
    if not isinstance(named, str) or not re.fullmatch("[0-9a-f]{16}", named):
        return f"signature.key_id must be {ID_DIGITS} lower-case hexadecimal digits", b""
    try:
        value = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError):
        value = b""
    # Encoded again, since the last digit holds bits that decoding drops.
    if len(value) != 2 * KEY_BYTES or base64.b64encode(value).decode("ascii") != text:
        return "signature.value must be the base64 of 64 bytes", b""
    return None, value


def parse_public_keys(text: str | bytes) -> dict[str, bytes]:
    """Read public keys: 64 hexadecimal digits, PEM, or the JSON of `GET /keys`.

    Args:
        text: what a file holds, or was pasted; several PEM blocks or lines of digits are fine.

    Returns:
        Key id → 32 public bytes, at least one.

    Raises:
        InvalidParameter: if it is nothing of the kind.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            _refuse("it is not text")
    text = text.strip()
    if len(text) > MOST_KEYS_BYTES:
        _refuse("it is too long")
    if text.startswith("{"):
        found = _from_json(text)
    elif text.startswith("-----BEGIN"):
        found = _from_pem(text)
    elif text and all(re.fullmatch("[0-9a-fA-F]{64}", part) for part in text.split()):
        found = [bytes.fromhex(part) for part in text.split()]
    else:
        _refuse("it is none of these")
    return {key_id(public): public for public in found}


def _from_json(text: str) -> list[bytes]:
    document = documents.read(text.encode("utf-8", "surrogatepass"), what="key", compact=True)
    entries = document.get("keys")
    if not isinstance(entries, list) or not entries:
        _refuse("its member keys is not a list of keys")
    found = []
    for place, entry in enumerate(entries):
        public = entry.get("public_key") if isinstance(entry, dict) else None
        if not isinstance(public, str) or not re.fullmatch("[0-9a-fA-F]{64}", public):
            _refuse(f"keys[{place}].public_key is not 64 hexadecimal digits")
        if entry.get("algorithm") != ALGORITHM:
            _refuse(f"keys[{place}].algorithm is not {ALGORITHM!r}")
        found.append(bytes.fromhex(public))
        if entry.get("id") != key_id(found[-1]):
            _refuse(f"keys[{place}].id is not that of its public_key")
    return found


def _from_pem(text: str) -> list[bytes]:
    if _PRIVATE.search(text):
        _refuse("it holds a private key: give the public one")
    found = []
    for block in _PEM.finditer(text):
        try:
            public = load_pem_public_key(block[0].encode("utf-8", "replace"))
        except (ValueError, UnsupportedAlgorithm):
            _refuse("its PEM is damaged")
        if not isinstance(public, Ed25519PublicKey):
            _refuse(f"its PEM is no {ALGORITHM} key")
        found.append(public.public_bytes_raw())
    if not found:
        _refuse("its PEM has no end")
    return found


def _refuse(why: str) -> NoReturn:
    raise InvalidParameter(
        f"no public key can be read: {why}. Give 64 hexadecimal digits, a PEM, or the JSON of "
        "GET /keys",
        "key",
    )
