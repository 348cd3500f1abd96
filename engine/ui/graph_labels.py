"""What the picture says in words: a state's detail and badges, a Choice rule, a Catcher, a Retrier."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from engine.arns import parse_arn
from engine.asl.program import (
    And,
    ChoiceState,
    Comparison,
    FailState,
    MapState,
    Not,
    Or,
    ParallelState,
    PassState,
    SucceedState,
    TaskState,
    WaitState,
)
from engine.jsonvalue import decode, text
from engine.query.jsonata import JsonataTemplate
from engine.query.jsonpath import Path

if TYPE_CHECKING:
    from engine.asl.program import Catcher, ChoiceRule, Condition, Retrier, State, StateType
    from engine.asl.resource import Resource
    from engine.jsonvalue import Json
    from engine.query.evaluation import Expression

_SYMBOLS = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "≤",
    "GreaterThanEquals": "≥",
    "Matches": "matches",
}

_FAMILIES = ("Numeric", "String", "Boolean", "Timestamp")

_TESTS = {
    "IsPresent": "present",
    "IsNull": "null",
    "IsNumeric": "a number",
    "IsString": "a string",
    "IsBoolean": "a boolean",
    "IsTimestamp": "a timestamp",
}

# A path with its steps, in JSONPath or JSONata.
_PATH = re.compile(r"\$[\w$]*(?:\.[\w*]+|\[[^\[\]]*\])+")
_STEP = re.compile(r"\.[\w*]+|\[[^\[\]]*\]")
_PATH_MOST = 32

# Arguments that tell one use of an action from another, the most telling first.
_TARGET_FIELDS = (
    "FunctionName",
    "StateMachineArn",
    "TableName",
    "QueueUrl",
    "TopicArn",
    "Bucket",
    "JobName",
    "TaskDefinition",
    "ModelId",
    "ApiEndpoint",
)

_WAITS = {"SYNC": "waits until done", "SYNC_2": "waits until done", "WAIT_FOR_TASK_TOKEN": "waits for token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A state in words; the fields are those of `graph.Node`."""

    kind: StateType
    detail: str = ""
    badges: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def describe(state: State) -> Description:
    """The words for a state."""
    notes = (state.comment,) if state.comment else ()
    match state:
        case TaskState():
            waits = _WAITS.get(state.resource.pattern)
            badges = (waits,) if waits and state.resource.kind == "service" else ()
            return Description(
                kind="Task",
                detail=_task_detail(state),
                badges=badges + _retry_badges(state.retry),
                notes=(*notes, state.resource.arn, *map(_retry_note, state.retry)),
            )
        case ParallelState():
            return Description(
                kind="Parallel",
                detail=_counted(len(state.branches), "branch", "branches"),
                badges=_retry_badges(state.retry),
                notes=(*notes, *map(_retry_note, state.retry)),
            )
        case MapState():
            return Description(
                kind="Map",
                detail=_map_detail(state),
                badges=_retry_badges(state.retry),
                notes=(*notes, *map(_retry_note, state.retry)),
            )
        case ChoiceState():
            return Description(kind="Choice", notes=notes)
        case WaitState():
            return Description(kind="Wait", detail=_wait_detail(state), notes=notes)
        case PassState():
            return Description(kind="Pass", notes=notes)
        case SucceedState():
            return Description(kind="Succeed", notes=notes)
        case FailState():
            error = _shown(state.error) if state.error is not None else _source(state.error_path)
            cause = _shown(state.cause) if state.cause is not None else _source(state.cause_path)
            return Description(kind="Fail", detail=error, notes=notes + ((cause,) if cause else ()))
        case _:
            assert_never(state)


def rule_label(rule: ChoiceRule) -> str:
    """A Choice rule in short: `$.x > 5 and $.y = true`, or the JSONata expression.

    Tests that only guard another one are left out: `$.x is present and $.x > 5` is `$.x > 5`. Of a long path its end is
    kept, which tells rules apart: `$…Config.FileType = "CSV"`.
    """
    if isinstance(rule.condition, And):
        kept = _without_guards(rule.condition.rules)
        whole = condition_text(kept[0] if len(kept) == 1 else And(rules=kept))
    else:
        whole = _rule_text(rule)
    return _PATH.sub(lambda found: _path_end(found.group()), whole)


def rule_note(rule: ChoiceRule) -> str:
    """A Choice rule in full, with its comment."""
    return f"{_rule_text(rule)} ({rule.comment})" if rule.comment else _rule_text(rule)


def _rule_text(rule: ChoiceRule) -> str:
    if isinstance(rule.condition, bool):
        return "always" if rule.condition else "never"
    if isinstance(rule.condition, JsonataTemplate):
        return _shown(rule.condition)
    return condition_text(rule.condition)


def _path_end(path: str) -> str:
    """The last steps of a path that would take more than a line, at least one."""
    if len(path) <= _PATH_MOST:
        return path
    end = ""
    for step in reversed(_STEP.findall(path)):
        if end and len(step + end) > _PATH_MOST:
            break
        end = step + end
    return f"$…{end.removeprefix('.')}"


def _without_guards(rules: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The rules but for type tests of what another rule looks at, or looks into."""
    looked_at = [rule.variable.source for rule in rules if isinstance(rule, Comparison) and not _is_guard(rule)]
    deeper = [rule.variable.source for rule in rules if isinstance(rule, Comparison)]
    return tuple(
        rule
        for rule in rules
        if not (
            isinstance(rule, Comparison)
            and _is_guard(rule)
            and (
                rule.variable.source in looked_at
                or any(source.startswith((f"{rule.variable.source}.", f"{rule.variable.source}[")) for source in deeper)
            )
        )
    )


def _is_guard(rule: Comparison) -> bool:
    return rule.operator in _TESTS and rule.operand is (rule.operator != "IsNull")


def condition_text(condition: Condition) -> str:
    """A JSONPath condition in infix notation; `and` binds tighter than `or`."""
    match condition:
        case Comparison():
            return _comparison_text(condition, negated=False)
        case And():
            return " and ".join(
                f"({condition_text(rule)})" if isinstance(rule, Or) else condition_text(rule)
                for rule in condition.rules
            )
        case Or():
            return " or ".join(condition_text(rule) for rule in condition.rules)
        case Not(rule=Not(rule=inner)):
            return condition_text(inner)
        case Not(rule=Comparison() as inner):
            return _comparison_text(inner, negated=True)
        case Not():
            return f"not ({condition_text(condition.rule)})"
        case _:
            assert_never(condition)


def catch_label(catcher: Catcher) -> str:
    """The error names that a Catcher takes."""
    return ", ".join(catcher.error_equals)


def catch_note(catcher: Catcher) -> str:
    """A Catcher in full, with its comment."""
    return f"Catch {catch_label(catcher)}{f' ({catcher.comment})' if catcher.comment else ''}"


def _comparison_text(comparison: Comparison, *, negated: bool) -> str:
    variable, operator, operand = comparison.variable.source, comparison.operator, comparison.operand
    if operator in _TESTS:
        return f"{variable} is {'not ' if negated is (operand is True) else ''}{_TESTS[operator]}"
    relation = operator.removesuffix("Path")
    for family in _FAMILIES:
        relation = relation.removeprefix(family)
    symbol = _SYMBOLS[relation]
    value = operand.source if isinstance(operand, Path) else text(operand)
    if not negated:
        return f"{variable} {symbol} {value}"
    # A comparison of a wrong type is false (asl.md 10.3), so only equality has an opposite that says the same.
    return f"{variable} ≠ {value}" if symbol == "=" else f"not ({variable} {symbol} {value})"


def _task_detail(state: TaskState) -> str:
    resource = state.resource
    target = "" if resource.kind != "service" else _target(state)
    return f"{_action(resource)} · {target}" if target else _action(resource)


def _action(resource: Resource) -> str:
    """`service:action`, without the suffix of the integration pattern, which is a badge."""
    if resource.kind != "service":
        return f"{resource.service}: {resource.action}"
    action = resource.action
    for suffix in (".sync", ".sync:2", ".waitForTaskToken"):
        action = action.removesuffix(suffix)
    return f"{resource.service}:{action}"


def _target(state: TaskState) -> str:
    """The name of what the action works on, a function or a table, when the definition says it literally."""
    arguments: Json = None
    if state.parameters is not None:
        arguments = decode(state.parameters.source)
    elif state.arguments is not None:
        arguments = state.arguments.value
    if not isinstance(arguments, dict):
        return ""
    for name in _TARGET_FIELDS:
        value = arguments.get(name)
        if isinstance(value, str) and value and not value.startswith("{%"):
            arn = parse_arn(value)
            words = value.split("/") if arn is None else arn.resource.replace("/", ":").split(":")
            # `function:Name:42` and `stateMachine:Name`: the name stands second; other resources have one word only.
            return words[-1] if arn is None or len(words) == 1 else words[1]
    return ""


def _map_detail(state: MapState) -> str:
    parts = []
    if state.item_processor.execution_type is not None:
        parts.append(f"{state.item_processor.execution_type.capitalize()} children")
    if state.item_reader is not None:
        parts.append(f"items from {_action(state.item_reader.resource)}")
    elif state.items is not None:
        parts.append(f"items {_shown(state.items)}")
    elif state.items_path is not None and state.items_path.source != "$":
        parts.append(f"items {state.items_path.source}")
    most = _shown(state.max_concurrency) if state.max_concurrency else _source(state.max_concurrency_path)
    if most:
        parts.append(f"at most {most} at once")
    return " · ".join(parts)


def _wait_detail(state: WaitState) -> str:
    if isinstance(state.seconds, int):
        return _duration(state.seconds)
    if state.seconds is not None:
        return f"{_shown(state.seconds)} seconds"
    if state.seconds_path is not None:
        return f"{state.seconds_path.source} seconds"
    until = _shown(state.timestamp) if state.timestamp is not None else _source(state.timestamp_path)
    return f"until {until}"


def _duration(seconds: int) -> str:
    parts = []
    rest = seconds
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def _retry_badges(retry: tuple[Retrier, ...]) -> tuple[str, ...]:
    attempts = dict.fromkeys(retrier.max_attempts for retrier in retry if retrier.max_attempts > 0)
    return (f"Retry {', '.join(f'×{most}' for most in attempts)}",) if attempts else ()


def _retry_note(retrier: Retrier) -> str:
    names = ", ".join(retrier.error_equals)
    if retrier.max_attempts == 0:
        return f"No retry on {names}"
    attempts, first = _counted(retrier.max_attempts, "time", "times"), _duration(retrier.interval_seconds)
    return f"Retry on {names}: {attempts}, first after {first}, then ×{retrier.backoff_rate:g}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _shown(value: JsonataTemplate | Json) -> str:
    """A field that may hold an expression: the expression without its delimiters, or the literal."""
    inner = value.value if isinstance(value, JsonataTemplate) else value
    if isinstance(inner, str):
        return " ".join(inner.removeprefix("{%").removesuffix("%}").split())
    return text(inner)


def _source(expression: Expression | None) -> str:
    return "" if expression is None else expression.source
