"""Map, Distributed: begins a map run and waits for its end (asl.md 17). What a map run does is told in `map_runs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import NAMESPACE_URL, uuid5

from engine import arns
from engine.errors import StatesError
from engine.interpreter import map_limits
from engine.interpreter.dataflow import ResultExit, WorkInput, compile_fill, compile_result_exit, compile_work_input
from engine.interpreter.history import CODE
from engine.interpreter.map_items import batch_input, in_a_row
from engine.interpreter.messages import StartChild
from engine.interpreter.snapshot import Execution, MapRole, OnMapRun
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.states.map_ import (
    Concurrency,
    Items,
    Selector,
    compile_concurrency,
    compile_items,
    compile_selector,
)
from engine.interpreter.step import BeginMapRun, Leave, Stay, Step
from engine.query.jsonata import Bundle, JsonataTemplate
from engine.uuids import UUID7_BITS, uuid7

if TYPE_CHECKING:
    from engine.asl.program import ItemBatcher, ItemReader, MapState, ResultWriter
    from engine.interpreter.context import Visit
    from engine.interpreter.messages import MapRunDone
    from engine.jsonvalue import Json

_STARTED = CODE["MapRunStarted"]


@dataclass(slots=True, eq=False, kw_only=True)
class DistributedMapPlan(StatePlan):
    """A Map state in DISTRIBUTED mode. `start` is the first state of its children, set when all states exist."""

    state: MapState
    work_input: WorkInput
    items: Items
    selector: Selector | None
    concurrency: Concurrency
    finish: ResultExit
    start: StatePlan | None = None


def plan(state: MapState) -> DistributedMapPlan:
    """Compiles the state."""
    work_input = compile_work_input(state)
    return DistributedMapPlan(
        name=state.name,
        type="Map",
        state=state,
        work_input=work_input,
        items=compile_items(state),
        selector=compile_selector(state.item_selector, work_input),
        concurrency=compile_concurrency(state),
        finish=compile_result_exit(state),
    )


def enter(state: DistributedMapPlan, visit: Visit) -> Step:
    """Finds the items that the state's input has. What ItemReader has is not known yet: it counts as none."""
    if visit.core.execution.type == "EXPRESS":
        cause = "A Distributed Map is not supported inside an Express execution."
        raise StatesError("States.Runtime", cause, located=True)
    data, _ = state.work_input(visit)
    if state.state.item_reader is not None:
        return BeginMapRun(0, None)
    items = state.items(data, visit)
    assert isinstance(items, list | dict), "checked by whoever found them"
    return BeginMapRun(len(items), items)


def begin(state: DistributedMapPlan, visit: Visit, items: list[Json] | dict[str, Json] | None) -> Stay:
    """Begins the map run.

    Args:
        state: The Map.
        visit: Being run.
        items: See `enter`.

    Raises:
        StatesError, PathError: A field of the state fails.
    """
    data, _ = state.work_input(visit)
    given = _given(state, visit, data, items)
    parent = visit.core.execution
    ticket = visit.new_ticket()
    run = uuid7(visit.now, visit.chance.getrandbits(UUID7_BITS))
    machine = arns.labelled(parent.state_machine_arn, _label(state, parent))
    arn = arns.map_run_arn(machine, str(run))
    execution = Execution(
        arn=arn,
        name=str(run),
        type=state.state.item_processor.execution_type or "STANDARD",
        role_arn=parent.role_arn,
        state_machine_arn=machine,
        state_machine_name=machine.rpartition(":")[2],
        input={"parent": parent.arn, "ticket": list(ticket), **given},
        input_bytes=0,
        start_time=visit.now,
        payload_bytes_max=parent.payload_bytes_max,
        history_events_max=parent.history_events_max,
        region=parent.region,
        test_case=parent.test_case,
        map=MapRole("RUN", state.name, 0, arn),
        list_key=parent.arn,
    )
    waiting = OnMapRun(ticket, run, arn)
    return Stay(waiting, (StartChild(run, execution),), ((_STARTED, {"mapRunArn": arn}),))


def _label(state: DistributedMapPlan, parent: Execution) -> str:
    """AWS makes one up where there is none; ours is the same for all runs of a state."""
    machine = parent.state_machine_arn.partition("/")[0]
    return state.state.label or str(uuid5(NAMESPACE_URL, f"{machine}#{state.name}"))


def _given(
    state: DistributedMapPlan, visit: Visit, data: Json, items: list[Json] | dict[str, Json] | None
) -> dict[str, Json]:
    """What the map run goes by: everything that the state's fields come to here."""
    program = state.state
    concurrency = state.concurrency(data, visit)
    count = map_limits.tolerated_count(program, data, visit)
    percentage = map_limits.tolerated_percentage(program, data, visit)
    batch: Json = None
    if program.item_batcher is not None:
        batch = {
            "items": map_limits.items_per_batch(program.item_batcher, data, visit),
            "bytes": _batch_bytes_max(program.item_batcher, data, visit),
            "shared": batch_input(program.item_batcher, data, visit),
        }
    scope: Json = None
    if state.selector is not None:
        scope = {
            "context": visit.context(),
            "entered": visit.entered,
            "input": visit.input,
            "size": visit.size,
            "variables": dict(visit.variables),
        }
    values, keys = (None, None) if items is None else in_a_row(items)
    return {
        "maxConcurrency": concurrency,
        "toleratedFailureCount": count,
        "toleratedFailurePercentage": percentage,
        "items": values,
        "keys": cast("Json", keys),
        "reader": None if program.item_reader is None else evaluated_reader(program.item_reader, data, visit),
        "batch": batch,
        "scope": scope,
        "writer": None if program.result_writer is None else _writer(program.result_writer, data, visit),
    }


def _batch_bytes_max(batcher: ItemBatcher, data: Json, visit: Visit) -> int | None:
    """A batch is the input of an execution: it is made smaller rather than larger than that may be (AWS's guide)."""
    given, most = map_limits.bytes_per_batch(batcher, data, visit), visit.payload_bytes_max
    return min(given or most, most) if most else given


def evaluated_reader(reader: ItemReader, data: Json, visit: Visit) -> dict[str, Json]:
    """As `engine.map_data.reading` takes it. Raises StatesError, PathError: a field of it fails."""
    config: dict[str, Json] = {}
    given = reader.reader_config
    if given is not None:
        headers = given.csv_headers
        found = {
            "InputType": given.input_type,
            "Transformation": given.transformation,
            "ManifestType": given.manifest_type,
            "CSVHeaderLocation": given.csv_header_location,
            "CSVHeaders": _computed(headers, visit) if isinstance(headers, JsonataTemplate) else _listed(headers),
            "CSVDelimiter": given.csv_delimiter,
            "ItemsPointer": given.items_pointer,
            "MaxItems": map_limits.whole_number("MaxItems", given.max_items, given.max_items_path, data, visit) or None,
        }
        config = {name: value for name, value in found.items() if value is not None}
    return {"Resource": reader.resource.arn, "ReaderConfig": config, "Arguments": _arguments(reader, data, visit)}


def _writer(writer: ResultWriter, data: Json, visit: Visit) -> dict[str, Json]:
    """See `engine.map_data.writing`."""
    config = {"Transformation": writer.transformation, "OutputType": writer.output_type}
    found: dict[str, Json] = {"WriterConfig": {name: value for name, value in config.items() if value is not None}}
    if writer.resource is not None:
        found |= {"Resource": writer.resource.arn, "Arguments": _arguments(writer, data, visit)}
    return found


def _listed(values: tuple[str, ...] | None) -> list[Json] | None:
    return None if values is None else list(values)


def _computed(template: JsonataTemplate, visit: Visit) -> Json:
    return Bundle([template]).evaluate(visit, {"input": visit.input})[0]


def _arguments(of: ItemReader | ResultWriter, data: Json, visit: Visit) -> Json:
    fill = of.parameters if of.arguments is None else of.arguments
    return {} if fill is None else compile_fill(fill)[0](data, visit)


def resume(state: DistributedMapPlan, visit: Visit, event: MapRunDone) -> Leave:
    """Goes on with the result of a map run that succeeded."""
    size = visit.measure_beyond_limit(event.output, event.output_bytes)
    return state.finish(visit, event.output, size, state.next)
