"""Whatever goes wrong in a fleet, nothing that was acknowledged is lost, and nothing happens twice without a cause.

ASL_SIMULATIONS=20000 pytest -n 0 -rP tests/simulation/test_simulation.py     more runs, and how many a minute
python -m tests.simulation.world 4813                                      one run again, by the seed of a failure
"""

from __future__ import annotations

import os
from dataclasses import replace
from time import perf_counter

import pytest

from tests.simulation.world import HINTED, OUTAGES, Broken, Faults, Simulation

RUNS = int(os.environ.get("ASL_SIMULATIONS", "300"))
BATCHES = 6


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_acknowledged_is_lost_whatever_happens(batch: int) -> None:
    begun = perf_counter()
    for seed in range(batch, RUNS, BATCHES):
        try:
            Simulation(seed).run()
        except (Exception, Broken) as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    runs = len(range(batch, RUNS, BATCHES))
    print(f"{runs} runs, {runs / (perf_counter() - begun) * 60:.0f} a minute")  # noqa: T201  shown by pytest -rP


@pytest.mark.timeout(3_600)
def test_an_express_execution_runs_at_least_once_and_ends_once_whatever_happens() -> None:
    for seed in range(RUNS // 3):
        try:
            Simulation(seed, is_express=True).run()
        except (Exception, Broken) as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


def test_where_nothing_goes_wrong_every_task_of_an_express_execution_runs_once_and_little_is_written() -> None:
    for seed in range(20):
        simulation = Simulation(seed, faults=Faults.none(), is_express=True).run()
        assert set(simulation.runs.values()) <= {1}
        assert max(row.seq for row in simulation.store.rows.values()) <= 2


def test_a_run_is_decided_by_its_seed() -> None:
    first, again = Simulation(11).run(), Simulation(11).run()
    assert (first.turns, first.time, dict(first.runs)) == (again.turns, again.time, dict(again.runs))


def test_where_nothing_goes_wrong_every_task_runs_once() -> None:
    for seed in range(20):
        simulation = Simulation(seed, faults=Faults.none()).run()
        assert set(simulation.runs.values()) <= {1}


def test_a_store_that_is_down_for_a_while_repeats_no_task() -> None:
    """Nobody can take over what nobody can see, so whoever comes back goes on."""
    for seed in range(40):
        simulation = Simulation(seed, faults=OUTAGES).run()
        assert set(simulation.runs.values()) <= {1}


def test_with_hints_a_killed_worker_is_missed_within_a_second_and_no_living_one_is() -> None:
    kills = replace(Faults.none(), kills=1)
    missed_after = [
        seconds for seed in range(25) for seconds in Simulation(seed, faults=kills, has_hints=True).run().buried_after
    ]
    assert len(missed_after) > 20  # a run may be over before
    assert max(missed_after) < 1.5


def test_with_hints_nothing_is_lost_and_nobody_is_buried_for_nothing() -> None:
    for seed in range(25):
        try:
            Simulation(seed, faults=HINTED, has_hints=True).run()
        except (Exception, Broken) as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
