"""What an execution is when it starts: its input as given, its ids and ARN, and what its engine adds to that."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from engine import arns
from engine.asl.json_text import jackson_reason
from engine.errors import InvalidExecutionInput, InvalidName, StateMachineDoesNotExist
from engine.integrations.invocation import json_value
from engine.interpreter.snapshot import Execution
from engine.jsonvalue import InvalidJson, decode, text
from engine.store.protocol import ExecutionId
from engine.uuids import UUID7_BITS, uuid7

if TYPE_CHECKING:
    from engine.arguments import Limits
    from engine.interpreter.snapshot import Parent
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance
    from engine.store.postgres.starts import Steps
    from engine.store.protocol import MachineType, RevisionId

_NS_PER_MS = 1_000_000


class Draft(NamedTuple):
    """An execution that is not started yet. `input_text`: the input as it was given, when that was text."""

    execution_id: ExecutionId
    execution: Execution
    input_text: str | None


class Deployed(NamedTuple):
    """What is known of a deployed state machine: all of it, or only its ARN and the rest None.

    Attributes:
        version: That is to run, if one was named.
        alias: That says which version is to run, if one was named.
    """

    arn: str
    type: MachineType | None = None
    revision_id: RevisionId | None = None
    pool: str | None = None
    version: int | None = None
    alias: str | None = None


def parsed(given: str) -> Json:
    """The value of a JSON text that a caller gave. Raises ValueError with the message of AWS's parser (api.md 4)."""
    try:
        return decode(given)
    except InvalidJson as error:
        raise ValueError(jackson_reason(given) or str(error)) from None


class Starts:
    """Drafts the executions of one engine."""

    def __init__(self, *, limits: Limits, chance: Chance) -> None:
        self._payload_bytes_max = limits.number("payload_bytes")
        self._history_events_max = limits.number("history_events")
        # Ids need not be unguessable, and asking the system for each costs more than all else in a start.
        self._ids = random.Random(chance.getrandbits(128))  # noqa: S311

    def draft(
        self,
        machine_arn: str,
        type_: MachineType,
        given: Json | bytes,
        name: str | None,
        *,
        now: int,
        role_arn: str | None = None,
        version_arn: str | None = None,
        alias_arn: str | None = None,
        trace_header: str | None = None,
        is_sync: bool = False,
        parent: Parent | None = None,
        test_case: str | None = None,
    ) -> Draft:
        """An execution of a state machine.

        Args:
            machine_arn: Without a version or an alias. Its region, account and name are the execution's.
            type_: Of the state machine.
            given: The input: any JSON value, or its text as bytes.
            name: Of the execution; its id when not given.
            now: When it starts, ms since the epoch.
            role_arn: Of the state machine; None: it has the engine's own.
            version_arn: What it was started through, if it was; an alias has led to a version, too.
            alias_arn: Likewise.
            trace_header: Of X-Ray.
            is_sync: It is started by StartSyncExecution.
            parent: The Task that starts it.
            test_case: Whose responses its Tasks get: a key of `MockConfig`.

        Raises:
            InvalidName, InvalidExecutionInput: As AWS does.
            StateMachineDoesNotExist: `machine_arn` is no ARN.
        """
        if name is not None and not arns.is_valid_name(name):
            raise InvalidName(name)
        machine = arns.parse_arn(machine_arn)
        if machine is None:
            raise StateMachineDoesNotExist(machine_arn)
        given_text, value, size = self._input(given)
        machine_name = machine.resource.rpartition(":")[2]
        execution_id = ExecutionId(uuid7(now, self._ids.getrandbits(UUID7_BITS)))
        own_name = str(execution_id) if name is None else name
        if type_ == "STANDARD":
            arn = arns.execution_arn(machine.region, machine.account, machine_name, own_name)
        else:
            run_id = str(execution_id)
            arn = arns.express_execution_arn(machine.region, machine.account, machine_name, own_name, run_id)
        execution = Execution(
            arn=arn,
            name=own_name,
            type=type_,
            role_arn=role_arn or arns.default_role_arn(machine.account),
            state_machine_arn=machine_arn,
            state_machine_name=machine_name,
            input=value,
            input_bytes=size,
            start_time=now,
            payload_bytes_max=self._payload_bytes_max,
            history_events_max=self._history_events_max,
            region=machine.region,
            sync=is_sync,
            state_machine_version_arn=version_arn,
            state_machine_alias_arn=alias_arn,
            trace_header=trace_header,
            input_text=None if given_text is None or given_text == text(value) else given_text,
            parent=parent,
            test_case=test_case,
        )
        return Draft(execution_id, execution, given_text)

    def _input(self, given: Json | bytes) -> tuple[str | None, Json, int]:
        """The input's text if it came as text, its value, and the size of that. Raises InvalidExecutionInput."""
        given_text = None
        try:
            if isinstance(given, bytes):
                given_text = given.decode()
                if not given_text.strip():
                    raise ValueError("Invalid execution input.")
                given = parsed(given_text)
            value, size = json_value(given)
        except ValueError as error:
            raise InvalidExecutionInput(str(error)) from None
        if 0 < self._payload_bytes_max < size:
            raise InvalidExecutionInput(f"{size} bytes, at most {self._payload_bytes_max} are allowed")
        return given_text, value, size

    def within(
        self, machine: Deployed, given: Json | bytes, name: str | None, pool: str | None
    ) -> Steps[tuple[ExecutionId, Execution]]:
        """See `starting_within`."""
        from engine.store.postgres.starts import released_within, starting_within

        revision_id, version_arn, alias_arn = machine.revision_id, None, None
        if machine.version is not None or machine.alias is not None:
            number, revision_id = yield from released_within(
                machine.arn, version=machine.version, alias=machine.alias, draw=self._ids.random()
            )
            version_arn = f"{machine.arn}:{number}"
            alias_arn = None if machine.alias is None else f"{machine.arn}:{machine.alias}"

        def draft(type_: MachineType, role_arn: str | None) -> Draft:
            # The engine may not be entered, so nothing is known of the store's clock.
            return self.draft(
                machine.arn,
                type_,
                given,
                name,
                now=time.time_ns() // _NS_PER_MS,
                role_arn=role_arn,
                version_arn=version_arn,
                alias_arn=alias_arn,
            )

        pool = machine.pool if pool is None else pool
        return (yield from starting_within(draft, type_=machine.type, revision_id=revision_id, pool=pool))
