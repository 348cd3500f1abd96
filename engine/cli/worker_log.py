"""What a worker says: one line of JSON on stderr for each thing that happened, naming execution, state and attempt.

{"event": "task succeeded", "level": "info", "timestamp": "...", "execution": ARN, "state": "Charge", "attempt": 0, ...}
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from engine.cli.plain_structlog import structlog
from engine.errors import StatesError
from engine.integrations.request import Later

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from engine.cli.database import Database
    from engine.integrations.registry import Handlers
    from engine.integrations.request import (
        Answer,
        Channel,
        Handler,
        JobHandler,
        RunningJob,
        Submitted,
        TaskRequest,
        Workplace,
    )
    from engine.interpreter.snapshot import Transition

T = TypeVar("T")

_MS_PER_SECOND = 1_000
_CAUSE_SHOWN = 500
"""Characters of a cause in a line; `asl history` has all of it."""


def configure_log(level: str = "info") -> None:
    """Sends what this process logs to stderr, as JSON. A module that sets up `logging` has its own way with that.

    Args:
        level: What is less grave is not logged: `info`, `warning`, `error`.
    """
    import msgspec

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
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


def log_database(database: Database) -> None:
    """Says that a server of our own is begun or joined: when it is the first time that takes some seconds."""
    if database.url is None:
        structlog.get_logger().info("opening the database", directory=str(database.directory))


def _encoded(encoder: Any) -> Any:
    def serialize(event: Any, **_: Any) -> bytes:
        data: bytes = encoder.encode(event)
        return data

    return serialize


def logged(handlers: Handlers) -> Handlers:
    """The same handlers, which log each Task that they do."""
    return handlers.wrapped(LoggedHandler)


class LoggedHandler:
    """A handler that logs the beginning and the end of each Task; not its arguments and result, which are data.

    One that begins jobs logs that a job was begun, and how it ended once somebody has asked; a child execution tells
    its parent itself, and has lines of its own.
    """

    def __init__(self, handler: Handler) -> None:
        self.on_worker_loss = getattr(handler, "on_worker_loss", "rerun")
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        theirs = getattr(self._handler, name)
        # Methods of its own would make a `JobHandler` of each handler.
        return {"submit": self._submit, "poll": self._poll}.get(name, theirs)

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        return await self._timed(request, "task succeeded", self._handler.run(request, channel, workplace))

    async def _submit(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Submitted:
        submitting = cast("JobHandler", self._handler).submit(request, channel, workplace)
        return await self._timed(request, "task submitted", submitting)

    async def _poll(self, jobs: Sequence[RunningJob], workplace: Workplace) -> Sequence[Answer | StatesError | Later]:
        answers: Sequence[Answer | StatesError | Later]
        try:
            answers = await cast("JobHandler", self._handler).poll(jobs, workplace)
        except StatesError as failed:
            for job in jobs:
                self._log(job.request).info("task failed", **_failure(failed))
            raise
        for job, answer in zip(jobs, answers, strict=False):
            if isinstance(answer, StatesError):
                self._log(job.request).info("task failed", **_failure(answer))
            elif not isinstance(answer, Later):
                self._log(job.request).info("task succeeded")
        return answers

    async def _timed(self, request: TaskRequest, success: str, answering: Awaitable[T]) -> T:
        log = self._log(request)
        log.info("task started")
        begun = time.monotonic()
        told: tuple[str, dict[str, str | None]] = ("task cancelled", {})
        try:
            answer = await answering
            told = success, {}
        except StatesError as failed:
            told = "task failed", _failure(failed)
            raise
        finally:
            event, more = told
            log.info(event, milliseconds=round((time.monotonic() - begun) * _MS_PER_SECOND), **more)
        return answer

    def _log(self, request: TaskRequest) -> Any:
        return structlog.get_logger().bind(
            execution=request.execution_arn, state=request.state, attempt=request.attempt, handler=self._handler.name
        )


def _failure(failed: StatesError) -> dict[str, str | None]:
    return {"error": failed.error, "cause": (failed.cause or "")[:_CAUSE_SHOWN]}


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
