"""The life of Lambda's resources in Terraform: created, planned without drift, changed, destroyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.lambda_emulator.clock import SystemClock
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, new_emulator
from tests.lambda_emulator.packages import zipped
from tests.lambda_emulator.serving import serving
from tests.terraform import Terraform, has_terraform

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
provider "aws" {
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

resource "aws_lambda_layer_version" "shared" {
  layer_name               = "shared"
  description              = "what functions share"
  filename                 = "layer.zip"
  source_code_hash         = filebase64sha256("layer.zip")
  compatible_runtimes      = ["python3.12"]
  compatible_architectures = ["x86_64"]
}

resource "aws_lambda_function" "orders" {
  function_name                  = "orders"
  role                           = "arn:aws:iam::000000000000:role/any"
  runtime                        = "python3.12"
  handler                        = "app.handler"
  filename                       = "%(code)s.zip"
  source_code_hash               = filebase64sha256("%(code)s.zip")
  publish                        = true
  timeout                        = %(timeout)s
  memory_size                    = 256
  description                    = "takes orders"
  layers                         = [aws_lambda_layer_version.shared.arn]
  reserved_concurrent_executions = 5
  environment { variables = { RELEASE = "%(code)s" } }
  ephemeral_storage { size = 1024 }
  tracing_config { mode = "Active" }
  logging_config {
    log_format            = "JSON"
    log_group             = "/orders"
    application_log_level = "DEBUG"
    system_log_level      = "INFO"
  }
  dead_letter_config { target_arn = "arn:aws:sqs:%(region)s:000000000000:dead" }
  vpc_config {
    subnet_ids         = ["subnet-1"]
    security_group_ids = ["sg-1"]
  }
  tags = { release = "%(code)s" }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "%(code)s"
  function_name    = aws_lambda_function.orders.function_name
  function_version = aws_lambda_function.orders.version
}

resource "aws_lambda_permission" "bucket" {
  statement_id   = "bucket"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.orders.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = "arn:aws:s3:::orders"
  source_account = "000000000000"
  qualifier      = aws_lambda_alias.live.name
}

resource "aws_lambda_layer_version_permission" "shared" {
  layer_name     = aws_lambda_layer_version.shared.layer_name
  version_number = aws_lambda_layer_version.shared.version
  statement_id   = "others"
  action         = "lambda:GetLayerVersion"
  principal      = "111111111111"
}

resource "aws_lambda_function_url" "live" {
  function_name      = aws_lambda_function.orders.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "NONE"
  invoke_mode        = "%(mode)s"
  cors {
    allow_origins = ["https://example.com"]
    allow_methods = ["GET", "POST"]
    max_age       = 60
  }
}

resource "aws_lambda_function_event_invoke_config" "live" {
  function_name                = aws_lambda_function.orders.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = %(retries)s
  destination_config {
    on_failure { destination = "arn:aws:sqs:%(region)s:000000000000:failed" }
  }
}

resource "aws_lambda_function_recursion_config" "orders" {
  function_name  = aws_lambda_function.orders.function_name
  recursive_loop = "Allow"
}

resource "aws_lambda_runtime_management_config" "orders" {
  function_name     = aws_lambda_function.orders.function_name
  update_runtime_on = "FunctionUpdate"
}

data "aws_lambda_function" "orders" {
  function_name = aws_lambda_function.orders.function_name
  qualifier     = aws_lambda_alias.live.name
}

data "aws_lambda_alias" "live" {
  function_name = aws_lambda_function.orders.function_name
  name          = aws_lambda_alias.live.name
}

output "version" { value = data.aws_lambda_alias.live.function_version }
output "invoke_arn" { value = data.aws_lambda_function.orders.qualified_arn }
output "url" { value = aws_lambda_function_url.live.function_url }
"""


def configuration(**given: object) -> str:
    return CONFIGURATION % {"region": REGION, **given}


@has_terraform
@pytest.mark.timeout(600)
def test_terraform_creates_plans_updates_and_destroys_functions(tmp_path: Path) -> None:
    folder = tmp_path / "infrastructure"
    folder.mkdir()
    for name, files in (("layer", {"python/shared.py": "x = 1"}), ("one", None), ("two", {"app.py": "x = 2"})):
        (folder / f"{name}.zip").write_bytes(zipped(files))

    with serving(lambda url: new_emulator(tmp_path / "code", url=url, clock=SystemClock())) as server:
        terraform = Terraform(
            folder,
            {
                "AWS_ENDPOINT_URL_LAMBDA": server.url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": "any",
            },
        )
        terraform.configure(configuration(code="one", timeout=7, mode="BUFFERED", retries=1))
        terraform("init", "-input=false")
        assert "Apply complete! Resources: 9 added, 0 changed, 0 destroyed." in terraform.apply()
        assert "No changes." in terraform("plan", "-input=false", "-detailed-exitcode")
        assert server.client().get_alias(FunctionName="orders", Name="live")["FunctionVersion"] == "1"
        terraform.configure(configuration(code="two", timeout=900, mode="RESPONSE_STREAM", retries=0))
        assert "Resources: 0 added, 4 changed, 0 destroyed." in terraform.apply()
        changed = server.client().get_function(FunctionName="orders:live")
        assert (changed["Configuration"]["Version"], changed["Configuration"]["Timeout"]) == ("2", 900)
        assert changed["Tags"] == {"release": "two"}
        assert "Resources: 0 added, 0 changed, 9 destroyed." in terraform.apply("-destroy")
        assert server.client().list_functions()["Functions"] == []
