"""The profile of an HTTP endpoint: what is sent, where to, and how its reply is read.

    [mynet]
    adapter = "http"
    url = "https://models.example.com/v1/classify"
    headers = { Authorization = "Bearer ${MYNET_TOKEN}" }
    body = "json"
    template = { image = "{image}" }
    reply = { label = "predictions[*].label", score = "predictions[*].score" }

`${NAME}` in headers, query, fields, template and proxy stands for an environment variable, `$$`
for a dollar sign. The address itself takes none: it stands in the profile as it is.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from adapters.errors import NotConfigured
from adapters.http_body import places_of_image
from adapters.http_reply import ReplyMap
from adapters.profile import Profile, ProfilePath

DOLLAR = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<wrong>))")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
OURS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
TELLING = re.compile(r"auth|key|token|secret|cookie|session|password", re.IGNORECASE)


class HttpProfile(Profile):
    """What an operator says about one endpoint.

    Attributes:
        url: where to send; http or https. Redirects are not followed.
        method: POST, PUT or PATCH.
        headers: sent with every call; secrets as `${NAME}`.
        query: parameters added to the address.
        body: the picture's bytes, a JSON document, or a form of several parts.
        template: body "json": the document; `{image}` in a string of it becomes the picture in
            base64, `{type}` its media type. With `max_batch` over 1 the list of one entry around
            it (the outermost one) gets an entry for each picture.
        field: body "multipart": name of the part that holds the picture.
        fields: body "multipart": further parts.
        max_batch: pictures in one call, for body "json".
        reply: where label, score and version stand, see :class:`adapters.http_reply.ReplyMap`.
        refused_statuses: answers that refuse this picture for good: an abstention.
        throttled_statuses: answers that ask for fewer calls.
        size: [height, width] that the endpoint takes, if it is one size.
        min_side: smallest side; smaller pictures are enlarged after denoising.
        max_side: largest side.
        max_pixels: largest area.
        max_bytes: largest encoded picture.
        unit: what `price` is for, a picture or a call.
        ca_file: certificates to trust in place of the usual ones (PEM).
        proxy: address of an HTTP proxy; those of the environment are not used.
    """

    # A value that is wrong may be a secret in the wrong place.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    url: str
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    query: dict[str, str] = Field(default_factory=dict, repr=False)
    body: Literal["bytes", "json", "multipart"] = "bytes"
    template: dict[str, Any] | list[Any] | None = Field(None, repr=False)
    field: str = Field("image", min_length=1)
    fields: dict[str, str] = Field(default_factory=dict, repr=False)
    max_batch: int = Field(1, ge=1, le=256)
    reply: ReplyMap
    refused_statuses: frozenset[int] = frozenset({413, 415, 422})
    throttled_statuses: frozenset[int] = frozenset({429})
    size: tuple[int, int] | None = None
    min_side: int = Field(1, ge=1)
    max_side: int | None = Field(None, ge=1)
    max_pixels: int | None = Field(None, ge=1)
    max_bytes: int | None = Field(None, ge=1)
    unit: Literal["image", "request"] = "image"
    ca_file: ProfilePath | None = None
    proxy: str | None = Field(None, repr=False)

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)  # a ValueError of its own says what is wrong
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("must be an address that begins with http:// or https://")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user or password: send them in a header")
        if parts.fragment or CONTROL.search(url) or " " in url:
            raise ValueError("must hold no spaces and no #fragment")
        if "$" in url:
            raise ValueError("takes no variables: secrets belong into headers or query")
        return url

    @field_validator("headers")
    @classmethod
    def _header_names(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            if not HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name[:40]!r} is no name of a header")
            if name.lower() in OURS:
                raise ValueError(f"{name} is set by the service itself")
        return headers

    @field_validator("refused_statuses", "throttled_statuses")
    @classmethod
    def _client_errors(cls, statuses: frozenset[int]) -> frozenset[int]:
        if not all(400 <= status <= 599 for status in statuses):
            raise ValueError("must be numbers from 400 to 599")
        return statuses

    @field_validator("size")
    @classmethod
    def _positive(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and not all(1 <= side <= 16384 for side in size):
            raise ValueError("must be [height, width], from 1 to 16384 each")
        return size

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.refused_statuses & self.throttled_statuses:
            raise ValueError("a status cannot both refuse a picture and ask for fewer calls")
        if (self.body == "json") != (self.template is not None):
            raise ValueError('body "json" needs a template, and the others take none')
        if self.body != "multipart" and self.fields:
            raise ValueError('fields are for body "multipart"')
        if self.body != "bytes" and any(name.lower() == "content-type" for name in self.headers):
            raise ValueError('a Content-Type header is for body "bytes": the others set their own')
        if self.template is not None:
            places = places_of_image(self.template)
            if len(places) != 1:
                raise ValueError('template must hold "{image}" exactly once')
            if self.max_batch > 1 and not places[0]:
                raise ValueError('max_batch over 1 needs a list of one entry around "{image}"')
        if self.max_batch > 1 and (self.body != "json" or self.reply.results is None):
            raise ValueError('max_batch over 1 needs body "json" and reply.results')
        return self


class Variables:
    """Puts environment variables into what a profile holds, and keeps what must not be shown.

    Args:
        environment: name → value.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._missing: dict[str, str] = {}
        self.secrets: set[str] = set()

    def text(self, text: str, where: str) -> str:
        """Return a text with the variables in it replaced.

        Raises:
            NotConfigured: if a dollar sign begins no variable, or a value cannot be sent.
        """

        def value(found: re.Match[str]) -> str:
            if found["dollar"]:
                return "$"
            if found["name"] is None:
                raise NotConfigured(
                    f"{where}: write ${{NAME}} for an environment variable, $$ for a dollar sign"
                )
            held = self._environment.get(found["name"], "")
            if not held:
                self._missing[found["name"]] = where
            elif CONTROL.search(held):
                raise NotConfigured(f"{found['name']} holds a line break or a control character")
            self.secrets.add(held)
            return held

        return DOLLAR.sub(value, text)

    def texts(self, table: Mapping[str, str], where: str) -> dict[str, str]:
        """Return a table with the variables in its values replaced; see :meth:`text`."""
        return {name: self.text(text, f"{where}.{name}") for name, text in table.items()}

    def headers(self, table: Mapping[str, str]) -> dict[str, str]:
        """Return headers as :meth:`texts` does, each fit to be sent.

        Raises:
            NotConfigured: as :meth:`text`.
        """
        headers = self.texts(table, "headers")
        for name, value in headers.items():
            if CONTROL.search(value) or not value.isascii():
                raise NotConfigured(f"headers.{name}: only printable ASCII can be sent")
            if TELLING.search(name) or "$" in table[name]:
                self.secrets.add(value)
        return {name: value.strip() for name, value in headers.items()}

    def address(self, text: str, where: str) -> str:
        """Return the address of a proxy; see :meth:`text`.

        Raises:
            NotConfigured: if it is none, or as :meth:`text`.
        """
        address = self.text(text, where)
        self.secrets.add(address)
        try:
            parts = urlsplit(address)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise NotConfigured(f"{where} must be an address: http://host:port")
        return address

    def document(self, document: Any, where: str) -> Any:  # noqa: ANN401  JSON
        """Return a JSON document with the variables in its texts replaced; see :meth:`text`."""
        if isinstance(document, str):
            return self.text(document, where)
        if isinstance(document, list):
            return [self.document(entry, where) for entry in document]
        if isinstance(document, dict):
            return {key: self.document(entry, f"{where}.{key}") for key, entry in document.items()}
        return document

    def check(self) -> None:
        """Refuse to go on without a variable.

        Raises:
            NotConfigured: naming each that is missing or empty.
        """
        if self._missing:
            named = ", ".join(f"{name} (for {where})" for name, where in self._missing.items())
            raise NotConfigured(f"these environment variables are not set: {named}")
