"""Answers of AWS's services as bytes, written by their models: what botocore's parsers read, from another hand."""

from __future__ import annotations

import base64
import json
import struct
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from engine.integrations.aws import HttpAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

REQUEST_ID = "00000000-0000-4000-8000-000000000001"
CBOR = "smithy-rpc-v2-cbor"
_EMPTY = {"json": b"{}", "query": b"<Response/>", "ec2": b"<Response/>"}
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def answer_of(model: Any, output: dict[str, Any]) -> HttpAnswer:
    """An action's answer.

    Args:
        model: Botocore's of the operation.
        output: In the model's spelling, as botocore has it.
    """
    protocol, shape = model.service_model.resolved_protocol, model.output_shape
    headers = [("x-amzn-RequestId", REQUEST_ID)]
    if protocol == CBOR:
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
        return HttpAnswer(200, headers, b"\xa0" if shape is None else _cbor(output, shape))
    if shape is None:
        return HttpAnswer(
            200, headers, {"json": b"{}", "query": b"<Response/>", "ec2": b"<Response/>"}.get(protocol, b"")
        )
    if protocol == "json":
        return HttpAnswer(200, headers, json.dumps(_plain(output, shape)).encode())
    if protocol in ("query", "ec2"):
        return HttpAnswer(200, headers, _query(model, output))
    return _rest(model, output, headers)


def refusal_of(model: Any, shape: Any) -> HttpAnswer:
    """An error of a service; `shape`: of the error in its model."""
    protocol = model.service_model.resolved_protocol
    code = shape.metadata.get("error", {}).get("code") or shape.name
    headers = [("x-amzn-RequestId", REQUEST_ID), ("x-amz-request-id", REQUEST_ID)]
    if protocol in ("json", "rest-json"):
        headers.append(("x-amzn-ErrorType", code))
        return HttpAnswer(400, headers, json.dumps({"__type": f"ns#{code}", "message": "no"}).encode())
    if protocol == CBOR:
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
        told = (_cbor_text(word) for word in ("__type", code, "message", "no"))
        return HttpAnswer(400, headers, _cbor_head(5, 2) + b"".join(told))
    error = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    if protocol == "ec2":
        body = f"<Response><Errors>{error}</Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
    elif model.service_model.service_name == "s3":
        body = error
    else:
        body = f"<ErrorResponse>{error}<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    return HttpAnswer(400, headers, body.encode())


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(value: Any, shape: Any) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    match shape.type_name:
        case "structure":
            return {
                shape.members[name].serialization.get("name", name): _plain(one, shape.members[name])
                for name, one in value.items()
            }
        case "list":
            return [_plain(one, shape.member) for one in value]
        case "map":
            return {key: _plain(one, shape.value) for key, one in value.items()}
        case "blob":
            return base64.b64encode(value).decode()
        case "timestamp":
            written = _moment(value, shape, "unixTimestamp")
            return int(written) if written.isdecimal() else written
        case _:
            return value


def _moment(value: datetime, shape: Any, default: str) -> str:
    match shape.serialization.get("timestampFormat", default):
        case "iso8601":
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case "rfc822":
            return format_datetime(value, usegmt=True)
        case _:
            return str(int(value.timestamp()))


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rest(model: Any, output: dict[str, Any], headers: list[tuple[str, str]]) -> HttpAnswer:
    shape = model.output_shape
    status, rest = 200, {}
    for name, value in output.items():
        member = shape.members[name]
        match member.serialization.get("location"):
            case "header":
                headers.append((member.serialization.get("name", name), _header(value, member)))
            case "headers":
                prefix = member.serialization.get("name", "")
                headers += [(prefix + key, one) for key, one in value.items()]
            case "statusCode":
                status = value
            case _:
                rest[name] = value
    return HttpAnswer(status, headers, _rest_body(model, rest))


def _rest_body(model: Any, rest: dict[str, Any]) -> bytes:
    shape, is_xml = model.output_shape, model.service_model.resolved_protocol == "rest-xml"
    payload = shape.serialization.get("payload")
    if payload is not None:
        value, member = rest.get(payload), shape.members[payload]
        if value is None:
            return b""
        if member.type_name in ("blob", "string"):
            return value if isinstance(value, bytes) else str(value).encode()
        if is_xml:
            return _bytes(_element(member.serialization.get("name", payload), value, member))
        return json.dumps(_plain(value, member)).encode()
    if model.name == "GetBucketLocation":  # whose one member is the text of the document
        root = ET.Element("LocationConstraint")
        root.text = rest["LocationConstraint"]
        return _bytes(root)
    return _bytes(_element(shape.name, rest, shape)) if is_xml else json.dumps(_plain(rest, shape)).encode()


def _header(value: Any, shape: Any) -> str:
    if shape.serialization.get("jsonvalue"):
        return base64.b64encode(json.dumps(value).encode()).decode()
    match shape.type_name:
        case "timestamp":
            return _moment(value, shape, "rfc822")
        case "boolean":
            return "true" if value else "false"
        case "list":
            return ", ".join(_header(one, shape.member) for one in value)
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            return str(value)


# ── XML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _query(model: Any, output: dict[str, Any]) -> bytes:
    shape = model.output_shape
    root = ET.Element(f"{model.name}Response")
    wrapper = shape.serialization.get("resultWrapper")
    inner = root if wrapper is None else ET.SubElement(root, wrapper)
    _fill(inner, output, shape)
    if model.service_model.resolved_protocol == "query":
        ET.SubElement(ET.SubElement(root, "ResponseMetadata"), "RequestId").text = REQUEST_ID
    return _bytes(root)


def _element(tag: str, value: Any, shape: Any) -> ET.Element:
    element = ET.Element(tag)
    match shape.type_name:
        case "structure":
            _fill(element, value, shape)
        case "list":
            tag_of_item = shape.member.serialization.get("name", "member")
            element.extend(_element(tag_of_item, one, shape.member) for one in value)
        case "map":
            element.extend(_entry("entry", key, one, shape) for key, one in value.items())
        case "blob":
            element.text = base64.b64encode(value).decode()
        case "timestamp":
            element.text = _moment(value, shape, "iso8601")
        case "boolean":
            element.text = "true" if value else "false"
        case _:
            element.text = str(value)
    return element


def _fill(element: ET.Element, value: dict[str, Any], shape: Any) -> None:
    for name, one in value.items():
        member = shape.members[name]
        tag = member.serialization.get("name", name)
        if member.serialization.get("xmlAttribute"):
            element.set(tag.replace("xsi:", f"{{{_XSI}}}"), str(one))
        elif member.type_name == "list" and member.serialization.get("flattened"):
            tag = member.member.serialization.get("name", tag)
            element.extend(_element(tag, item, member.member) for item in one)
        elif member.type_name == "map" and member.serialization.get("flattened"):
            element.extend(_entry(tag, key, item, member) for key, item in one.items())
        else:
            element.append(_element(tag, one, member))


def _entry(tag: str, key: str, value: Any, shape: Any) -> ET.Element:
    element = ET.Element(tag)
    ET.SubElement(element, shape.key.serialization.get("name", "key")).text = key
    element.append(_element(shape.value.serialization.get("name", "value"), value, shape.value))
    return element


def _bytes(root: ET.Element) -> bytes:
    found: bytes = ET.tostring(root, "utf-8")
    return found


# ── CBOR ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cbor(value: Any, shape: Any) -> bytes:
    match shape.type_name:
        case "structure":
            return _cbor_map(value, lambda name, one: _cbor(one, shape.members[name]))
        case "map":
            return _cbor_map(value, lambda _, one: _cbor(one, shape.value))
        case "list":
            return _cbor_head(4, len(value)) + b"".join(_cbor(one, shape.member) for one in value)
        case "blob":
            return _cbor_head(2, len(value)) + value
        case "timestamp":
            return b"\xc1" + _cbor_head(0, int(value.timestamp()))
        case "boolean":
            return b"\xf5" if value else b"\xf4"
        case "integer" | "long":
            return _cbor_head(0, value)
        case "float" | "double":
            return b"\xfb" + struct.pack(">d", value)
        case _:
            return _cbor_text(value)


def _cbor_map(value: dict[str, Any], write: Callable[[str, Any], bytes]) -> bytes:
    return _cbor_head(5, len(value)) + b"".join(_cbor_text(name) + write(name, one) for name, one in value.items())


def _cbor_text(text: str) -> bytes:
    return _cbor_head(3, len(text.encode())) + text.encode()


def _cbor_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for more, length in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * length:
            return bytes([major << 5 | more]) + number.to_bytes(length, "big")
    raise ValueError(number)
