"""Answers and errors as bodies that botocore reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from engine import errors
from engine.api import faults
from engine.api.aws_json import codecs, error_body

MODEL = ServiceModel(Loader().load_service_model("stepfunctions", "service-2"))
MOMENT = datetime(2026, 5, 1, 12, 0, 0, 123_000, UTC)


def parsed(operation: str, body: bytes, status: int = 200):
    response = {"body": body, "headers": {}, "status_code": status}
    return create_parser("json").parse(response, MODEL.operation_model(operation).output_shape)


def test_all_operations_of_the_model_have_a_codec():
    assert set(codecs()) == set(MODEL.operation_names)


def test_members_may_be_in_either_spelling_and_times_have_milliseconds():
    codec = codecs()["StartExecution"]
    for answer in ({"execution_arn": "a", "start_date": MOMENT}, {"executionArn": "a", "startDate": MOMENT}):
        assert codec.body(answer) == b'{"executionArn":"a","startDate":1777636800.123}'


def test_the_time_zone_of_a_time_does_not_show():
    there = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert codecs()["StopExecution"].body({"stop_date": there}) == b'{"stopDate":1777636800.123}'


def test_what_is_none_is_left_out():
    assert codecs()["GetActivityTask"].body({"task_token": None, "input": None}) == b"{}"
    assert codecs()["DeleteActivity"].body(None) == b"{}"


def test_documents_inside_are_written_by_their_shapes_and_maps_as_they_are():
    answer = {
        "events": [
            {
                "id": 2, "type": "PassStateExited", "timestamp": MOMENT, "previousEventId": 0,
                "stateExitedEventDetails": {"name": "A", "assignedVariables": {"start_date": "1", "x": "2"}},
            }
        ]
    }  # fmt: skip
    read = parsed("GetExecutionHistory", codecs()["GetExecutionHistory"].body(answer))
    assert read["events"][0]["timestamp"] == MOMENT
    assert read["events"][0]["stateExitedEventDetails"] == {
        "name": "A", "assignedVariables": {"start_date": "1", "x": "2"},
    }  # fmt: skip


def test_a_member_that_aws_does_not_know_is_a_fault_of_ours():
    with pytest.raises(KeyError):
        codecs()["StopExecution"].body({"stopped": MOMENT})


def test_an_error_has_aws_code_text_and_members():
    error = errors.ValidationException("Nothing to set", reason="MISSING_REQUIRED_PARAMETER")
    body = error_body(error)
    assert json.loads(body)["__type"] == "com.amazonaws.swf.service.v2.model#ValidationException"
    read = parsed("UpdateMapRun", body, 400)
    assert read["Error"] == {"Code": "ValidationException", "Message": "Nothing to set"}
    found = MODEL.shape_for_error_code("ValidationException")
    assert {"message", "reason"} == set(found.members)
    assert json.loads(body)["reason"] == "MISSING_REQUIRED_PARAMETER"


def test_members_of_an_error_that_are_none_are_left_out():
    assert set(json.loads(error_body(errors.ResourceNotFound()))) == {"__type", "message"}
    assert json.loads(error_body(errors.ResourceNotFound(resource_name="arn:x")))["resourceName"] == "arn:x"


def test_every_error_of_an_operation_is_one_of_the_model():
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)]
    modelled = {shape.name: shape for shape in MODEL.error_shapes}
    for kind in ours:
        if kind is not errors.ApiError:
            members = set(modelled[kind.__name__].members)
            assert {
                name.partition("_")[0] + "".join(map(str.capitalize, name.split("_")[1:])) for name in kind.members
            } <= members


def test_a_fault_may_have_no_text():
    assert error_body(faults.unknown_operation()) == b'{"__type":"com.amazon.coral.service#UnknownOperationException"}'
