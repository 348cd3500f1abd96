"""Retriers and Catchers: match, back off, decide. A decision is a value; `advance` carries it out (asl.md 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import PayloadTooLarge, StatesError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.asl.program import Retrier
    from engine.interpreter.context import Visit
    from engine.interpreter.state_plan import StatePlan
    from engine.jsonvalue import Json
    from engine.query.jsonpath import PathError

RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
TASK_FAILED = "States.TaskFailed"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"


class HeartbeatTimeout(StatesError):
    """A heartbeat that did not come. History and Error Output say `States.Timeout`, as recorded."""

    def __init__(self) -> None:
        super().__init__(TIMEOUT)


CaughtOutput: TypeAlias = "Callable[[Visit, Json, dict[str, Json]], tuple[Json, int, dict[str, Json] | None, int]]"
"""(where, raw input, Error Output) -> (output, its bound, assigned, its bound)."""


@dataclass(slots=True, eq=False)
class CatcherPlan:
    """A Catcher, compiled. `next` is set when all states exist."""

    error_equals: tuple[str, ...]
    output: CaughtOutput
    next: StatePlan | None = None


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again: `retrier` is the index of the one whose counter goes up."""

    retrier: int
    seconds: float


def is_terminal(error: StatesError) -> bool:
    """Neither retried nor caught, wherever it happens: it ends the execution at once (asl.md 13.2)."""
    return error.error == RUNTIME or isinstance(error, PayloadTooLarge)


def matches(error_equals: Sequence[str], error: StatesError) -> bool:
    """Whether a Retrier's or Catcher's ErrorEquals is for this error (asl.md 13.2)."""
    if is_terminal(error):
        return False
    for name in error_equals:
        if name in ("States.ALL", error.error):
            return True
        if name == TASK_FAILED and error.error != TIMEOUT:
            return True
        if name == HEARTBEAT_TIMEOUT and isinstance(error, HeartbeatTimeout):
            return True
    return False


def decide(
    retriers: Sequence[Retrier],
    catchers: Sequence[CatcherPlan],
    used: Sequence[int],
    error: StatesError,
    draw: Callable[[], float],
) -> RetryAfter | CatcherPlan | None:
    """Retry, catch, or neither. The first Retrier that matches decides alone; exhausted, it leaves it to the Catchers.

    Args:
        used: Per Retrier, how often it was used in this visit of the state; empty when none was.
        draw: Uniform in [0, 1).
    """
    for index, retrier in enumerate(retriers):
        if matches(retrier.error_equals, error):
            attempts = used[index] if used else 0
            if attempts < retrier.max_attempts:
                return RetryAfter(index, retry_delay_seconds(retrier, attempts=attempts, draw=draw))
            break
    return next((catcher for catcher in catchers if matches(catcher.error_equals, error)), None)


_DELAY_SECONDS_MAX = 99_999_999.0


def retry_delay_seconds(retrier: Retrier, *, attempts: int, draw: Callable[[], float]) -> float:
    """How long to wait before the next attempt.

    Args:
        attempts: Times this Retrier was already used in this visit of the state; 0 the first time.
        draw: Uniform in [0, 1); passed in so that a test can fix it.

    Returns:
        Seconds, 0 or more; never above the largest IntervalSeconds, which keeps a long back-off a date.

    Spec: asl.md 13.1.
    """
    assert 0 <= attempts < retrier.max_attempts, "an exhausted Retrier has no next delay"
    try:
        delay = min(retrier.interval_seconds * retrier.backoff_rate**attempts, _DELAY_SECONDS_MAX)
    except OverflowError:
        delay = _DELAY_SECONDS_MAX
    if retrier.max_delay_seconds is not None:
        # Cap first: FULL jitter draws from the capped interval, so it can only shorten it.
        delay = min(delay, retrier.max_delay_seconds)
    return delay * draw() if retrier.jitter_strategy == "FULL" else delay


def error_output(error: StatesError) -> dict[str, Json]:
    """`{"Error", "Cause"}`, both always there (recorded): null when a Task was failed without; a time-out has `""`."""
    cause = "" if error.error == TIMEOUT and error.cause is None else error.cause
    return {"Error": error.error, "Cause": cause}


def error_details(error: StatesError) -> dict[str, Json]:
    """`error` and `cause` as history events have them: absent when there is none."""
    details: dict[str, Json] = {}
    if error.error is not None:
        details["error"] = error.error
    if error.cause is not None:
        details["cause"] = error.cause
    return details


def invalid_path(error: PathError) -> StatesError:
    """InputPath, OutputPath and the other lone paths share one wording (asl.md 5.3)."""
    # A null input has a text that names no path [C].
    cause = error.reason if error.searched is None else f"Invalid path '{error.path}' : {error.reason}"
    return StatesError(RUNTIME, cause, located=True)
