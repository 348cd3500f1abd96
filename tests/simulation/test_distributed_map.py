"""Random Distributed Maps, redriven some times, and random faults: see `map_world`."""

from __future__ import annotations

import pytest

from tests.simulation.map_world import MapSimulation
from tests.simulation.world import HINTED, Faults

CALM, RUDE, HINTS = 25, 40, 15


@pytest.mark.parametrize("seed", range(CALM))
def test_maps_end_as_they_should(seed: int) -> None:
    MapSimulation(seed, faults=Faults.none(), executions=2).run()


@pytest.mark.parametrize("seed", range(RUDE))
def test_maps_survive_whatever_happens(seed: int) -> None:
    MapSimulation(seed, executions=6).run()


@pytest.mark.parametrize("seed", range(HINTS))
def test_maps_survive_processes_that_are_lost(seed: int) -> None:
    MapSimulation(seed, faults=HINTED, executions=2, has_hints=True).run()
