"""Nothing is left of invocations, however they ended. `make lambda-leaks` does it with 10,000."""

from __future__ import annotations

import gc

import pytest

from engine.lambda_emulator.environments import Environments
from tests.lambda_emulator.leaks import measured
from tests.lambda_emulator.running import Log, need_namespace

pytestmark = pytest.mark.anyio


async def test_invocations_leave_no_process_descriptor_mount_or_file(tmp_path):
    async with Environments(Log(keeps=False)) as environments:
        need_namespace(environments)  # a daemon of a function's is only found with it
    gc.collect()  # what other tests left to be closed
    before, after, ends = await measured(tmp_path, 300)
    assert after == before
    assert ends["result"] > 100
    assert ends["error"] > 30
    assert ends["cancelled"] > 0
