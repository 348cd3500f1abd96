"""From raw input to output, in the order of the spec (asl.md 4.1, 8.3, 9.2).

    raw input -> InputPath -> Parameters | Arguments -> [work] -> ResultSelector -> ResultPath -> OutputPath -> output
                                                            |-> Assign                          (JSONata: Output)

Each state's stages are put together once into closures; a stage that changes nothing costs nothing. Whoever wants to
see what the stages make compiles a state with a `Tap`; a state without one pays nothing for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from engine.asl.program import (
    Catcher,
    ChoiceRule,
    ChoiceState,
    Fill,
    MapState,
    ParallelState,
    PassState,
    SucceedState,
    TaskState,
    WaitState,
)
from engine.interpreter.context import Visit
from engine.interpreter.recovery import CatcherPlan
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.step import Leave
from engine.jsonvalue import Json
from engine.query.evaluation import SAME, UNKNOWN, Evaluate, Expression, Growth, Scope, constant_growth
from engine.query.intrinsics import empty_when_missing
from engine.query.jsonata import Bundle, JsonataTemplate
from engine.query.templates import Template

if TYPE_CHECKING:
    from engine.query.jsonpath import Path, ResultPath

Exit: TypeAlias = Callable[[Visit, StatePlan | None], Leave]
"""Ends a state that has no result of its own; the second argument is the state that follows."""

ResultExit: TypeAlias = Callable[[Visit, Json, int, StatePlan | None], Leave]
"""Ends a state with its raw result and the bound of that."""

WorkInput: TypeAlias = Callable[[Visit], tuple[Json, int]]
"""The effective input of a Task, Parallel or Map, and its bound."""

WorkState: TypeAlias = TaskState | ParallelState | MapState

Tap: TypeAlias = Callable[[str, Json], None]
"""Told what a stage has made: (the member of TestState's inspection data that shows it, the value)."""


class Stage(NamedTuple):
    """`evaluate` None: the identity."""

    evaluate: Evaluate | None
    growth: Growth


_IDENTITY = Stage(None, SAME)


def compile_exit(state: PassState | WaitState | ChoiceState | SucceedState, tap: Tap | None = None) -> Exit:
    """How a state without work ends."""
    assign = None if isinstance(state, SucceedState) else state.assign
    if state.query_language == "JSONata":
        return _jsonata_exit(state.output, assign)
    if isinstance(state, PassState):
        return _pass_exit(state, tap)
    return _narrowing_exit(state, assign, tap)


def compile_rule_exit(state: ChoiceState, rule: ChoiceRule) -> Exit:
    """How a Choice state ends by one of its rules: the rule's own Assign and Output stand in for the state's (8.3)."""
    if state.query_language == "JSONata":
        return _jsonata_exit(rule.output, rule.assign)
    return _narrowing_exit(state, rule.assign)


def compile_effective_input(state: ChoiceState | WaitState, tap: Tap | None = None) -> Evaluate | None:
    """What InputPath makes of the raw input; None: nothing."""
    if state.query_language == "JSONata":
        return None
    return _tapped(_narrow(state.input_path), tap, "afterInputPath").evaluate


def _narrowing_exit(state: WaitState | ChoiceState | SucceedState, assign: Fill | None, tap: Tap | None = None) -> Exit:
    effective, narrow = _tapped(_narrow(state.input_path), tap, "afterInputPath"), _narrow(state.output_path)
    find = narrow.evaluate
    return _jsonpath_exit(
        _chain(effective, narrow),
        effective,
        lambda raw, data, visit: data if find is None else find(data, visit),
        assign,
    )


def _pass_exit(state: PassState, tap: Tap | None) -> Exit:
    result = _tapped(_narrow(state.input_path), tap, "afterInputPath")
    if state.parameters is not None:
        result = _chain(result, _template(state.parameters))
    result = _tapped(result, tap, "afterParameters")
    if state.result is not None:
        value = state.result.value
        # InputPath and Parameters are evaluated, and may fail, though Result is what counts.
        result = _chain(result, Stage(lambda data, scope: value, constant_growth(value)))
        result = _tapped(result, tap, "result")
    result = _tapped(result, tap, "afterResultSelector")
    narrow = _narrow(state.output_path)
    after = _tapped(_IDENTITY, tap, "afterResultPath")
    output = _chain(_chain(_merge(state.result_path, result), after), narrow)
    narrow = _chain(after, narrow)
    return _jsonpath_exit(output, result, _after_result(state.result_path, narrow.evaluate), state.assign)


_After: TypeAlias = Callable[[Json, Json, Visit], Json]
"""(raw input, `$` of Assign) -> output."""


def _after_result(path: ResultPath | None, narrow: Evaluate | None) -> _After:
    """ResultPath and OutputPath, for a result that is there already."""
    write = None if path is None or path.source == "$" else path.write

    def after(raw: Json, result: Json, visit: Visit) -> Json:
        out = raw if path is None else result if write is None else write(raw, result)
        return out if narrow is None else narrow(out, visit)

    return after


def _jsonpath_exit(output: Stage, local: Stage, after: _After, assign: Fill | None) -> Exit:
    """`local` makes the `$` of Assign, and `after` the output of that: what draws must not draw twice."""
    evaluate, (fixed, of_input) = output
    if assign is not None:
        return _assigning_exit(output.growth, local, after, assign)
    if evaluate is None:
        return lambda visit, target: Leave(visit.input, visit.size, target)
    run = evaluate
    return lambda visit, target: Leave(run(visit.input, visit), of_input * visit.size + fixed, target)


def _assigning_exit(output: Growth, local: Stage, after: _After, assign: Fill) -> Exit:
    assert isinstance(assign, Template)
    fixed, of_input = output
    variables = assign.evaluate
    growth = assign.growth.of(local.growth)
    find = local.evaluate

    def leave(visit: Visit, target: StatePlan | None) -> Leave:
        data = visit.input
        dollar = data if find is None else find(data, visit)
        out = after(data, dollar, visit)
        assigned = variables(dollar, visit)
        assert isinstance(assigned, dict)
        bound = growth.fixed + growth.of_input * visit.size
        return Leave(out, of_input * visit.size + fixed, target, assigned, bound)

    return leave


def _jsonata_exit(output: JsonataTemplate | None, assign: Fill | None) -> Exit:
    if output is None and assign is None:
        return lambda visit, target: Leave(visit.input, visit.size, target)
    fill = _jsonata_fill(output, assign)

    def leave(visit: Visit, target: StatePlan | None) -> Leave:
        states: dict[str, Json] = {"input": visit.input}
        out, size, assigned, assigned_size = fill(visit, states, visit.size, visit.input, visit.size)
        return Leave(out, size, target, assigned, assigned_size)

    return leave


_Filled: TypeAlias = tuple[Json, int, dict[str, Json] | None, int]
"""Output and its bound, variables to assign and their bound."""

_Fill: TypeAlias = Callable[[Visit, dict[str, Json], int, Json, int], _Filled]
"""(where, $states, the bound of its members together, default output, its bound) -> what is filled."""


def _jsonata_fill(output: JsonataTemplate | None, assign: Fill | None) -> _Fill:
    """JSONata's Output and Assign, evaluated together: both see the values from before either."""
    assert assign is None or isinstance(assign, JsonataTemplate)
    bundle = Bundle([template for template in (output, assign) if template is not None])

    def fill(visit: Visit, states: dict[str, Json], states_size: int, default: Json, size: int) -> _Filled:
        found, bound = bundle.evaluate_sized(visit, states, states_size)
        assigned = None if assign is None else found[-1]
        assert assigned is None or isinstance(assigned, dict)
        if output is None:
            return default, size, assigned, bound
        return found[0], bound, assigned, bound

    return fill


def compile_work_input(state: WorkState, tap: Tap | None = None) -> WorkInput:
    """InputPath and Parameters, or Arguments."""
    if state.query_language == "JSONata":
        return _arguments(state.arguments) if tap is None else _tapped_input(_arguments(state.arguments), tap)
    stage = _tapped(_narrow(state.input_path), tap, "afterInputPath")
    if state.parameters is not None:
        stage = _chain(stage, _template(state.parameters))
    evaluate, (fixed, of_input) = _tapped(stage, tap, "afterParameters")
    if evaluate is None:
        return lambda visit: (visit.input, visit.size)
    run = evaluate
    return lambda visit: (run(visit.input, visit), of_input * visit.size + fixed)


def _arguments(arguments: JsonataTemplate | None) -> WorkInput:
    if arguments is None:
        return lambda visit: (visit.input, visit.size)
    bundle = Bundle([arguments])

    def find(visit: Visit) -> tuple[Json, int]:
        values, bound = bundle.evaluate_sized(visit, {"input": visit.input}, visit.size)
        return values[0], bound

    return find


def _tapped_input(find: WorkInput, tap: Tap) -> WorkInput:
    def tapped(visit: Visit) -> tuple[Json, int]:
        value, size = find(visit)
        tap("afterArguments", value)
        return value, size

    return tapped


def compile_fill(fill: Fill) -> tuple[Callable[[Json, Visit], Json], Growth]:
    """A template of either language as a function of its `$` (JSONPath) and the state's raw input (JSONata)."""
    if isinstance(fill, Template):
        return fill.evaluate, fill.growth
    bundle = Bundle([fill])
    return (lambda data, visit: bundle.evaluate(visit, {"input": visit.input})[0]), bundle.growth


def compile_result_exit(state: WorkState, tap: Tap | None = None) -> ResultExit:
    """ResultSelector, ResultPath, OutputPath and Assign; or Output and Assign."""
    if state.query_language == "JSONata":
        finish = _jsonata_result_exit(state.output, state.assign)
        return finish if tap is None else _tapped_exit(finish, tap)
    selector = _IDENTITY if state.result_selector is None else _template(state.result_selector)
    select, of_result = _tapped(_chain(_tapped(_IDENTITY, tap, "result"), selector), tap, "afterResultSelector")
    write = None if state.result_path is None or state.result_path.source == "$" else state.result_path.write
    discard = state.result_path is None
    narrow, of_output = _chain(_tapped(_IDENTITY, tap, "afterResultPath"), _narrow(state.output_path))
    path_bytes = 0 if write is None or state.result_path is None else state.result_path.added_bytes
    with_input = 1 if discard or write is not None else 0
    assert state.assign is None or isinstance(state.assign, Template)
    assign = state.assign

    def leave(visit: Visit, result: Json, size: int, target: StatePlan | None) -> Leave:
        raw = visit.input
        selected = result if select is None else select(result, visit)
        out = raw if discard else selected if write is None else write(raw, selected)
        if narrow is not None:
            out = narrow(out, visit)
        bound = path_bytes + with_input * visit.size + (0 if discard else of_result.fixed + of_result.of_input * size)
        bound = of_output.fixed + of_output.of_input * bound
        if assign is None:
            return Leave(out, bound, target)
        assigned = assign.evaluate(result, visit)
        assert isinstance(assigned, dict)
        return Leave(out, bound, target, assigned, assign.growth.fixed + assign.growth.of_input * size)

    return leave


def _tapped_exit(leave: ResultExit, tap: Tap) -> ResultExit:
    def tapped(visit: Visit, result: Json, size: int, target: StatePlan | None) -> Leave:
        tap("result", result)
        return leave(visit, result, size, target)

    return tapped


def _jsonata_result_exit(output: JsonataTemplate | None, assign: Fill | None) -> ResultExit:
    if output is None and assign is None:
        return lambda visit, result, size, target: Leave(result, size, target)
    fill = _jsonata_fill(output, assign)

    def leave(visit: Visit, result: Json, size: int, target: StatePlan | None) -> Leave:
        states: dict[str, Json] = {"input": visit.input, "result": result}
        out, bound, assigned, assigned_size = fill(visit, states, visit.size + size, result, size)
        return Leave(out, bound, target, assigned, assigned_size)

    return leave


def compile_catcher(catcher: Catcher, *, jsonata: bool) -> CatcherPlan:
    """What a Catcher makes of the raw input and the Error Output. OutputPath is not applied (recorded; 4.1)."""
    if jsonata:
        return CatcherPlan(catcher.error_equals, _jsonata_caught(catcher))
    path, assign = catcher.result_path, catcher.assign
    assert assign is None or isinstance(assign, Template)

    def caught(visit: Visit, raw: Json, error: dict[str, Json]) -> _Filled:
        output = raw if path is None else path.write(raw, error)
        if assign is None:
            return output, UNKNOWN.fixed, None, 0
        assigned = assign.evaluate(error, visit)
        assert isinstance(assigned, dict)
        return output, UNKNOWN.fixed, assigned, UNKNOWN.fixed

    return CatcherPlan(catcher.error_equals, caught)


def _jsonata_caught(catcher: Catcher) -> Callable[[Visit, Json, dict[str, Json]], _Filled]:
    if catcher.output is None and catcher.assign is None:
        return lambda visit, raw, error: (error, UNKNOWN.fixed, None, 0)
    fill = _jsonata_fill(catcher.output, catcher.assign)
    unknown = UNKNOWN.fixed
    return lambda visit, raw, error: fill(visit, {"input": raw, "errorOutput": error}, unknown, error, unknown)


# ── stages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _narrow(path: Path | None) -> Stage:
    """InputPath or OutputPath; null gives `{}`."""
    if path is None:
        return Stage(lambda data, scope: {}, Growth(2))
    return _IDENTITY if path.source == "$" else Stage(empty_when_missing(path).evaluate, path.growth)


def _template(template: Expression) -> Stage:
    return Stage(template.evaluate, template.growth)


def _merge(path: ResultPath | None, result: Stage) -> Stage:
    """ResultPath: the result goes into the raw input, sharing all that is off the path; with null it is discarded."""
    if path is None:
        return _discarding(result)
    if path.source == "$":
        return result
    write, (evaluate, growth) = path.write, result
    bound = Growth(path.added_bytes + growth.fixed, 1 + growth.of_input)
    if evaluate is None:
        return Stage(lambda data, scope: write(data, data), bound)
    find = evaluate
    return Stage(lambda data, scope: write(data, find(data, scope)), bound)


def _discarding(result: Stage) -> Stage:
    """The raw input; the result is made all the same, for it may fail."""
    if result.evaluate is None:
        return _IDENTITY
    make = result.evaluate

    def keep(data: Json, scope: Scope) -> Json:
        make(data, scope)
        return data

    return Stage(keep, SAME)


def _tapped(stage: Stage, tap: Tap | None, name: str) -> Stage:
    """The same stage; `tap`, if there is one, is told what it makes."""
    if tap is None:
        return stage
    make, told = stage.evaluate, tap

    def tapped(data: Json, scope: Scope) -> Json:
        value = data if make is None else make(data, scope)
        told(name, value)
        return value

    return Stage(tapped, stage.growth)


def _chain(first: Stage, second: Stage) -> Stage:
    growth = second.growth.of(first.growth)
    if first.evaluate is None:
        return Stage(second.evaluate, growth)
    if second.evaluate is None:
        return Stage(first.evaluate, growth)
    inner, outer = first.evaluate, second.evaluate
    return Stage(lambda data, scope: outer(inner(data, scope), scope), growth)
