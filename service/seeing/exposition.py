"""Writes metrics as Prometheus reads them: its text format, or OpenMetrics where that is asked."""

import asyncio

from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import CollectorRegistry

TEXT = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPEN = openmetrics.CONTENT_TYPE_LATEST


async def written(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Write all metrics of a registry.

    Args:
        registry: whose.
        accept: the header of the request.

    Returns:
        The body, and its media type.
    """
    # What the library itself would choose by echoes the client's own words.
    if any(_named(part) == "application/openmetrics-text" for part in accept.split(",")):
        return await asyncio.to_thread(openmetrics.generate_latest, registry), OPEN
    return await asyncio.to_thread(exposition.generate_latest, registry), TEXT


def _named(part: str) -> str:
    return part.partition(";")[0].strip().lower()
