"""What importing costs: `engine` alone imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine import blocking

HEAVY = ["asyncio", "anyio", "structlog", "rich", "jlens", "jsonpath_ng", "yaml", "boto3", "msgspec"]


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert not modules_after("import engine").intersection(HEAVY)


@pytest.mark.parametrize("module", ["structlog", "rich", "boto3", "yaml", "jsonpath_ng"])
def test_running_something_imports_only_what_it_needs(module):
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
    assert module not in modules_after(f"from engine import blocking\nblocking.run('{definition}')")


def test_every_public_name_is_there():
    assert all(getattr(engine, name) is not None for name in engine.__all__)
    assert set(engine.__all__) == set(engine._HOME_OF)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = engine.nonsense  # type: ignore[attr-defined]


def test_the_blocking_face_has_the_same_names():
    for ours, theirs in [(engine.Engine, blocking.Engine), (engine.ExecutionHandle, blocking.ExecutionHandle)]:
        public = {name for name in dir(ours) if not name.startswith("_")}
        assert public - {"clock", "service"} <= {name for name in dir(theirs) if not name.startswith("_")}
