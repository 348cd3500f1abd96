"""Small definitions that tests are made of."""

from __future__ import annotations

from typing import Any

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


def machine(*states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """States one after the other, named `A`, `B`, `C`, ... unless they have a `Name`."""
    names = [state.get("Name", chr(ord("A") + place)) for place, state in enumerate(states)]
    chained: dict[str, Any] = {}
    for name, state, following in zip(names, states, [*names[1:], None], strict=True):
        rest = {key: value for key, value in state.items() if key != "Name"}
        if rest["Type"] in ("Fail", "Succeed"):
            chained[name] = rest
        else:
            chained[name] = rest | ({"End": True} if following is None else {"Next": following})
    return {"StartAt": names[0], "States": chained, **fields}


def task(function: str = "work", **fields: Any) -> dict[str, Any]:
    """A Task that calls a function by its ARN."""
    return {"Type": "Task", "Resource": FUNCTION + function, **fields}


def invoke(function: str = "work", *, suffix: str = "", **fields: Any) -> dict[str, Any]:
    """A Task that calls a function through `lambda:invoke`; the whole input is the payload."""
    parameters: dict[str, Any] = {"FunctionName": function, "Payload.$": "$"}
    if suffix:
        parameters["Payload"] = {"token.$": "$$.Task.Token"}
        del parameters["Payload.$"]
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::lambda:invoke{suffix}",
        "Parameters": parameters,
        **fields,
    }


def wait(seconds: int) -> dict[str, Any]:
    return {"Type": "Wait", "Seconds": seconds}


def retry(attempts: int = 3, **fields: Any) -> list[dict[str, Any]]:
    return [{"ErrorEquals": ["States.ALL"], "MaxAttempts": attempts, **fields}]


def catch(target: str) -> list[dict[str, Any]]:
    return [{"ErrorEquals": ["States.ALL"], "Next": target}]


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": list(branches), **fields}
