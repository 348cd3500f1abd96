"""OpenTelemetry spans of executions: one for each execution, one for each visit of a state (extra `otel`).

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from engine.observability.tracing import Spans

    spans = Spans(BatchSpanProcessor(OTLPSpanExporter()))
    engine = Engine(url, handlers=spans.around(handlers), tracer=spans)

Spans are made of what was committed, with the history's times: none tells of what did not happen. Their ids follow from
the execution's ARN and the Entered event's id, so that spans made in different processes fit together, and what a
handler traces is inside its state's span although that is made later.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry import context as contexts
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from engine.integrations.registry import Handlers
from engine.observability.state_spans import EXECUTION, enclosing_states, ended_visits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

    from engine.integrations.registry import HandlersLike
    from engine.integrations.request import Answer, Channel, Handler, TaskRequest, Workplace
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Snapshot, Transition
    from engine.observability.state_spans import Enclosing, Visit

_SCOPE = InstrumentationScope("asl-engine")
_PREFIX = "aws.step_functions"
_NS_PER_MS = 1_000_000
_ARNS_CACHED = 4_096
_PLANS_MAX = 512

_CAUSE_SHOWN = 500
"""Characters of a cause in a span; the history has all of it."""


class Spans:
    """A `Tracer`: gives spans to a processor, which must not wait: a BatchSpanProcessor does not."""

    def __init__(
        self, processor: SpanProcessor, *, sampler: Sampler | None = None, resource: Resource | None = None
    ) -> None:
        """What is not given is taken from the environment, as the OpenTelemetry SDK does: OTEL_TRACES_SAMPLER, ....

        Args:
            processor: Gets the spans that ended. It is the caller's to shut down.
            sampler: Asked once for each transition, with the execution's trace id: all workers must ask the same.
            resource: What the spans say of this process.
        """
        provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self._processor = processor
        self._sampler = provider.sampler
        self._resource = provider.resource
        self._enclosing: dict[int, tuple[Plan, Enclosing]] = {}  # by identity: a plan has no hash

    def __call__(self, plan: Plan, before: Snapshot, transition: Transition) -> None:
        """See `Tracer`."""
        try:
            self._trace(plan, before, transition)
        except Exception:  # noqa: BLE001  an execution must not pay for what is told about it
            structlog.get_logger().exception("no span", execution=before.execution.arn)

    def around(self, handlers: HandlersLike) -> Handlers:
        """The same handlers; what they trace by OpenTelemetry is inside the span of their state."""
        return Handlers(handlers).wrapped(lambda handler: _TracedHandler(handler, self))

    def context_of(self, request: TaskRequest) -> SpanContext | None:
        """The span of the state that a Task belongs to; None: it is not sampled."""
        trace_id = _trace_id(request.execution_arn)
        if not self._is_sampled(trace_id, request.execution_name):
            return None
        return _context(request.execution_arn, request.redrive_count, request.entered)

    def _is_sampled(self, trace_id: int, name: str) -> bool:
        return self._sampler.should_sample(None, trace_id, name).decision is Decision.RECORD_AND_SAMPLE

    def _trace(self, plan: Plan, before: Snapshot, transition: Transition) -> None:
        execution, run = before.execution, transition.redrives.count
        if not self._is_sampled(_trace_id(execution.arn), execution.name):
            return
        about = {
            f"{_PREFIX}.state_machine.arn": execution.state_machine_arn,
            f"{_PREFIX}.execution.arn": execution.arn,
        }
        if transition.history:
            for visit in ended_visits(plan, self._enclosing_of(plan), before, transition):
                self._end_visit(execution.arn, run, visit, about)
        ending = transition.ending
        if ending is None:
            return
        begun = transition.redrives.time if run and transition.redrives.time is not None else execution.start_time
        is_good = ending.status == "SUCCEEDED"
        self._end(
            execution.state_machine_name,
            _context(execution.arn, run, EXECUTION),
            None,
            begun,
            transition.now,
            about
            | {f"{_PREFIX}.execution.name": execution.name, f"{_PREFIX}.execution.status": ending.status}
            | {f"{_PREFIX}.execution.redrive_count": run},
            None if is_good else ending.error or ending.status,
            ending.cause,
        )

    def _enclosing_of(self, plan: Plan) -> Enclosing:
        known = self._enclosing.get(id(plan))
        if known is None:
            known = self._enclosing[id(plan)] = (plan, enclosing_states(plan))
            if len(self._enclosing) > _PLANS_MAX:
                del self._enclosing[next(iter(self._enclosing))]
        return known[1]

    def _end_visit(self, arn: str, run: int, visit: Visit, about: dict[str, Any]) -> None:
        more: dict[str, Any] = {
            f"{_PREFIX}.state.name": visit.name,
            f"{_PREFIX}.state.type": visit.type,
            f"{_PREFIX}.state.entered_event_id": visit.entered,
            f"{_PREFIX}.state.retry_count": visit.retries,
        }
        if visit.item is not None:
            more[f"{_PREFIX}.map.item_index"] = visit.item
        context, parent = _context(arn, run, visit.entered), _context(arn, run, visit.inside)
        self._end(visit.name, context, parent, visit.begun, visit.ended, about | more, visit.error, visit.cause)

    def _end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        begun: int,
        ended: int,
        attributes: dict[str, Any],
        error: str | None,
        cause: str | None,
    ) -> None:
        status = Status(StatusCode.OK)
        if error is not None:
            status = Status(StatusCode.ERROR, (cause or error)[:_CAUSE_SHOWN])
            attributes = attributes | {"error.type": error or "_OTHER"}
        span = ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind.INTERNAL,
            status=status,
            start_time=begun * _NS_PER_MS,
            end_time=ended * _NS_PER_MS,
            instrumentation_scope=_SCOPE,
        )
        self._processor.on_end(span)


class _TracedHandler:
    """A handler that runs with its state's span as the current one."""

    def __init__(self, handler: Handler, spans: Spans) -> None:
        self.on_worker_loss = getattr(handler, "on_worker_loss", "rerun")
        self._handler = handler
        self._spans = spans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        with _current(self._spans.context_of(request)):
            return await self._handler.run(request, channel, workplace)


@contextmanager
def _current(span: SpanContext | None) -> Iterator[None]:
    if span is None:
        yield
        return
    token = contexts.attach(set_span_in_context(NonRecordingSpan(span)))
    try:
        yield
    finally:
        contexts.detach(token)


@lru_cache(_ARNS_CACHED)
def _trace_id(arn: str) -> int:
    return int.from_bytes(hashlib.blake2b(arn.encode(), digest_size=16).digest(), "big") or 1


def _context(arn: str, run: int, entered: int) -> SpanContext:
    """Of a visit, or of the execution, in one of its runs: a redrive is a run of its own."""
    digest = hashlib.blake2b(f"{arn} {run} {entered}".encode(), digest_size=8).digest()
    span_id = int.from_bytes(digest, "big") or 1
    return SpanContext(_trace_id(arn), span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
