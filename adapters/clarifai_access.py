"""Who asks Clarifai, about whose model, and where.

CLARIFAI_PAT        personal access token
CLARIFAI_USER_ID    your user id, for models of your own
CLARIFAI_APP_ID     your app, for models of your own
CLARIFAI_API_BASE   another address, as Clarifai's own SDK takes it
"""

import os

from pydantic import Field

from adapters.errors import NotConfigured
from adapters.grpc_address import target_of
from adapters.profile import Profile

HOST = "api.clarifai.com"
TOKEN = "CLARIFAI_PAT"  # noqa: S105  the variable's name
USER, APP, BASE = "CLARIFAI_USER_ID", "CLARIFAI_APP_ID", "CLARIFAI_API_BASE"
OWN = "me"


class ClarifaiProfile(Profile):
    """What an operator may set.

    Attributes:
        model_id: a model that gives concepts for an image.
        user_id: whose model it is; "me" for one of your own, which CLARIFAI_USER_ID and
            CLARIFAI_APP_ID then say.
        app_id: the app that it belongs to; "main" if not given, CLARIFAI_APP_ID for your own.
        model_version_id: the version to ask, None for the newest.
        max_concepts: most labels in an answer.
        min_value: labels with a lower score are left out.
        api_base: another address of the API, "https://HOST" or "HOST:PORT". TLS is left out for
            this machine, and where http:// stands before.
    """

    model_id: str = Field("general-image-recognition", min_length=1)
    user_id: str = Field("clarifai", min_length=1)
    app_id: str | None = Field(None, min_length=1)
    model_version_id: str | None = Field(None, min_length=1)
    max_concepts: int = Field(20, ge=1, le=200)
    min_value: float = Field(0.0, ge=0, le=1)
    api_base: str | None = None


def identity_of(profile: ClarifaiProfile) -> tuple[str, str, str]:
    """Return the token, and the user and the app whose the model is.

    Raises:
        NotConfigured: naming all variables that are missing.
    """
    own = profile.user_id == OWN
    wanted = [TOKEN, *([USER] if own else []), *([APP] if own and not profile.app_id else [])]
    found = {variable: os.environ.get(variable, "").strip() for variable in wanted}
    if missing := [variable for variable, value in found.items() if not value]:
        raise NotConfigured(
            f"Clarifai needs the environment variable{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(missing)} (tokens are made at clarifai.com under Settings, Secrets; "
            "see docs/providers/clarifai.md)"
        )
    token = found[TOKEN]
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise NotConfigured(f"{TOKEN} holds characters that no token has: copy it anew")
    return token, found.get(USER, profile.user_id), profile.app_id or found.get(APP, "main")


def address_of(chosen: str | None) -> tuple[str, bool]:
    """Return host:port, and whether to use TLS: not for this machine, nor where http:// stands.

    Args:
        chosen: the profile's address.

    Raises:
        NotConfigured: if it makes no sense.
    """
    address = chosen or os.environ.get(BASE, "").strip() or HOST
    return target_of(address, f"the address of Clarifai's API (api_base in the profile, or {BASE})")
