"""The engine as a library: `Engine` for many executions, `run` for one. It never owns the caller's event loop.

What a program sees is here; the work is done in `engine.runtime`.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from engine import arns
from engine.asl.parser import load
from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable, InvalidExecutionInput, InvalidName
from engine.integrations.invocation import json_text, json_value, unshared
from engine.integrations.registry import Handlers
from engine.integrations.required import check_handlers
from engine.integrations.threads import THREADS_MAX as THREADS_MAX
from engine.integrations.workplace import COMMANDS_MAX as COMMANDS_MAX
from engine.interpreter.history import as_aws
from engine.interpreter.plan import compile_plan
from engine.interpreter.snapshot import Execution
from engine.jsonvalue import PAYLOAD_BYTES_MAX, decode
from engine.outcome import ExecutionFailed, described
from engine.runtime.clock import SystemClock, VirtualClock
from engine.runtime.worker import Worker, not_redrivable_now
from engine.settings import Settings
from engine.store.memory import MemoryStore
from engine.store.protocol import StateMachineRecord

if TYPE_CHECKING:
    from types import TracebackType

    from engine.asl.program import StateMachine
    from engine.asl.source import Syntax
    from engine.integrations.registry import HandlersLike
    from engine.interpreter.plan import Plan
    from engine.jsonvalue import Json
    from engine.outcome import ExecutionDescription
    from engine.query.evaluation import Chance
    from engine.runtime.clock import Clock
    from engine.runtime.executions import LiveExecution, Observer
    from engine.store.protocol import ExecutionStatus, MachineType

HISTORY_EVENTS_MAX = 25_000
"""AWS: of one Standard execution (execution.md 5)."""

POLL_SECONDS = 60
"""How long GetActivityTask waits (execution.md 12)."""

DEFAULT_NAME = "StateMachine"

Definition: TypeAlias = "str | bytes | dict[str, Json] | Path"
"""JSON or YAML text, the value it stands for, or a file that holds it."""

NO_INPUT: Json = {}
"""What StartExecution takes when no input is given (execution.md 6.1)."""

_RECENT_MAX = 64
"""Compiled definitions that are kept because they may be run again."""

ClockLike: TypeAlias = "Literal['real', 'virtual'] | Clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """AWS's limits, others, or none.

    Attributes:
        payload_bytes: Of the input and output of a state, in bytes of JSON; `aws` is 262,144.
        history_events: Of one Standard execution; `aws` is 25,000.
    """

    payload_bytes: int | Literal["aws", "off"] = "aws"
    history_events: int | Literal["aws", "off"] = "aws"

    def number(self, field: Literal["payload_bytes", "history_events"]) -> int:
        """The limit as a number; 0 when it is off."""
        value = self.payload_bytes if field == "payload_bytes" else self.history_events
        if value == "aws":
            return PAYLOAD_BYTES_MAX if field == "payload_bytes" else HISTORY_EVENTS_MAX
        if value == "off":
            return 0
        if value < 1:
            raise ValueError(f'Limits.{field}: expected "aws", "off" or a number of 1 or more, got {value!r}')
        return value


class ActivityTask(NamedTuple):
    """What GetActivityTask gives."""

    task_token: str
    input: Json


class StateMachineHandle:
    """A state machine, ready to run."""

    __slots__ = ("arn", "is_checked", "name", "plan", "program", "type")

    def __init__(self, arn: str, name: str, type_: MachineType, program: StateMachine) -> None:
        self.arn = arn
        self.name = name
        self.type: MachineType = type_
        self.program = program
        self.plan: Plan = compile_plan(program)
        self.is_checked = False


class ExecutionHandle:
    """An execution that was started here. Handles of one execution all show the same."""

    __slots__ = ("_engine", "_live")

    def __init__(self, engine: Engine, live: LiveExecution) -> None:
        self._engine = engine
        self._live = live

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self._live.arn

    @property
    def name(self) -> str:
        """Its name."""
        return self._live.snapshot.execution.name

    @property
    def status(self) -> ExecutionStatus:
        """AWS's word for how it stands."""
        return "RUNNING" if self._live.ending is None else self._live.ending.status

    async def result(self) -> Json:
        """Waits for the end and gives the output.

        Raises:
            ExecutionFailed: It did not succeed.
            MissingHandler, UnsupportedTask: It was stopped, because a Task cannot be done here.
            ExecutionQuarantined: The engine itself failed.
        """
        return await self._engine._result(self._live)  # noqa: SLF001  of the same module

    async def describe(self) -> ExecutionDescription:
        """How it stands. Raises ExecutionDoesNotExist when it is no longer kept."""
        return self._engine._describe(self.arn)  # noqa: SLF001  of the same module

    async def history(self) -> list[dict[str, Any]]:
        """All events so far, in the shape of boto3's GetExecutionHistory. Raises ExecutionDoesNotExist."""
        return list(as_aws(self._engine._store.history(self.arn)))  # noqa: SLF001  of the same module

    async def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """Has it end as ABORTED: `result` tells when it has. Nothing changes when it is over already (execution.md 8).

        Raises:
            ValueError: `error` or `cause` is no text.
        """
        self._engine._at_work.stop(self._live, error, cause)  # noqa: SLF001  of the same module

    async def redrive(self) -> None:
        """Goes on where it failed (execution.md 9); then `result` waits for the new end.

        Raises:
            ExecutionNotRedrivable: It is open, succeeded, too old or too long.
            ExecutionDoesNotExist: It is no longer kept.
        """
        self._engine._redrive(self._live)  # noqa: SLF001  of the same module


class Engine:
    """Runs executions in memory, as many at once as there are; an asynchronous context manager.

    It is entered and left in one task. Leaving it ends the open executions as ABORTED, cancels asynchronous handlers,
    kills processes and commands, and leaves threads that still run a handler alone.

    Attributes:
        clock: Where its time comes from.
    """

    def __init__(
        self,
        handlers: HandlersLike = None,
        *,
        clock: ClockLike = "real",
        limits: Limits | None = None,
        region: str | None = None,
        account_id: str | None = None,
        max_concurrency: int | None = None,
        threads_max: int = THREADS_MAX,
        commands_max: int = COMMANDS_MAX,
        processes_max: int | None = None,
        observer: Observer | None = None,
        seed: int | None = None,
    ) -> None:
        """Nothing runs before the engine is entered.

        Args:
            handlers: Who does which Task; see `Handlers`.
            clock: `real`, or `virtual`: waiting is skipped.
            limits: AWS's, when not given.
            region: In ARNs; else from the environment.
            account_id: In ARNs; else from the environment.
            max_concurrency: Handlers that run at once; the rest of the Tasks wait their turn. No limit when not given.
            threads_max: Handlers that run in threads at once.
            commands_max: `cmd:` handlers that run at once.
            processes_max: Child processes of `process=True`; as many as there are processors when not given.
            observer: Called with (execution ARN, transition) whenever something happened; must not wait. When it
                raises, the execution is stopped, and whoever waits for it gets the observer's error.
            seed: Makes what is drawn (jitter, tokens, random functions) the same in every run.

        Raises:
            InvalidHandler: A handler cannot be made.
            ValueError: A number is not what it can be.
        """
        for what, number in {
            "max_concurrency": max_concurrency,
            "threads_max": threads_max,
            "commands_max": commands_max,
            "processes_max": processes_max,
        }.items():
            if number is not None and number < 1:
                raise ValueError(f"{what}: expected a number of 1 or more, got {number!r}")
        settings = Settings.from_environment()
        limits = limits or Limits()
        self.clock: Clock = _clock(clock)
        self._handlers = Handlers(handlers)
        self._region = region or settings.region
        self._account_id = account_id or settings.account_id
        self._payload_bytes_max = limits.number("payload_bytes")
        self._history_events_max = limits.number("history_events")
        self._chance: Chance = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  asked for
        self._store = MemoryStore()
        self._machines: dict[str, StateMachineHandle] = {}
        self._recent: dict[tuple[str, str, MachineType], StateMachineHandle] = {}
        self._role_arn = f"arn:aws:iam::{self._account_id}:role/asl-engine"
        self._worker = Worker(
            store=self._store,
            handlers=self._handlers,
            clock=self.clock,
            chance=self._chance,
            observer=observer,
            in_flight_max=max_concurrency,
            threads_max=threads_max,
            commands_max=commands_max,
            processes_max=processes_max,
        )

    async def __aenter__(self) -> Self:
        await self._worker.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._worker.__aexit__(kind, error, trace)

    @property
    def skipped_seconds(self) -> float:
        """Waiting that a virtual clock jumped over."""
        return self.clock.skipped / 1_000

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran. They cannot be killed, so they may still act."""
        workplace = self._worker.workplace
        return 0 if workplace is None else workplace.threads.abandoned

    @property
    def _at_work(self) -> Worker:
        if not self._worker.is_open:
            raise RuntimeError("the engine is not open: it works inside `async with engine.Engine(...) as name:`")
        return self._worker

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create_state_machine(
        self,
        definition: Definition,
        name: str,
        *,
        type: MachineType = "STANDARD",
    ) -> StateMachineHandle:
        """Keeps a state machine; the same one again gives the same handle.

        Raises:
            InvalidDefinition: With diagnostics.
            InvalidName: AWS would not take the name.
            StateMachineAlreadyExists: The name has another definition or type.
        """
        if not arns.is_valid_name(name):
            raise InvalidName(name)
        text, syntax = _text_of(definition)
        machine = self._compiled(text, syntax, name, type)
        record = StateMachineRecord(
            arn=machine.arn, name=name, type=type, definition=text, creation_date=self.clock.now()
        )
        self._store.create_state_machine(record)
        return self._machines.setdefault(machine.arn, machine)

    def _compiled(self, text: str, syntax: Syntax, name: str, type_: MachineType) -> StateMachineHandle:
        key = (text, name, type_)
        machine = self._recent.pop(key, None)
        if machine is None:
            program = load(text, type=type_, name=name, syntax=syntax)
            arn = arns.state_machine_arn(self._region, self._account_id, name)
            machine = StateMachineHandle(arn, name, type_, program)
        self._recent[key] = machine
        if len(self._recent) > _RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        return machine

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def start_execution(
        self,
        machine: StateMachineHandle | Definition,
        input: Json | bytes = NO_INPUT,
        *,
        name: str | None = None,
    ) -> ExecutionHandle:
        """Starts an execution of a state machine, or of a definition as it is (execution.md 7).

        Args:
            machine: Made by this engine's `create_state_machine`; or a definition, which runs as STANDARD.
            input: Any JSON value; `{}` when not given. Bytes are JSON text, which the history then shows as it is.
            name: Of the execution; a UUID when not given. While it runs, the same name and input give the same one.

        Raises:
            InvalidDefinition, InvalidName, InvalidExecutionInput, ExecutionAlreadyExists: As AWS does.
            MissingHandler: A Task state has no handler.
        """
        if not isinstance(machine, StateMachineHandle):
            machine = self._compiled(*_text_of(machine), DEFAULT_NAME, "STANDARD")
        return ExecutionHandle(self, self._start(machine, input, name))

    async def run(
        self,
        machine: StateMachineHandle | Definition,
        input: Json | bytes = NO_INPUT,
        *,
        name: str | None = None,
    ) -> Json:
        """Starts an execution and waits for its output. Raises what `start_execution` and `result` raise.

        Cancelled, it waits no more, but the execution goes on; `start_execution` gives a handle that can be stopped.
        """
        return await (await self.start_execution(machine, input, name=name)).result()

    async def execution(self, execution_arn: str) -> ExecutionHandle:
        """The handle of an execution that was started here. Raises ExecutionDoesNotExist."""
        return ExecutionHandle(self, self._worker.find(execution_arn))

    def _start(self, machine: StateMachineHandle, given: Json | bytes, name: str | None) -> LiveExecution:
        worker = self._at_work
        if not machine.is_checked:
            check_handlers(
                self._handlers,
                machine.program,
                region=self._region,
                account=self._account_id,
                activities=worker.tasks.activities,
            )
            machine.is_checked = True
        input_text = None
        try:
            if isinstance(given, bytes):
                input_text, given = given.decode(), decode(given)
            value, size = json_value(given)
        except ValueError as error:
            raise InvalidExecutionInput(str(error)) from None
        if 0 < self._payload_bytes_max < size:
            raise InvalidExecutionInput(f"{size} bytes, at most {self._payload_bytes_max} are allowed")
        if name is None:
            name = self._new_uuid()
        elif not arns.is_valid_name(name):
            raise InvalidName(name)
        if machine.type == "STANDARD":
            arn = arns.execution_arn(self._region, self._account_id, machine.name, name)
        else:
            run_id = self._new_uuid()
            arn = arns.express_execution_arn(self._region, self._account_id, machine.name, name, run_id)
        execution = Execution(
            arn=arn,
            name=name,
            type=machine.type,
            role_arn=self._role_arn,
            state_machine_arn=machine.arn,
            state_machine_name=machine.name,
            input=value,
            input_bytes=size,
            start_time=self.clock.now(),
            payload_bytes_max=self._payload_bytes_max,
            history_events_max=self._history_events_max,
            region=self._region,
        )
        return worker.start(machine.plan, execution, input_text)

    def _describe(self, execution_arn: str) -> ExecutionDescription:
        record = self._store.execution(execution_arn)
        return described(record, not_redrivable_now(record, self.clock.now()))

    def _redrive(self, live: LiveExecution) -> None:
        machine = self._machines.get(live.snapshot.execution.state_machine_arn)
        plan = live.plan or (None if machine is None else machine.plan)
        if plan is None:
            raise ExecutionNotRedrivable("The definition of the execution is no longer kept")
        self._at_work.redrive(live, plan)

    def _new_uuid(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    async def _result(self, live: LiveExecution) -> Json:
        await self._worker.wait(live)
        if live.fault is not None:
            raise live.fault
        ending = live.ending
        assert ending is not None
        if ending.status == "SUCCEEDED":
            return unshared(ending.output)
        try:
            segments = self._store.history(live.arn)
        except ExecutionDoesNotExist:
            segments = []
        failed_input = unshared(live.failed_input)
        raise ExecutionFailed(ending, execution_arn=live.arn, input_of_state=failed_input, segments=segments)

    # ── Tasks that are answered from outside ────────────────────────────────────────────────────────────────────────

    async def send_task_success(self, task_token: str, output: Json) -> None:
        """Ends the Task of a token (execution.md 13).

        Raises:
            InvalidToken: Nobody minted it here.
            TaskTimedOut: Its Task is over.
            InvalidOutput: `output` is not JSON.
        """
        self._at_work.tasks.send_task_success(task_token, output)

    async def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> None:
        """Fails the Task of a token. Raises InvalidToken, TaskTimedOut, ValueError."""
        self._at_work.tasks.send_task_failure(task_token, error, cause)

    async def send_task_heartbeat(self, task_token: str) -> None:
        """Starts HeartbeatSeconds of the Task of a token anew. Raises InvalidToken, TaskTimedOut."""
        self._at_work.tasks.send_task_heartbeat(task_token)

    async def create_activity(self, name: str) -> str:
        """The ARN of an activity whose Tasks wait for `get_activity_task`. Raises InvalidName."""
        if not arns.is_valid_name(name):
            raise InvalidName(name)
        arn = arns.activity_arn(self._region, self._account_id, name)
        self._at_work.tasks.add_activity(arn)
        return arn

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, *, wait_seconds: float = POLL_SECONDS
    ) -> ActivityTask | None:
        """The oldest Task that waits for a worker of this activity; None when none comes within `wait_seconds`.

        Raises:
            ActivityDoesNotExist: No such activity.
        """
        found = await self._at_work.tasks.get_activity_task(activity_arn, worker_name, wait_seconds=wait_seconds)
        return None if found is None else ActivityTask(found[0], unshared(found[1]))


async def run(
    definition: Definition,
    input: Json | bytes = NO_INPUT,
    *,
    handlers: HandlersLike = None,
    name: str | None = None,
    type: MachineType = "STANDARD",
    clock: ClockLike = "real",
    limits: Limits | None = None,
    observer: Observer | None = None,
    seed: int | None = None,
) -> Json:
    """Runs a definition once and gives its output.

    Args:
        definition: JSON or YAML text, the value it stands for, or a file that holds it.
        input: Any JSON value, or its text as bytes; `{}` when not given.
        handlers: Who does which Task; see `Handlers`.
        name: Of the execution; a UUID when not given.
        type: `EXPRESS` has its own rules.
        clock, limits, observer, seed: See `Engine`.

    Raises:
        ExecutionFailed: It did not succeed; error, cause and history are in it.
        InvalidDefinition: With diagnostics.
        MissingHandler: A Task state has no handler.
        InvalidHandler, InvalidName, InvalidExecutionInput: An argument is wrong.
    """
    async with Engine(handlers, clock=clock, limits=limits, observer=observer, seed=seed) as engine:
        machine = await engine.create_state_machine(definition, DEFAULT_NAME, type=type)
        return await engine.run(machine, input, name=name)


def _clock(clock: ClockLike) -> Clock:
    if clock == "real":
        return SystemClock()
    if clock == "virtual":
        return VirtualClock()
    if isinstance(clock, str):
        raise ValueError(f'clock: expected "real", "virtual" or a Clock, got {clock!r}')
    return clock


def _text_of(definition: Definition) -> tuple[str, Syntax]:
    """The definition's text; what does not begin as JSON is YAML.

    Raises:
        ValueError: It is no JSON value, or a file's name where its text, or a Path, was expected.
    """
    if isinstance(definition, Path):
        text = definition.read_text(encoding="utf-8-sig")
    elif isinstance(definition, bytes):
        text = definition.decode("utf-8-sig")
    elif isinstance(definition, str):
        text = definition
        if text.endswith((".json", ".yaml", ".yml")) and not text.lstrip().startswith("{") and "\n" not in text:
            raise ValueError(f"definition: expected its text, got the name of a file; give Path({text!r})")
    else:
        text = json_text(definition).decode()
    return text, "JSON" if text.lstrip()[:1] in ("{", "") else "YAML"
