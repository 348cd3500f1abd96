"""The state machines of the chaos run, and what each gives for an input: as the interpreter in memory says."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

from engine.library import run
from tests.chaos import handlers
from tests.interpreter.random_programs import Program

_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:work"
_RETRY = [{"ErrorEquals": ["Soft"], "MaxAttempts": 3, "IntervalSeconds": 1}]
_RANDOM = 12


def _task(following: str | None = None, **fields: Any) -> dict[str, Any]:
    end = {"End": True} if following is None else {"Next": following}
    return {"Type": "Task", "Resource": _FUNCTION, "Retry": _RETRY, **end, **fields}


def _token_task(following: str | None = None, **fields: Any) -> dict[str, Any]:
    given = {"token.$": "$$.Task.Token", "given.$": "$"}
    return _task(following, **fields) | {
        "Resource": "arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken",
        "Parameters": given,
    }


def _machine(**states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def _chain(length: int) -> dict[str, Any]:
    names = [f"Step{number}" for number in range(length)]
    following = [*names[1:], None]
    return _machine(**{name: _task(then, ResultPath=f"$.{name}") for name, then in zip(names, following, strict=True)})


class _ShortProgram(Program):
    """Whose waits are short: here time is real."""

    def _wait(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        return {"Type": "Wait", "Seconds": self._draw.randint(0, 1)}

    def _task(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        return super()._task(name, depth, following) | {"Retry": _RETRY}


_ITEM = _machine(Item=_task("Rest"), Rest=_task(None, ResultPath=None))
_BRANCHES = [
    _machine(Left=_task()),
    _machine(SoftRight=_task()),
    _machine(Idle={"Type": "Wait", "Seconds": 1, "End": True}),
]

PROGRAMS: dict[str, dict[str, Any]] = {
    "one": _machine(One=_task()),
    "chain": _chain(6),
    "map": _machine(
        Each={"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "ItemProcessor": _ITEM, "End": True}
    ),
    "parallel": _machine(Both={"Type": "Parallel", "Branches": _BRANCHES, "Next": "Last"}, Last=_task()),
    # Longer than it takes to be given up: it is parked.
    "parked": _machine(First=_task("Rest"), Rest={"Type": "Wait", "Seconds": 3, "Next": "Last"}, Last=_task()),
    "token": _machine(Ask=_token_task("Then"), Then=_task()),
    "tokens": _machine(
        All={"Type": "Parallel", "Branches": [_machine(A=_token_task(HeartbeatSeconds=600)), _machine(B=_token_task())],
             "Next": "Last"},
        Last=_task(),
    ),
    **{f"random-{seed}": _ShortProgram(seed, size=4).definition for seed in range(_RANDOM)},
}  # fmt: skip
"""By name. `one` and `chain` take `seconds` for their Tasks from the input."""

MIXED = tuple(PROGRAMS)
PLAIN = tuple(name for name in PROGRAMS if "token" not in name)
"""Those that need nobody to answer tokens."""


def given(number: int, seconds: float | None = None) -> dict[str, Any]:
    """The input of an execution."""
    return {"n": number, "items": [number, number + 1, number + 2], **({} if seconds is None else {"seconds": seconds})}


def expected(program: str, data: dict[str, Any]) -> Any:
    """What the interpreter in memory makes of it."""
    return json.loads(_expected(program, json.dumps(data)))


@cache
def _expected(program: str, data: str) -> str:
    output = asyncio.run(run(PROGRAMS[program], json.loads(data), handlers={"*": handlers.work}, clock="virtual"))
    return json.dumps(output)
