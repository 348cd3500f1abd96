"""Members that a Task says and gets, and those that an action of AWS takes and gives, by botocore's model.

    {"Item": {"id": {"S": "1"}}}  ->  wire  ->  the action  ->  shown  ->  {"Attributes": {...}}

Names are changed in structures alone: the keys of maps are data (integrations.md 1.2).
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zlib import crc32

from engine.asl.integration_members import unsupported
from engine.integrations.aws_names import sdk_member
from engine.jsonvalue import InvalidJson, decode, encode, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.jsonvalue import Json

    Spelling = Callable[[str, str], str]
    """Of a member, by its name and that of its structure."""

_INTEGERS = ("integer", "long")
_FLOATS = ("float", "double")
_TEXTS = ("string", "char")
_WANTED = {"structure": "an OBJECT", "map": "an OBJECT", "list": "an ARRAY", "boolean": "a BOOLEAN"} | dict.fromkeys(
    (*_INTEGERS, *_FLOATS), "a NUMBER"
)
_NO_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How numbers that JSON has no digits for are written."""

_HOST_LABEL = re.compile(r"[A-Za-z0-9-]{1,63}")
_STEPS_OF_PATHS = ("", ".", "..")


class Unusable(Exception):
    """Arguments that an action cannot be called with. `findings`: in AWS's words."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("; ".join(findings))
        self.findings = findings


def wire(arguments: Json, shape: Any) -> dict[str, Any]:
    """A Task's arguments as botocore takes them.

    Args:
        arguments: Members of any case.
        shape: Of the action's input; None: it takes nothing.

    Raises:
        Unusable: Members that there are not, values of another type, or none where the address needs one.
    """
    findings: list[str] = []
    if not isinstance(arguments, dict):
        raise Unusable(["The arguments must be an OBJECT"])
    if shape is None:
        found: dict[str, Any] = {}
        findings = [unsupported(name) for name in arguments]
    else:
        found = _wire_structure(arguments, shape, findings)
        findings += [
            f"The field '{name[:1].upper() + name[1:]}' is required but was missing"
            for name in shape.required_members
            if name not in found and shape.members[name].serialization.get("location") == "uri"
        ]
        findings += [
            f"The value of the field '{name[:1].upper() + name[1:]}' has an invalid format"
            for name, value in found.items()
            if _is_astray(value, shape.members[name].serialization)
        ]
    if findings:
        raise Unusable(findings)
    return found


def _is_astray(value: Any, serialization: dict[str, Any]) -> bool:
    """Whether a part of the address would make it that of something else, such as of a bucket in place of an object."""
    if serialization.get("hostLabel"):
        return not _HOST_LABEL.fullmatch(str(value))
    return serialization.get("location") == "uri" and value in _STEPS_OF_PATHS


def _wire_structure(value: dict[str, Json], shape: Any, findings: list[str]) -> dict[str, Any]:
    names = {name.lower(): name for name in shape.members}
    found: dict[str, Any] = {}
    for given, member in value.items():
        name = names.get(given.lower()) or _respelled(given, shape)
        if name is None:
            findings.append(unsupported(given))
        elif member is not None:
            found[name] = _wire(given, member, shape.members[name], findings)
    return found


def _respelled(given: str, shape: Any) -> str | None:
    """The member that only Step Functions calls so: `EqualsValue` is `equals`."""
    wanted = given.lower()
    return next((name for name in shape.members if sdk_member(name, shape.name).lower() == wanted), None)


def _wire(field: str, value: Json, shape: Any, findings: list[str]) -> Any:
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return value
    if kind == "blob":
        return encode(value)  # a text with its quotes, recorded
    if kind in _TEXTS:
        if shape.serialization.get("jsonvalue"):
            return _document(field, value, findings)
        if isinstance(value, dict | list):
            return text(value)
        if isinstance(value, str):
            return value
        findings.append(f"The value for the field '{field}' must be a STRING")
        return None
    if kind == "timestamp":
        return _moment(field, value, findings)
    return _wire_other(field, value, shape, findings)


def _wire_other(field: str, value: Json, shape: Any, findings: list[str]) -> Any:
    match shape.type_name, value:
        case "structure", dict():
            return _wire_structure(value, shape, findings)
        case "map", dict():
            return {key: _wire(field, item, shape.value, findings) for key, item in value.items()}
        case "list", list():
            return [_wire(field, item, shape.member, findings) for item in value]
        case "boolean", bool():
            return value
        case (("float" | "double"), int() | float()) if not isinstance(value, bool):
            return value
        case (("float" | "double"), str()) if value in _NO_NUMBERS:
            return _NO_NUMBERS[value]
        case (("integer" | "long"), int() | float()) if not isinstance(value, bool) and float(value).is_integer():
            return int(value)
        case _:
            findings.append(f"The value for the field '{field}' must be {_WANTED[shape.type_name]}")
            return None


def _document(field: str, value: Json, findings: list[str]) -> Any:
    """A member that is sent as JSON text; botocore writes it."""
    if not isinstance(value, str):
        return value
    try:
        return decode(value.encode())
    except InvalidJson:
        findings.append(f"The value of the field '{field}' has an invalid format")
        return None


def _moment(field: str, value: Json, findings: list[str]) -> Any:
    """A time: ISO 8601, or seconds since the epoch."""
    from botocore.utils import parse_to_aware_datetime

    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return parse_to_aware_datetime(value)
        except (ValueError, OverflowError, OSError):
            pass
    findings.append(f"The value of the field '{field}' has an invalid format")
    return None


def fill_token(members: dict[str, Any], shape: Any, key: str) -> None:
    """Names the request, where it takes a name and has none: one that is made again is then the same one."""
    if shape is not None:
        for name, member in shape.members.items():
            if name not in members and member.metadata.get("idempotencyToken"):
                members[name] = key


def tell_of_body(members: dict[str, Any], model: Any) -> None:
    """Says of a body what AWS says of one that is a text: its type, and its CRC32 (recorded, s3:putObject).

    Args:
        members: Of the request; what they say of the body themselves stays.
        model: botocore's, of the operation.
    """
    shape = model.input_shape
    name = None if shape is None else shape.serialization.get("payload")
    if name is None or not shape.members[name].serialization.get("streaming"):
        return
    body = members.get(name, b"")
    if not isinstance(body, bytes):
        return
    if "ContentType" in shape.members:
        members.setdefault("ContentType", "text/plain; charset=UTF-8")
    algorithm = model.http_checksum.get("requestAlgorithmMember")
    if algorithm is not None and not any(given.startswith(("Checksum", "ContentMD5")) for given in members):
        members |= {algorithm: "CRC32", "ChecksumCRC32": b64encode(crc32(body).to_bytes(4)).decode()}


class Undecodable(Exception):
    """Bytes in an answer are not text, which a Task's result must be. `member`: whose."""

    def __init__(self, member: str) -> None:
        super().__init__(f"the bytes of {member} are not UTF-8, and a Task's result can only be text")
        self.member = member


def shown(value: Any, shape: Any, spelling: Spelling, *, in_epoch_ms: bool = False) -> Json:
    """A member of an answer, as a Task has it; members that the model does not know are left out.

    Args:
        value: As botocore's parsers give it.
        shape: Of the model.
        spelling: Of members.
        in_epoch_ms: Times are numbers, not ISO 8601.

    Raises:
        Undecodable: Bytes are no text.
    """

    def whole(value: Any, shape: Any, member: str) -> Any:
        match shape.type_name:
            case "structure" if not getattr(shape, "is_document_type", False):
                members = {
                    spelling(name, shape.name): whole(value[name], one, name)
                    for name, one in shape.members.items()
                    if value.get(name) is not None
                }
                return {name: member for name, member in sorted(members.items()) if member is not None}
            case "list":
                return [whole(item, shape.member, member) for item in value]
            case "map":
                return {key: whole(item, shape.value, member) for key, item in value.items()}
            case "timestamp":
                return _time(value, in_epoch_ms=in_epoch_ms)
            case "blob":
                try:
                    return value if isinstance(value, str) else value.decode()
                except UnicodeDecodeError as error:
                    raise Undecodable(spelling(member, "")) from error
            case "string" if shape.serialization.get("jsonvalue"):  # which botocore has read
                return text(value)
            case "string" if not isinstance(value, str):  # several elements of XML, and another member has them too
                return None
            case "float" | "double":
                return value if math.isfinite(value) else _unwritten(value)
            case _:
                return value

    found: Json = whole(value, shape, shape.name)
    return found


def _unwritten(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _time(value: Any, *, in_epoch_ms: bool) -> Json:
    """As Java's Instant writes itself: without a fraction where there is none."""
    if not isinstance(value, datetime):
        return str(value)
    moment = value.astimezone(UTC)
    if in_epoch_ms:
        return round(moment.timestamp() * 1_000)
    exact = "milliseconds" if moment.microsecond % 1_000 == 0 else "microseconds"
    written = moment.isoformat(timespec=exact if moment.microsecond else "seconds")
    return written.replace("+00:00", "Z")


def sdk_metadata(status: int, headers: Sequence[tuple[str, str]], request_id: str) -> dict[str, Json]:
    """What the answers of optimised integrations say of the call itself (integrations.md 1.2)."""
    every: dict[str, list[Json]] = {}
    for name, header in headers:
        every.setdefault(name, []).append(header)
    names = sorted(every, key=str.lower)
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: every[name] for name in names},
            "HttpHeaders": {name: every[name][-1] for name in names},
            "HttpStatusCode": status,
        },
        "SdkResponseMetadata": {"RequestId": request_id},
    }
