"""Reads metrics as Prometheus does."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all samples of a page by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(client: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Ask for the metrics."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return read(answer.text)


def of(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels; 0 if there are none."""
    wanted = set(labels.items())
    return sum(v for (n, found), v in samples.items() if n == name and wanted <= found)


def labels_of(samples: Samples, name: str, label: str) -> set[str]:
    """Return the values that a label has."""
    return {
        value
        for (n, found), _ in samples.items()
        if n == name
        for key, value in found
        if key == label
    }
