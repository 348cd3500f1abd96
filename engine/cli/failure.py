"""An execution that did not succeed, told so that one can go on from there."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from engine.asl.program import MapState, ParallelState, TaskState, flows_of
from engine.cli.streams import json_text

if TYPE_CHECKING:
    from engine.asl.program import Flow, State, StateMachine
    from engine.jsonvalue import Json
    from engine.outcome import ExecutionDescription, ExecutionFailed

_INPUT_SHOWN = 500
"""Characters of a state's input; `--trace` shows all of it."""

_LABEL_WIDTH = 11


def failure_text(
    failed: ExecutionFailed,
    program: StateMachine,
    reproduce: str | None = None,
    *,
    failed_child: ExecutionDescription | None = None,
    trace: bool = False,
) -> str:
    """Error, cause, state, its input, what Retry and Catch had to say, and the command that does it again.

    `failed_child`: one of those by which a Distributed Map failed, whose own error says nothing of them.
    """
    lines = [ending_text(failed.status, failed.error, failed.cause)]
    if failed.state is not None:
        state = state_named(program, failed.state)
        kind = "" if state is None else f" ({type(state).__name__.removesuffix('State')})"
        lines.append(_labelled("state", f"{failed.state}{kind}"))
        lines.append(_labelled("its input", _shown(failed.input_of_state, trace=trace)))
        if state is not None:
            lines += _recovery_lines(state)
    if failed_child is not None:
        why = ": ".join(part for part in (failed_child.error, _cause_text(failed_child.cause or "")) if part)
        lines.append(_labelled("one item", why or failed_child.status))
        lines.append(_labelled("its input", _shown(failed_child.input, trace=trace)))
    if reproduce is not None:
        lines.append(_labelled("reproduce", reproduce))
    return "\n".join(lines)


def ending_text(status: str, error: str | None, cause: str | None) -> str:
    """How an execution ended that did not succeed."""
    head = click.style(status, fg="red", bold=True)
    line = f"{head}: {error}" if error else head
    return f"{line}\n{_labelled('cause', _cause_text(cause))}" if cause else line


def state_named(flow: Flow, name: str) -> State | None:
    """The state of this name, wherever it is nested."""
    for state in flow.states.values():
        if state.name == name:
            return state
        for inner in flows_of(state):
            found = state_named(inner, name)
            if found is not None:
                return found
    return None


def _labelled(label: str, text: str) -> str:
    indented = textwrap.indent(text, " " * (_LABEL_WIDTH + 2)).lstrip(" ")
    return f"  {click.style(label.ljust(_LABEL_WIDTH), dim=True)}{indented}"


def _cause_text(cause: str) -> str:
    """JSON, such as Lambda's, laid out; a Python traceback in it as it is usually seen."""
    from engine.jsonvalue import InvalidJson, decode

    try:
        value = decode(cause)
    except InvalidJson:
        return cause
    if not isinstance(value, dict | list):
        return cause
    stack = value.pop("stackTrace", None) if isinstance(value, dict) else None
    text = json_text(value, pretty=True)
    if isinstance(stack, list) and stack:
        text += "\n" + "".join(f"{line}".rstrip("\n") + "\n" for line in stack).rstrip("\n")
    return text


def _shown(value: Json, *, trace: bool) -> str:
    text = json_text(value, pretty=False)
    if trace or len(text) <= _INPUT_SHOWN:
        return text
    return f"{text[:_INPUT_SHOWN]}… ({len(text)} characters; --trace shows all)"


def _recovery_lines(state: State) -> list[str]:
    """Which Error Names the state's Retriers and Catchers were for; none of them took this error, or not once more."""
    if not isinstance(state, TaskState | MapState | ParallelState):
        return []
    lines = []
    if state.retry:
        retriers = (f"{', '.join(each.error_equals)} at most {each.max_attempts} times" for each in state.retry)
        lines.append(_labelled("its Retry", "; ".join(retriers)))
    if state.catch:
        lines.append(_labelled("its Catch", "; ".join(", ".join(each.error_equals) for each in state.catch)))
    return lines
