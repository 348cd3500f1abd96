"""An Amazon States Language engine: exact, durable, fast.

    import engine

    output = await engine.run(definition, {"id": 1}, handlers={"Charge": charge})

`Engine` is for many executions at once, `engine.blocking` has the same names for programs without an event loop.
Names are imported when they are first used: importing `engine` alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.asl.diagnostics import InvalidDefinition
    from engine.errors import (
        ActivityDoesNotExist,
        ApiError,
        ExecutionAlreadyExists,
        ExecutionDoesNotExist,
        ExecutionNotRedrivable,
        InvalidExecutionInput,
        InvalidName,
        InvalidOutput,
        InvalidToken,
        StateMachineAlreadyExists,
        StateMachineDeleting,
        StateMachineDoesNotExist,
        TaskFailed,
        TaskTimedOut,
        ValidationException,
    )
    from engine.integrations.context import HandlerContext
    from engine.integrations.mock_config import InvalidMockConfig
    from engine.integrations.registry import Handlers, InvalidHandler, MissingHandler
    from engine.integrations.request import UnsupportedTask
    from engine.interpreter.snapshot import UnknownFormat
    from engine.jsonvalue import Json
    from engine.library import (
        ActivityDescription,
        ActivityTask,
        Engine,
        ExecutionHandle,
        Limits,
        MapRunCounts,
        StateMachineHandle,
        StateOutcome,
        UsedAfterFork,
        run,
    )
    from engine.outcome import ExecutionDescription, ExecutionFailed, SyncExecution
    from engine.runtime.clock import VirtualClock
    from engine.runtime.executions import ExecutionQuarantined
    from engine.store.postgres.embedded_errors import EmbeddedPostgresError
    from engine.store.postgres.upgrade import SchemaMismatch
    from engine.store.protocol import StoreUnavailable
    from engine.store.records import Garbage

_HOMES = {
    "engine.asl.diagnostics": ("InvalidDefinition",),
    "engine.errors": (
        "ActivityDoesNotExist",
        "ApiError",
        "ExecutionAlreadyExists",
        "ExecutionDoesNotExist",
        "ExecutionNotRedrivable",
        "InvalidExecutionInput",
        "InvalidName",
        "InvalidOutput",
        "InvalidToken",
        "StateMachineAlreadyExists",
        "StateMachineDeleting",
        "StateMachineDoesNotExist",
        "TaskFailed",
        "TaskTimedOut",
        "ValidationException",
    ),
    "engine.integrations.context": ("HandlerContext",),
    "engine.integrations.mock_config": ("InvalidMockConfig",),
    "engine.integrations.registry": ("Handlers", "InvalidHandler", "MissingHandler"),
    "engine.integrations.request": ("UnsupportedTask",),
    "engine.interpreter.snapshot": ("UnknownFormat",),
    "engine.jsonvalue": ("Json",),
    "engine.library": (
        "ActivityDescription",
        "ActivityTask",
        "Engine",
        "ExecutionHandle",
        "Limits",
        "MapRunCounts",
        "StateMachineHandle",
        "StateOutcome",
        "UsedAfterFork",
        "run",
    ),
    "engine.outcome": ("ExecutionDescription", "ExecutionFailed", "SyncExecution"),
    "engine.runtime.clock": ("VirtualClock",),
    "engine.runtime.executions": ("ExecutionQuarantined",),
    "engine.store.postgres.embedded_errors": ("EmbeddedPostgresError",),
    "engine.store.postgres.upgrade": ("SchemaMismatch",),
    "engine.store.records": ("Garbage",),
    "engine.store.protocol": ("StoreUnavailable",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ActivityDescription",
    "ActivityDoesNotExist",
    "ActivityTask",
    "ApiError",
    "EmbeddedPostgresError",
    "Engine",
    "ExecutionAlreadyExists",
    "ExecutionDescription",
    "ExecutionDoesNotExist",
    "ExecutionFailed",
    "ExecutionHandle",
    "ExecutionNotRedrivable",
    "ExecutionQuarantined",
    "Garbage",
    "HandlerContext",
    "Handlers",
    "InvalidDefinition",
    "InvalidExecutionInput",
    "InvalidHandler",
    "InvalidMockConfig",
    "InvalidName",
    "InvalidOutput",
    "InvalidToken",
    "Json",
    "Limits",
    "MapRunCounts",
    "MissingHandler",
    "SchemaMismatch",
    "StateMachineAlreadyExists",
    "StateMachineDeleting",
    "StateMachineDoesNotExist",
    "StateMachineHandle",
    "StateOutcome",
    "StoreUnavailable",
    "SyncExecution",
    "TaskFailed",
    "TaskTimedOut",
    "UnknownFormat",
    "UnsupportedTask",
    "UsedAfterFork",
    "ValidationException",
    "VirtualClock",
    "run",
]


def __dir__() -> list[str]:
    """For completion and `help`: names that nobody has used yet are there, too."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
