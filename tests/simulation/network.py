"""What lies between a worker and the store: calls that fail, whose answer is lost, or that arrive too late."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.store.memory_handle import MemoryHandle
    from tests.simulation.fleet import SimulatedWorker
    from tests.simulation.world import Simulation

FENCED = ("commit", "claim", "claim_one")
"""Statements that a new epoch makes fail; they may still be on their way when their worker gave them up."""


class Crash(BaseException):
    """The process of a worker ends here."""


class Line:
    """A worker's `DurableStore`, over a network."""

    def __init__(self, simulation: Simulation, worker: SimulatedWorker, handle: MemoryHandle) -> None:
        self.handle = handle
        self._simulation = simulation
        self._worker = worker

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._call, name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        simulation, worker, faults = self._simulation, self._worker, self._simulation.faults
        call = partial(getattr(self.handle, name), *args, **kwargs)
        if simulation.chance(faults.pause):
            simulation.stand_still(worker)
        if simulation.is_down:
            raise StoreUnavailable("down", nobody_is_connected=True)
        if worker.is_cut_off or simulation.chance(faults.unreachable):
            raise StoreUnavailable("unreachable")
        if name in FENCED and simulation.chance(faults.late):
            simulation.arrive_later(self.handle, call)
            raise StoreUnavailable("sent, and no answer")
        if simulation.chance(faults.crash):
            raise Crash
        if name == "commit":
            simulation.tempt(args[0])
        result = call()
        if name == "declare_dead" and result:
            simulation.buried(*args)
        if simulation.chance(faults.crash):
            raise Crash
        if simulation.chance(faults.pause):
            simulation.stand_still(worker)
        if simulation.chance(faults.no_answer) or worker.is_cut_off:
            raise StoreUnavailable("done, and no answer")
        return result
