"""Which handlers a definition needs before it runs."""

from __future__ import annotations

import pytest

from engine.asl.parser import load
from engine.integrations.registry import Handlers, MissingHandler
from engine.integrations.required import check_handlers
from tests.definitions import invoke, machine, parallel, task


def missing(definition, rules=None, activities=()) -> list[str]:
    program = load(definition)
    try:
        check_handlers(Handlers(rules), program, region="us-east-1", account="123456789012", activities=activities)
    except MissingHandler as error:
        return [state for state, _ in error.tasks]
    return []


def test_every_task_state_is_looked_at_also_inside_parallel_and_map():
    inside = {"Type": "Map", "ItemProcessor": machine({**task("three"), "Name": "Three"})}
    definition = machine(
        task("one"), parallel(machine({**task("two"), "Name": "Two"}), machine({**inside, "Name": "M"}))
    )
    assert missing(definition) == ["A", "Two", "Three"]
    assert missing(definition, {"two": "mock:1"}) == ["A", "Three"]
    assert missing(definition, {"*": "mock:1"}) == []


def test_a_function_name_that_stands_in_the_definition_is_looked_at():
    assert missing(machine(invoke("charge"))) == ["A"]
    assert missing(machine(invoke("charge")), {"charge": "mock:1"}) == []


def test_a_function_name_in_jsonata_arguments_is_looked_at():
    state = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "charge"}}
    assert missing(machine(state, QueryLanguage="JSONata")) == ["A"]


@pytest.mark.parametrize(
    "state",
    [
        {"Parameters": {"FunctionName.$": "$.f"}},
        {"QueryLanguage": "JSONata", "Arguments": {"FunctionName": "{% $states.input.f %}"}},
        {"QueryLanguage": "JSONata", "Arguments": "{% $states.input %}"},
    ],
)
def test_a_function_name_that_comes_from_data_waits_until_it_is_known(state):
    assert missing(machine({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", **state})) == []


def test_an_activity_needs_a_handler_unless_it_has_workers():
    arn = "arn:aws:states:us-east-1:123456789012:activity:paint"
    definition = machine({"Type": "Task", "Resource": arn})
    assert missing(definition) == ["A"]
    assert missing(definition, activities=[arn]) == []
    assert missing(definition, {"paint": "mock:1"}) == []
