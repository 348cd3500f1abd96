"""AWS REST JSON, driven by botocore's model of Lambda: requests to keyword arguments, answers and errors to HTTP.

    PUT /2015-03-31/functions/f/code?...  {"DryRun": true}   ->  {"function_name": "f", "dry_run": True}

A member is part of the path, of the query, a header, the whole body, or a member of the body's JSON. An operation takes
its members in snake_case; documents inside them keep AWS's names, blobs are bytes, times aware datetimes. No IO here,
but for the model, which is read once from botocore.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from botocore import xform_name

from engine.http import faults, members
from engine.http.answers import encode, structure_writer, writer
from engine.http.service_models import service_model
from engine.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botocore.model import OperationModel, Shape, StructureShape

    from engine.http.faults import Fault
    from engine.http.requests import Received
    from engine.lambda_emulator.errors import LambdaError

CONTENT_TYPE = b"application/json"

_NS_PER_SECOND = 1_000_000_000
_NO_CONTENT = 204
_BAD_REQUEST = 400
_FORBIDDEN = 403
_NOT_FOUND = 404
_STATUSES = {"DeleteFunction": _NO_CONTENT}
"""As recorded, where the model says another one (lambda.md 3)."""

_WHO_ASKS = frozenset({"MissingAuthenticationTokenException", "IncompleteSignatureException", "ExpiredTokenException",
                       "UnrecognizedClientException", "InvalidSignatureException"})  # fmt: skip
"""Codes that have another status here than in AWS JSON."""

_NAMES = ("FunctionName", "NamespacedFunctionName", "UnqualifiedFunctionName", "FunctionUrlFunctionName")
_DIALECT = members.Dialect(
    lowers=True,
    gathers=True,
    unchecked=frozenset(
        {
            *((name, rule) for name in _NAMES for rule in ("min", "max")),
            ("Timeout", "max"),
            ("MemorySize", "max"),
            ("EphemeralStorageSize", "max"),
            ("Runtime", "enum"),
        }
    ),
)
"""Limits that are other than the model's, or worded in another way, are the operations' business."""

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """Of HTTP."""

    status: int
    headers: Headers
    body: bytes


class OperationCodec:
    """One operation's requests and answers.

    Attributes:
        name: As AWS spells it.
        segments: Of its path; a member's name in braces stands for itself.
        fixed_query: What the query must have besides members.
    """

    def __init__(self, model: OperationModel) -> None:
        self.name: str = model.name
        path, _, query = model.http["requestUri"].partition("?")
        self.method: str = model.http["method"]
        self.segments: tuple[str, ...] = tuple(path.split("/")[1:])
        self.fixed_query: Mapping[str, str] = dict(parse_qsl(query))
        self._status = _STATUSES.get(self.name) or int(model.http.get("responseCode", 200))
        self._request = _RequestReader(model.input_shape)
        self._answer = None if model.output_shape is None else _AnswerWriter(model.output_shape)

    def arguments(self, received: Received, path: Mapping[str, str]) -> dict[str, Any]:
        """The operation's keyword arguments.

        Args:
            path: The members that stand in the path, decoded.

        Raises:
            Fault: Something has the wrong type, or breaks a constraint of the model.
        """
        return self._request.arguments(received, path)

    def answer(self, given: Mapping[str, Any] | None) -> Answer:
        """What the operation answered. A member that the model does not know is a fault of the operation."""
        if self._answer is None or self._status == _NO_CONTENT:
            return Answer(self._status, (), b"")
        return self._answer.answer(given or {}, self._status)


class _RequestReader:
    """How a request becomes arguments."""

    def __init__(self, shape: StructureShape | None) -> None:
        shapes: Mapping[str, Shape] = {} if shape is None else shape.members
        where = {name: one.serialization.get("location", "body") for name, one in shapes.items()}
        self._payload: str | None = None if shape is None else shape.serialization.get("payload")
        self._is_raw = self._payload is not None and shapes[self._payload].type_name == "blob"
        self._arguments = {name: xform_name(name) for name in shapes}
        self._path = [(name, one.serialization.get("name", name), _text_reader(one)) for name, one in shapes.items()
                      if where[name] == "uri"]  # fmt: skip
        self._headers = [(name, one.serialization["name"].lower(), _text_reader(one)) for name, one in shapes.items()
                         if where[name] == "header"]  # fmt: skip
        self._query = {one.serialization["name"]: (name, one) for name, one in shapes.items()
                       if where[name] == "querystring"}  # fmt: skip
        self._body: members.Reader | None = None
        if self._payload is not None and not self._is_raw:
            self._body = members.reader(shapes[self._payload])
        elif self._payload is None:
            body = {name: members.reader(one) for name, one in shapes.items() if where[name] == "body"}
            self._body = members.structure_reader(body) if body else None
        self._check = None if shape is None else members.checker(shape, _DIALECT)

    def arguments(self, received: Received, path: Mapping[str, str]) -> dict[str, Any]:
        """Raises Fault."""
        given: dict[str, Any] = {name: read(path[wire]) for name, wire, read in self._path}
        for name, wire, read in self._headers:
            text = received.headers.get(wire)
            if text is not None:
                given[name] = read(text)
        if self._query and received.query:
            self._read_query(received.query, given)
        if self._is_raw:
            assert self._payload is not None, "only a payload is raw"
            given[self._payload] = received.body
        elif self._body is not None:
            document = self._body(members.decoded(received.body) if received.body else {})
            if self._payload is None:
                given |= document
            elif received.body:
                given[self._payload] = document
        if self._check is not None:
            found: list[str] = []
            self._check(given, "", found)
            if found:
                raise faults.broken_constraints(found)
        names = self._arguments
        return {names[name]: value for name, value in given.items()}

    def _read_query(self, query: str, given: dict[str, Any]) -> None:
        for wire, text in parse_qsl(query, keep_blank_values=True):
            known = self._query.get(wire)
            if known is None:
                continue
            name, shape = known
            if shape.type_name == "list":
                given.setdefault(name, []).append(_text_reader(shape.member)(text))
            else:
                given[name] = _text_reader(shape)(text)


class _AnswerWriter:
    """How what an operation answered becomes HTTP."""

    def __init__(self, shape: StructureShape) -> None:
        self._payload: str | None = shape.serialization.get("payload")
        where = {name: one.serialization.get("location", "body") for name, one in shape.members.items()}
        self._headers = {name: one.serialization["name"].encode() for name, one in shape.members.items()
                         if where[name] == "header"}  # fmt: skip
        self._status = next((name for name in where if where[name] == "statusCode"), None)
        self._write = structure_writer({name: writer(one) for name, one in shape.members.items()})

    def answer(self, given: Mapping[str, Any], status: int) -> Answer:
        written = self._write(given)
        if self._status is not None:
            status = written.pop(self._status, status)
        headers = tuple(
            (wire, str(written.pop(name)).encode("latin-1")) for name, wire in self._headers.items() if name in written
        )
        if self._payload is not None:
            return Answer(status, headers, written.get(self._payload, b""))
        return Answer(status, ((b"Content-Type", CONTENT_TYPE), *headers), encode(written))


def _text_reader(shape: Shape) -> Callable[[str], Any]:
    """How a value of a path, query or header is read. Raises Fault."""
    match shape.type_name:
        case "boolean":
            return _read_boolean
        case "integer" | "long":
            return _read_whole_number
        case "timestamp":
            return _read_time
        case _:
            return str


def _read_boolean(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise faults.serialization(f"'{text}' cannot be converted to Boolean")


def _read_whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise faults.serialization(f"'{text}' cannot be converted to Integer") from None


def _read_time(text: str) -> datetime:
    instant = parse_timestamp(text)
    if instant is None:
        raise faults.serialization(f"'{text}' cannot be converted to Date")
    return datetime.fromtimestamp(instant / _NS_PER_SECOND, UTC)


# ── which operation ─────────────────────────────────────────────────────────────────────────────────────────────────


class Routing:
    """Finds the operation that a method and a path name."""

    def __init__(self, codecs: Sequence[OperationCodec]) -> None:
        self._by_size: dict[tuple[str, int], list[OperationCodec]] = defaultdict(list)
        for codec in codecs:
            self._by_size[codec.method, len(codec.segments)].append(codec)
        for some in self._by_size.values():
            some.sort(key=lambda one: -len(one.fixed_query))  # one that asks for more goes first

    def find(self, method: str, path: str, query: str) -> tuple[OperationCodec, dict[str, str]]:
        """The operation, and the members in its path.

        Args:
            path: With its percent signs: what they stand for must not part it.

        Raises:
            Fault: There is none.
        """
        segments = path.split("/")[1:]
        if len(segments) > 1 and not segments[-1]:
            segments.pop()
        for codec in self._by_size.get((method, len(segments)), ()):
            found = _members(codec.segments, segments)
            if found is not None and codec.fixed_query.items() <= (dict(parse_qsl(query)) if query else {}).items():
                return codec, found
        message = f"no operation of Lambda is {method} {path}"
        raise faults.Fault("UnknownOperationException", message, status=_NOT_FOUND)


def _members(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    found = {}
    for part, segment in zip(template, segments, strict=True):
        if part[0] == "{":
            found[part[1:-1]] = unquote(segment)
        elif part != segment:
            return None
    return found


@cache
def codecs() -> Mapping[str, OperationCodec]:
    """All operations of the service, by name."""
    model = service_model("lambda")
    return {name: OperationCodec(model.operation_model(name)) for name in model.operation_names}


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _message_member(code: str) -> str:
    """`Message` or `message`, as the model has it."""
    shape = next((one for one in service_model("lambda").error_shapes if one.name == code), None)
    return "Message" if shape is not None and "Message" in shape.members else "message"


def status_of(error: LambdaError | Fault) -> int:
    """Of HTTP."""
    return _FORBIDDEN if error.code in _WHO_ASKS and error.status == _BAD_REQUEST else error.status


def error_answer(error: LambdaError | Fault) -> Answer:
    """`{"Type": "User", "Message": "..."}`, and what it is in the header `x-amzn-ErrorType` (lambda.md 1)."""
    if isinstance(error, faults.Fault):
        body = {} if error.message is None else {"message": error.message}
        return Answer(status_of(error), (*_error_headers(error.code), *error.headers), encode(body))
    more = dict(error.members)
    after = more.pop("retryAfterSeconds", None)
    headers = _error_headers(error.code) if after is None else (
        *_error_headers(error.code), (b"Retry-After", str(after).encode()))  # fmt: skip
    told = {} if error.type is None else {"Type": error.type}
    return Answer(error.status, headers, encode({**more, **told, _message_member(error.code): error.message}))


def _error_headers(code: str) -> Headers:
    return (b"Content-Type", CONTENT_TYPE), (b"x-amzn-ErrorType", code.encode())
