"""Certificates that were issued, in the store, and where to find them.

    certificate:ID              the document, in its canonical form
    certificates                ids by date
    certificates:image:SHA256   ids by date, of one canonical image; and so on
    certificates:owner:KEY      ids by date, of those that were issued to an API key
    certificates:owners:ID      ids of the keys that it was issued to: the same request has the same
                                certificate, whoever asks

Nothing here can be forged, since certificates are signed; whoever reads one may check it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from service.errors import BadRequest, NotFound, StoreDamaged
from service.store.connection import Store

PAGE = 100
MOST_LOOKED_AT = 5_000  # by one search
_AFTER = re.compile(r"\d{1,12}\.\d{1,9}-[0-9a-f]{32}")

Document = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """What certificates are looked for; None for any.

    Attributes:
        image: SHA-256 of the canonical image, or of the upload's file.
        label: key of the certified label.
        provider: its name.
        since: not issued before.
        until: not issued after.
        limit: at most so many.
        after: what the page before gave to go on with.
        owner: id of an API key that it was issued to.
    """

    image: str | None = None
    label: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    after: str | None = None
    owner: str | None = None


class RedisCertificates:
    """See the module's text.

    Args:
        store: the connection.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, document: Document, owner: str | None = None) -> Document:
        """Keep a certificate; return it, or the one that is kept under its id already.

        Args:
            document: the certificate.
            owner: id of the API key that it is issued to, beside those before.
        """
        key, text = self._key(document["id"]), rfc8785.dumps(document)
        when = datetime.fromisoformat(document["created"]).timestamp()
        keys = [key, *(self._store.key(name) for name in _indices(document))]
        kept = _parsed(
            await self._store.script("keep", keys, [document["id"], text, when]), document["id"]
        )
        if owner is not None:
            await self._issued_to(kept, owner)
        return kept

    async def _issued_to(self, document: Document, owner: str) -> None:
        when = datetime.fromisoformat(document["created"]).timestamp()

        async def note(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.sadd(self._owners(document["id"]), owner)
                both.zadd(self._owned(owner), {document["id"]: when})
                await both.execute()

        await self._store.patient(note)

    async def belongs(self, certificate_id: str, owner: str) -> bool:
        """Tell whether a certificate was issued to an API key."""
        name = self._owned(owner)
        return await self._store.brisk(lambda redis: redis.zscore(name, certificate_id)) is not None

    async def get(self, certificate_id: str) -> Document:
        """Return a certificate.

        Raises:
            NotFound: if there is none of this id.
            StoreDamaged: if what is kept is none.
        """
        text = await self._store.brisk(lambda redis: redis.get(self._key(certificate_id)))
        if text is None:
            raise no_certificate(certificate_id)
        return _parsed(text, certificate_id)

    async def search(self, wanted: Search) -> tuple[list[Document], str | None]:
        """Find certificates, the latest first, those of one date by their ids.

        Each is found once on one of the pages, whatever is issued or dropped meanwhile.

        Returns:
            Those found, and what to go on after; None if there are no more.

        Raises:
            BadRequest: if `after` is nothing that a page gave.
        """
        key = self._store.key(_narrowest(wanted))
        low = "-inf" if wanted.since is None else repr(wanted.since.timestamp())
        high = "+inf" if wanted.until is None else repr(wanted.until.timestamp())
        place = None if wanted.after is None else _place(wanted.after)
        if place is not None and wanted.until is not None and place[0] > float(high):
            place = None
        found: list[Document] = []
        for _ in range(MOST_LOOKED_AT // PAGE):
            page = await self._page(key, low, high, place)
            if not page:
                return found, None
            texts = await self.texts([name for _, name in page])
            for (date, name), text in zip(page, texts, strict=True):
                if text is None:
                    continue  # dropped in between
                document = _parsed(text, name)
                if _fits(document, wanted):
                    found.append(document)
                    if len(found) == wanted.limit:
                        return found, f"{date!r}-{name}"
            place = page[-1]
        return found, None if place is None else f"{place[0]!r}-{place[1]}"

    async def _page(
        self, key: str, low: str, high: str, place: tuple[float, str] | None
    ) -> list[tuple[float, str]]:
        after = ["", ""] if place is None else [repr(place[0]), place[1]]
        args = [low, high, PAGE, *after]
        found = await self._store.brisk_script("page", [key], args)
        return [(float(found[i + 1]), found[i].decode()) for i in range(0, len(found), 2)]

    async def texts(self, ids: Sequence[str]) -> list[bytes | None]:
        """Return certificates in their canonical form, None for those that are not kept."""
        names = [self._key(name) for name in ids]
        found: list[bytes | None] = await self._store.brisk(lambda redis: redis.mget(names))
        return found

    async def count(self) -> int:
        """Return how many are kept."""
        name = self._store.key("certificates")
        return int(await self._store.brisk(lambda redis: redis.zcard(name)))

    async def drop(self, certificate_id: str) -> None:
        """Forget a certificate; its ledger stays, so that it can be had again."""
        document = await self.get(certificate_id)
        keys = [self._store.key(name) for name in _indices(document)]
        owners = self._owners(certificate_id)
        found = await self._store.brisk(lambda redis: redis.smembers(owners))
        keys += [self._owned(owner.decode()) for owner in found]

        async def forget(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.delete(self._key(certificate_id), owners)
                for key in keys:
                    both.zrem(key, certificate_id)
                await both.execute()

        await self._store.brisk(forget)

    async def oldest(self, start: int, count: int) -> list[tuple[str, float]]:
        """Return ids and dates, the oldest first."""
        name = self._store.key("certificates")
        found = await self._store.brisk(
            lambda redis: redis.zrange(name, start, start + count - 1, withscores=True)
        )
        return [(name.decode(), when) for name, when in found]

    def _key(self, certificate_id: str) -> str:
        return self._store.key("certificate", certificate_id)

    def _owners(self, certificate_id: str) -> str:
        return self._store.key("certificates:owners", certificate_id)

    def _owned(self, owner: str) -> str:
        return self._store.key("certificates:owner", owner)


def no_certificate(certificate_id: str) -> NotFound:
    """Say that there is none of this id."""
    return NotFound(
        f"no certificate {certificate_id[:40]!r} is kept here: certify the picture again, "
        "which costs nothing while its votes are kept"
    )


def summary(document: Mapping[str, Any]) -> Document:
    """Return what a list shows of a certificate."""
    proof = document["proof"]
    return {
        "id": document["id"],
        "created": document["created"],
        "label": proof["label"],
        "radius": proof["radius"],
        "sigma": proof["sigma"],
        "alpha": proof["alpha"],
        "n": proof["votes"]["n"],
        "provider": proof["subject"]["provider"]["name"],
        "denoiser": proof["subject"]["denoiser"]["name"],
        "image_sha256": document["image"]["sha256"],
        "image_name": document["image"]["source"].get("name"),
    }


def _indices(document: Mapping[str, Any]) -> list[str]:
    proof, image = document["proof"], document["image"]
    names = [
        "certificates",
        f"certificates:image:{image['sha256']}",
        f"certificates:provider:{proof['subject']['provider']['name']}",
    ]
    upload = image["source"].get("sha256")
    if upload is not None and upload != image["sha256"]:
        names.append(f"certificates:image:{upload}")
    if proof["label"] is not None:
        names.append(f"certificates:label:{proof['label']}")
    return names


def _narrowest(wanted: Search) -> str:
    if wanted.owner is not None:
        return f"certificates:owner:{wanted.owner}"
    if wanted.image is not None:
        return f"certificates:image:{wanted.image}"
    if wanted.label is not None:
        return f"certificates:label:{wanted.label}"
    if wanted.provider is not None:
        return f"certificates:provider:{wanted.provider}"
    return "certificates"


def _fits(document: Mapping[str, Any], wanted: Search) -> bool:
    proof, image = document["proof"], document["image"]
    label, provider = proof["label"], proof["subject"]["provider"]["name"]
    return (
        wanted.label in (None, label)
        and wanted.provider in (None, provider)
        and wanted.image in (None, image["sha256"], image["source"].get("sha256"))
    )


def _place(after: str) -> tuple[float, str]:
    """Read where a page goes on: date and id of the last certificate before it.

    Raises:
        BadRequest: if it is nothing that a page gave.
    """
    if not _AFTER.fullmatch(after):
        raise BadRequest("after must be what the page before gave as `next`", "after")
    date, _, name = after.partition("-")
    return float(date), name


def _parsed(text: bytes, certificate_id: str) -> Document:
    try:
        document: Document = json.loads(text)
        if document["id"] == certificate_id:
            return document
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreDamaged(
        f"the store's certificate {certificate_id[:40]} is not as written: certify the picture "
        "again, which costs nothing while its votes are kept, after deleting it there"
    )
