"""Which credential, region and endpoint boto3 will use, found without touching the network.

boto3 finds credentials in many places: variables, the files in ~/.aws, SSO, a process, roles.
Those that lie in a variable or a file are read; of the others it is enough here that somebody has
asked for them, and the SDK fetches them at the first call. The last place, the metadata service
of EC2, is asked only where Linux says that it runs on EC2: elsewhere it makes a missing
credential known after seconds of waiting.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.errors import NotConfigured
from adapters.redaction import redacted

LOCAL_METHODS = frozenset(  # the SDK's names of those that only read variables and files
    {"env", "shared-credentials-file", "config-file", "ec2-credentials-file", "boto-config"}
)
EC2_MARKS = (
    (Path("/sys/devices/virtual/dmi/id/sys_vendor"), "amazon ec2"),
    (Path("/sys/hypervisor/uuid"), "ec2"),
)
SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
HOW = "see docs/providers/aws.md"


@dataclass(frozen=True)
class Found:
    """What a session will use.

    Attributes:
        identity: names the credential; itself secret.
        region: where.
        endpoint: address instead of the region's own.
    """

    identity: str
    region: str
    endpoint: str | None


def find(core: Any, region: str | None, endpoint: str | None) -> Found:  # noqa: ANN401
    """Look all three up.

    Args:
        core: a botocore session.
        region: chosen by the operator, before all else.
        endpoint: likewise.

    Raises:
        NotConfigured: naming everything that is missing.
    """
    wrong: list[str] = []

    def look(up: Callable[[], str | None]) -> str:
        try:
            return up() or ""
        except NotConfigured as error:
            wrong.append(str(error))
        except Exception as error:  # noqa: BLE001  files of the user, read by the SDK
            wrong.append(f"the AWS configuration cannot be used: {redacted(error)}")
        return ""

    found = Found(
        identity=look(lambda: _identity(core)),
        region=look(lambda: _region(core, region)),
        endpoint=look(lambda: _endpoint(core, endpoint)) or None,
    )
    if wrong:
        raise NotConfigured(f"{'; '.join(dict.fromkeys(wrong))} ({HOW})")
    return found


def _identity(core: Any) -> str:  # noqa: ANN401  an SDK's session, which has no types
    """Name the credential; elsewhere than on EC2 the session shall not look for its service."""
    resolver = core.get_component("credential_provider")
    if not on_ec2():
        resolver.remove("iam-role")
    settings = core.get_scoped_config()
    for provider in resolver.providers:
        if provider.METHOD in LOCAL_METHODS:
            credentials = provider.load()
            if credentials is not None:
                return f"{provider.METHOD}:{_sendable(next(held(credentials), ''))}"
        else:
            promise = _promise(provider.METHOD, settings)
            if promise:
                return f"{provider.METHOD}:{promise}"
    missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not _env(name)]
    raise NotConfigured(
        f"no AWS credential: set {' and '.join(missing)}, or AWS_PROFILE to a profile of "
        f"~/.aws/config that has one"
    )


def _region(core: Any, chosen: str | None) -> str:  # noqa: ANN401
    import botocore.utils  # type: ignore[import-untyped]  # noqa: PLC0415

    found = chosen or core.get_config_variable("region")
    if not found:
        hint = "; boto3 does not read AWS_REGION" if _env("AWS_REGION") else ""
        raise NotConfigured(f"no AWS region: set AWS_DEFAULT_REGION, such as eu-west-1{hint}")
    botocore.utils.validate_region_name(found)
    return str(found)


def _endpoint(core: Any, chosen: str | None) -> str | None:  # noqa: ANN401
    """Look for an address as boto3 does."""
    if chosen:
        return chosen
    if core.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    settings = core.get_scoped_config()
    services = core.full_config.get("services", {}).get(settings.get("services"), {})
    found = (
        _env("AWS_ENDPOINT_URL_REKOGNITION")
        or _env("AWS_ENDPOINT_URL")
        or services.get("rekognition", {}).get("endpoint_url")
        or settings.get("endpoint_url")
    )
    if not found:
        return None
    try:
        return checked_url(str(found))
    except ValueError as error:
        raise NotConfigured(f"the AWS endpoint URL {error}") from None


def checked_url(url: str) -> str:
    """Return an address if it is one; raises ValueError."""
    parts = urlsplit(url)
    host = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", parts.netloc)
    if parts.scheme not in ("http", "https") or not host or parts.port == 0:
        raise ValueError("must be http:// or https:// with a host, and hold no password")
    return url


def held(credentials: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield the parts of an SDK's credential, the id first, without making it refresh itself."""
    parts: dict[str, Any] = {
        name.removeprefix("_"): value for name, value in vars(credentials).items()
    }
    for name in ("access_key", "secret_key", "token"):
        if isinstance(parts.get(name), str):
            yield parts[name]


def secrets(core: Any) -> set[str]:  # noqa: ANN401
    """Return what variables and files hold that no message may show."""
    found: set[Any] = {_env(name.upper()) for name in SECRETS}
    for settings in core.full_config.get("profiles", {}).values():
        found.update(settings.get(name) for name in SECRETS)
    return {str(secret) for secret in found if secret}


def on_ec2() -> bool:
    """Tell whether there is a metadata service to be asked, by what this machine says."""
    if _env("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return True
    for path, beginning in EC2_MARKS:
        try:
            if path.read_text(errors="replace").casefold().startswith(beginning):
                return True
        except OSError:
            continue
    return False


def _promise(method: str, settings: Mapping[str, Any]) -> str | None:
    """Return what asks for a credential that has to be fetched, None if nothing does."""
    web_identity = settings.get("web_identity_token_file")
    wanted: dict[str, list[Any]] = {
        "assume-role": [not web_identity and settings.get("role_arn")],
        "assume-role-with-web-identity": [
            (_env("AWS_WEB_IDENTITY_TOKEN_FILE") or web_identity)
            and (_env("AWS_ROLE_ARN") or settings.get("role_arn"))
        ],
        "sso": [
            settings.get("sso_session") or settings.get("sso_start_url"),
            settings.get("sso_account_id"),
            settings.get("sso_role_name"),
        ],
        "custom-process": [settings.get("credential_process")],
        "login": [settings.get("login_session")],
        "container-role": [
            _env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            or _env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        ],
        "iam-role": ["ec2"],  # in the list only on EC2
    }
    parts = wanted.get(method, [None])
    return "/".join(map(str, parts)) if all(parts) else None


def _sendable(key_id: str) -> str:
    if not key_id.isascii() or not key_id.isprintable() or " " in key_id:
        raise NotConfigured(
            "AWS_ACCESS_KEY_ID holds a space, a line break or another sign that no id has: "
            "set it anew"
        )
    return key_id


def _env(name: str) -> str | None:
    return os.environ.get(name) or None
