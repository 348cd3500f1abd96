"""State machines as one engine knows them: compiled once, and as the store last had them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from engine.arguments import text_of
from engine.asl.parser import load
from engine.interpreter.plan import compile_plan
from engine.store.protocol import DEFAULT_POOL, RevisionId
from engine.store.records import StateMachineRecord

if TYPE_CHECKING:
    from engine.arguments import Definition
    from engine.asl.program import StateMachine
    from engine.asl.source import Syntax
    from engine.interpreter.plan import Plan
    from engine.query.evaluation import Chance
    from engine.store.protocol import MachineType
    from engine.store.records import ExecutionRecord

_RECENT_MAX = 64
"""Compiled definitions that are kept because they may be run again."""


class StateMachineHandle:
    """A state machine, ready to run.

    Attributes:
        revision_id: Names this very definition.
        pool: Where its executions run, unless their start says otherwise.
        role_arn: As it was given; None: nobody gave one.
        is_checked: Whether its Tasks were looked at for handlers.
    """

    __slots__ = ("arn", "is_checked", "name", "plan", "pool", "program", "revision_id", "role_arn", "type")

    def __init__(self, arn: str, name: str, type_: MachineType, program: StateMachine, revision_id: RevisionId) -> None:
        self.arn = arn
        self.name = name
        self.type: MachineType = type_
        self.program = program
        self.plan: Plan = compile_plan(program)
        self.revision_id = revision_id
        self.pool = DEFAULT_POOL
        self.role_arn: str | None = None
        self.is_checked = False

    def __repr__(self) -> str:
        return f"<StateMachineHandle {self.arn} revision {self.revision_id}>"


class Machines:
    """The state machines of one engine."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._known: dict[str, StateMachineHandle] = {}
        self._recent: dict[tuple[str, str, MachineType], StateMachineHandle] = {}

    def compiled(self, text: str, syntax: Syntax, arn: str, type_: MachineType) -> StateMachineHandle:
        """A definition, ready to run. Raises InvalidDefinition."""
        key = (text, arn, type_)
        machine = self._recent.pop(key, None)
        if machine is None:
            name = arn.rpartition(":")[2]
            program = load(text, type=type_, name=name, syntax=syntax)
            revision_id = RevisionId(uuid.UUID(int=self._chance.getrandbits(128), version=4))
            machine = StateMachineHandle(arn, name, type_, program, revision_id)
        self._recent[key] = machine
        if len(self._recent) > _RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        return machine

    def revision(self, machine: StateMachineRecord) -> StateMachineHandle:
        """A revision, ready to run. Raises InvalidDefinition: an older or newer engine took it.

        Not to be given away: its `revision_id` and `pool` are the record's only by chance.
        """
        return self.compiled(*text_of(machine.definition), machine.arn, machine.type)

    def plan(self, machine: StateMachineRecord) -> Plan:
        """What a revision runs. Raises InvalidDefinition: an older or newer engine took it."""
        return self.revision(machine).plan

    def prepared(
        self, definition: Definition, arn: str, type_: MachineType, pool: str, *, now: int
    ) -> tuple[StateMachineHandle, StateMachineRecord]:
        """A definition for the store. Raises InvalidDefinition."""
        text, syntax = text_of(definition)
        machine = self.compiled(text, syntax, arn, type_)
        record = StateMachineRecord(
            arn=arn,
            name=machine.name,
            type=type_,
            definition=text,
            creation_date=now,
            revision_id=machine.revision_id,
            pool=pool,
        )
        return machine, record

    def kept(self, machine: StateMachineHandle, record: StateMachineRecord) -> StateMachineHandle:
        """The handle of a definition as the store has it: its id may be of an earlier time."""
        known = self._known.get(record.arn)
        if known is not None and known.revision_id == record.revision_id:
            machine = known
        machine.revision_id, machine.pool, machine.role_arn = record.revision_id, record.pool, record.role_arn
        self._known[record.arn] = machine
        return machine

    def found(self, record: StateMachineRecord) -> StateMachineHandle:
        """The handle of what the store has."""
        machine = self._known.get(record.arn)
        if machine is None or machine.revision_id != record.revision_id:
            machine = self.compiled(*text_of(record.definition), record.arn, record.type)
        return self.kept(machine, record)

    def is_kept(self, machine: StateMachineHandle) -> bool:
        """Whether this is what this engine has last deployed or found by its name."""
        return self._known.get(machine.arn) is machine

    def plan_of(self, record: ExecutionRecord) -> Plan | None:
        """The plan of an execution's revision, if it is at hand."""
        machine = self._known.get(record.execution.state_machine_arn)
        return machine.plan if machine is not None and machine.revision_id == record.revision_id else None
