"""The state machines that are measured, each in JSONPath and in JSONata.

- loop: Choice and Pass in turn, 1,000 times: MathAdd and a few copied fields
- pass10: ten Pass states: an intrinsic function, two paths, a constant
- map: 100 items, each through Pass, Choice, Pass
- bare10: ten empty Pass states
"""

from __future__ import annotations

from typing import Any, NamedTuple

LOOP_COUNT = 1_000
MAP_ITEMS = 100
_FIELD_BYTES = 45


class Machine(NamedTuple):
    """A definition, its input, and how many states one execution enters."""

    definition: dict[str, Any]
    input: dict[str, Any]
    transitions: int


def machines(payload_bytes: int = 200) -> dict[str, Machine]:
    """All machines by name. `payload_bytes`: about how much other data each state's input carries."""
    fields = {f"k{i}": {"id": i, "name": "x" * 12} for i in range(max(1, payload_bytes // _FIELD_BYTES))}
    counted = {"i": 0, **fields}
    listed = {**counted, "list": [1, 2, 3]}
    items = {"items": [{"v": v} for v in range(MAP_ITEMS)]}
    turns, each = 2 * LOOP_COUNT + 3, 3 * MAP_ITEMS + 2
    return {
        "loop": Machine(_loop(fields), counted, turns),
        "loop_jsonata": Machine(_loop_jsonata(fields), counted, turns),
        "pass10": Machine(chain(_PASS), listed, 10),
        "pass10_jsonata": Machine({"QueryLanguage": "JSONata", **chain(_PASS_JSONATA)}, listed, 10),
        "map": Machine(_map(), items, each),
        "map_jsonata": Machine(_map_jsonata(), items, each),
        "bare10": Machine(chain({"Type": "Pass"}), {}, 10),
    }


def durable_machines() -> dict[str, Machine]:
    """What is measured on Postgres, by name: one and ten Tasks with a Retrier, ten Pass, the loop."""
    table = machines()
    given = {"i": 0, "who": {"name": "x" * 40, "id": 12345}, "list": [1, 2, 3, {"a": "b" * 30}]}
    return {
        "task1": Machine(chain(TASK, 1), given, 1),
        "task10": Machine(chain(TASK, 10), given, 10),
        "pass10": table["pass10"],
        "loop": table["loop"],
    }


TASK = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:step",
    "TimeoutSeconds": 300,
    "Retry": [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 2}],
}

_PASS = {
    "Type": "Pass",
    "Parameters": {"i.$": "States.MathAdd($.i, 1)", "k0.$": "$.k0", "list.$": "$.list", "constant": {"a": 1}},
}
_PASS_JSONATA = {
    "Type": "Pass",
    "Output": {
        "i": "{% $states.input.i + 1 %}",
        "k0": "{% $states.input.k0 %}",
        "list": "{% $states.input.list %}",
        "constant": {"a": 1},
    },
}


def chain(state: dict[str, Any], count: int = 10) -> dict[str, Any]:
    """A definition: the same state so many times, one after the other."""
    last = count - 1
    states = {f"P{n}": {**state, **({"Next": f"P{n + 1}"} if n < last else {"End": True})} for n in range(count)}
    return {"StartAt": "P0", "States": states}


def _loop(fields: dict[str, Any]) -> dict[str, Any]:
    more = {"Variable": "$.i", "NumericLessThan": LOOP_COUNT, "Next": "Inc"}
    template = {"i.$": "States.MathAdd($.i, 1)", **{f"{name}.$": f"$.{name}" for name in fields}}
    return _turns({"Type": "Choice", "Choices": [more]}, {"Type": "Pass", "Parameters": template})


def _loop_jsonata(fields: dict[str, Any]) -> dict[str, Any]:
    more = {"Condition": f"{{% $states.input.i < {LOOP_COUNT} %}}", "Next": "Inc"}
    output = {"i": "{% $states.input.i + 1 %}", **{name: f"{{% $states.input.{name} %}}" for name in fields}}
    turns = _turns({"Type": "Choice", "Choices": [more]}, {"Type": "Pass", "Output": output})
    return {"QueryLanguage": "JSONata", **turns}


def _turns(choice: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    states = {
        "Init": {"Type": "Pass", "Next": "More"},
        "More": {**choice, "Default": "Done"},
        "Inc": {**step, "Next": "More"},
        "Done": {"Type": "Succeed"},
    }
    return {"StartAt": "Init", "States": states}


def _map() -> dict[str, Any]:
    each = {
        "A": {"Type": "Pass", "Parameters": {"v.$": "$.v", "w.$": "States.MathAdd($.v, 1)"}, "Next": "B"},
        "B": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.w", "NumericGreaterThan": -1, "Next": "C"}],
            "Default": "C",
        },
        "C": {"Type": "Pass", "Parameters": {"v.$": "$.v", "done": True}, "End": True},
    }
    return _mapped({"ItemsPath": "$.items"}, each)


def _map_jsonata() -> dict[str, Any]:
    plus_one = {"v": "{% $states.input.v %}", "w": "{% $states.input.v + 1 %}"}
    each = {
        "A": {"Type": "Pass", "Output": plus_one, "Next": "B"},
        "B": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.w > -1 %}", "Next": "C"}],
            "Default": "C",
        },
        "C": {"Type": "Pass", "Output": {"v": "{% $states.input.v %}", "done": True}, "End": True},
    }
    return {"QueryLanguage": "JSONata", **_mapped({"Items": "{% $states.input.items %}"}, each)}


def _mapped(items: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "A", "States": each}
    states = {"M": {"Type": "Map", **items, "ItemProcessor": processor, "Next": "Done"}, "Done": {"Type": "Succeed"}}
    return {"StartAt": "M", "States": states}
