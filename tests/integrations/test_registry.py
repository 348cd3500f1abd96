"""Which handler does which Task."""

from __future__ import annotations

import pickle
import types
from typing import Any

import pytest

from engine.asl.resource import parse_resource
from engine.integrations.mock import fail
from engine.integrations.registry import Handlers, InvalidHandler, MissingHandler

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:charge"
INVOKE = "arn:aws:states:::lambda:invoke"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:paint"
SQS = "arn:aws:states:::sqs:sendMessage"


def found(rules: Any, *, state: str = "Pay", resource: str = FUNCTION, function: str | None = None) -> str | None:
    parsed = parse_resource(resource)
    assert parsed is not None
    handler = Handlers(rules).find(state, parsed, function, region="us-east-1", account="123456789012")
    return None if handler is None else handler.name


def rules(*patterns: str) -> dict[str, str]:
    return {pattern: f'mock:"{pattern}"' for pattern in patterns}


IN_ORDER = ["Pay", FUNCTION + ":live", FUNCTION, "charge:live", "charge", "arn:aws:lambda:*", "*"]


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_the_most_specific_rule_counts_whatever_the_order_they_are_written_in(place):
    assert found(rules(*reversed(IN_ORDER[place:])), resource=FUNCTION + ":live") == f'mock:"{IN_ORDER[place]}"'


@pytest.mark.parametrize(
    "function",
    ["charge", "charge:live", FUNCTION, FUNCTION + ":live", "function:charge", "123456789012:function:charge"],
)
@pytest.mark.parametrize("pattern", ["charge", FUNCTION, "arn:aws:lambda:*:function:ch*", INVOKE, "*:lambda:invoke"])
def test_lambda_invoke_is_found_by_its_function_however_it_is_named(function, pattern):
    assert found(rules(pattern), resource=INVOKE, function=function) == f'mock:"{pattern}"'


def test_a_function_goes_before_the_resource_that_invokes_it():
    assert found(rules(INVOKE, "charge"), resource=INVOKE, function="charge") == 'mock:"charge"'
    assert found(rules(INVOKE, "charge"), resource=INVOKE, function="ship") == f'mock:"{INVOKE}"'
    assert found(rules(INVOKE, "charge"), resource=INVOKE) == f'mock:"{INVOKE}"'


@pytest.mark.parametrize("pattern", ["paint", ACTIVITY, "*:activity:*"])
def test_an_activity_is_found_by_name_arn_and_glob(pattern):
    assert found(rules(pattern), resource=ACTIVITY) == f'mock:"{pattern}"'


def test_globs_are_tried_in_the_order_in_which_they_are_given_and_the_default_last():
    assert found(rules("*", "*sqs*", "*:sendMessage"), resource=SQS) == 'mock:"*sqs*"'
    assert found(rules("*:sendMessage", "*sqs*"), resource=SQS) == 'mock:"*:sendMessage"'
    assert found(rules("*", "*dynamodb*"), resource=SQS) == 'mock:"*"'


def test_globs_do_not_fit_state_names():
    assert found(rules("P*")) is None


def test_nothing_fits_nothing():
    assert found({}) is None
    assert found(None) is None
    assert found(rules("Other", SQS)) is None


class Namespace:
    """Public methods carry names of states or functions."""

    def charge_card(self, event: Any) -> Any: ...

    def ship(self, event: Any, context: Any) -> Any: ...

    def _helper(self) -> None: ...


@pytest.mark.parametrize("state", ["charge_card", "Charge Card", "ChargeCard", "charge-card"])
def test_an_objects_methods_serve_the_states_that_carry_their_names(state):
    assert found(Namespace(), state=state) == "Namespace.charge_card"


def test_an_objects_methods_serve_the_functions_that_carry_their_names():
    assert found(Namespace(), resource=FUNCTION.replace("charge", "charge-card")) == "Namespace.charge_card"
    assert found(Namespace(), state="helper") is None
    assert found(Namespace(), state="Ship") == "Namespace.ship"


def test_a_modules_own_public_functions_are_its_handlers():
    module = types.ModuleType("shop")
    exec("from json import loads\ndef ship(event): ...\ndef _no(event): ...", vars(module))
    assert found(module, state="Ship") == "ship"
    assert found(module, state="loads") is None


def test_functions_that_cannot_be_told_apart_are_refused():
    module = types.ModuleType("shop")
    exec("def ship(event): ...\ndef s_hip(event): ...", vars(module))
    with pytest.raises(InvalidHandler, match="both fit"):
        Handlers(module)


def test_an_object_without_functions_is_refused():
    with pytest.raises(InvalidHandler, match="no public functions"):
        Handlers(types.ModuleType("empty"))


@pytest.mark.parametrize("spec", [5, None, Namespace, {"a": 1}])
def test_what_is_no_handler_is_refused(spec):
    with pytest.raises(InvalidHandler, match="expected a callable, a text or a Handler"):
        Handlers({"Pay": spec})


def test_the_decorator_registers_by_pattern_or_by_its_own_name():
    handlers = Handlers()

    @handlers.task("arn:aws:lambda:*")
    def by_pattern(event: Any) -> Any: ...

    @handlers.task()
    def ship(event: Any) -> Any: ...

    assert found(handlers) == by_pattern.__qualname__
    assert found(handlers, state="ship") == ship.__qualname__


def test_a_copy_of_the_rules_does_not_follow_the_original():
    original = Handlers(rules("Pay"))
    copy = Handlers(original)
    original.add("Pay", "mock:1")
    assert found(copy) == 'mock:"Pay"'
    assert found(original) == "mock:1"


@pytest.mark.parametrize(
    "rules",
    ["mock:1", [("Pay", "mock:1")], len, lambda event: 1, Namespace],
    ids=["text", "pairs", "builtin", "lambda", "class"],
)
def test_rules_that_are_neither_a_mapping_nor_hold_functions_are_refused(rules):
    with pytest.raises(InvalidHandler, match="handlers: expected a mapping"):
        Handlers(rules)


@pytest.mark.parametrize(
    ("spec", "option"),
    [
        ("cmd:cat", {"process": True}),
        ("mock:1", {"process": True}),
        ("mock:1", {"timeout_seconds": 5}),
        ("fail:Broken", {"timeout_seconds": 5}),
        (fail("fail:Broken"), {"timeout_seconds": 5}),
        (fail("fail:Broken"), {"process": True}),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(spec, option):
    with pytest.raises(InvalidHandler, match=next(iter(option))):
        Handlers().add("Pay", spec, **option)


@pytest.mark.parametrize("function", ["arn:aws:lambda:", "arn:", "", "a:b:c"])
def test_a_function_name_from_data_may_be_anything(function):
    assert found(rules("charge"), resource=INVOKE, function=function) is None
    assert found(rules("charge", "*"), resource=INVOKE, function=function) == 'mock:"*"'


def test_a_missing_handler_can_be_pickled():
    missing = MissingHandler([("Pay", FUNCTION)])
    copy = pickle.loads(pickle.dumps(missing))
    assert (str(copy), copy.tasks) == (str(missing), missing.tasks)


def test_a_rule_says_what_a_lost_worker_means():
    careful = Handlers()
    careful.add("Pay", lambda event: event, on_worker_loss="fail")
    careful.add("Ship", "cmd:true", on_worker_loss="fail")
    careful.add("Look", lambda event: event)
    parsed = parse_resource(FUNCTION)
    assert parsed is not None
    loss = [
        getattr(careful.find(state, parsed, None, region="us-east-1", account="1"), "on_worker_loss", None)
        for state in ("Pay", "Ship", "Look")
    ]
    assert loss == ["fail", "fail", "rerun"]


@pytest.mark.parametrize(
    ("spec", "value"), [(lambda event: event, "explode"), ("mock:1", "fail"), (fail("fail:E"), "fail")]
)
def test_what_a_lost_worker_means_is_refused_where_it_means_nothing(spec: Any, value: Any):
    with pytest.raises(InvalidHandler, match="on_worker_loss"):
        Handlers().add("Pay", spec, on_worker_loss=value)
