"""Terraform with HashiCorp's provider for AWS, unchanged, against a server on PostgreSQL; and its calls as recorded.

What the provider asked, and the answers that it was content with, are in `terraform_calls.json`; where there is no
Terraform they are asked again, and answered as then.
ASL_RECORD_TERRAFORM=1 writes that file anew.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command_line import asl
from tests.cli.test_serve import serving
from tests.terraform import Terraform, has_terraform
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.fleet import Fleet

CALLS = Path(__file__).with_name("terraform_calls.json")
ACCOUNT = "000000000000"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

CONFIGURATION = """
# All else is in the environment, as `asl env` prints it.
provider "aws" {
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

locals {
  role = "arn:aws:iam::000000000000:role/any"
  arn  = "arn:aws:states:us-east-1:000000000000"
}

resource "aws_sfn_state_machine" "orders" {
  name     = "orders"
  role_arn = local.role
  publish  = true
  definition = jsonencode({
    StartAt = "A"
    States  = { A = { Type = "Pass", Result = "%(release)s", End = true } }
  })
  tags = { team = "shop", release = "%(release)s" }
  tracing_configuration { enabled = true }
  encryption_configuration {
    type                              = "CUSTOMER_MANAGED_KMS_KEY"
    kms_key_id                        = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
    kms_data_key_reuse_period_seconds = 900
  }
}

resource "aws_sfn_state_machine" "quick" {
  name       = "quick"
  role_arn   = local.role
  type       = "EXPRESS"
  definition = jsonencode({ StartAt = "A", States = { A = { Type = "Succeed" } } })
  logging_configuration {
    level                  = "%(level)s"
    include_execution_data = true
    log_destination        = "arn:aws:logs:us-east-1:000000000000:log-group:quick:*"
  }
}

resource "aws_sfn_activity" "pack" {
  name = "pack"
  tags = { release = "%(release)s" }
}

resource "aws_sfn_alias" "live" {
  name        = "live"
  description = "release %(release)s"
  routing_configuration {
    state_machine_version_arn = aws_sfn_state_machine.orders.state_machine_version_arn
    weight                    = 100
  }
}

data "aws_sfn_state_machine" "orders" {
  name = aws_sfn_state_machine.orders.name
}

data "aws_sfn_state_machine_versions" "orders" {
  statemachine_arn = aws_sfn_state_machine.orders.arn
}

data "aws_sfn_alias" "live" {
  name             = aws_sfn_alias.live.name
  statemachine_arn = aws_sfn_state_machine.orders.arn
}

data "aws_sfn_activity" "pack" {
  name = aws_sfn_activity.pack.name
}

output "seen" {
  value = {
    status   = data.aws_sfn_state_machine.orders.status
    versions = length(data.aws_sfn_state_machine_versions.orders.statemachine_versions)
    alias    = one(data.aws_sfn_alias.live.routing_configuration).state_machine_version_arn
    activity = data.aws_sfn_activity.pack.arn
  }
}
"""

IMPORTS = """
import {
  to = aws_sfn_state_machine.orders
  id = "${local.arn}:stateMachine:orders"
}
import {
  to = aws_sfn_state_machine.quick
  id = "${local.arn}:stateMachine:quick"
}
import {
  to = aws_sfn_activity.pack
  id = "${local.arn}:activity:pack"
}
import {
  to = aws_sfn_alias.live
  id = "${local.arn}:stateMachine:orders:live"
}
"""


def call_of(operation: str, request: Any, status: int, answer: Any) -> dict[str, Any]:
    """A call as it is recorded: what is of its time and chance has a name in its place."""
    return {"operation": operation, "request": request, "status": status, "answer": timeless(answer)}


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "DATE" if key.endswith("Date") else timeless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return "UUID" if isinstance(value, str) and UUID.fullmatch(value) else value


@contextmanager
def listening(url: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a proxy before a server, and the calls that go through it."""
    calls: list[dict[str, Any]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            upstream = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE_SECONDS)
            upstream.request("POST", "/", body, dict(self.headers))
            response = upstream.getresponse()
            answer = response.read()
            upstream.close()
            operation = self.headers["x-amz-target"].rpartition(".")[2]
            calls.append(call_of(operation, json.loads(body), response.status, json.loads(answer)))
            self.send_response(response.status)
            for name in ("content-type", "content-length", "x-amzn-requestid"):
                self.send_header(name, response.headers[name])
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", calls
        finally:
            server.shutdown()
            thread.join()


@has_terraform
@pytest.mark.timeout(600)
def test_terraform_creates_plans_updates_imports_and_destroys(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "infrastructure"
    folder.mkdir()
    with serving(fleet, command="server") as (_, url), listening(url) as (proxy, calls):
        told = json.loads(asl("env", "--url", proxy, "--json").stdout)
        terraform = Terraform(folder, {name: text for name, text in told.items() if text})
        terraform.configure(CONFIGURATION % {"release": "1", "level": "ALL"})
        terraform("init", "-input=false")
        assert "Apply complete! Resources: 4 added, 0 changed, 0 destroyed." in terraform.apply()
        assert "No changes." in terraform("plan", "-input=false", "-detailed-exitcode", "-parallelism=1")
        second = CONFIGURATION % {"release": "2", "level": "ERROR"}
        terraform.configure(second)
        assert "Apply complete! Resources: 0 added, 4 changed, 0 destroyed." in terraform.apply()
        seen = json.loads(terraform("output", "-json", "seen"))
        machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:orders"
        activity = f"arn:aws:states:us-east-1:{ACCOUNT}:activity:pack"
        assert seen == {"status": "ACTIVE", "versions": 2, "alias": f"{machine}:2", "activity": activity}
        # Forgotten here and found there: what is imported is as configured, or it would be changed. The provider cannot
        # know of what it imports whether it publishes, so it asks once more for the same, and that makes no version.
        (folder / "terraform.tfstate").unlink()
        terraform.configure(second + IMPORTS)
        assert "4 imported, 0 added, 1 changed, 0 destroyed." in terraform.apply()
        assert json.loads(terraform("output", "-json", "seen")) == seen
        assert "Resources: 0 added, 0 changed, 4 destroyed." in terraform.apply("-destroy")
    if os.environ.get("ASL_RECORD_TERRAFORM"):
        CALLS.write_text("[\n" + ",\n".join(json.dumps(call) for call in calls) + "\n]\n")
    recorded = {call["operation"] for call in json.loads(CALLS.read_text())}
    assert {call["operation"] for call in calls} == recorded, "record it again, with ASL_RECORD_TERRAFORM=1"


def test_the_calls_that_terraform_made_are_answered_as_they_were(fleet: Fleet) -> None:
    recorded = json.loads(CALLS.read_text())
    scope = f"{ACCOUNT}/20300101/us-east-1/states/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    with serving(fleet, command="server") as (_, url):
        server = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE_SECONDS)
        for number, call in enumerate(recorded):
            operation, request = call["operation"], call["request"]
            headers = {"x-amz-target": f"AWSStepFunctions.{operation}", "authorization": signed}
            server.request("POST", "/", json.dumps(request), headers)
            response = server.getresponse()
            answered = call_of(operation, request, response.status, json.loads(response.read()))
            assert answered == call, f"call {number}"
        server.close()
