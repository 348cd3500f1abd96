"""Arguments of optimised integrations, checked when a state machine is created."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from engine.asl.integration_members import FILE
from engine.asl.parser import parse
from engine.asl.resource import OPTIMISED
from engine.integrations.optimised_members import table
from tests.definitions import machine

STEP = {"Name": "n", "HadoopJarStep": {"Jar": "j"}}


def found(resource: str, given: Any, *, language: str = "JSONPath") -> list[tuple[str, str]]:
    """Texts and pointers of what is said about a Task."""
    field = "Parameters" if language == "JSONPath" else "Arguments"
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", field: given}
    import json

    source = json.dumps(machine(task, QueryLanguage=language))
    return [(one.message, one.pointer or "") for one in parse(source, warnings=False).diagnostics]


def unsupported(name: str) -> str:
    return f'The field "{name}" is not supported by Step Functions'


def missing(name: str) -> str:
    return f"The field '{name}' is required but was missing"


def test_a_member_that_there_is_not_is_told_with_its_place() -> None:
    given = {"TaskDefinition": "t", "Overrides": {"ContainerOverrides": [{"Name": "c", "environment": []}]}}
    (only,) = found("ecs:runTask.sync", given)
    assert only == (unsupported("environment"), "/States/A/Parameters/Overrides/ContainerOverrides/0/environment")


def test_members_are_spelled_as_step_functions_spells_them() -> None:
    given = {"jobName": "j", "JobQueue": "q", "JobDefinition": "d"}
    assert [text for text, _ in found("batch:submitJob", given)] == [unsupported("jobName"), missing("JobName")]


@pytest.mark.parametrize("value", ["$.step", "States.StringToJson($.step)"])
def test_what_a_path_gives_counts_as_given_and_is_not_looked_into(value: str) -> None:
    assert found("elasticmapreduce:addStep.sync", {"ClusterId.$": "$.id", "Step.$": value}) == []


def test_what_is_needed_inside_a_structure_is_told() -> None:
    texts = [text for text, _ in found("elasticmapreduce:addStep", {"ClusterId": "j", "Step": {"Name": "n"}})]
    assert texts == [missing("HadoopJarStep")]


def test_expressions_of_jsonata_are_not_looked_into() -> None:
    given = {"ClusterId": "{% $states.input.id %}", "Step": "{% $states.input.step %}"}
    assert found("elasticmapreduce:addStep", given, language="JSONata") == []
    assert found("elasticmapreduce:addStep", "{% $states.input %}", language="JSONata") == []
    (only,) = found("elasticmapreduce:addStep", {"Step": STEP}, language="JSONata")
    assert only == (missing("ClusterId"), "/States/A/Arguments")


def test_keys_of_maps_are_data() -> None:
    item = {"id": {"S": "1"}, "tags": {"M": {"any name": {"N": "1"}}}}
    assert found("dynamodb:putItem", {"TableName": "t", "Item": item}) == []
    wrong = {"TableName": "t", "Item": {"id": {"s": "1"}}}
    assert found("dynamodb:putItem", wrong) == [(unsupported("s"), "/States/A/Parameters/Item/id/s")]


@pytest.mark.parametrize(
    ("resource", "given", "name"),
    [
        ("elasticmapreduce:createCluster", {"Name": "n", "Instances": {}, "Steps": []}, "Steps"),
        ("elasticmapreduce:terminateCluster", {"ClusterId": "j", "JobFlowIds": ["j"]}, "JobFlowIds"),
        (
            "elasticmapreduce:modifyInstanceGroupByName",
            {"ClusterId": "j", "InstanceGroupName": "g", "InstanceGroup": {"InstanceGroupId": "i"}},
            "InstanceGroupId",
        ),
        ("ecs:runTask.sync", {"TaskDefinition": "t", "Count": 2}, "Count"),
    ],
)
def test_members_that_step_functions_takes_for_itself(resource: str, given: Any, name: str) -> None:
    assert [text for text, _ in found(resource, given)] == [unsupported(name)]


def test_several_tasks_may_be_run_by_one_that_waits_for_none() -> None:
    assert found("ecs:runTask", {"TaskDefinition": "t", "Count": 2}) == []


def test_the_table_has_every_action_and_is_what_is_written() -> None:
    written = (files("engine.asl") / FILE).read_text("ascii")
    assert written == table(), "make integration-members writes it"
    actions = {line.partition(" ")[0] for line in written.splitlines()}
    elsewhere = {"apigateway", "http", "lambda"}
    assert {
        f"{service}:{action}" for service in OPTIMISED.keys() - elsewhere for action in OPTIMISED[service]
    } <= actions
