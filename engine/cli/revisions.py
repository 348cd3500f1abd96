"""The definition that an execution runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.asl.program import StateMachine
    from engine.store.library import Library
    from engine.store.records import ExecutionRecord


def program_of(store: Library, record: ExecutionRecord) -> StateMachine:
    """The program of the revision that an execution was started with."""
    from engine.arguments import text_of
    from engine.asl.parser import load

    machine = store.revision(record.revision_id)
    text, syntax = text_of(machine.definition)
    return load(text, type=machine.type, name=machine.name, syntax=syntax)
