"""The order of asl.md 4.1, where leaving a step out would hide that it fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Drive


@pytest.mark.parametrize(
    "fields",
    [
        {"InputPath": "$.nope", "Result": 1},
        {"Parameters": {"a.$": "$.nope"}, "Result": 1},
        {"InputPath": "$.nope", "ResultPath": None},
        {"Parameters": {"a.$": "$.nope"}, "ResultPath": None},
        {"InputPath": "$.nope", "OutputPath": None},
        {"Result": 1, "OutputPath": "$.nope"},
    ],
)
def test_a_pass_state_takes_every_step_even_if_its_outcome_is_not_used(fields: dict[str, Any]) -> None:
    drive = Drive({"StartAt": "P", "States": {"P": {"Type": "Pass", **fields, "End": True}}}, {"x": 1})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"


def test_a_pass_state_that_discards_its_result_hands_on_its_raw_input() -> None:
    fields = {"InputPath": "$.x", "Parameters": {"a.$": "$"}, "ResultPath": None}
    drive = Drive({"StartAt": "P", "States": {"P": {"Type": "Pass", **fields, "End": True}}}, {"x": 1})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.output == {"x": 1}


def test_what_a_pass_state_draws_it_draws_once() -> None:
    fields = {
        "Parameters": {"id.$": "States.UUID()"},
        "ResultPath": "$.made",
        "OutputPath": "$.made.id",
        "Assign": {"id.$": "$.id"},
    }
    drive = Drive({"StartAt": "P", "States": {"P": {"Type": "Pass", **fields, "End": True}}}, {"x": 1})
    drive.run()
    details = drive.events()[2]["stateExitedEventDetails"]
    assert details["assignedVariables"]["id"] == details["output"]
