"""Random state machines: every state type and field in both query languages, most of them right, some of them wrong.

`Machine(draw).definition` is a definition. How often a value is of the wrong type or a field out of place is drawn once
per machine, because a machine with one fault never runs; and most machines are calm: their expressions hardly ever
fail, so that executions live long enough to meet what happens late.
"""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.asl.field_tables import STATE_FIELDS
from tests.fuzz import expressions
from tests.fuzz.documents import document, scalar
from tests.shared_data import ROOT

if TYPE_CHECKING:
    from random import Random

RESOURCES = (
    "arn:aws:lambda:us-east-1:123456789012:function:f",
    "arn:aws:lambda:us-east-1:123456789012:function:g:live",
    "arn:aws:states:us-east-1:123456789012:activity:act",
    "arn:aws:states:::sns:publish",
    "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::states:startExecution.sync:2",
    "arn:aws:states:::aws-sdk:s3:getObject",
    "arn:aws:states:::eks:call",
    "arn:aws:iam::123456789012:role/own",
)
ERRORS = (
    "States.ALL", "States.TaskFailed", "States.Timeout", "States.HeartbeatTimeout", "States.Runtime",
    "States.DataLimitExceeded", "States.QueryEvaluationError", "States.IntrinsicFailure",
    "States.ResultPathMatchFailure", "States.BranchFailed", "Custom", "",
)  # fmt: skip
_NAMES = ("A", "B", "é", "a b", " ", "$", "States", "a.b", "'", "😀", "x" * 70, "{%", '"', "\\", "0")
_BARE = "JSONPath"
_CALM_DYNAMIC = (
    "$", "$", "$$.State.Name", "$$.Execution.Input", "States.UUID()", "States.Array($, 1)", "States.MathAdd(1, 2)",
    "States.Format('{}', $)", "States.JsonToString($)", "States.StringToJson('[[1]]')", "$..n", "$[*]",
    "States.ArrayRange(1, 3, 1)",
)  # fmt: skip


class Machine:
    """Makes one definition."""

    def __init__(self, draw: Random, *, noise: float | None = None, tasks: bool = True) -> None:
        self.draw = draw
        self.noise = draw.choice((0.0, 0.0, 0.0, 0.01, 0.05)) if noise is None else noise
        self.tasks = tasks
        self.language = draw.choice(("JSONPath", "JSONPath", "JSONata"))
        self.mixed = self.language == "JSONPath" and draw.random() < 0.3
        self.calm = draw.random() < 0.6
        self._count = 0
        self.definition = self._flow(2, 5)
        if self.language == "JSONata" or draw.random() < 0.1:
            self.definition["QueryLanguage"] = self.language
        if draw.random() < 0.1:
            self.definition["TimeoutSeconds"] = self._value(draw.choice((1, 5, 60, 99_999_998)))
        if draw.random() < 0.1:
            self.definition["Version"] = self._value("1.0")

    def _flow(self, depth: int, size: int) -> dict[str, Any]:
        kinds = self._kinds(depth, self.draw.randint(1, size))
        names = [self._name() for _ in kinds]
        states: dict[str, Any] = {}
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            language = self.language
            if self.mixed and self.draw.random() < 0.5:
                language = "JSONata"
            state = {"Type": kind} | ({"QueryLanguage": language} if language != self.language else {})
            self._fill(state, kind, language, depth, names, place)
            if kind == "Choice" and place + 1 < len(names):
                self._reach(state, names, kinds, place)
            states[name] = self._spoiled(state)
        return {"StartAt": self._value(names[0]), "States": states}

    def _kinds(self, depth: int, count: int) -> list[str]:
        """Types in an order in which every state can be reached and the flow can end."""
        draw = self.draw
        usual = (
            ["Pass", "Pass", "Choice", "Wait"]
            + ["Task"] * 3 * self.tasks
            + (["Map", "Map", "Parallel"] if depth else [])
        )
        kinds: list[str] = []
        while len(kinds) < count:
            # Only behind a Choice can what ends the flow stand in the middle.
            may_end = kinds[-1:] == ["Choice"] and draw.random() < 0.4
            kinds.append(draw.choice(("Succeed", "Fail")) if may_end else draw.choice(usual))
        if kinds[-1] == "Choice" or draw.random() < 0.2:
            kinds.append(draw.choice(("Succeed", "Fail", "Pass")))
        return kinds

    def _name(self) -> str:
        self._count += 1
        return f"{self.draw.choice(_NAMES)}{self._count}"

    def _value(self, right: Any) -> Any:
        """The right value, or now and then any other."""
        return document(self.draw, 1) if self.draw.random() < self.noise else right

    def _spoiled(self, state: dict[str, Any]) -> dict[str, Any]:
        if self.draw.random() < self.noise:
            fields = STATE_FIELDS[self.draw.choice(list(STATE_FIELDS))]
            state[self.draw.choice(list(fields))] = document(self.draw, 2)
        if self.draw.random() < self.noise:
            state.pop(self.draw.choice(list(state)))
        return {key: self._value(value) for key, value in state.items()}

    # ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _dynamic(self) -> str:
        return self.draw.choice(_CALM_DYNAMIC) if self.calm else expressions.dynamic(self.draw)

    def _path(self, *usual: str) -> str:
        return self.draw.choice(usual) if self.calm or self.draw.random() < 0.5 else expressions.path(self.draw)

    def _reference(self, *usual: str) -> str:
        return (
            self.draw.choice(usual) if self.calm or self.draw.random() < 0.5 else expressions.reference_path(self.draw)
        )

    def _template(self, depth: int = 2) -> Any:
        if not self.calm:
            return expressions.template(self.draw, depth)
        inner: Any = {f"{self.draw.choice(expressions.NAMES)}.$": self._dynamic(), "items": [1, 2]}
        return self.draw.choice((inner, {"a": [inner, {}], "n": 2}, {"items.$": "States.ArrayRange(1, 3, 1)"}))

    def _jsonata(self, roots: tuple[str, ...], depth: int = 2) -> Any:
        if not self.calm:
            return expressions.jsonata_value(self.draw, depth, roots=roots)
        root = self.draw.choice([root for root in roots if root.startswith("$states.")])
        wrapped = ("{}", "[{}]", "$string({})", '{{"a": {}}}', '$merge([{{}}, {{"items": [1..3], "n": $count({})}}])')
        whole = f"{{% {self.draw.choice(wrapped).format(root)} %}}"
        return self.draw.choice((whole, whole, {"items": [1, whole], "n": "{% 1 + 1 %}"}))

    def _seconds(self, *usual: str) -> str:
        depth = 0 if self.calm else 1
        source = (
            self.draw.choice(usual) if self.calm or self.draw.random() < 0.5 else expressions.jsonata(self.draw, depth)
        )
        return expressions.in_delimiters(self.draw, source)

    # ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, state: dict[str, Any], kind: str, language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        getattr(self, f"_{kind.lower()}")(state, language, depth, names, place)
        if kind not in ("Choice", "Succeed", "Fail"):
            state |= self._way_on(names, place)
        if language == _BARE and kind != "Fail":
            for field in ("InputPath", "OutputPath"):
                if draw.random() < 0.12:
                    state[field] = draw.choice((None, "$", "$", self._path("$", "$$.Execution.Input")))
        if language == _BARE and kind in ("Pass", "Task", "Parallel", "Map") and draw.random() < 0.4:
            state["ResultPath"] = draw.choice(
                (None, "$", "$.a", "$.r", *(() if self.calm else ("$.b.c", "$.items[0]", "$['x y']")))
            )
        if language != _BARE and kind != "Fail" and draw.random() < 0.4:
            state["Output"] = self._jsonata(self._roots(kind))
        if kind not in ("Succeed", "Fail") and draw.random() < 0.25:
            state["Assign"] = self._assign(language, self._roots(kind))
        if kind in ("Task", "Parallel", "Map"):
            self._recovery(state, language, names)

    def _roots(self, kind: str) -> tuple[str, ...]:
        return expressions.JSONATA_RESULT_ROOTS if kind in ("Task", "Parallel", "Map") else expressions.ROOTS

    def _way_on(self, names: list[str], place: int) -> dict[str, Any]:
        if place + 1 < len(names):
            return {"Next": self._value(names[place + 1])}
        return {"End": self._value(True)}

    def _reach(self, state: dict[str, Any], names: list[str], kinds: list[str], place: int) -> None:
        """Makes a Choice lead to the next state, and where that ends the flow to the one behind it."""
        behind = place + 2 if kinds[place + 1] in ("Succeed", "Fail") and place + 2 < len(names) else place + 1
        if isinstance(state["Choices"], list) and state["Choices"] and isinstance(state["Choices"][0], dict):
            state["Choices"][0]["Next"] = names[place + 1]
        state["Default"] = names[behind]

    def _target(self, names: list[str], place: int) -> str:
        later = names[place + 1 :]
        return self.draw.choice(later if later and self.draw.random() < 0.9 else names)

    def _assign(self, language: str, roots: tuple[str, ...]) -> dict[str, Any]:
        draw = self.draw
        found: dict[str, Any] = {}
        for name in draw.sample(expressions.VARIABLES, draw.randint(0, 2)):
            # Nested flows may not assign what flows around them assign.
            variable = name if draw.random() < 0.3 else f"{name}{self._count}"
            if language == _BARE and draw.random() < 0.7:
                found[f"{variable}.$"] = self._dynamic()
            elif language == _BARE:
                found[variable] = self._template(1)
            else:
                found[variable] = self._jsonata(roots, 1)
        return found

    def _recovery(self, state: dict[str, Any], language: str, names: list[str]) -> None:
        draw = self.draw
        if draw.random() < 0.4:
            state["Retry"] = [self._retrier() for _ in range(draw.randint(0, 2))]
        if draw.random() < 0.4:
            state["Catch"] = [self._catcher(language, names) for _ in range(draw.randint(0, 2))]
        for field in ("Retry", "Catch"):
            for entry in state.get(field, [])[:-1]:
                if entry["ErrorEquals"] == ["States.ALL"]:
                    entry["ErrorEquals"] = ["Custom"]

    def _names_of_errors(self) -> list[str]:
        names = self.draw.sample(ERRORS, self.draw.choice((1, 1, 2)))
        return ["States.ALL"] if "States.ALL" in names else names

    def _retrier(self) -> dict[str, Any]:
        draw = self.draw
        found: dict[str, Any] = {"ErrorEquals": self._value(self._names_of_errors())}
        options = {
            "IntervalSeconds": (0, 1, 3, 99_999_999),
            "MaxAttempts": (0, 1, 2, 99_999_999),
            "BackoffRate": (1, 1.0, 2.5, 1e300, 10**400),
            "MaxDelaySeconds": (1, 5, 31_622_400),
            "JitterStrategy": ("FULL", "NONE"),
        }
        for field, values in options.items():
            if draw.random() < 0.3:
                found[field] = self._value(draw.choice(values))
        return found

    def _catcher(self, language: str, names: list[str]) -> dict[str, Any]:
        draw = self.draw
        found: dict[str, Any] = {
            "ErrorEquals": self._value(self._names_of_errors()),
            "Next": self._value(draw.choice(names)),
        }
        if draw.random() < 0.3:
            found["Assign"] = self._assign(language, expressions.JSONATA_ERROR_ROOTS)
        if language == _BARE and draw.random() < 0.4:
            found["ResultPath"] = draw.choice((None, "$", "$.error", "$.a.b"))
        elif language != _BARE and draw.random() < 0.4:
            found["Output"] = self._jsonata(expressions.JSONATA_ERROR_ROOTS)
        return found

    # ── types ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pass(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        if language != _BARE:
            return
        if draw.random() < 0.5:
            state["Parameters"] = self._template()
        elif draw.random() < 0.5:
            state["Result"] = document(draw, 2)

    def _task(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        state["Resource"] = self._value(draw.choice(RESOURCES))
        if language == _BARE:
            if draw.random() < 0.4:
                state["Parameters"] = self._template()
            if draw.random() < 0.2:
                state["ResultSelector"] = self._template()
        elif draw.random() < 0.4:
            state["Arguments"] = self._jsonata(expressions.ROOTS)
        for field, seconds in (("TimeoutSeconds", (1, 5, 99_999_999)), ("HeartbeatSeconds", (1, 2))):
            chance = draw.random()
            if chance < 0.2:
                state[field] = self._value(draw.choice(seconds))
            elif chance < 0.3:
                if language == _BARE:
                    state[f"{field}Path"] = self._reference("$.n")
                else:
                    state[field] = self._seconds("$states.input.n", "1 + 1")
        if draw.random() < 0.1 and "activity" not in str(state["Resource"]):
            role: Any = {"RoleArn": "arn:aws:iam::123456789012:role/r"}
            if draw.random() < 0.5:
                role = {"RoleArn.$": "$.s"} if language == _BARE else {"RoleArn": "{% $states.input.s %}"}
            state["Credentials"] = role

    def _choice(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        rules = []
        for _ in range(draw.randint(1, 3)):
            if language == _BARE:
                one = {"Variable": "$.n", "IsPresent": draw.random() < 0.5} if self.calm else expressions.rule(draw)
            else:
                wild = draw.choice(("$exists({})", "{} = 1", "{}")).format(expressions.jsonata(draw, 1))
                condition = "$exists($states.input.n)" if self.calm else wild
                one = {"Condition": draw.choice((True, False, expressions.in_delimiters(draw, condition)))}
                if draw.random() < 0.2:
                    one["Output"] = self._jsonata(expressions.ROOTS, 1)
            if draw.random() < 0.2:
                one["Assign"] = self._assign(language, expressions.ROOTS)
            rules.append(one | {"Next": self._value(self._target(names, place))})
        state["Choices"] = self._value(rules)

    def _wait(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        field = draw.choice(("Seconds", "Timestamp", "SecondsPath", "TimestampPath"))
        if language != _BARE:
            field = field.removesuffix("Path")
            state[field] = (
                self._seconds("1", "0.0 + 2") if field == "Seconds" else self._seconds("$now()", "$states.input.t")
            )
        elif field.endswith("Path"):
            state[field] = (
                self._reference("$$.State.EnteredTime")
                if field == "TimestampPath"
                else self._reference("$$.Map.Item.Index", "$.n")
            )
        else:
            state[field] = draw.choice((0, 1, 99_999_999)) if field == "Seconds" else "2024-01-01T00:00:00Z"

    def _succeed(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        return

    def _fail(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        for field in ("Error", "Cause"):
            chance = draw.random()
            if chance < 0.4:
                state[field] = self._value(draw.choice(("Custom", "States.Timeout", "States.Runtime", "")))
            elif chance < 0.7 and language == _BARE:
                state[f"{field}Path"] = self._path("$$.State.Name", "States.Format('{}', $)")
            elif chance < 0.7:
                state[field] = self._seconds("$states.context.State.Name", "'e' & 1")

    def _parallel(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        state["Branches"] = self._value([self._flow(depth - 1, 3) for _ in range(draw.randint(1, 3))])
        self._work(state, language)

    def _work(self, state: dict[str, Any], language: str) -> None:
        draw = self.draw
        if language == _BARE and draw.random() < 0.2:
            state["ResultSelector"] = self._template()
        if state["Type"] == "Parallel" and draw.random() < 0.2:
            field, value = (
                ("Parameters", self._template(1))
                if language == _BARE
                else ("Arguments", self._jsonata(expressions.ROOTS, 1))
            )
            state[field] = value

    def _map(self, state: dict[str, Any], language: str, depth: int, names: list[str], place: int) -> None:
        draw = self.draw
        processor = self._flow(depth - 1, 3)
        if draw.random() < 0.1:
            mode = draw.choice(("INLINE", "DISTRIBUTED"))
            processor["ProcessorConfig"] = {"Mode": mode} | (
                {"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {}
            )
        state[draw.choice(("ItemProcessor", "ItemProcessor", "Iterator"))] = processor
        if language == _BARE:
            state["ItemsPath"] = self._reference("$.items", "$.items", "$$.Execution.Input.items")
            if draw.random() < 0.1:
                state["MaxConcurrencyPath"] = draw.choice(("$.n", "$v"))
        else:
            state["Items"] = draw.choice(
                (
                    "{% $states.input.items %}",
                    "{% [1..3] %}",
                    [1, "{% $string($states.input) %}"],
                    self._jsonata(expressions.ROOTS, 1),
                )
            )
        if draw.random() < 0.5 and "MaxConcurrencyPath" not in state:
            state["MaxConcurrency"] = self._value(draw.choice((0, 1, 2, 10**30)))
        if draw.random() < 0.4:
            selector = self._template() if language == _BARE else self._jsonata(expressions.ROOTS)
            if language == _BARE and isinstance(selector, dict) and draw.random() < 0.5:
                selector |= {"n.$": "$$.Map.Item.Index", "b.$": "$$.Map.Item.Value"}
                selector.pop("n", None), selector.pop("b", None)
            state[
                draw.choice(("ItemSelector", "ItemSelector", "Parameters" if language == _BARE else "ItemSelector"))
            ] = selector
        if draw.random() < 0.05:
            state[draw.choice(("ToleratedFailureCount", "ToleratedFailurePercentage"))] = self._value(5)
        self._work(state, language)


# ── Real definitions, changed ───────────────────────────────────────────────────────────────────────────────────────


@lru_cache(1)
def seeds() -> list[dict[str, Any]]:
    """Definitions to change: those of the parser's tests, and published and recorded ones where they are at hand."""
    rules = Path(__file__).parents[1] / "asl"
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(rules.glob("*valid/*.asl.json"))]
    found = [case["definition"] for case in read if "definition" in case]
    for path in sorted((ROOT / "corpus" / "definitions").glob("????????????????.json")):
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return [definition for definition in found if isinstance(definition, dict)]


def changed(draw: Random) -> dict[str, Any]:
    """A real definition with a few changes: values replaced, removed, moved under other names."""
    definition: dict[str, Any] = copy.deepcopy(draw.choice(seeds()))
    for _ in range(draw.choice((0, 0, 1, 2, 4))):
        places = list(_places(definition))
        if not places:
            break
        parent, key = draw.choice(places)
        match draw.randint(0, 3):
            case 0:
                parent[key] = scalar(draw) if draw.random() < 0.7 else document(draw, 2)
            case 1:
                del parent[key]
            case 2 if isinstance(parent, dict):
                parent[draw.choice(list(STATE_FIELDS[draw.choice(list(STATE_FIELDS))]))] = parent.pop(key)
            case _:
                other, at = draw.choice(places)
                parent[key] = copy.deepcopy(other[at])
    return definition


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict | list):
            keys = list(item) if isinstance(item, dict) else list(range(len(item)))
            found += [(item, key) for key in keys]
            left += [item[key] for key in keys]
    return found
