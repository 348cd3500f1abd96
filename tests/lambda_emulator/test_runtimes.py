"""Which program runs a function."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.lambda_emulator.environments import Count, Environments
from engine.lambda_emulator.runtimes import Programs, UnsupportedRuntime, can_snap_start
from tests.lambda_emulator.running import Log, call, error, files, function, need_namespace, result
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

# What a runtime of the user's own is at its smallest.
BOOTSTRAP = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
    head=$(curl -sS -D - -o /tmp/event "$api/invocation/next" | tr -d '\\r')
    id=$(echo "$head" | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //Ip')
    printf '{"handler":"%s","mode":"%s","event":%s}' "$_HANDLER" "$WRAPPED" "$(cat /tmp/event)" > /tmp/answer
    curl -sS -o /dev/null --data-binary @/tmp/answer "$api/invocation/$id/response"
done
"""


@pytest.fixture
async def environments() -> AsyncIterator[Environments]:
    async with Environments(Log()) as environments:
        yield environments


async def test_a_runtime_of_the_users_own_is_run(environments, tmp_path):
    version = function(tmp_path, code=files(tmp_path, bootstrap=BOOTSTRAP), runtime="provided.al2023", handler="h")
    assert await result(environments, version, [1, 2]) == {"handler": "h", "mode": "", "event": [1, 2]}
    assert await result(environments, version, 3) == {"handler": "h", "mode": "", "event": 3}


async def test_a_runtime_that_asks_for_no_more_is_ended_at_the_functions_timeout(environments, tmp_path):
    bootstrap = BOOTSTRAP.replace("done\n", "    sleep 1000\ndone\n")
    version = function(tmp_path, code=files(tmp_path, bootstrap=bootstrap), runtime="provided.al2023", timeout=4)
    assert (await result(environments, version, 1))["event"] == 1
    assert environments.counts() == {("f", "$LATEST"): Count(busy=1, idle=0)}
    await until(lambda: environments.counts() == {("f", "$LATEST"): Count(busy=0, idle=0)})


async def test_a_bootstrap_may_come_with_a_layer(environments, tmp_path):
    layer = files(tmp_path, bootstrap=BOOTSTRAP)
    version = function(tmp_path, code=files(tmp_path, x_txt=""), layers=(layer,), runtime="provided.al2", handler="h")
    assert (await result(environments, version, 1))["event"] == 1


async def test_a_package_without_a_bootstrap_has_no_entry_point(environments, tmp_path):
    version = function(tmp_path, code=files(tmp_path, x_txt=""), runtime="provided.al2023", handler="h")
    failed = await error(environments, version, request_id="r-1")
    assert failed == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": "RequestId: r-1 Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    }


@pytest.fixture
def python_below_tmp():
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        program = Path(directory) / "python3"
        program.symlink_to(sys.executable)
        yield str(program)


async def test_functions_share_this_machines_tmp_where_an_interpreter_is_in_it(tmp_path, python_below_tmp):
    version = function(tmp_path, "import sys\ndef handler(event, context): return sys.executable")
    async with Environments(Log(), Programs(interpreters={"python": python_below_tmp})) as environments:
        assert environments.isolation.endswith(" is below /tmp, of which a function would have its own")
        assert await result(environments, version) == python_below_tmp


async def test_an_interpreter_of_the_path_that_functions_cannot_see_is_named(
    environments, tmp_path, python_below_tmp, monkeypatch
):
    need_namespace(environments)
    monkeypatch.setattr(Programs, "interpreter", lambda *_: python_below_tmp)
    failed = await error(environments, function(tmp_path, ""), request_id="r-3")
    assert failed["errorType"] == "Runtime.InvalidEntrypoint"
    assert f"{python_below_tmp} is below /tmp" in failed["errorMessage"]


async def test_a_wrapper_starts_the_runtime(environments, tmp_path):
    wrapper = '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'
    code = files(
        tmp_path, wrapper=wrapper, app_py="import os\ndef handler(event, context): return os.environ['WRAPPED']"
    )
    version = function(tmp_path, code=code, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"})
    need_namespace(environments)
    assert await result(environments, version) == "yes"


async def test_a_wrapper_that_is_not_there_is_exit_status_127(environments, tmp_path):
    """lambda.md 2.2 [R]."""
    version = function(tmp_path, "", environment={"AWS_LAMBDA_EXEC_WRAPPER": "/idontexist"})
    failed = await error(environments, version, request_id="r-2")
    assert failed == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: r-2 Error: Runtime exited with error: exit status 127",
    }


async def test_extensions_are_refused_by_name(environments, tmp_path):
    version = function(
        tmp_path,
        """
import os, urllib.request
def handler(event, context):
    url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension/register"
    try:
        urllib.request.urlopen(urllib.request.Request(url, b"{}", {"Lambda-Extension-Name": "x"}))
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
""",
    )
    status, text = await result(environments, version)
    assert status == 403
    assert "extensions are not supported" in text


@pytest.mark.parametrize("runtime", ["java21", "dotnet8", "ruby3.3", "go1.x", "python", "cobol"])
def test_what_is_not_run_here_is_refused_by_name(runtime):
    if runtime == "python":
        Programs().check(runtime)
        return
    with pytest.raises(UnsupportedRuntime, match=f"runtime {runtime} is not run by this emulator; expected"):
        Programs().check(runtime)


@pytest.mark.parametrize("runtime", ["python3.9", "python3.13", "provided", "provided.al2", "provided.al2023"])
def test_what_is_run_here_passes(runtime):
    Programs().check(runtime)


def test_an_interpreter_that_is_not_there_is_told():
    with pytest.raises(UnsupportedRuntime, match=r"runtime nodejs22\.x: /nowhere/node was not found"):
        Programs({"nodejs": "/nowhere/node"}).check("nodejs22.x")


def test_an_interpreter_that_was_given_is_used():
    programs = Programs({"python3.8": "/usr/bin/env"})
    assert programs.interpreter("python3.8") == "/usr/bin/env"
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert programs.interpreter(here) == sys.executable


def test_only_python_can_be_snapshotted_here():
    assert can_snap_start("python3.13")
    assert not can_snap_start("java21")
    assert not can_snap_start(None)


async def test_variables_of_the_emulators_go_before_a_functions_own(tmp_path):
    version = function(
        tmp_path,
        "import os\n"
        "def handler(e, c): return [os.environ[n] for n in ('AWS_ENDPOINT_URL', 'MINE', 'AWS_ACCESS_KEY_ID')]",
        environment={"MINE": "function"},
    )
    given = {"AWS_ENDPOINT_URL": "http://here", "MINE": "emulator", "AWS_ACCESS_KEY_ID": "AKIA"}
    async with Environments(Log(), Programs(variables=given)) as environments:
        assert await result(environments, version) == ["http://here", "function", "AKIA"]


async def test_a_function_runs_in_the_interpreter_that_was_given(tmp_path):
    version = function(tmp_path, "import sys\ndef handler(event, context): return sys.executable")
    async with Environments(Log(), Programs({"python": sys.executable})) as environments:
        outcome = await call(environments, version)
    assert outcome.payload.decode() == f'"{sys.executable}"'
