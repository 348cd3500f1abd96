"""A parsed definition: frozen dataclasses named field for field as in ASL, every expression compiled.

Read by the interpreter (which turns each state once into a plan that has nothing left to look up), lint and the graph.
A field that a state's query language does not have is None. An absent optional field is None unless it has a default.
JSONPath fields hold `Path`, `ResultPath` and `Template`; JSONata fields hold `JsonataTemplate`, literals stay literals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.query.jsonata import JsonataTemplate
from engine.query.templates import Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.asl.resource import Resource
    from engine.jsonvalue import Json
    from engine.query.evaluation import Expression
    from engine.query.jsonpath import Path, ResultPath

QueryLanguage: TypeAlias = Literal["JSONPath", "JSONata"]
StateType: TypeAlias = Literal["Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map"]

Fill: TypeAlias = Template | JsonataTemplate
"""A field that makes a JSON value: a payload template in JSONPath, a template with `{% %}` in JSONata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A value that stands in the definition; wrapped, because null is one too."""

    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """One entry of `Retry` (asl.md 13.1)."""

    error_equals: tuple[str, ...]
    interval_seconds: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    jitter_strategy: Literal["FULL", "NONE"] = "NONE"
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catcher:
    """One entry of `Catch` (asl.md 13.4). `result_path` None: the raw input is kept."""

    error_equals: tuple[str, ...]
    next: str
    result_path: ResultPath | None
    assign: Fill | None = None
    output: JsonataTemplate | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateBase:
    """What every state has."""

    name: str
    comment: str | None = None
    query_language: QueryLanguage


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOutput(StateBase):
    """Every type but Fail. `input_path` and `output_path` None: written as null, which gives `{}`."""

    input_path: Path | None
    output_path: Path | None
    output: JsonataTemplate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions(InputOutput):
    """Pass, Task, Wait, Parallel, Map. `next` None: `End` is true."""

    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassState(Transitions):
    """asl.md 11."""

    parameters: Template | None = None
    result: Constant | None = None
    result_path: ResultPath | None
    assign: Fill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitState(Transitions):
    """Exactly one of the four is not None."""

    seconds: int | JsonataTemplate | None = None
    seconds_path: Path | None = None
    timestamp: str | JsonataTemplate | None = None
    timestamp_path: Path | None = None
    assign: Fill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedState(InputOutput):
    """asl.md 11."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailState(StateBase):
    """At most one of error and error_path, and of cause and cause_path, is not None (asl.md 11)."""

    error: str | JsonataTemplate | None = None
    error_path: Expression | None = None
    cause: str | JsonataTemplate | None = None
    cause_path: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`operand` is a Path where the operator's name ends in `Path`."""

    variable: Path
    operator: str
    operand: Json | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """True when all rules are."""

    rules: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """True when some rule is."""

    rules: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """True when the rule is not."""

    rule: Condition


Condition: TypeAlias = Comparison | And | Or | Not


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRule:
    """One entry of `Choices`. In JSONata the condition is an expression or a literal boolean."""

    condition: Condition | JsonataTemplate | bool
    next: str
    assign: Fill | None = None
    output: JsonataTemplate | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceState(InputOutput):
    """`assign` and `output` apply when no rule matches and `default` is taken."""

    choices: tuple[ChoiceRule, ...]
    default: str | None = None
    assign: Fill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Transitions):
    """Task, Parallel, Map: they have a result, and they can be retried and caught."""

    arguments: JsonataTemplate | None = None
    parameters: Template | None = None
    result_selector: Template | None = None
    result_path: ResultPath | None
    assign: Fill | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState(Work):
    """asl.md 12, 14."""

    resource: Resource
    credentials: Fill | None = None
    timeout_seconds: int | JsonataTemplate | None = None
    timeout_seconds_path: Path | None = None
    heartbeat_seconds: int | JsonataTemplate | None = None
    heartbeat_seconds_path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`StartAt` and `States`: of a state machine, a branch, an item processor."""

    start_at: str
    states: Mapping[str, State]
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelState(Work):
    """asl.md 15."""

    branches: tuple[Flow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemProcessor(Flow):
    """What each item runs through; `execution_type` is that of a Distributed Map's children (asl.md 16.1)."""

    mode: Literal["INLINE", "DISTRIBUTED"] = "INLINE"
    execution_type: Literal["STANDARD", "EXPRESS"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """asl.md 17.3."""

    input_type: str | None = None
    transformation: str | None = None
    manifest_type: str | None = None
    csv_header_location: str | None = None
    csv_headers: tuple[str, ...] | JsonataTemplate | None = None
    csv_delimiter: str | None = None
    items_pointer: str | None = None
    max_items: int | JsonataTemplate | None = None
    max_items_path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReader:
    """asl.md 17.3."""

    resource: Resource
    reader_config: ReaderConfig | None = None
    parameters: Template | None = None
    arguments: JsonataTemplate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemBatcher:
    """asl.md 17.4."""

    batch_input: Fill | None = None
    max_items_per_batch: int | JsonataTemplate | None = None
    max_items_per_batch_path: Path | None = None
    max_input_bytes_per_batch: int | JsonataTemplate | None = None
    max_input_bytes_per_batch_path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultWriter:
    """asl.md 17.5."""

    resource: Resource | None = None
    parameters: Template | None = None
    arguments: JsonataTemplate | None = None
    transformation: str | None = None
    output_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapState(Work):
    """`ItemProcessor` also stands for the older `Iterator`, `item_selector` for the older `Parameters`."""

    item_processor: ItemProcessor
    items: JsonataTemplate | None = None
    items_path: Path | None = None
    item_selector: Fill | None = None
    max_concurrency: int | JsonataTemplate | None = None
    max_concurrency_path: Path | None = None
    tolerated_failure_count: int | JsonataTemplate | None = None
    tolerated_failure_count_path: Path | None = None
    tolerated_failure_percentage: float | JsonataTemplate | None = None
    tolerated_failure_percentage_path: Path | None = None
    item_reader: ItemReader | None = None
    item_batcher: ItemBatcher | None = None
    result_writer: ResultWriter | None = None
    label: str | None = None


State: TypeAlias = PassState | TaskState | ChoiceState | WaitState | SucceedState | FailState | ParallelState | MapState


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachine(Flow):
    """A whole definition."""

    query_language: QueryLanguage = "JSONPath"
    timeout_seconds: int | None = None
    version: str = "1.0"


def flows_of(state: State) -> tuple[Flow, ...]:
    """The flows nested in a state: a Parallel's branches, a Map's item processor."""
    match state:
        case ParallelState():
            return state.branches
        case MapState():
            return (state.item_processor,)
        case _:
            return ()
