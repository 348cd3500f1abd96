"""What botocore sends becomes arguments; answers and errors become what botocore reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import HeadersDict, prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from engine.http import faults
from engine.http.faults import Fault
from engine.http.requests import Received
from engine.http.service_models import service_model
from engine.lambda_emulator.errors import (
    InvalidParameterValueException,
    ResourceNotFoundException,
    ServiceException,
    TooManyRequestsException,
    ValidationException,
)
from engine.lambda_emulator.rest_json import Routing, codecs, error_answer

ROUTING = Routing(list(codecs().values()))
ROLE = "arn:aws:iam::000000000000:role/r"
ARN = "arn:aws:lambda:eu-central-1:000000000000:function:f"


def sent(operation: str, **members: Any) -> Received:
    request = create_serializer("rest-json", include_validation=False).serialize_to_request(
        members, service_model("lambda").operation_model(operation)
    )
    prepare_request_dict(request, "http://h")
    url = urlsplit(request["url"])
    body = request["body"]
    return Received(
        method=request["method"],
        path=url.path,
        query=url.query,
        headers={name.lower(): value for name, value in request["headers"].items()},
        body=body if isinstance(body, bytes) else body.encode(),
    )


def taken(operation: str, **members: Any) -> dict[str, Any]:
    received = sent(operation, **members)
    codec, path = ROUTING.find(received.method, received.path, received.query)
    assert codec.name == operation
    return codec.arguments(received, path)


def parsed(operation: str, answer: Any) -> dict[str, Any]:
    headers = HeadersDict({name.decode(): value.decode() for name, value in answer.headers})
    response = {"status_code": answer.status, "headers": headers, "body": answer.body}
    parser = create_parser("rest-json")
    found = parser.parse(response, service_model("lambda").operation_model(operation).output_shape)
    found.pop("ResponseMetadata", None)
    return found


def test_members_come_from_path_query_headers_and_body():
    assert taken("Invoke", FunctionName=ARN, Qualifier="$LATEST", LogType="Tail", Payload=b"[1]") == {
        "function_name": ARN, "qualifier": "$LATEST", "log_type": "Tail", "payload": b"[1]",
    }  # fmt: skip
    assert taken("ListFunctions", MaxItems=7, FunctionVersion="ALL") == {"max_items": 7, "function_version": "ALL"}
    assert taken("UntagResource", Resource=ARN, TagKeys=["a", "b c+"]) == {"resource": ARN, "tag_keys": ["a", "b c+"]}
    assert taken("InvokeAsync", FunctionName="f", InvokeArgs=b"{}") == {"function_name": "f", "invoke_args": b"{}"}
    assert taken("GetLayerVersion", LayerName="l", VersionNumber=3) == {"layer_name": "l", "version_number": 3}


def test_documents_keep_awss_names_and_blobs_are_bytes():
    got = taken(
        "CreateFunction", FunctionName="f", Role=ROLE, Code={"ZipFile": b"PK"}, Environment={"Variables": {"A_B": "c"}}
    )
    assert got == {
        "function_name": "f", "role": ROLE, "code": {"ZipFile": b"PK"}, "environment": {"Variables": {"A_B": "c"}},
    }  # fmt: skip


def test_paths_that_a_query_tells_apart_are_told_apart():
    assert taken("GetLayerVersionByArn", Arn="arn:aws:lambda:eu-central-1:000000000000:layer:l:1") == {
        "arn": "arn:aws:lambda:eu-central-1:000000000000:layer:l:1"
    }
    assert taken("ListLayers") == {}
    assert taken("ListProvisionedConcurrencyConfigs", FunctionName="f") == {"function_name": "f"}
    assert taken("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier="1") == {
        "function_name": "f", "qualifier": "1",
    }  # fmt: skip


def test_every_operation_of_the_model_is_found_by_its_own_path():
    for name in service_model("lambda").operation_names:
        model = service_model("lambda").operation_model(name)
        values = {
            wire.serialization.get("name", member): "1" for member, wire in model.input_shape.members.items()
            if wire.serialization.get("location") == "uri"
        }  # fmt: skip
        path, _, query = model.http["requestUri"].partition("?")
        codec, found = ROUTING.find(model.http["method"], path.format(**values), query)
        assert (codec.name, found) == (name, values)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PATCH", "/2015-03-31/functions"), ("GET", "/")])
def test_what_is_no_operation_is_not_found(method, path):
    with pytest.raises(Fault) as caught:
        ROUTING.find(method, path, "")
    assert (caught.value.status, caught.value.code) == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    ("operation", "members", "told"),
    [
        ("CreateFunction", {"Role": "r", "Code": {}},  # the form was recorded
         r"Value 'r' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: "
         r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
        ("CreateFunction", {"Role": ROLE, "Code": {}, "EphemeralStorage": {"Size": 511}},
         "Value '511' at 'ephemeralStorage.size' failed to satisfy constraint: "
         "Member must have value greater than or equal to 512"),
        ("CreateFunction", {"Role": ROLE, "Code": {}, "Timeout": 0},
         "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"),
        ("CreateFunction", {"Role": ROLE, "Code": {}, "Architectures": ["arm"]},
         "Value '[arm]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
         "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"),
        ("PutFunctionEventInvokeConfig", {"MaximumRetryAttempts": 3},
         "Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: "
         "Member must have value less than or equal to 2"),
        ("Invoke", {"InvocationType": "Later"},
         "Value 'Later' at 'invocationType' failed to satisfy constraint: "
         "Member must satisfy enum value set: [Event, RequestResponse, DryRun]"),
        ("Invoke", {"Qualifier": "a b"},
         r"Value 'a b' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: "
         r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"),
    ],
)  # fmt: skip
def test_a_constraint_of_the_model_is_told_in_awss_words(operation, members, told):
    with pytest.raises(Fault) as caught:
        taken(operation, FunctionName="f", **members)
    assert (caught.value.code, caught.value.message) == ("ValidationException", f"1 validation error detected: {told}")


def test_limits_that_are_worded_elsewhere_are_not_checked_here():
    got = taken("CreateFunction", FunctionName="f" * 300, Role=ROLE, Code={}, Timeout=9_000, MemorySize=99_999,
                Runtime="cobol")  # fmt: skip
    assert (got["timeout"], got["memory_size"], got["runtime"]) == (9_000, 99_999, "cobol")


@pytest.mark.parametrize(
    ("body", "query"),
    [(b"{", ""), (b"[]", ""), (b'{"Timeout": "3"}', ""), (b'{"Environment": {"Variables": []}}', "")],
)
def test_what_has_the_wrong_type_is_a_serialization_error(body, query):
    with pytest.raises(Fault) as caught:
        codecs()["CreateFunction"].arguments(Received("POST", "/", query, {}, body), {})
    assert caught.value.code == "SerializationException"


def test_answers_are_what_botocore_reads():
    answer = codecs()["CreateFunction"].answer({"FunctionName": "f", "Timeout": 3, "Description": None})
    assert answer.status == 201
    assert parsed("CreateFunction", answer) == {"FunctionName": "f", "Timeout": 3}
    moment = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    answer = codecs()["GetFunctionEventInvokeConfig"].answer({"LastModified": moment, "MaximumRetryAttempts": 0})
    assert parsed("GetFunctionEventInvokeConfig", answer) == {"LastModified": moment, "MaximumRetryAttempts": 0}
    answer = codecs()["Invoke"].answer(
        {"StatusCode": 200, "Payload": b"[1]", "ExecutedVersion": "7", "FunctionError": "Unhandled"}
    )
    found = parsed("Invoke", answer)
    assert found.pop("Payload").encode() == b"[1]"  # a streaming body is the response's own
    assert found == {"StatusCode": 200, "ExecutedVersion": "7", "FunctionError": "Unhandled"}


@pytest.mark.parametrize(
    ("operation", "status"), [("DeleteFunction", 204), ("DeleteAlias", 204), ("DeleteFunctionConcurrency", 204)]
)
def test_what_has_no_content_has_no_body(operation, status):
    assert codecs()[operation].answer(None) == (status, (), b"")


def test_an_answer_without_members_is_an_empty_object():
    assert codecs()["GetFunctionConcurrency"].answer({}).body == b"{}"


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ResourceNotFoundException("no"), 404, {"Type": "User", "Message": "no"}),
        (InvalidParameterValueException("no"), 400, {"Type": "User", "message": "no"}),
        (InvalidParameterValueException("no", type=None), 400, {"message": "no"}),
        (ValidationException("no"), 400, {"message": "no"}),
        (ServiceException("no"), 500, {"Type": "Service", "Message": "no"}),
        (TooManyRequestsException("Rate Exceeded.", Reason="R"), 429,
         {"Type": "User", "message": "Rate Exceeded.", "Reason": "R"}),
        (faults.wrong_signature("no"), 403, {"message": "no"}),
        (faults.broken_constraints(["x"]), 400, {"message": "1 validation error detected: x"}),
    ],
)  # fmt: skip
def test_an_error_has_its_name_in_a_header_and_its_text_where_the_model_says(error, status, body):
    answer = error_answer(error)
    assert (answer.status, json.loads(answer.body)) == (status, body)
    assert dict(answer.headers)[b"x-amzn-ErrorType"].decode() == error.code


def test_when_to_come_back_is_a_header():
    answer = error_answer(TooManyRequestsException("Rate Exceeded.", Reason="R", retryAfterSeconds=1))
    assert dict(answer.headers)[b"Retry-After"] == b"1"
    assert json.loads(answer.body).keys() == {"Type", "message", "Reason"}
