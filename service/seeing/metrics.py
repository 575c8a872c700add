"""What is counted, for Prometheus. Each application and each worker counts for itself.

No label is ever something that a client made up: names of providers and denoisers are those that
could be loaded, routes are templates, methods and stop reasons come from short lists.
docs/monitoring.md says what each of them means; a test holds the two against each other.
"""

import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from certification.certificate import VERSION
from certification.stopping import GoodEnough, Hopeless, TargetReached, VotesSpent
from certification.watching import (
    NO_SPAN,
    Attribute,
    Called,
    Cleaned,
    Concluded,
    Event,
    Note,
    Retried,
    Reused,
    Voted,
)

RADIUS_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)  # sigmas
CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
REQUEST_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds

STOP_REASONS = (
    *(rule.reason for rule in (TargetReached, Hopeless, GoodEnough, VotesSpent)),
    *("max_cost", "deadline", "cancelled"),
)

# They would double what is sent, and nobody reads them.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """A :class:`certification.watching.Watcher` that counts.

    Attributes:
        registry: all that is counted.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=[*buckets], registry=registry)

        # Of providers.
        self._votes = counter("surety_votes", "New votes in ledgers.", "provider")
        self._abstentions = counter("surety_abstentions", "Those for no label.", "provider")
        self._hits = counter(
            "surety_ledger_hits", "Votes read from a ledger instead of asked.", "provider"
        )
        self._calls = counter("surety_calls", "Calls, by what came of them.", "provider", "result")
        self._images = counter("surety_images", "Pictures sent.", "provider")
        self._retries = counter("surety_retries", "Pictures asked about again.", "provider")
        self._throttles = counter(
            "surety_throttles", "Calls that the provider had no capacity for.", "provider"
        )
        self._cost = counter("surety_cost_dollars", "US dollars billed.", "provider")
        self._call_seconds = histogram(
            "surety_call_seconds", "How long calls took.", CALL_BUCKETS, "provider"
        )
        self._wait_seconds = histogram(
            "surety_call_wait_seconds",
            "How long calls waited for rate limit, concurrency and breaker.",
            CALL_BUCKETS,
            "provider",
        )
        self._of_provider = (
            *(self._votes, self._abstentions, self._hits, self._images, self._retries),
            *(self._throttles, self._cost),
        )
        # Of denoisers.
        self._cleaned = counter(
            "surety_denoised_pictures", "Pictures denoised.", "denoiser", "compute"
        )
        self._cleaning = counter(
            "surety_denoise_seconds",
            "Seconds that this took, the wait for its turn included.",
            *("denoiser", "compute"),
        )
        # Of documents.
        self._certificates = counter(
            "surety_certificates", "New certificates.", "stop_reason", "result"
        )
        self._again = counter(
            "surety_certificates_again", "Runs that came to a certificate that was there already."
        )
        self._predictions = counter(
            "surety_predictions", "Predictions made.", "stop_reason", "result"
        )
        self._radius = histogram(
            "surety_certificate_radius_sigmas",
            "L2 radius of new certificates, in units of sigma.",
            RADIUS_BUCKETS,
        )
        # Of requests.
        self._requests = counter(
            "surety_http_requests", "Requests answered.", "method", "route", "status"
        )
        self._request_seconds = histogram(
            "surety_http_request_seconds",
            "From the headers of a request to the end of its answer.",
            REQUEST_BUCKETS,
            *("method", "route"),
        )
        self.open_requests = Gauge(
            "surety_http_requests_in_progress", "Requests not yet answered.", registry=registry
        )
        for reason in STOP_REASONS:
            for result in ("certified", "abstained"):
                self._certificates.labels(reason, result)
        build = Info("surety_build", "What runs here.", registry=registry)
        build.info({"version": VERSION, "python": platform.python_version()})

    def know(self, provider: str) -> None:
        """Show a provider's counters from 0 on: a first value says nothing about growth."""
        for counter in self._of_provider:
            counter.labels(provider)

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Note]:
        """See :class:`certification.watching.Watcher`; nothing here counts spans."""
        return NO_SPAN

    def tell(self, event: Event) -> None:
        """See :class:`certification.watching.Watcher`."""
        match event:
            case Called():
                self._called(event)
            case Voted(provider, votes, abstentions):
                self._votes.labels(provider).inc(votes)
                self._abstentions.labels(provider).inc(abstentions)
            case Reused(provider, votes):
                self._hits.labels(provider).inc(votes)
            case Retried(provider, images):
                self._retries.labels(provider).inc(images)
            case Cleaned(denoiser, compute, pictures, seconds):
                self._cleaned.labels(denoiser, compute).inc(pictures)
                self._cleaning.labels(denoiser, compute).inc(seconds)
            case Concluded():
                self._concluded(event)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            method: one of a short list.
            route: template of its path.
            status: of the answer.
            seconds: that it took.
        """
        self._requests.labels(method, route, status).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def _called(self, call: Called) -> None:
        self._calls.labels(call.provider, call.result).inc()
        self._images.labels(call.provider).inc(call.images)
        self._cost.labels(call.provider).inc(call.cost)
        self._throttles.labels(call.provider).inc(call.result == "throttled")
        self._call_seconds.labels(call.provider).observe(call.seconds)
        self._wait_seconds.labels(call.provider).observe(call.waited)

    def _concluded(self, ended: Concluded) -> None:
        if ended.again:
            self._again.inc()
            return
        counted = self._certificates if ended.kind == "certificate" else self._predictions
        named = "certified" if ended.kind == "certificate" else "predicted"
        counted.labels(ended.stop_reason, "abstained" if ended.abstained else named).inc()
        if ended.z is not None:
            self._radius.observe(ended.z)
