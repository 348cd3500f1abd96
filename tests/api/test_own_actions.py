"""Actions of this very API as Tasks: `aws-sdk:sfn:...`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine.operations.executions import start_execution
from engine.operations.state_machines import create_state_machine
from tests.definitions import catch, machine, task, wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

ACCOUNT = "123456789012"
OTHER = "999999999999"
CHILD = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:Child"


def call(action: str, parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:sfn:{action}", "Parameters": parameters, **fields}


@pytest.fixture
async def one() -> AsyncIterator[engine.Engine]:
    async with engine.Engine.in_memory({"work": lambda event: event}, clock="virtual", account_id=ACCOUNT) as made:
        await made.create_state_machine(machine(wait(10), task()), "Child")
        await made.create_state_machine(machine(task()), "Quick", type="EXPRESS")
        yield made


async def test_an_execution_is_started_and_described_without_metadata_and_with_times_as_texts(one: engine.Engine):
    states = [
        call("startExecution", {"StateMachineArn": CHILD, "Input": {"n": 1}, "Name": "x"}),
        wait(60),
        call("describeExecution", {"ExecutionArn.$": "$.ExecutionArn"}),
    ]
    output = await one.run(machine(*states))
    assert (output["Status"], output["Input"], output["Output"]) == ("SUCCEEDED", '{"n":1}', '{"n":1}')
    assert output["StartDate"].endswith("Z")
    assert output["InputDetails"] == {"Included": True}
    assert "SdkHttpMetadata" not in output


async def test_a_synchronous_execution_gives_its_output(one: engine.Engine):
    parameters = {"StateMachineArn": CHILD.replace("Child", "Quick"), "Input.$": "$"}
    output = await one.run(machine(call("startSyncExecution", parameters)), {"n": 1})
    assert (output["Status"], output["Output"]) == ("SUCCEEDED", '{"n":1}')
    assert output["BillingDetails"]["BilledMemoryUsedInMB"] > 0


async def test_errors_have_the_sdks_names_and_texts(one: engine.Engine):
    state = call("describeExecution", {"ExecutionArn": CHILD.replace("stateMachine", "execution") + ":no"})
    output = await one.run(machine({**state, "Catch": catch("B")}, {"Type": "Pass"}))
    assert output["Error"] == "Sfn.ExecutionDoesNotExistException"
    assert output["Cause"].startswith("Execution Does Not Exist: '")
    assert " (Service: Sfn, Status Code: 400, Request ID: " in output["Cause"]


async def test_a_missing_member_is_told_as_the_api_tells_it(one: engine.Engine):
    with pytest.raises(engine.ExecutionFailed, match=r"Value null at 'stateMachineArn'") as caught:
        await one.run(machine(call("startExecution", {})))
    assert caught.value.error == "Sfn.ValidationException"


async def test_an_action_that_there_is_not_is_refused_by_name(one: engine.Engine):
    with pytest.raises(engine.InvalidDefinition, match="aws-sdk:sfn:explode is not recognized"):
        await one.run(machine(call("explode", {})))


async def test_a_task_reaches_no_further_than_the_callers_of_its_account(one: engine.Engine):
    theirs = CHILD.replace(ACCOUNT, OTHER)
    role = f"arn:aws:iam::{OTHER}:role/any"
    definition = json.dumps(machine({"Type": "Wait", "Seconds": 1_000}))
    service = one.service.of(OTHER)
    await create_state_machine(service, name="Child", definition=definition, role_arn=role)
    started = await start_execution(service, state_machine_arn=theirs, name="secret")

    assert OTHER not in str(await one.run(machine(call("listStateMachines", {}))))
    for action, parameters in [
        ("startExecution", {"StateMachineArn": theirs}),
        ("describeExecution", {"ExecutionArn": started["execution_arn"]}),
        ("stopExecution", {"ExecutionArn": started["execution_arn"]}),
    ]:
        with pytest.raises(engine.ExecutionFailed, match="is not authorized to perform") as caught:
            await one.run(machine(call(action, parameters)))
        assert caught.value.error == "Sfn.AccessDeniedException"
    execution = await one.execution(started["execution_arn"])
    assert execution.status == "RUNNING"

    listing = machine(call("listStateMachines", {}))
    await create_state_machine(service, name="Lists", definition=json.dumps(listing), role_arn=role)
    lists = await start_execution(service, state_machine_arn=theirs.replace("Child", "Lists"))
    output = await (await one.execution(lists["execution_arn"])).result()
    assert [found["Name"] for found in output["StateMachines"]] == ["Child", "Lists"]
    assert ACCOUNT not in str(output)
