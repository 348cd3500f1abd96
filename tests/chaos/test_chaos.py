"""The chaos run, a few seconds of some scenarios: real processes, a real server. `make chaos` is the long one, of all.

ASL_CHAOS_SEED=7 pytest -n 0 tests/chaos      other moments
ASL_CHAOS=all pytest -n 0 tests/chaos         all scenarios
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.chaos.run import Servers, run_scenario
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.server import NoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = int(os.environ.get("ASL_CHAOS_SEED", "1"))
SECONDS = 2.0
SHORT = (
    "kill at commit points", "stop at commit points", "restarts", "connections cut", "rolling restart", "task tokens",
    "map run, Express children", "map run, Standard children",
)  # fmt: skip
"""Of each kind of failure one: processes, servers, connections, replacement, and those who answer from outside; and
Distributed Maps, whose children are of two kinds."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as made:
        yield made


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", SCENARIOS if os.environ.get("ASL_CHAOS") == "all" else SHORT)
def test_nothing_acknowledged_is_lost_and_nothing_happens_twice_without_a_cause(name: str, servers: Servers) -> None:
    try:
        verdict = run_scenario(servers, SCENARIOS[name], seconds=SECONDS, seed=SEED)
    except NoServer as reason:
        pytest.skip(str(reason))
    assert verdict.is_good, "\n".join([str(verdict.counts()), *verdict.details])
    assert verdict.finished > 0
    assert verdict.tasks > 0
