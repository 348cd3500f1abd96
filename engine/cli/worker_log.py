"""What a worker says: one line of JSON on stderr for each thing that happened, naming execution, state and attempt.

{"event": "task succeeded", "level": "info", "timestamp": "...", "execution": ARN, "state": "Charge", "attempt": 0, ...}
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import structlog

from engine.errors import StatesError

if TYPE_CHECKING:
    from engine.integrations.registry import Handlers
    from engine.integrations.request import Answer, Channel, Handler, TaskRequest, Workplace
    from engine.interpreter.snapshot import Transition

_MS_PER_SECOND = 1_000
_CAUSE_SHOWN = 500
"""Characters of a cause in a line; `asl history` has all of it."""


def configure_log() -> None:
    """Sends what this process logs to stderr, as JSON. A module that sets up `logging` has its own way with that."""
    import msgspec

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encoded(msgspec.json.Encoder(enc_hook=repr))),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.lastResort = _Unhandled(logging.WARNING)


class _Unhandled(logging.Handler):
    """For what libraries log and nobody handles: else it would stand between the lines of JSON as plain text."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell(record.getMessage(), logger=record.name, exc_info=record.exc_info)


_GOOD_NEWS = frozenset({"database back"})


def log_notice(event: str, **about: object) -> None:
    """Logs what an engine notices of its database, its lease and the other workers."""
    log = structlog.get_logger()
    (log.info if event in _GOOD_NEWS else log.warning)(event, **about)


def _encoded(encoder: Any) -> Any:
    def serialize(event: Any, **_: Any) -> bytes:
        data: bytes = encoder.encode(event)
        return data

    return serialize


def logged(handlers: Handlers) -> Handlers:
    """The same handlers, which log each Task that they do."""
    return handlers.wrapped(LoggedHandler)


class LoggedHandler:
    """A handler that logs the beginning and the end of each Task; not its arguments and result, which are data."""

    def __init__(self, handler: Handler) -> None:
        self.on_worker_loss = getattr(handler, "on_worker_loss", "rerun")
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        log = structlog.get_logger().bind(
            execution=request.execution_arn, state=request.state, attempt=request.attempt, handler=self._handler.name
        )
        log.info("task started")
        begun = time.monotonic()
        told: tuple[str, dict[str, str | None]] = ("task cancelled", {})
        try:
            answer = await self._handler.run(request, channel, workplace)
            told = "task succeeded", {}
        except StatesError as failed:
            told = "task failed", {"error": failed.error, "cause": (failed.cause or "")[:_CAUSE_SHOWN]}
            raise
        finally:
            event, more = told
            log.info(event, milliseconds=round((time.monotonic() - begun) * _MS_PER_SECOND), **more)
        return answer


class ExecutionLog:
    """An observer of an engine: logs beginnings, retries and ends of executions."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    def __call__(self, execution_arn: str, transition: Transition) -> None:
        """Logs what one transition did."""
        if transition.first_event_id == 1:
            self._log.info("execution started", execution=execution_arn)
        ending = transition.ending
        if ending is None:
            return
        about = {"execution": execution_arn, "status": ending.status}
        if ending.status == "SUCCEEDED":
            self._log.info("execution ended", **about)
            return
        cause = (ending.cause or "")[:_CAUSE_SHOWN]
        self._log.warning("execution ended", **about, state=ending.state, error=ending.error, cause=cause)
