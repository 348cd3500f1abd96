"""What Python handlers see, and what becomes of what they return and raise (lambda.md 2.2, 5.2).

Each test runs with the bootstrap of ours and, where it is installed, with AWS's own client: both must say the same.
"""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest

from engine.lambda_emulator.environments import Environments
from engine.lambda_emulator.runtimes import Programs
from tests.lambda_emulator.running import Log, call, error, function, need_namespace, result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

HAS_AWSLAMBDARIC = importlib.util.find_spec("awslambdaric") is not None


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(
    params=[
        "ours",
        pytest.param(
            "awslambdaric", marks=pytest.mark.skipif(not HAS_AWSLAMBDARIC, reason="awslambdaric is not installed")
        ),
    ]
)
def programs(request) -> Programs:
    return Programs(variables={"ASL_LAMBDA_CLIENT": "built-in"} if request.param == "ours" else {})


@pytest.fixture
async def environments(log, programs) -> AsyncIterator[Environments]:
    async with Environments(log, programs) as environments:
        yield environments


async def test_an_exception_has_message_type_request_id_and_stack(environments, tmp_path):
    need_namespace(environments)
    """lambda.md 2.2 [R]: in this order; the class's bare name; no frames of the runtime."""
    version = function(tmp_path, "def handler(event, context):\n    raise Exception('Some exception was raised.')\n")
    outcome = await call(environments, version, request_id="r-1")
    assert outcome.function_error == "Unhandled"
    assert list(json.loads(outcome.payload).items()) == [
        ("errorMessage", "Some exception was raised."),
        ("errorType", "Exception"),
        ("requestId", "r-1"),
        (
            "stackTrace",
            ["  File \"/var/task/app.py\", line 2, in handler\n    raise Exception('Some exception was raised.')\n"],
        ),
    ]


async def test_a_class_of_the_users_is_named_without_its_module(environments, tmp_path):
    version = function(
        tmp_path, "class OutOfStock(Exception): pass\ndef handler(event, context):\n    raise OutOfStock\n"
    )
    failed = await error(environments, version)
    assert (failed["errorType"], failed["errorMessage"]) == ("OutOfStock", "")


@pytest.mark.parametrize(
    ("source", "config", "error_type", "message"),
    [
        (
            "import missing_module",
            {},
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'missing_module'",
        ),
        (
            "",
            {"handler": "nothing.handler"},
            "Runtime.ImportModuleError",
            "Unable to import module 'nothing': No module named 'nothing'",
        ),
        ("", {}, "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        (
            "",
            {"handler": "app"},
            "Runtime.MalformedHandlerName",
            "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "",
            {"handler": "sys.exit"},
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
        ),
        (
            "def handler(:",
            {},
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'app': invalid syntax (app.py, line 1)",
        ),
    ],
)
async def test_what_cannot_be_loaded_is_told(environments, tmp_path, source, config, error_type, message):
    failed = await error(environments, function(tmp_path, source, **config))
    assert (failed["errorType"], failed["errorMessage"], failed["requestId"]) == (error_type, message, "")


async def test_an_exception_while_the_module_is_loaded_keeps_its_type(environments, tmp_path):
    need_namespace(environments)
    failed = await error(environments, function(tmp_path, "raise KeyError('setting')"))
    assert (failed["errorType"], failed["errorMessage"], failed["requestId"]) == ("KeyError", "'setting'", "")
    assert (
        failed["stackTrace"][-1] == "  File \"/var/task/app.py\", line 1, in <module>\n    raise KeyError('setting')\n"
    )


@pytest.mark.parametrize(
    ("returned", "payload"),
    [
        ("None", b"null"),
        ("{'a': 1, 'b': [True, 1.5]}", b'{"a": 1, "b": [true, 1.5]}'),
        ("(1, 2)", b"[1, 2]"),
        ("__import__('decimal').Decimal('1.10')", b"1.10"),
        ("{'d': __import__('decimal').Decimal('3'), 't': 'x'}", b'{"d": 3, "t": "x"}'),
        ("b'raw'", b"raw"),
    ],
)
async def test_a_result_is_written_as_lambda_writes_it(environments, tmp_path, returned, payload):
    outcome = await call(environments, function(tmp_path, f"def handler(event, context): return {returned}"))
    assert (outcome.payload, outcome.function_error) == (payload, None)
    assert outcome.content_type == ("application/unknown" if payload == b"raw" else "application/json")


async def test_a_result_that_is_not_json_is_a_marshal_error(environments, tmp_path):
    failed = await error(environments, function(tmp_path, "def handler(event, context): return {1, 2}"))
    assert failed["errorType"] == "Runtime.MarshalError"
    assert failed["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


async def test_the_context_has_what_lambda_gives(environments, tmp_path):
    version = function(
        tmp_path,
        """
def handler(event, context):
    return {
        "id": context.aws_request_id, "group": context.log_group_name, "name": context.function_name,
        "memory": context.memory_limit_in_mb, "version": context.function_version, "arn": context.invoked_function_arn,
        "tenant": context.tenant_id, "client": context.client_context, "left": context.get_remaining_time_in_millis(),
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
    }
""",
    )
    found = await result(environments, version, request_id="r-5", invoked_arn=version.arn("live"), tenant_id="t")
    left = found.pop("left")
    assert 30_000 < left <= 60_000
    assert found == {
        "id": "r-5",
        "group": "/aws/lambda/f",
        "name": "f",
        "memory": "128",
        "version": "$LATEST",
        "arn": "arn:aws:lambda:eu-central-1:000000000000:function:f:live",
        "tenant": "t",
        "client": None,
        "identity": [None, None],
    }


async def test_the_client_context_is_an_object(environments, tmp_path):
    version = function(
        tmp_path,
        "def handler(event, context):\n    c = context.client_context\n    return c.custom, c.env, c.client.app_title",
    )
    given = '{\n "custom": {"k": "ü"},\r\n "client": {"app_title": "t"}}'
    assert await result(environments, version, client_context=given) == [{"k": "ü"}, None, "t"]


async def test_the_trace_is_in_the_environment(environments, tmp_path):
    version = function(tmp_path, "import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']")
    assert await result(environments, version, trace_id="Root=1-a-b") == "Root=1-a-b"


async def test_log_records_have_level_time_and_request(environments, log, tmp_path):
    version = function(
        tmp_path,
        "import logging\ndef handler(*_):\n    logging.getLogger('x').warning('careful %d', 1)\n    logging.info('no')",
    )
    await call(environments, version, request_id="r-6")
    (line,) = [line for line in log.lines if "careful" in line]
    level, stamp, request_id, message = line.split("\t")
    assert (level, request_id, message) == ("[WARNING]", "r-6", "careful 1")
    assert stamp.endswith("Z")
    assert not any("no" in line.split("\t")[-1] for line in log.lines if line.startswith("[INFO]"))


async def test_an_error_is_one_event_of_the_log(environments, log, tmp_path):
    need_namespace(environments)
    await call(environments, function(tmp_path, "def handler(event, context):\n    raise ValueError('bad')"))
    (event,) = [line for line in log.lines if line.startswith("[ERROR]")]
    assert event.splitlines()[:2] == ["[ERROR] ValueError: bad", "Traceback (most recent call last):"]
    assert 'File "/var/task/app.py", line 2, in handler' in event


async def test_what_is_printed_comes_before_the_end(environments, log, tmp_path):
    version = function(
        tmp_path,
        "import os, sys\ndef handler(e, c): print('one'); print('two', file=sys.stderr); os.write(1, b'three\\n')",
    )
    await call(environments, version)
    assert log.lines[1:4] == ["one", "two", "three"]
