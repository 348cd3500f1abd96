"""Query strings and form bodies."""

from __future__ import annotations

from typing import Any

import pytest

from engine.integrations.url_encoding import ArrayFormat, joined, pairs


@pytest.mark.parametrize(
    ("array_format", "encoded"),
    [
        ("INDICES", "array%5B0%5D=a&array%5B1%5D=b%2Cc"),
        ("REPEAT", "array=a&array=b%2Cc"),
        ("COMMAS", "array=a,b%2Cc"),
        ("BRACKETS", "array%5B%5D=a&array%5B%5D=b%2Cc"),
    ],
)
def test_arrays_are_written_as_the_format_says(array_format: ArrayFormat, encoded: str) -> None:
    assert joined(pairs({"array": ["a", "b,c"]}, array_format)) == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({"metadata": {"order_details": "monthly report data"}}, "metadata%5Border_details%5D=monthly%20report%20data"),
        ({"a": {"b": {"c": 1}}, "d": True, "e": None, "f": 1.5}, "a%5Bb%5D%5Bc%5D=1&d=true&e=&f=1.5"),
        ({"items": [{"id": 1}, [2]]}, "items%5B0%5D%5Bid%5D=1&items%5B1%5D%5B0%5D=2"),
        ({"ü&=": "ä+ /~"}, "%C3%BC%26%3D=%C3%A4%2B%20%2F~"),
        ({"nothing": [], "none": {}}, ""),
    ],
)
def test_objects_and_values(value: dict[str, Any], encoded: str) -> None:
    assert joined(pairs(value, "INDICES")) == encoded


def test_commas_join_values_of_any_type() -> None:
    assert joined(pairs({"a": [1, {"b": 2}], "c": []}, "COMMAS")) == "a=1,%7B%22b%22%3A2%7D"
