"""The rows are held to botocore's model of the service."""

from __future__ import annotations

import inspect

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

from engine.api.routes import LONG_POLLS, ROUTES, TRACED

MODEL = ServiceModel(Loader().load_service_model("stepfunctions", "service-2"))


def test_every_operation_of_the_model_has_its_row():
    assert set(ROUTES) == set(MODEL.operation_names)
    assert set(ROUTES) >= LONG_POLLS | TRACED


@pytest.mark.parametrize("name", ROUTES)
def test_a_row_has_the_function_of_its_name_with_the_members_of_the_model(name):
    function, shape = ROUTES[name], MODEL.operation_model(name).input_shape
    assert function.__name__ == xform_name(name)
    taken = inspect.signature(function).parameters
    assert {xform_name(member) for member in shape.members} <= set(taken)
    for member in shape.members:
        parameter = taken[xform_name(member)]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert (parameter.default is inspect.Parameter.empty) == (member in shape.required_members)
