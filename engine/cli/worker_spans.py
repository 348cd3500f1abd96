"""`asl worker --otel`: spans to a collector, by OTLP over HTTP, as the OTEL_* variables say."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.observability.tracing import Spans


@contextmanager
def sending_spans() -> Iterator[Spans]:
    """A tracer whose spans are sent in the background; at the end those that wait are sent.

    Raises:
        click.ClickException: The extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise click.ClickException(f"--otel: {error}; install it: pip install 'asl-engine[otel]'") from error
    from engine.observability.tracing import Spans

    processor = BatchSpanProcessor(OTLPSpanExporter())
    try:
        yield Spans(processor)
    finally:
        processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK's types are not complete
