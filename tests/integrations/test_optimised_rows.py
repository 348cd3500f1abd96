"""Every row of the table of optimised integrations: called, waited for, stopped; one endpoint is all services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine, ExecutionFailed
from engine.asl.resource import OPTIMISED
from engine.integrations.optimised import SERVICES
from engine.integrations.optimised_wrappers import at
from engine.runtime import jobs
from tests.aws_environment import without_credentials
from tests.definitions import machine
from tests.integrations.stub_aws import StubAws, StubJob, arguments_of, model_of, operation_of, stub_aws
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine import ExecutionHandle

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROWS = [
    (token, action)
    for token, service in SERVICES.items()
    for action in OPTIMISED[token]
    if action not in service.elsewhere
]
JOBS = [(token, action) for token, action in ROWS if action in SERVICES[token].jobs]
CALLBACKS = [(token, action) for token, action in ROWS if "WAIT_FOR_TASK_TOKEN" in OPTIMISED[token][action]]


@pytest.fixture
async def aws() -> AsyncIterator[StubAws]:
    async with stub_aws() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS_MIN", 0.02)
    monkeypatch.setattr(jobs, "_FINE_MS", 10)
    without_credentials(monkeypatch)


def of(stub: StubAws) -> Engine:
    return Engine.in_memory({"*": f"aws:?endpoint={stub.url}"}, region="us-east-1")


async def begin(
    one: Engine, token: str, action: str, suffix: str = "", without: str | None = None, **more: Any
) -> ExecutionHandle:
    given = arguments_of(token, action) | more
    arguments = {name: value for name, value in given.items() if name != without}
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{token}:{action}{suffix}", "Parameters": arguments}
    return await one.start_execution(machine(task))


async def begun(aws: StubAws, job: int) -> StubJob:
    await until(lambda: len(aws.jobs) > job)
    return aws.jobs[job]


async def asked_about(aws: StubAws, token: str, action: str) -> None:
    ask = SERVICES[token].jobs[action].ask
    before = len(aws.asked)
    await until(lambda: any(operation == ask for _, operation in aws.asked[before:]))


@pytest.mark.parametrize(("token", "action"), ROWS)
async def test_an_action_is_called_and_its_answer_is_the_output(aws: StubAws, token: str, action: str) -> None:
    service = SERVICES[token]
    async with of(aws) as one:
        result = await (await begin(one, token, action)).result()
    assert aws.asked[-1] == (service.client, operation_of(service, action))
    metadata = {"SdkHttpMetadata", "SdkResponseMetadata"} if service.has_metadata else set()
    assert metadata <= set(result)
    shape = model_of(service.client).operation_model(operation_of(service, action)).output_shape
    if action not in service.calls and shape is not None:
        assert set(result) <= {name[:1].upper() + name[1:] for name in shape.members} | metadata


@pytest.mark.parametrize(("token", "action"), JOBS)
async def test_a_job_is_waited_for_until_it_has_ended_well_or_badly(aws: StubAws, token: str, action: str) -> None:
    how = SERVICES[token].jobs[action]
    async with of(aws) as one:
        well = await begin(one, token, action, ".sync")
        await begun(aws, 0)
        await asked_about(aws, token, action)
        assert (await well.describe()).status == "RUNNING"
        aws.jobs[0].standing = "good"
        output = await well.result()
        if not how.gone_is_good:
            assert at(output, ".".join(part for part in (how.wrapped_as, how.status) if part)) in how.good
        if how.beside:
            assert all(output[name] == aws.jobs[0].names[name] for name in how.beside)
        if how.bad:
            badly = await begin(one, token, action, ".sync")
            (await begun(aws, 1)).standing = "bad"
            with pytest.raises(ExecutionFailed) as caught:
                await badly.result()
            assert caught.value.error == "States.TaskFailed"
            cause = json.loads(caught.value.cause or "")
            assert at(cause, ".".join(part for part in (how.wrapped_as, how.status) if part)) in how.bad
    assert len(aws.jobs) == (2 if how.bad else 1), "each was submitted once"


@pytest.mark.parametrize(("token", "action"), [row for row in JOBS if SERVICES[row[0]].jobs[row[1]].stop])
async def test_a_job_is_stopped_with_its_execution(aws: StubAws, token: str, action: str) -> None:
    async with of(aws) as one:
        execution = await begin(one, token, action, ".sync")
        job = await begun(aws, 0)
        await asked_about(aws, token, action)
        await execution.stop()
        await until(lambda: job.is_stopped)


@pytest.mark.parametrize(("token", "action"), CALLBACKS)
async def test_a_task_that_waits_for_its_token_ends_with_it_alone(aws: StubAws, token: str, action: str) -> None:
    arguments = arguments_of(token, action)
    name = next((name for name, value in arguments.items() if isinstance(value, str)), None)
    more = {"Entries": [{"Detail.$": "$$.Task.Token"}]} if name is None else {f"{name}.$": "$$.Task.Token"}
    async with of(aws) as one:
        execution = await begin(one, token, action, ".waitForTaskToken", without=name, **more)
        while "TaskSubmitted" not in [event["type"] for event in await execution.history()]:  # noqa: ASYNC110
            await anyio.sleep(0.005)
        (task_token,) = {text for text in texts(aws.members[0], longer_than=60) if not text.startswith("arn:")}
        await one.send_task_success(task_token, {"by": "token"})
        assert await execution.result() == {"by": "token"}
    assert len(aws.asked) == 1, "nobody asks about what will be told"


def texts(value: Any, *, longer_than: int) -> set[str]:
    """The long texts in a value."""
    if isinstance(value, str):
        return {value} if len(value) > longer_than else set()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(texts(one, longer_than=longer_than) for one in inner))
