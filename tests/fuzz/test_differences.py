"""What must come out the same whichever way it is done."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given

from engine.asl.parser import parse
from engine.interpreter import context, workspace
from engine.jsonvalue import encode, equal
from tests.driver import Drive, done, execution_of
from tests.fuzz.budget import RANDOMS, cases
from tests.fuzz.documents import record
from tests.fuzz.machines import Machine, changed

if TYPE_CHECKING:
    from engine.interpreter.snapshot import Execution


def outcome(drive: Drive) -> tuple[Any, ...]:
    """How the execution ended, and what its history shows."""
    ending = drive.ending
    return drive.status, ending and (ending.output, ending.error, ending.cause), drive.events()


def run(definition: dict[str, Any], one: Execution, seed: int, *, ticks_max: int = 60) -> Drive:
    """Each Task answers by what it is given, at once; few turns are enough."""

    def answer(task: Any) -> Any:
        draw = Random(encode([task.state, task.attempt, seed]))
        return done(task, record(draw))

    drive = Drive(definition, answer=answer, seed=seed, execution=one)
    drive.start()
    for _ in range(ticks_max):
        if drive.ending is not None or not drive.timers:
            break
        drive.tick()
    return drive


def valid(draw: Random, **options: Any) -> dict[str, Any] | None:
    definition = Machine(draw, noise=0.0, **options).definition
    return definition if parse(definition, warnings=False).program is not None else None


@cases(250)
@given(RANDOMS)
def test_the_payload_limit_decides_the_same_whether_sizes_are_measured_or_bounded(draw: Random) -> None:
    definition = valid(draw)
    if definition is None:
        return
    data = record(draw)
    limit = len(encode(data)) + draw.choice((0, 1, 5, 20, 50, 100, 300, 1_000))
    one = execution_of(data, payload_bytes_max=limit, history_events_max=100)
    seed = draw.getrandbits(32)
    found = []
    for measure_above in (1, 8_192, 1 << 50):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(context, "MEASURE_ABOVE", measure_above)
            found.append(outcome(run(definition, one, seed)))
    assert found[0] == found[1]
    assert found[0] == found[2]


@cases(250)
@given(RANDOMS)
def test_pauses_do_not_show_in_the_history(draw: Random) -> None:
    definition = valid(draw, tasks=False)
    if definition is None:
        return
    one = execution_of(record(draw), history_events_max=100)
    seed = draw.getrandbits(32)
    whole = outcome(run(definition, one, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "EVENTS_PER_ADVANCE", draw.choice((1, 2, 3, 7)))
        paused = outcome(run(definition, one, seed))
    assert paused == whole


@cases(150)
@given(RANDOMS)
def test_a_definition_in_yaml_is_the_definition(draw: Random) -> None:
    definition = changed(draw) if draw.random() < 0.5 else Machine(draw).definition
    try:
        text = yaml.safe_dump(
            definition, allow_unicode=draw.random() < 0.5, sort_keys=False, default_style=draw.choice((None, '"'))
        )
    except (yaml.YAMLError, ValueError):
        return
    by_yaml, by_json = parse(text, syntax="YAML"), parse(definition)
    assert (by_yaml.program is None) == (by_json.program is None), text
    if by_json.program is not None:
        assert [d.message for d in by_yaml.diagnostics] == [d.message for d in by_json.diagnostics]
        one = execution_of(record(draw), history_events_max=60)
        seed = draw.getrandbits(32)
        assert outcome(run(yaml_value(text), one, seed)) == outcome(run(definition, one, seed))


def yaml_value(text: str) -> dict[str, Any]:
    """The value as the engine reads it, not as PyYAML does."""
    from engine.asl.source import read_source

    return read_source(text, "YAML").value


@cases(150)
@given(RANDOMS)
def test_a_definition_as_text_is_the_definition(draw: Random) -> None:
    definition = changed(draw) if draw.random() < 0.5 else Machine(draw).definition
    by_text, by_value = parse(json.dumps(definition)), parse(definition)
    assert (by_text.program is None) == (by_value.program is None)
    assert [(d.code, d.message, d.location) for d in by_text.diagnostics] == [
        (d.code, d.message, d.location) for d in by_value.diagnostics
    ]
    assert equal(json.loads(json.dumps(definition)), definition)
