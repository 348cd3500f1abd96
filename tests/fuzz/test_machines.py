"""Whatever a definition says, and whatever the world does: a legal history, one ending, no crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given

from engine.asl.parser import parse
from engine.interpreter.plan import compile_plan
from tests.fuzz.budget import RANDOMS, cases, no_hang
from tests.fuzz.machines import Machine, changed
from tests.fuzz.world import World, check, execution

if TYPE_CHECKING:
    from random import Random


def parse_and_run(definition: dict[str, Any], draw: Random) -> World | None:
    """The world after the execution's end; None when the definition has errors."""
    one = execution(draw)
    parsed = parse(definition, type=one.type)
    errors = [diagnostic for diagnostic in parsed.diagnostics if diagnostic.severity == "ERROR"]
    assert (parsed.program is None) == bool(errors)
    if parsed.program is None:
        return None
    compile_plan(parsed.program)
    world = World(definition, one, draw)
    world.live()
    check(world)
    return world


@cases(500)
@given(RANDOMS)
def test_a_random_machine_runs_to_a_legal_end(draw: Random) -> None:
    definition = Machine(draw).definition
    with no_hang(lambda: definition):
        parse_and_run(definition, draw)


@cases(300)
@given(RANDOMS)
def test_a_real_definition_with_changes_runs_to_a_legal_end(draw: Random) -> None:
    definition = changed(draw)
    with no_hang(lambda: definition):
        parse_and_run(definition, draw)
