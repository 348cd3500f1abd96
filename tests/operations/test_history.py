from __future__ import annotations

import pytest

from engine.errors import ExecutionDoesNotExist, InvalidArn, InvalidToken
from engine.operations.history import get_execution_history

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012"
# Each Wait ends a segment, so that pages are of several.
DEFINITION = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "B"},
        "B": {"Type": "Wait", "Seconds": 0, "Next": "C"},
        "C": {"Type": "Pass", "Result": "done", "Next": "D"},
        "D": {"Type": "Wait", "Seconds": 0, "Next": "E"},
        "E": {"Type": "Pass", "End": True},
    },
}


@pytest.fixture
async def arn(engine) -> str:
    execution = await engine.start_execution(await engine.deploy(DEFINITION, "M"), b'{ "x": 1}')
    await execution.result()
    return execution.arn


async def pages(engine, arn, size, **options):
    found, token = [], None
    while True:
        answer = await get_execution_history(
            engine.service, execution_arn=arn, max_results=size, next_token=token, **options
        )
        found.append(answer["events"])
        token = answer.get("next_token")
        if token is None:
            return found


@pytest.mark.parametrize("size", [1, 2, 5, 11, 12, 13, None])
@pytest.mark.parametrize("reverse_order", [False, True])
async def test_pages_are_the_whole_history_in_order(engine, arn, size, reverse_order):
    whole = (await get_execution_history(engine.service, execution_arn=arn))["events"]
    assert [event["id"] for event in whole] == list(range(1, 13))

    found = await pages(engine, arn, size, reverse_order=reverse_order)

    assert [event for page in found for event in page] == (whole[::-1] if reverse_order else whole)
    assert all(len(page) == size for page in found[:-1])


async def test_a_page_far_down_has_the_input_as_it_was_given(engine, arn):
    backwards = await pages(engine, arn, 1, reverse_order=True)
    assert backwards[-1][0]["executionStartedEventDetails"]["input"] == '{ "x": 1}'
    assert backwards[-2][0]["stateEnteredEventDetails"]["input"] == '{ "x": 1}'


async def test_execution_data_is_left_out_on_demand(engine, arn):
    events = (await get_execution_history(engine.service, execution_arn=arn, include_execution_data=False))["events"]

    details = [value for event in events for key, value in event.items() if key.endswith("EventDetails")]
    assert {key for one in details for key in one} == {"roleArn", "name"}


async def test_a_token_fits_only_the_history_and_the_order_it_is_of(engine, arn):
    token = (await get_execution_history(engine.service, execution_arn=arn, max_results=2))["next_token"]
    for options in ({"reverse_order": True}, {"execution_arn": arn + "x"}, {"next_token": "garbage"}):
        with pytest.raises(InvalidToken):
            await get_execution_history(
                engine.service, **{"execution_arn": arn, "max_results": 2, "next_token": token, **options}
            )


async def test_the_history_of_nothing_is_refused(engine):
    with pytest.raises(ExecutionDoesNotExist):
        await get_execution_history(engine.service, execution_arn=f"{HEAD}:execution:M:none")
    with pytest.raises(InvalidArn):
        await get_execution_history(engine.service, execution_arn=f"{HEAD}:express:M:e:1")
