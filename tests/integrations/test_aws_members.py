"""Members as a Task says and gets them, where they are not what botocore takes and gives."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel

from engine.integrations.aws_members import Unusable, shown, wire
from engine.integrations.aws_names import sdk_member
from engine.jsonvalue import decode

SHAPES = {
    "Filter": {
        "type": "structure",
        "members": {
            "equals": {"shape": "Text"},
            "NULL": {"shape": "Flag"},
            "score": {"shape": "Score"},
            "count": {"shape": "Count"},
            "attributes": {"shape": "JsonText", "jsonvalue": True, "location": "header", "locationName": "x-a"},
            "at": {"shape": "Time"},
            "all": {"shape": "Filters"},
        },
    },
    "AttributeValue": {"type": "structure", "members": {"NULL": {"shape": "Flag"}}},
    "Filters": {"type": "list", "member": {"shape": "Filter"}},
    "Text": {"type": "string"},
    "JsonText": {"type": "string"},
    "Flag": {"type": "boolean"},
    "Score": {"type": "double"},
    "Count": {"type": "integer"},
    "Time": {"type": "timestamp"},
}


def shape(name: str = "Filter") -> Any:
    return ServiceModel({"metadata": {}, "shapes": SHAPES, "operations": {}}, "s").shape_for(name)


@pytest.mark.parametrize("name", ["equals", "Equals", "EqualsValue", "equalsvalue"])
def test_a_member_that_java_cannot_have_is_taken_by_both_names(name: str) -> None:
    assert wire({name: "a"}, shape()) == {"equals": "a"}


def test_it_is_shown_by_javas() -> None:
    assert shown({"equals": "a"}, shape(), sdk_member) == {"EqualsValue": "a"}
    assert shown({"NULL": True}, shape("AttributeValue"), sdk_member) == {"Nul": True}
    assert wire({"Nul": True}, shape("AttributeValue")) == {"NULL": True}


@pytest.mark.parametrize(
    ("number", "written"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"), (1.5, 1.5)]
)
def test_numbers_that_json_has_not_are_texts(number: float, written: Any) -> None:
    assert shown({"score": number}, shape(), sdk_member) == {"Score": written}
    assert repr(wire({"Score": written}, shape())) == repr({"score": number})


@pytest.mark.parametrize("value", ["1e400", "1.5", '"5"', "true"])
def test_an_integer_is_one(value: str) -> None:
    with pytest.raises(Unusable, match="The value for the field 'Count' must be a NUMBER"):
        wire({"Count": decode(value.encode()) if value != "1e400" else math.inf}, shape())
    assert wire({"Count": 5.0}, shape()) == {"count": 5}


@pytest.mark.parametrize("value", ['{"a": [1]}', {"a": [1]}])
def test_json_text_is_given_as_text_or_as_what_it_says(value: Any) -> None:
    assert wire({"Attributes": value}, shape()) == {"attributes": {"a": [1]}}
    assert shown({"attributes": {"a": [1]}}, shape(), sdk_member) == {"Attributes": '{"a":[1]}'}


def test_what_is_no_json_text_cannot_be_sent_as_such() -> None:
    with pytest.raises(Unusable, match="The value of the field 'Attributes' has an invalid format"):
        wire({"Attributes": "{"}, shape())


@pytest.mark.parametrize(
    ("microsecond", "written"), [(0, "09Z"), (120_000, "09.120Z"), (123_456, "09.123456Z"), (1, "09.000001Z")]
)
def test_times_have_the_digits_that_they_need(microsecond: int, written: str) -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, microsecond, tzinfo=UTC)
    assert shown({"at": moment}, shape(), sdk_member) == {"At": f"2024-05-06T07:08:{written}"}


def test_members_as_deep_as_a_tasks_data_may_be_are_read() -> None:
    task: Any = {"EqualsValue": "a"}
    api: Any = {"equals": "a"}
    for _ in range(149):  # two levels each
        task, api = {"All": [task]}, {"all": [api]}
    assert wire(task, shape()) == api
    assert shown(api, shape(), sdk_member) == task
