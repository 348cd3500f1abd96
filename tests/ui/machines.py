"""State machines to draw: a small one that has everything, real ones, and ones with any names."""

from __future__ import annotations

import functools
import json

from engine.asl.parser import load, parse
from engine.asl.program import PassState, StateMachine
from tests.shared_data import shared

EVERYTHING = {
    "Comment": "Takes orders.",
    "StartAt": "Each order",
    "States": {
        "Each order": {
            "Type": "Map",
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSON"},
                "Parameters": {"Bucket": "orders", "Key": "today.json"},
            },
            "MaxConcurrency": 40,
            "Retry": [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 2}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Give up"}],
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                "StartAt": "At once",
                "States": {
                    "At once": {
                        "Type": "Parallel",
                        "End": True,
                        "Branches": [
                            {
                                "StartAt": "Each line",
                                "States": {
                                    "Each line": {
                                        "Type": "Map",
                                        "ItemsPath": "$.lines",
                                        "End": True,
                                        "ItemProcessor": {
                                            "StartAt": "Reserve",
                                            "States": {
                                                "Reserve": {
                                                    "Type": "Task",
                                                    "Resource": "arn:aws:states:::lambda:invoke",
                                                    "Parameters": {"FunctionName": "reserve-stock"},
                                                    "End": True,
                                                }
                                            },
                                        },
                                    }
                                },
                            },
                            {
                                "StartAt": "Ask",
                                "States": {
                                    "Ask": {
                                        "Type": "Task",
                                        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                                        "Parameters": {
                                            "QueueUrl": "https://q/1/questions",
                                            "MessageBody.$": "$$.Task.Token",
                                        },
                                        "Next": "Sure?",
                                    },
                                    "Sure?": {
                                        "Type": "Choice",
                                        "Choices": [
                                            {"Variable": "$.sure", "BooleanEquals": False, "Next": "Sleep"},
                                            {"Variable": "$.tries", "NumericLessThan": 3, "Next": "Sleep"},
                                            {"Variable": "$.again", "IsPresent": True, "Next": "Sure?"},
                                        ],
                                        "Default": "Noted",
                                    },
                                    "Sleep": {"Type": "Wait", "Seconds": 90, "Next": "Ask"},
                                    "Noted": {"Type": "Succeed"},
                                },
                            },
                        ],
                    }
                },
            },
            "Next": "Sum up",
        },
        "Sum up": {"Type": "Pass", "End": True},
        "Give up": {"Type": "Fail", "Error": "Orders.Lost", "Cause": "No way."},
    },
}


def everything() -> StateMachine:
    return load(EVERYTHING)


def machine(states: dict, *, start: str | None = None, **fields: object) -> StateMachine:
    """A machine of these states; it starts at the first one."""
    return load({"StartAt": start or next(iter(states)), "States": states, **fields})


def chain(names: list[str]) -> StateMachine:
    """A chain of Pass states with these names, made without the parser: with names that it would refuse, too."""
    states = {
        name: PassState(
            name=name, query_language="JSONPath", input_path=None, output_path=None, result_path=None, next=following
        )
        for name, following in zip(names, [*names[1:], None], strict=True)
    }
    return StateMachine(start_at=names[0], states=states)


@functools.cache
def real_machines() -> dict[str, StateMachine]:
    """The published definitions that the parser accepts, by id."""
    folder = shared("corpus", "definitions")
    ids = [entry["id"] for entry in json.loads((folder / "index.json").read_text(encoding="utf-8"))]
    parsed = {id_: parse((folder / f"{id_}.json").read_bytes()).program for id_ in ids}
    programs = {id_: program for id_, program in parsed.items() if program is not None}
    assert len(programs) > 500, "most of the published definitions are valid"
    return programs
