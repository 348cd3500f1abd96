from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import Any

import anyio
import pytest

from engine import ExecutionFailed
from engine.errors import (
    ExecutionAlreadyExists,
    InvalidArn,
    InvalidExecutionInput,
    InvalidName,
    InvalidToken,
    ResourceNotFound,
    StateMachineDoesNotExist,
    StateMachineTypeNotSupported,
    ValidationException,
)
from engine.operations import executions
from engine.operations.aliases import create_state_machine_alias
from engine.operations.executions import describe_execution, list_executions, start_execution, stop_execution
from engine.operations.history import get_execution_history
from engine.operations.redrive import redrive_execution
from engine.operations.state_machines import create_state_machine, update_state_machine
from engine.operations.versions import publish_state_machine_version
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/r"


def passing(result: object) -> str:
    return json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": result, "End": True}}})


WAIT = json.dumps({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}})
FAIL = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}})


async def made(engine, definition: str = WAIT, name: str = "M", **options: Any) -> str:
    answer = await create_state_machine(engine.service, name=name, definition=definition, role_arn=ROLE, **options)
    return answer["state_machine_arn"]


async def end(engine, arn: str) -> dict[str, Any]:
    """How an execution stands at its end."""
    with anyio.fail_after(DEADLINE_SECONDS):
        with contextlib.suppress(ExecutionFailed):
            await (await engine.execution(arn)).result()
    return await describe_execution(engine.service, execution_arn=arn)


async def listed(engine, arn: str, **options: Any) -> list[str]:
    found: list[str] = []
    token = None
    while True:
        page = await list_executions(engine.service, state_machine_arn=arn, next_token=token, **options)
        found += [item["name"] for item in page["executions"]]
        token = page.get("next_token")
        if token is None:
            return found


# ── StartExecution ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_start_tells_arn_and_date_and_has_role_and_trace_header(engine):
    arn = await made(engine, passing(1))
    answer = await start_execution(
        engine.service, state_machine_arn=arn, name="e", input='{"a":1}', trace_header="Root=1"
    )

    shown = await end(engine, answer["execution_arn"])
    assert answer == {"execution_arn": f"{HEAD}:execution:M:e", "start_date": shown["start_date"]}
    assert (shown["trace_header"], shown["input"], shown["output"]) == ("Root=1", '{"a":1}', "1")
    history = await get_execution_history(engine.service, execution_arn=answer["execution_arn"])
    assert history["events"][0]["executionStartedEventDetails"]["roleArn"] == ROLE


@pytest.mark.parametrize("given", ["0", '"str"', "null", "[]", ' { "a" : 1.50 } '])
async def test_any_json_is_an_input_and_is_shown_as_it_was_given(engine, given):
    arn = await made(engine, WAIT)
    started = await start_execution(engine.service, state_machine_arn=arn, input=given)
    shown = await describe_execution(engine.service, execution_arn=started["execution_arn"])
    assert shown["input"] == given


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "Invalid execution input."),
        (
            "not",
            "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or "
            "'false')",
        ),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
    ],
)
async def test_an_input_that_is_no_json_is_refused_in_the_words_of_awss_parser(engine, given, reason):
    arn = await made(engine)
    with pytest.raises(InvalidExecutionInput) as caught:
        await start_execution(engine.service, state_machine_arn=arn, input=given)
    assert caught.value.message == f"Invalid State Machine Execution Input: '{reason}'"


async def test_a_name_is_the_same_execution_while_it_runs_with_the_same_text(engine):
    arn = await made(engine)
    first = await start_execution(engine.service, state_machine_arn=arn, name="e", input='{"a": 1}')

    assert await start_execution(engine.service, state_machine_arn=arn, name="e", input='{"a": 1}') == first
    with pytest.raises(ExecutionAlreadyExists, match=rf"^Execution Already Exists: '{first['execution_arn']}'$"):
        await start_execution(engine.service, state_machine_arn=arn, name="e", input='{"a":1}')
    await stop_execution(engine.service, execution_arn=first["execution_arn"])
    with pytest.raises(ExecutionAlreadyExists):
        await start_execution(engine.service, state_machine_arn=arn, name="e", input='{"a": 1}')


async def test_a_name_is_the_same_execution_after_an_update_too(engine):
    arn = await made(engine)
    first = await start_execution(engine.service, state_machine_arn=arn, name="e")
    await update_state_machine(engine.service, state_machine_arn=arn, definition=passing(2))
    assert await start_execution(engine.service, state_machine_arn=arn, name="e") == first


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        ("nonsense", InvalidArn),
        (f"{HEAD}:execution:M:e", InvalidArn),
        (f"{HEAD}:stateMachine:M/label", ValidationException),
        (f"{HEAD}:stateMachine:Other", StateMachineDoesNotExist),
        (f"{HEAD}:stateMachine:M:7", StateMachineDoesNotExist),
        (f"{HEAD}:stateMachine:M:prod", StateMachineDoesNotExist),
    ],
)
async def test_what_cannot_be_started_is_refused(engine, arn, error):
    await made(engine)
    with pytest.raises(error):
        await start_execution(engine.service, state_machine_arn=arn)


async def test_a_name_that_aws_would_not_take_is_refused(engine):
    arn = await made(engine)
    with pytest.raises(InvalidName, match=r"^Invalid Name: 'a b'$"):
        await start_execution(engine.service, state_machine_arn=arn, name="a b")


async def test_an_express_machine_starts_anew_each_time_under_an_express_arn(engine):
    arn = await made(engine, passing(1), type="EXPRESS")
    first = await start_execution(engine.service, state_machine_arn=arn, name="e")
    second = await start_execution(engine.service, state_machine_arn=arn, name="e")
    assert first["execution_arn"].startswith(f"{HEAD}:express:M:e:")
    assert first["execution_arn"] != second["execution_arn"]


# ── versions and aliases ────────────────────────────────────────────────────────────────────────────────────────────


async def two_versions(engine) -> tuple[str, list[str]]:
    arn = await made(engine, passing(1))
    first = await publish_state_machine_version(engine.service, state_machine_arn=arn)
    await update_state_machine(engine.service, state_machine_arn=arn, definition=passing(2))
    second = await publish_state_machine_version(engine.service, state_machine_arn=arn)
    return arn, [version["state_machine_version_arn"] for version in (first, second)]


async def alias_of(engine, versions: list[str], weights: list[int]) -> str:
    routing = [
        {"stateMachineVersionArn": version, "weight": weight} for version, weight in zip(versions, weights, strict=True)
    ]
    answer = await create_state_machine_alias(engine.service, name="prod", routing_configuration=routing)
    return answer["state_machine_alias_arn"]


async def test_a_version_runs_what_it_was_published_with(engine):
    arn, versions = await two_versions(engine)
    started = await start_execution(engine.service, state_machine_arn=versions[0])
    shown = await end(engine, started["execution_arn"])
    assert (shown["output"], shown["state_machine_arn"]) == ("1", arn)
    assert shown["state_machine_version_arn"] == versions[0]
    assert "state_machine_alias_arn" not in shown


async def test_an_alias_draws_by_its_weights_for_each_start_and_is_remembered(engine):
    _, versions = await two_versions(engine)
    alias = await alias_of(engine, versions, [50, 50])
    seen: Counter[str] = Counter()
    for _ in range(40):
        started = await start_execution(engine.service, state_machine_arn=alias)
        shown = await end(engine, started["execution_arn"])
        assert shown["state_machine_alias_arn"] == alias
        assert shown["output"] == shown["state_machine_version_arn"][-1]
        seen[shown["state_machine_version_arn"]] += 1
    assert set(seen) == set(versions)


async def test_the_library_starts_versions_and_aliases_by_their_arns(engine):
    _, versions = await two_versions(engine)
    alias = await alias_of(engine, versions[:1], [100])
    assert [await engine.run(arn) for arn in (*versions, alias)] == [1, 2, 1]


# ── ListExecutions ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_executions_of_a_machine_are_listed_the_latest_first(engine):
    arn = await made(engine, passing(1))
    other = await made(engine, passing(2), name="M2")
    await start_execution(engine.service, state_machine_arn=other, name="other")
    for name in ("a", "b", "c"):
        started = await start_execution(engine.service, state_machine_arn=arn, name=name)
        await end(engine, started["execution_arn"])
        last = engine.clock.now()
        while engine.clock.now() == last:  # in one millisecond there is no order
            await anyio.lowlevel.checkpoint()
    assert await listed(engine, arn) == ["c", "b", "a"]
    assert await listed(engine, arn, max_results=1) == ["c", "b", "a"]
    item = (await list_executions(engine.service, state_machine_arn=arn))["executions"][0]
    assert item.keys() == {
        "execution_arn", "state_machine_arn", "name", "status", "start_date", "stop_date", "redrive_count",
    }  # fmt: skip


async def test_lists_are_filtered_by_status_and_redrive(engine):
    arn = await made(engine, FAIL)
    names = ["a", "b"]
    for name in names:
        started = await start_execution(engine.service, state_machine_arn=arn, name=name)
        await end(engine, started["execution_arn"])
    await redrive_execution(engine.service, execution_arn=f"{HEAD}:execution:M:a")
    await end(engine, f"{HEAD}:execution:M:a")
    assert sorted(await listed(engine, arn, status_filter="FAILED")) == ["a", "b"]
    assert await listed(engine, arn, status_filter="RUNNING") == []
    assert await listed(engine, arn, redrive_filter="REDRIVEN") == ["a"]
    assert await listed(engine, arn, redrive_filter="NOT_REDRIVEN") == ["b"]


async def test_a_version_and_an_alias_list_what_was_started_through_them(engine, monkeypatch):
    monkeypatch.setattr(executions, "LOOKED_AT_MAX", 2)
    monkeypatch.setattr(executions, "_CHUNK", 1)
    arn, versions = await two_versions(engine)
    alias = await alias_of(engine, versions[:1], [100])
    for target, name in ((arn, "plain"), (versions[0], "v1"), (versions[1], "v2"), (alias, "a"), (arn, "plain2")):
        started = await start_execution(engine.service, state_machine_arn=target, name=name)
        await end(engine, started["execution_arn"])
    assert sorted(await listed(engine, arn)) == ["a", "plain", "plain2", "v1", "v2"]
    assert sorted(await listed(engine, versions[0])) == ["a", "v1"]
    assert await listed(engine, versions[1]) == ["v2"]
    for size in (1, 2, None):
        assert await listed(engine, alias, max_results=size) == ["a"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, ValidationException),
        ({"map_run_arn": f"{HEAD}:mapRun:M/l:1", "state_machine_arn": f"{HEAD}:stateMachine:M"}, ValidationException),
        ({"map_run_arn": f"{HEAD}:mapRun:M/l:1"}, ResourceNotFound),
        ({"map_run_arn": f"{HEAD}:execution:M:e"}, InvalidArn),
        ({"state_machine_arn": "nonsense"}, InvalidArn),
        ({"state_machine_arn": f"{HEAD}:stateMachine:Other"}, StateMachineDoesNotExist),
        ({"state_machine_arn": f"{HEAD}:stateMachine:M:7"}, StateMachineDoesNotExist),
        ({"state_machine_arn": f"{HEAD}:stateMachine:M:prod"}, ResourceNotFound),
        ({"state_machine_arn": f"{HEAD}:stateMachine:X"}, StateMachineTypeNotSupported),
        ({"state_machine_arn": f"{HEAD}:stateMachine:M", "status_filter": "PENDING_REDRIVE"}, ValidationException),
        ({"state_machine_arn": f"{HEAD}:stateMachine:M", "next_token": "nonsense"}, InvalidToken),
    ],
)
async def test_a_list_that_cannot_be_given_says_why(engine, arguments, error):
    await made(engine)
    await made(engine, passing(1), name="X", type="EXPRESS")
    with pytest.raises(error):
        await list_executions(engine.service, **arguments)
