"""Which field may stand where, and in which query language: asl.md 1.1, 3.1, 13, 16.1 and 17 as tables.

A new field is one row here and one line in the module that reads its object. The state rows were measured against the
service, every type with every field.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from engine.asl.program import StateType

if TYPE_CHECKING:
    from collections.abc import Mapping

Mode: TypeAlias = Literal["both", "JSONPath", "JSONata"]

STATE_TYPES: Final[tuple[StateType, ...]] = get_args(StateType)
"""In the order in which AWS lists them."""

_EVERY = " ".join(STATE_TYPES)
_WORK = "Task Parallel Map"

_STATE_ROWS: tuple[tuple[str, Mode, str], ...] = (
    ("Type", "both", _EVERY),
    ("Comment", "both", _EVERY),
    ("QueryLanguage", "both", _EVERY),
    ("Next", "both", f"Pass Wait {_WORK}"),
    ("End", "both", f"Pass Wait {_WORK}"),
    ("InputPath", "JSONPath", f"Pass Choice Wait Succeed {_WORK}"),
    ("OutputPath", "JSONPath", f"Pass Choice Wait Succeed {_WORK}"),
    ("Parameters", "JSONPath", f"Pass {_WORK}"),
    ("Result", "JSONPath", "Pass"),
    ("ResultPath", "JSONPath", f"Pass {_WORK}"),
    ("ResultSelector", "JSONPath", _WORK),
    ("Arguments", "JSONata", "Task Parallel"),
    ("Output", "JSONata", f"Pass Choice Wait Succeed {_WORK}"),
    ("Assign", "both", f"Pass Choice Wait {_WORK}"),
    ("Retry", "both", _WORK),
    ("Catch", "both", _WORK),
    ("Resource", "both", "Task"),
    ("Credentials", "both", "Task"),
    ("TimeoutSeconds", "both", "Task"),
    ("TimeoutSecondsPath", "JSONPath", "Task"),
    ("HeartbeatSeconds", "both", "Task"),
    ("HeartbeatSecondsPath", "JSONPath", "Task"),
    ("Choices", "both", "Choice"),
    ("Default", "both", "Choice"),
    ("Seconds", "both", "Wait"),
    ("SecondsPath", "JSONPath", "Wait"),
    ("Timestamp", "both", "Wait"),
    ("TimestampPath", "JSONPath", "Wait"),
    ("Error", "both", "Fail"),
    ("ErrorPath", "JSONPath", "Fail"),
    ("Cause", "both", "Fail"),
    ("CausePath", "JSONPath", "Fail"),
    ("Branches", "both", "Parallel"),
    ("ItemProcessor", "both", "Map"),
    ("Iterator", "both", "Map"),
    ("Items", "JSONata", "Map"),
    ("ItemsPath", "JSONPath", "Map"),
    ("ItemSelector", "both", "Map"),
    ("MaxConcurrency", "both", "Map"),
    ("MaxConcurrencyPath", "JSONPath", "Map"),
    ("ToleratedFailureCount", "both", "Map"),
    ("ToleratedFailureCountPath", "JSONPath", "Map"),
    ("ToleratedFailurePercentage", "both", "Map"),
    ("ToleratedFailurePercentagePath", "JSONPath", "Map"),
    ("ItemReader", "both", "Map"),
    ("ItemBatcher", "both", "Map"),
    ("ResultWriter", "both", "Map"),
    ("Label", "both", "Map"),
)

STATE_FIELDS: Final[Mapping[StateType, Mapping[str, Mode]]] = MappingProxyType(
    {
        state_type: MappingProxyType({name: mode for name, mode, types in _STATE_ROWS if state_type in types.split()})
        for state_type in STATE_TYPES
    }
)


def _fields(both: str, json_path: str = "", jsonata: str = "") -> Mapping[str, Mode]:
    fields: dict[str, Mode] = dict.fromkeys(both.split(), "both")
    fields |= dict.fromkeys(json_path.split(), "JSONPath")
    fields |= dict.fromkeys(jsonata.split(), "JSONata")
    return MappingProxyType(fields)


MACHINE_FIELDS: Final = _fields("Comment StartAt States Version TimeoutSeconds QueryLanguage")
BRANCH_FIELDS: Final = _fields("Comment StartAt States")
ITEM_PROCESSOR_FIELDS: Final = _fields("Comment StartAt States ProcessorConfig")
PROCESSOR_CONFIG_FIELDS: Final = _fields("Mode ExecutionType")
RETRIER_FIELDS: Final = _fields(
    "ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy Comment"
)
CATCHER_FIELDS: Final = _fields("ErrorEquals Next Assign Comment", json_path="ResultPath", jsonata="Output")
ITEM_READER_FIELDS: Final = _fields("Resource ReaderConfig", json_path="Parameters", jsonata="Arguments")
READER_CONFIG_FIELDS: Final = _fields(
    "InputType Transformation ManifestType CSVHeaderLocation CSVHeaders CSVDelimiter ItemsPointer MaxItems",
    json_path="MaxItemsPath",
)
ITEM_BATCHER_FIELDS: Final = _fields(
    "BatchInput MaxItemsPerBatch MaxInputBytesPerBatch",
    json_path="MaxItemsPerBatchPath MaxInputBytesPerBatchPath",
)
RESULT_WRITER_FIELDS: Final = _fields("Resource WriterConfig", json_path="Parameters", jsonata="Arguments")
WRITER_CONFIG_FIELDS: Final = _fields("Transformation OutputType")
