"""Runs scenarios, each with a database of its own."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.arena import Arena, GaveUp
from tests.chaos.nursery import Nursery
from tests.chaos.server import embedded_server, running_server
from tests.chaos.verdict import judge

if TYPE_CHECKING:
    from tests.chaos.scenarios import Scenario, ServerKind
    from tests.chaos.server import EmbeddedServer, Server
    from tests.chaos.verdict import Verdict


class Servers:
    """The servers of a run, made when a scenario first needs its kind, and where its processes come from."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.nursery = self._stack.enter_context(Nursery())
        self._made: dict[ServerKind, Server | EmbeddedServer] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, kind: ServerKind) -> Server | EmbeddedServer:
        """One that is up. Raises NoServer."""
        if kind not in self._made:
            made = embedded_server() if kind == "embedded" else running_server(on_small_disk=kind == "small disk")
            self._made[kind] = self._stack.enter_context(made)
        return self._made[kind]


def run_scenario(
    servers: Servers, scenario: Scenario, *, seconds: float, seed: int, keep: Path | None = None
) -> Verdict:
    """One scenario, in a database of its own. Raises NoServer where it cannot be run.

    Args:
        keep: Where logs and effects go when something is wrong.
    """
    folder = Path(tempfile.mkdtemp(prefix="asl-chaos-"))
    try:
        server = servers.get(scenario.server)
        with Arena(servers.nursery, server, folder, seed=seed, lease_seconds=scenario.lease_seconds) as arena:
            gave_up = None
            try:
                scenario.act(arena, seconds)
            except GaveUp as error:
                gave_up = str(error)
            arena.senders.close()
            if not server.is_up():
                server.start()
            verdict = judge(arena)
            if gave_up is not None:
                verdict.details.insert(0, gave_up)
        if not verdict.is_good and keep is not None:
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(folder, keep)
        return verdict
    finally:
        shutil.rmtree(folder, ignore_errors=True)
