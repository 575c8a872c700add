"""Puts the smoothed classifier of a certificate together again, or says why that cannot be."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from adapters.interface import Adapter
from certification.canonical import CanonicalImage
from certification.decision import DecisionRule, LabelMap, parse_rule
from certification.postprocess import Encoding, PostProcess
from certification.protocols import Denoiser, Traits
from certification.subject import Subject
from denoisers.errors import UnknownDenoiser
from service.core import Surety
from service.errors import ConfigurationError
from service.issued import Document

ONLY_THEN = ("model_version",)  # of the provider: known once it has answered
SHOWN = 80  # characters of a value
MOST_TOLD = 5


@dataclass(frozen=True)
class Smoothed:
    """All that a picture with its noise goes through before it is a vote."""

    denoiser: Denoiser
    adapter: Adapter
    postprocess: PostProcess
    rule: DecisionRule
    labels: LabelMap


async def rebuild(
    surety: Surety, subject: Document, image: CanonicalImage, denoiser: str | None = None
) -> Smoothed:
    """Put the smoothed classifier of a subject together.

    Args:
        surety: an opened deployment.
        subject: of a certificate.
        image: its picture.
        denoiser: what this deployment calls its denoiser, if not as the subject does.

    Raises:
        ConfigurationError: if this deployment would be another one; says in what.
        AdapterError: if the provider is unknown, or cannot be asked.
        DenoiserError: if the denoiser cannot be used.
        InvalidParameter: if the provider does not take such samples any more, or the memory does
            not hold the picture.
    """
    adapter = await surety.adapter(subject["provider"]["name"])
    size = (image.height, image.width)
    name = subject["denoiser"]["name"] if denoiser is None else denoiser
    try:
        cleaner = await surety.denoiser(name, size)
    except UnknownDenoiser as error:
        if denoiser is not None:
            raise
        raise ConfigurationError(
            f"{error}. If it was a file of your own, name that with --denoiser"
        ) from None
    await asyncio.to_thread(cleaner.batch_of, *size)  # measured once, which takes time
    asked = _asked_encoding(subject["postprocess"]["encoding"], adapter.traits)
    smoothed = Smoothed(
        cleaner,
        adapter,
        PostProcess.plan(*size, adapter.traits, asked),
        parse_rule(subject["rule"]),
        # As it stands, since a profile's own label map may have changed by now.
        LabelMap(subject["label_map"]),
    )
    now = Subject.of(
        image,
        sigma=subject["sigma"],
        denoiser=cleaner,
        classifier=adapter,
        postprocess=smoothed.postprocess,
        rule=smoothed.rule,
        labels=smoothed.labels,
    )
    _check_same(subject, now)
    return smoothed


def _asked_encoding(encoding: str, traits: Traits) -> Encoding | None:
    """Return what the caller asked for; only a provider of both kinds leaves a choice."""
    return "jpeg" if encoding == "jpeg" and traits.payload == "png" else None


def _check_same(subject: Document, now: Subject) -> None:
    provider = {k: v for k, v in subject["provider"].items() if k not in ONLY_THEN}
    then = {k: v for k, v in subject.items() if k != "rerolls"} | {"provider": provider}
    found = list(_differences(then, json.loads(rfc8785.dumps(now.body)), ""))
    if found:
        more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        raise ConfigurationError(
            "this deployment would ask about other samples, or ask otherwise, than the certificate "
            f"says: {'; '.join(found[:MOST_TOLD])}{more}. Make them the same, or audit where "
            "they are"
        )


def _differences(then: Any, now: Any, where: str) -> Iterator[str]:  # noqa: ANN401  JSON values
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in sorted({*then, *now}):
            yield from _differences(then.get(name), now.get(name), f"{where}.{name}".lstrip("."))
    elif rfc8785.dumps(then) != rfc8785.dumps(now):
        yield f"{where} is {_shown(then)} there and {_shown(now)} here"


def _shown(value: Any) -> str:  # noqa: ANN401
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
