"""Where a resource of Azure AI Vision is, and its key: from the profile and the environment."""

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapters.errors import NotConfigured

ENDPOINT, KEY = "VISION_ENDPOINT", "VISION_KEY"
AZURE = (".cognitiveservices.azure.com", ".api.cognitive.microsoft.com")
LIKE = "https://NAME.cognitiveservices.azure.com"


@dataclass(frozen=True)
class Access:
    """A resource and its key.

    Attributes:
        endpoint: without a slash at its end.
        key: sent with every call; never shown.
        is_azure: whether the endpoint is one of Azure's public cloud.
        is_here: whether it is on this machine, where no proxy of the environment is used.
    """

    endpoint: str
    key: str
    is_azure: bool
    is_here: bool

    def __repr__(self) -> str:
        return f"Access({self.endpoint!r})"


def access_of(chosen: str | None) -> Access:
    """Read the address and the key; asks nobody about them.

    Args:
        chosen: the profile's endpoint.

    Raises:
        NotConfigured: if one of them is missing or unusable.
    """
    endpoint = (chosen or os.environ.get(ENDPOINT, "")).strip().rstrip("/")
    key = os.environ.get(KEY, "").strip()
    missing = [name for name, value in ((ENDPOINT, endpoint), (KEY, key)) if not value]
    if missing:
        raise NotConfigured(
            f"{' and '.join(missing)} not set: the portal shows both on the page Keys and Endpoint "
            f"of a Computer Vision resource ({LIKE}, and KEY 1)"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise NotConfigured(f"{KEY} holds characters that no key of Azure has: copy it again")
    host = _host_of(endpoint)
    return Access(endpoint, key, is_azure=host.endswith(AZURE), is_here=_is_here(host))


def _host_of(endpoint: str) -> str:
    """Return the host of an endpoint.

    Raises:
        NotConfigured: if the address makes no sense, or would send the key in the clear.
    """
    try:
        split = urlsplit(endpoint)
        host, port = split.hostname or "", split.port
    except ValueError:
        host, port = "", None
    odd = split.query or split.fragment or split.username if host else True
    if odd or port == 0 or split.scheme not in ("https", "http") or set(endpoint) & set(" {}<>\\"):
        raise NotConfigured(
            f"the endpoint of Azure AI Vision (endpoint in the profile, or {ENDPOINT}) must look "
            f"like {LIKE}"
        )
    if split.scheme == "http" and not _is_near(host):
        raise NotConfigured(
            f"the endpoint of Azure AI Vision (endpoint in the profile, or {ENDPOINT}) must begin "
            "with https://, since the key is sent with every call; http:// is for an emulator on "
            "this machine or in a private network"
        )
    return host


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host  # localhost, or a container's name
