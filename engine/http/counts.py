"""What the API counts, and how Prometheus reads it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

UNKNOWN = "unknown"
"""Stands for the operation of a request that names none of ours: what clients send must not become labels."""


class Counts:
    """Plain numbers, changed in the event loop alone.

    Attributes:
        answered: By operation, HTTP status and error code; the code of a success is empty.
        seconds: Until they were answered, by operation; long polls with their waiting.
        in_flight: Requests that are being answered.
    """

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int, str]] = Counter()
        self.seconds: Counter[str] = Counter()
        self.in_flight = 0

    def answer(self, operation: str | None, status: int, code: str, seconds: float) -> None:
        """Counts one."""
        name = operation or UNKNOWN
        self.answered[name, status, code] += 1
        self.seconds[name] += seconds  # type: ignore[assignment]  # a Counter of floats, which works


class CountsCollector(Collector):
    """Counts as metrics; all names begin with `asl_api_`."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Nothing, as `EngineCollector`."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now; from any thread."""
        requests = CounterMetricFamily(
            "asl_api_requests", "Requests of the API.", labels=["operation", "status", "error"]
        )
        for (operation, status, code), number in self._counts.answered.copy().items():
            requests.add_metric([operation, str(status), code], number)
        yield requests
        seconds = CounterMetricFamily(
            "asl_api_request_seconds", "How long they took, waiting of long polls included.", labels=["operation"]
        )
        for operation, total in self._counts.seconds.copy().items():
            seconds.add_metric([operation], total)
        yield seconds
        yield GaugeMetricFamily("asl_api_in_flight", "Requests that are being answered.", self._counts.in_flight)
