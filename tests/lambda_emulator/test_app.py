"""boto3 asks a server: who may, what is too long, what is not there."""

from __future__ import annotations

import http.client
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from engine.errors import StoreUnavailable
from engine.http.access import Access
from engine.http.sigv4 import AccessKey
from engine.lambda_emulator.errors import ResourceNotFoundException
from engine.lambda_emulator.rest_json import codecs
from engine.lambda_emulator.routes import ROUTES
from tests.lambda_emulator.control_plane import new_emulator
from tests.lambda_emulator.serving import ACCOUNT, serving
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator

KEY = AccessKey(name="k", id="AKIDEXAMPLE", secret="s3cret", account_id="111111111111")


def emulator(url: str) -> Emulator:
    return new_emulator(Path("/nowhere"), url=url)


async def get_account_settings(emulator: Emulator) -> dict[str, Any]:
    return {"AccountUsage": {"FunctionCount": int(emulator.account_id)}}


async def get_function(emulator: Emulator, *, function_name: str) -> None:
    if function_name == "bug":
        raise KeyError(function_name)
    if function_name == "outage":
        raise StoreUnavailable("connection refused: s3cret")
    raise ResourceNotFoundException(f"Function not found: {function_name}")


async def create_function(emulator: Emulator, **given: Any) -> dict[str, Any]:
    return {"FunctionName": given["function_name"], "CodeSize": len(given["code"]["ZipFile"])}


GIVEN = {"GetAccountSettings": get_account_settings, "GetFunction": get_function, "CreateFunction": create_function}


def refusal(call: Any, **given: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


@pytest.fixture(scope="module")
def server():
    with serving(emulator, routes=GIVEN) as running:
        yield running


def test_an_access_key_of_twelve_digits_names_the_account_on_an_open_server(server):
    for account in (ACCOUNT, "222222222222"):
        answer = server.client(key=account).get_account_settings()
        assert answer["AccountUsage"]["FunctionCount"] == int(account)
        assert answer["ResponseMetadata"]["RequestId"]


def test_an_error_of_an_operation_is_boto3s_exception_of_that_name(server):
    client = server.client()
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_function(FunctionName="f")
    assert caught.value.response["Error"] == {"Code": "ResourceNotFoundException", "Message": "Function not found: f"}
    assert caught.value.response["Type"] == "User"


def test_a_fault_of_ours_is_a_service_exception_and_does_not_end_the_server(server):
    status, code, message = refusal(server.client().get_function, FunctionName="bug")
    assert (status, code) == (500, "ServiceException")
    assert "bug" not in message
    server.client().get_account_settings()


def test_while_the_database_is_away_clients_are_told_to_come_again(server):
    status, code, message = refusal(server.client().get_function, FunctionName="outage")
    assert (status, code, message) == (503, "ServiceException", "the database cannot be reached")
    server.client().get_account_settings()


def test_an_operation_that_is_not_built_says_its_name(server):
    status, code, message = refusal(server.client().list_capacity_providers)
    assert (status, code) == (501, "NotImplementedException")
    assert message.startswith("ListCapacityProviders ")


def test_a_package_of_fifty_megabytes_is_taken_and_a_longer_request_is_told_its_limit(server):
    create = server.client().create_function
    role = "arn:aws:iam::000000000000:role/r"
    size = 50 << 20
    assert create(FunctionName="f", Role=role, Code={"ZipFile": bytes(size)})["CodeSize"] == size
    assert refusal(create, FunctionName="f", Role=role, Code={"ZipFile": bytes(size + (size >> 4))}) == (
        413, "RequestEntityTooLargeException",
        "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:3001", 200), ("localhost", 200), ("x.localhost:1", 200), ("[::1]:3001", 200), ("evil.example", 403),
     ("127.0.0.1.evil.example", 403)],
)  # fmt: skip
def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(host, status):
    access = Access(now=time.time, service="lambda", local_names_only=True)
    with serving(emulator, access=access, routes=GIVEN) as running:
        connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=DEADLINE_SECONDS)
        connection.request("GET", "/2016-08-19/account-settings", headers={"Host": host})
        assert connection.getresponse().status == status
        connection.close()


def test_keys_are_asked_for_and_name_the_account():
    access = Access(keys={KEY.id: KEY}, now=time.time, service="lambda")
    with serving(emulator, access=access, routes=GIVEN) as running:
        answer = running.client(key=KEY.id, secret=KEY.secret).get_account_settings()
        assert answer["AccountUsage"]["FunctionCount"] == 111111111111
        assert refusal(running.client(key=KEY.id, secret="other").get_account_settings)[:2] == (
            403, "InvalidSignatureException",
        )  # fmt: skip
        assert refusal(running.client().get_account_settings)[:2] == (403, "UnrecognizedClientException")


def test_a_signature_for_another_service_is_refused():
    access = replace(Access(keys={KEY.id: KEY}, now=time.time), service="states")
    with serving(emulator, access=access, routes=GIVEN) as running:
        assert refusal(running.client(key=KEY.id, secret=KEY.secret).get_account_settings)[1] == (
            "InvalidSignatureException"
        )


def test_every_row_is_an_operation_of_the_model():
    assert set(ROUTES) <= set(codecs())
