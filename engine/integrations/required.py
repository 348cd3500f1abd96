"""Which handlers a definition needs, as far as can be told before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.asl.program import Flow, TaskState, flows_of
from engine.integrations.registry import MissingHandler
from engine.jsonvalue import decode
from engine.query.jsonata_templates import is_expression

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from engine.asl.program import StateMachine
    from engine.integrations.registry import Handlers


def check_handlers(
    handlers: Handlers,
    program: StateMachine,
    *,
    region: str,
    account: str,
    activities: Collection[str],
    test_case: str | None = None,
    built_in: Collection[str] = (),
) -> None:
    """Refuses a definition in which a Task will find no handler.

    A `lambda:invoke` whose FunctionName comes from data passes: it is looked at when it runs.

    Args:
        handlers: The rules.
        program: The definition.
        region: Of the functions that are given by name.
        account: Likewise.
        activities: ARNs of activities that have workers.
        test_case: Key of the test case that is run: what it mocks needs no handler.
        built_in: Services that the engine will do, where `handlers` are not an engine's own yet.

    Raises:
        MissingHandler: Names every such state.
    """
    missing: list[tuple[str, str]] = []
    for state, function, is_static, what in _called(handlers, program, test_case):
        resource = state.resource
        if not is_static or resource.arn in activities or resource.service in built_in:
            continue
        if handlers.find(state.name, resource, function, region=region, account=account) is None:
            missing.append((state.name, what))
    if missing:
        raise MissingHandler(missing)


def leaving(
    handlers: Handlers, program: StateMachine, *, region: str, account: str, test_case: str | None = None
) -> list[tuple[str, str, str]]:
    """The Tasks of a definition that call another machine: each one's state, what it calls, and where that is.

    Arguments as of `check_handlers`.
    """
    found = []
    for state, function, _, what in _called(handlers, program, test_case):
        handler = handlers.find(state.name, state.resource, function, region=region, account=account)
        destination = getattr(handler, "destination", None)
        place = None if destination is None else destination(state.resource)
        if place is not None:
            found.append((state.name, what, place))
    return found


def _called(
    handlers: Handlers, program: StateMachine, test_case: str | None
) -> Iterator[tuple[TaskState, str | None, bool, str]]:
    """Each Task that is not mocked: the state, its function and whether that is always the same, what it calls."""
    mocked = () if test_case is None or handlers.mocks is None else handlers.mocks.states(test_case)
    for state in task_states(program):
        if state.name in mocked:
            continue
        function, is_static, what = None, True, state.resource.arn
        if state.resource.kind == "service" and state.resource.service == "lambda":
            function, is_static = _function_name(state)
            what = f"{what} of {function}" if function is not None else what
        yield state, function, is_static, what


def task_states(flow: Flow) -> Iterator[TaskState]:
    """The Task states of a flow and of all flows inside it."""
    for state in flow.states.values():
        if isinstance(state, TaskState):
            yield state
        for inner in flows_of(state):
            yield from task_states(inner)


def _function_name(state: TaskState) -> tuple[str | None, bool]:
    """The FunctionName of a `lambda:invoke`, and whether it is the same in every run."""
    if state.arguments is not None:
        arguments = state.arguments.value
    else:
        arguments = None if state.parameters is None else decode(state.parameters.source)
    name = arguments.get("FunctionName") if isinstance(arguments, dict) else None
    if not isinstance(name, str) or (state.arguments is not None and is_expression(name)):
        return None, False
    return name, True
