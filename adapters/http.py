"""Any classifier behind HTTP, described by an operator's profile; see `adapters.http_profile`."""

import asyncio
import hashlib
import json
import os
import ssl
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from adapters.errors import BrokenReply, NotConfigured, StopError
from adapters.http_body import Body
from adapters.http_paths import Mismatch
from adapters.http_profile import HttpProfile, Variables
from adapters.http_reply import ReplyReader
from adapters.interface import (
    Adapter,
    Outcome,
    Payload,
    Profile,
    Refusal,
    Retry,
    Traits,
    fingerprint,
)
from adapters.label_file import read_labels

if TYPE_CHECKING:
    from adapters.http_errors import Statuses
    from adapters.http_lanes import Lanes

HOW = (
    "the adapter http needs a profile that describes the endpoint: in the file that "
    'SURETY_PROVIDERS_FILE names, write [mynet], adapter = "http", url = "https://…" and '
    'reply = { label = "predictions[*].label", score = "predictions[*].score" }, and ask for '
    "the provider mynet; see docs/providers/http.md"
)


HEADERS = {
    "User-Agent": "surety",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # replies are short
}


class HttpAdapter(Adapter):
    """Sends each picture to the endpoint of its profile, and reads the reply as that says."""

    name = "http"
    summary = "any classifier behind HTTP, described by a profile"
    profile_type: ClassVar[type[Profile] | None] = HttpProfile

    def __init__(self, profile: HttpProfile | None = None) -> None:
        if profile is None:
            raise NotConfigured(HOW)
        self._profile = profile
        values = Variables(os.environ)
        own = values.headers(profile.headers)
        named = {name.lower() for name in own}  # whatever its case, the profile's word counts
        self._headers = {k: v for k, v in HEADERS.items() if k.lower() not in named} | own
        self._query = values.texts(profile.query, "query")
        self._proxy = None if profile.proxy is None else values.address(profile.proxy, "proxy")
        self._body = Body(
            profile.body,
            template=values.document(profile.template, "template"),
            part=profile.field,
            fields=values.texts(profile.fields, "fields"),
            batches=profile.max_batch > 1,
        )
        values.check()
        self._secrets = values.secrets
        given = profile.reply.labels
        self._labels = read_labels(given) if isinstance(given, Path) else given
        self._reader = ReplyReader(profile.reply, self._labels)
        self._trust = _trust(profile.ca_file) if profile.ca_file is not None else None
        self._understood = False  # whether any reply was as the profile says
        self._lanes: dict[asyncio.AbstractEventLoop, Lanes] = {}
        self.traits = Traits(
            payload="png",
            max_batch=profile.max_batch,
            concurrency=32,
            input_size=profile.size,
            min_side=profile.min_side,
            max_side=profile.max_side,
            max_pixels=profile.max_pixels,
            max_bytes=profile.max_bytes,
            unit=profile.unit,
            names_version=profile.reply.names_version,
            labels=None if self._labels is None else tuple(dict.fromkeys(self._labels)),
        )

    @property
    def options(self) -> Mapping[str, Any]:
        """How replies are read, and a hash of what is sent and where to.

        The hash covers the names of variables, not their values, so a new secret changes nothing.
        """
        written = self._profile
        sent = written.model_dump(
            mode="json",
            include={"url", "method", "headers", "query", "body", "template", "field", "fields"},
        )
        reply = written.reply.model_dump(mode="json", exclude={"labels"}, exclude_defaults=True)
        options = {
            "request_sha256": _sha256(sent),
            "reply": reply,
            "refused_statuses": sorted(written.refused_statuses),
        }
        if self._labels is not None:
            options["labels_sha256"] = _sha256(self._labels)
        return options

    @property
    def account(self) -> str:
        """See :attr:`Adapter.account`: the endpoint's host and all secrets that it is sent."""
        return fingerprint(urlsplit(self._profile.url).netloc, *sorted(self._secrets))

    @property
    def secrets(self) -> Collection[str]:
        """See :attr:`Adapter.secrets`."""
        return self._secrets

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; one call, with all pictures in it."""
        import httpx  # noqa: PLC0415

        from adapters.http_errors import of_exception  # noqa: PLC0415

        pictures = [bytes(image) for image in images if isinstance(image, bytes)]
        if len(pictures) != len(images):
            raise TypeError("this adapter takes encoded pictures")
        arguments = self._body.arguments(pictures)
        headers = httpx.Headers(arguments.pop("headers", {}))
        headers.update(self._headers)
        url = httpx.URL(self._profile.url)
        if self._query:  # which writes the address's own anew, and may be signed
            url = url.copy_merge_params(self._query)
        request = httpx.Request(self._profile.method, url, headers=headers, **arguments)
        try:
            reply = await self._here().send(request, self.traits.timeout)
        except StopError:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            meaning = of_exception(error)
            if isinstance(meaning, StopError):
                raise type(meaning)(*meaning.args) from None
            return [meaning] * len(pictures)
        if not 200 <= reply.status < 300:
            return [self._statuses().outcome(reply, len(pictures))] * len(pictures)
        try:
            outcomes = self._reader.read(reply, len(pictures))
        except Mismatch as error:
            # A profile that never fitted is wrong; after that, the reply is.
            if not self._understood:
                raise BrokenReply(f"{error}: mend the paths in the profile's reply table") from None
            return [Retry(str(error), billed=True)] * len(pictures)
        self._understood = self._understood or not all(isinstance(o, Retry) for o in outcomes)
        return [self._shown(outcome) for outcome in outcomes]

    async def close(self) -> None:
        """Close the connections of the running loop; those of loops that have ended are gone."""
        lanes = self._lanes.pop(asyncio.get_running_loop(), None)
        if lanes is not None:
            await lanes.close()

    def _here(self) -> "Lanes":
        """Return the running loop's connections."""
        loop = asyncio.get_running_loop()
        lanes = self._lanes.get(loop)
        if lanes is None:
            from adapters.http_lanes import Lanes  # noqa: PLC0415  httpx is slow to import

            for ended in [loop for loop in self._lanes if loop.is_closed()]:
                del self._lanes[ended]
            if self._trust is None:
                self._trust = _trust(None)
            lanes = self._lanes[loop] = Lanes(self.traits.concurrency, self._trust, self._proxy)
        return lanes

    def _statuses(self) -> "Statuses":
        from adapters.http_errors import Statuses  # noqa: PLC0415  httpx is slow to import

        return Statuses(
            self._profile.refused_statuses, self._profile.throttled_statuses, self._secrets
        )

    def _shown(self, outcome: Outcome) -> Outcome:
        """Return an outcome whose reason is fit to be shown."""
        if isinstance(outcome, Retry):
            return Retry(self._statuses().shown(outcome.reason), billed=outcome.billed)
        if isinstance(outcome, Refusal):
            reason = self._statuses().shown(outcome.reason)
            return Refusal(reason, model_version=outcome.model_version)
        return outcome


def _sha256(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return how certificates are verified.

    Raises:
        NotConfigured: if the file holds none.
    """
    if ca_file is None:
        import httpx  # noqa: PLC0415

        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NotConfigured(
            f"ca_file {ca_file.name} cannot be used: {error.strerror or 'it holds no certificate'}"
        ) from None
