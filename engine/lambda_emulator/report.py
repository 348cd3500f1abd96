"""The platform's lines in a function's log, and the errors that the platform itself gives (lambda.md 2, 2.2).

Pure: texts from values.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engine.exit_reasons import exit_reason

if TYPE_CHECKING:
    from engine.lambda_emulator.invocation import Event

Status = Literal["success", "error", "timeout"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an invocation has no result.

    Attributes:
        payload: JSON text of the error, as the caller gets it.
        error_type: For the REPORT line.
        line: What the platform logs of it; None when the runtime has logged it.
    """

    payload: bytes
    error_type: str
    status: Status = "error"
    line: str | None = None


def exited(status: int, request_id: str) -> Failure:
    """The process ended. `status` as `os.waitstatus_to_exitcode` has it."""
    return platform_failure("Runtime.ExitError", exit_reason(status), request_id)


def platform_failure(error_type: str, reason: str, request_id: str) -> Failure:
    """An error that the platform found."""
    text = f"RequestId: {request_id} Error: {reason}"
    return Failure(_error(error_type, text), error_type, line=f"{text}\n{error_type}")


def timed_out(timeout: int, request_id: str) -> Failure:
    """The function took longer than its timeout, in seconds."""
    reason = f"Task timed out after {timeout:.2f} seconds"
    payload = _error("Sandbox.Timedout", f"RequestId: {request_id} Error: {reason}")
    return Failure(payload, "Sandbox.Timedout", "timeout", f"{_stamp()} {request_id} {reason}\n")


def _error(error_type: str, message: str) -> bytes:
    return msgspec.json.encode({"errorType": error_type, "errorMessage": message})


def _stamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1_000) % 1_000:03d}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an invocation took.

    Attributes:
        init_ms: Only where the environment was initialised for this invocation; `restore_ms` likewise.
    """

    duration_ms: float
    memory_size: int
    max_memory_used: int
    init_ms: float | None = None
    restore_ms: float | None = None
    failure: Failure | None = None

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds, the initialisation included."""
        return max(1, math.ceil(self.duration_ms + (self.init_ms or 0.0)))

    def text(self, request_id: str) -> str:
        """The REPORT line."""
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_ms} ms",
            f"Memory Size: {self.memory_size} MB",
            f"Max Memory Used: {self.max_memory_used} MB",
        ]
        if self.init_ms is not None:
            parts.append(f"Init Duration: {self.init_ms:.2f} ms")
        if self.restore_ms is not None:
            parts.append(f"Restore Duration: {self.restore_ms:.2f} ms")
            parts.append(f"Billed Restore Duration: {max(1, math.ceil(self.restore_ms))} ms")
        if self.failure is not None:
            parts.append(f"Status: {self.failure.status}")
            if self.failure.status == "error":
                parts.append(f"Error Type: {self.failure.error_type}")
        return "\t".join(parts) + "\t"

    def record(self, request_id: str) -> dict[str, Any]:
        """The same for a log in JSON: platform.report."""
        metrics: dict[str, Any] = {
            "durationMs": round(self.duration_ms, 3),
            "billedDurationMs": self.billed_ms,
            "memorySizeMB": self.memory_size,
            "maxMemoryUsedMB": self.max_memory_used,
        }
        if self.init_ms is not None:
            metrics["initDurationMs"] = round(self.init_ms, 3)
        if self.restore_ms is not None:
            metrics["restoreDurationMs"] = round(self.restore_ms, 3)
        record: dict[str, Any] = {"requestId": request_id, "metrics": metrics, "status": "success"}
        if self.failure is not None:
            record["status"] = self.failure.status
            if self.failure.status == "error":
                record["errorType"] = self.failure.error_type
        return record


def init_report(duration_ms: float, failure: Failure, *, restores: bool) -> tuple[str, str, dict[str, Any]]:
    """The platform's line of an initialisation, or a restoring, that failed; and what it is in a log in JSON."""
    status = [f"Status: {failure.status}"]
    if failure.status == "error":
        status.append(f"Error Type: {failure.error_type}")
    metrics = {"durationMs": round(duration_ms, 3)}
    record: dict[str, Any] = {"status": failure.status, "metrics": metrics}
    if restores:
        return "\t".join([f"RESTORE_REPORT Restore Duration: {duration_ms:.2f} ms", *status]), "restoreReport", record
    text = "\t".join([f"INIT_REPORT Init Duration: {duration_ms:.2f} ms", "Phase: init", *status])
    return text, "initReport", {"phase": "init", **record}


def head_of(event: Event, deadline_ms: int, trace_id: str) -> dict[str, str]:
    """The headers that an invocation is delivered with; those without a value are left out (lambda.md 5)."""
    head = {
        "Lambda-Runtime-Aws-Request-Id": event.request_id,
        "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": event.invoked_arn,
        "Lambda-Runtime-Trace-Id": trace_id,
    }
    if event.client_context:
        # Between the tokens of JSON a line end is a blank; inside of a header it would begin another one.
        head["Lambda-Runtime-Client-Context"] = event.client_context.replace("\r", " ").replace("\n", " ")
    if event.tenant_id:
        head["Lambda-Runtime-Aws-Tenant-Id"] = event.tenant_id
    return head
