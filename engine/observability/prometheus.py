"""An engine's metrics as Prometheus knows them.

    from prometheus_client import REGISTRY
    from engine.observability.prometheus import EngineCollector

    REGISTRY.register(EngineCollector(engine.metrics))

Nothing is counted here: numbers are read from the engine when somebody scrapes. All names begin with `asl_`.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from engine.runtime.metrics import Histogram, Metrics, StoreMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PROCESS_LABEL = "process"
"""Tells the processes of one `asl worker --processes N` apart."""


class EngineCollector(Collector):
    """Metrics of one engine; several engines in one process need a registry each."""

    def __init__(self, metrics: Callable[[], Metrics], ready: Callable[[], bool] | None = None) -> None:
        """`metrics`: `Engine.metrics`. `ready`: whether it can take work, if that is to be shown as well."""
        self._metrics = metrics
        self._ready = ready

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering a collector does not read an engine that is not entered yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        metrics = self._metrics()
        yield _counter("executions_started", "Executions whose first transition was written here", metrics.started)
        yield _counters("executions_ended", "Executions that ended here", "status", metrics.ended)
        yield _gauge("executions_live", "Executions in memory", metrics.live)
        yield _counter("executions_quarantined", "Executions put into quarantine here", metrics.quarantined)
        yield _counters(
            "missing_handler", "Executions given up because this worker has no handler", "resource", metrics.missing
        )
        yield _counter("transitions", "Transitions of executions that were written", metrics.transitions)
        yield _gauge("tasks_in_flight", "Tasks whose handler runs or waits for its turn", metrics.in_flight)
        yield _gauge("jobs_watched", "Jobs of .sync Tasks that are asked about here", metrics.jobs_watched)
        yield _counters("tasks_ended", "Tasks whose handler came to an end", "outcome", metrics.tasks_ended)
        yield _counter("threads_abandoned", "Handlers in threads that were given up while they ran", metrics.abandoned)
        yield _gauge("threads_hanging", "Handlers that were given up and still run", metrics.hanging)
        told = CounterMetricFamily(
            "asl_told", "Log records and status changes, and what became of them.", labels=["kind", "outcome"]
        )
        for kind_and_outcome, number in metrics.told.items():
            told.add_metric(kind_and_outcome, number)
        yield told
        if self._ready is not None:
            yield _gauge("ready", "1 when this worker can take work", int(self._ready()))
        if metrics.store is not None:
            yield from _of_store(metrics.store)


def _of_store(store: StoreMetrics) -> Iterator[Metric]:
    yield _histogram("group_size", "Checkpoints and releases in one commit", store.group_size)
    yield _histogram("commit_seconds", "How long a commit took; its count is that of commits", store.commit_seconds)
    yield _histogram("claim_seconds", "How long a claim took, those that found nothing too", store.claim_seconds)
    yield _counter("executions_claimed", "Executions that were claimed", store.claimed)
    yield _histogram("claim_lag_seconds", "How late executions that were due were claimed", store.claim_lag_seconds)
    if store.parked is not None and store.oldest_due_seconds is not None:
        yield _gauge("executions_parked", "Executions of these pools in the database that no worker has", store.parked)
        yield _gauge("oldest_due_seconds", "How long the oldest of them has been due", store.oldest_due_seconds)
    yield _gauge(
        "lease_margin_seconds", "How much longer Tasks may be started without a renewal", store.lease_margin_seconds
    )
    yield _counter("lease_lost", "How often this worker was declared dead and began anew", store.lease_lost)
    yield _counter("database_reconnects", "How often the database came back after it was away", store.reconnects)
    yield _gauge("database_available", "1 when the database answered when it was asked last", int(store.is_available))


def exposition(*collectors: Collector) -> bytes:
    """Prometheus text of collectors, and of this process (CPU, memory, files)."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def merged(texts: Mapping[str, str]) -> bytes:
    """Prometheus texts as one, in which the label `process` tells whose each sample is.

    Args:
        texts: By what the label says.
    """
    families: dict[str, Metric] = {}
    for process, text in texts.items():
        for family in text_string_to_metric_families(text):
            into = families.setdefault(family.name, family)
            samples = [sample._replace(labels={PROCESS_LABEL: process, **sample.labels}) for sample in family.samples]
            into.samples = samples if into is family else into.samples + samples
    registry = CollectorRegistry()
    registry.register(_Collected(list(families.values())))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _counter(name: str, about: str, number: float) -> Metric:
    return CounterMetricFamily(f"asl_{name}", f"{about}.", value=number)


def _gauge(name: str, about: str, number: float) -> Metric:
    return GaugeMetricFamily(f"asl_{name}", f"{about}.", value=number)


def _counters(name: str, about: str, label: str, numbers: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(f"asl_{name}", f"{about}.", labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    return family


def _histogram(name: str, about: str, histogram: Histogram) -> Metric:
    counts = list(accumulate(histogram.counts))
    names = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(names, map(float, counts), strict=True))
    return HistogramMetricFamily(f"asl_{name}", f"{about}.", buckets=buckets, sum_value=histogram.sum)
