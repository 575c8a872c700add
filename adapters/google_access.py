"""Where Cloud Vision is, and what calls are made with: from the profile and the environment."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import NotConfigured
from adapters.grpc_address import target_of

HOST = "vision.googleapis.com"
AUDIENCE = f"https://{HOST}/"  # of tokens, for every regional endpoint too
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEY_FILE, API_KEY = "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_KEY"
ENDPOINT = "SURETY_GOOGLE_ENDPOINT"


@dataclass(frozen=True, repr=False)
class Credential:
    """What calls are made with.

    Attributes:
        value: one of google.auth's.
        holder: whose quota it draws on.
        secrets: what of it must never be shown.
    """

    value: Any
    holder: str
    secrets: tuple[str, ...]


def endpoint_of(chosen: str | None) -> tuple[str, bool]:
    """Return host:port, and whether to use TLS: not for this machine, nor where http:// stands.

    Args:
        chosen: the profile's endpoint.

    Raises:
        NotConfigured: if the address makes no sense.
    """
    address = chosen or os.environ.get(ENDPOINT, "").strip() or HOST
    return target_of(
        address, f"the endpoint of Cloud Vision (endpoint in the profile, or {ENDPOINT})"
    )


def credential_of(secure: bool) -> Credential:
    """Read the credential; asks nobody about it.

    Args:
        secure: whether TLS is used. Without it nothing but what is made here may be sent.

    Raises:
        NotConfigured: if there is none, or it is unusable.
    """
    path, key = os.environ.get(KEY_FILE, "").strip(), os.environ.get(API_KEY, "").strip()
    if path:
        return _of_file(_key_file(Path(path).expanduser()), secure)
    if not key:
        raise NotConfigured(
            f"Cloud Vision needs a credential: set {KEY_FILE} to the path of a service account's "
            f"key file, or {API_KEY} to an API key"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NotConfigured(f"{API_KEY} holds characters that no key has: copy it anew")
    from google.auth import api_key  # noqa: PLC0415  slow, and an extra

    made = api_key.Credentials(key)  # type: ignore[no-untyped-call]
    return Credential(made, f"key {key}", (key,))


def _of_file(info: dict[str, Any], secure: bool) -> Credential:
    from google.auth import jwt  # noqa: PLC0415
    from google.oauth2 import credentials as oauth2  # noqa: PLC0415

    kind = info.get("type")
    secrets = tuple(
        " ".join(str(info[name]).split())  # as `redacted` writes what it searches
        for name in ("private_key", "client_secret", "refresh_token")
        if info.get(name)
    )
    project = info.get("quota_project_id") or info.get("project_id")
    holder = f"project {project}" if project else f"account {info.get('client_id')} {secrets}"
    made: Any = None
    try:
        if kind == "service_account":
            made = jwt.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                info, audience=AUDIENCE
            )
        elif kind == "authorized_user" and secure:
            made = oauth2.Credentials.from_authorized_user_info(  # type: ignore[no-untyped-call]
                info, scopes=[SCOPE]
            )
    except (ValueError, KeyError, TypeError) as error:  # its text may quote the key
        raise NotConfigured(
            f"the file that {KEY_FILE} names is no complete key ({type(error).__name__}); download "
            "a new one from the Cloud console (IAM & Admin, Service accounts, Keys)"
        ) from None
    if made is None:
        raise NotConfigured(
            f"the file that {KEY_FILE} names holds a credential of the type {str(kind)[:40]!r}, "
            f"which {'surety cannot use' if secure else 'is not sent without TLS'}; use a service "
            f"account's key file, or unset it and set {API_KEY}"
        )
    return Credential(made, holder, secrets)


def _key_file(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotConfigured(
            f"the file that {KEY_FILE} names cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise NotConfigured(f"the file that {KEY_FILE} names is no JSON of a credential")
    return info
