"""What is done to a fleet: one function for each kind of failure. What must hold afterwards is the same for all."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, product
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.chaos.arena import until
from tests.chaos.child import ANSWER_SECONDS, PHASES
from tests.chaos.maps import begun
from tests.chaos.programs import MIXED, PLAIN
from tests.chaos.proxy import Proxy
from tests.chaos.server import Ballast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chaos.arena import Arena
    from tests.chaos.nursery import Child

LONG_SECONDS = 20.0
"""From here on a scenario has its full numbers: 100 Tasks in flight, 30 seconds without a server."""

MAP_ITEMS = 100_000

MAP_SECONDS = 900.0
"""After which a map of so many counts as not getting on."""

ServerKind: TypeAlias = Literal["plain", "small disk", "embedded"]


@dataclass(frozen=True)
class Scenario:
    """One kind of damage.

    Attributes:
        act: Does it, for about so many seconds; all executions are over when it returns.
        lease_seconds: Of the workers. Short where others have to take over, long where nobody should.
        server: `small disk`: one whose disk is small; `embedded`: the engine's own.
    """

    name: str
    act: Callable[[Arena, float], None]
    lease_seconds: float
    server: ServerKind


SCENARIOS: dict[str, Scenario] = {}


def _scenario(
    name: str, *, lease_seconds: float, server: ServerKind = "plain"
) -> Callable[[Callable[[Arena, float], None]], Callable[[Arena, float], None]]:
    def add(act: Callable[[Arena, float], None]) -> Callable[[Arena, float], None]:
        SCENARIOS[name] = Scenario(name, act, lease_seconds, server)
        return act

    return add


# ── processes that die or stand still ───────────────────────────────────────────────────────────────────────────────


@_scenario("kill", lease_seconds=2)
def kill(arena: Arena, seconds: float) -> None:
    """kill -9 of workers, and of workers that start executions, at random moments."""
    workers = arena.workers(2)
    workers.append(arena.starter(PLAIN, 20))
    arena.start(PLAIN, int(10 * seconds), pause=0.05)
    for _ in arena.moments(seconds, 1.5):
        place = arena.draw.randrange(len(workers))
        arena.kill(workers[place])
        workers[place] = arena.starter(PLAIN, 20) if place == 2 else arena.worker()
    arena.settle()


@_scenario("kill at commit points", lease_seconds=2)
def kill_at_commit_points(arena: Arena, seconds: float) -> None:
    """kill -9 before, while and after each call by which a worker changes the store: a worker for each of them."""
    with _slow_answers(arena):
        _strike_at_points(arena, seconds, "KILL")


@_scenario("stop at commit points", lease_seconds=2)
def stop_at_commit_points(arena: Arena, seconds: float) -> None:
    """The same moments, but the process only stands still, inside a group or between two, and wakes up as a zombie."""
    with _slow_answers(arena):
        _strike_at_points(arena, seconds, "STOP")


@contextmanager
def _slow_answers(arena: Arena) -> Iterator[None]:
    """Inside, answers to statements of workers take a while: else nothing could be struck while it waits for one."""
    proxy = Proxy(arena.server.folder, arena.draw)
    proxy.answer_seconds = ANSWER_SECONDS
    arena.place = ["--db", proxy.url(arena.url)]
    try:
        yield
    finally:
        arena.stop_all()
        proxy.close()


_POINTS = [
    *(("commit", number) for number in (1, 2, 3, 5, 8, 13)),
    *(("claim", number) for number in (1, 2, 4)),
    *(("renew", number) for number in (1, 2, 3)),
    ("enlist", 1),
    ("fetch_mail", 2),
]
_ABREAST = 3


def _strike_at_points(arena: Arena, seconds: float, name: str) -> None:
    points = [f"{method}:{number}:{phase}:{name}" for (method, number), phase in product(_POINTS, PHASES)]
    arena.draw.shuffle(points)
    ahead = cycle(points)
    arena.start(PLAIN, int(8 * seconds), pause=0.1)
    until_over = monotonic() + seconds
    under_way: list[Child] = []
    while monotonic() < until_over:
        for child in under_way[:]:
            if child.is_stopped:
                arena.disturb(child)
                arena.wake_later(child, arena.lease_seconds * arena.draw.choice([0.5, 2, 2]))
            if child.is_stopped or not child.is_alive:
                under_way.remove(child)
        while len(under_way) < _ABREAST:
            starts = arena.draw.random() < 0.3
            point = next(ahead)
            under_way.append(arena.starter(PLAIN, 8, strike=point) if starts else arena.worker(strike=point))
        arena.rest(0.05)
    for child in under_way:
        arena.kill(child)
    arena.worker()
    arena.settle()


# ── a server that goes away ─────────────────────────────────────────────────────────────────────────────────────────


@_scenario("restarts", lease_seconds=10)
def restarts(arena: Arena, seconds: float) -> None:
    """The server is restarted every few seconds under load, in good order, at once, and by kill -9."""
    arena.workers(2)
    arena.start(MIXED, int(12 * seconds), pause=0.08)
    arena.senders.begin()
    ways = cycle(["fast", "immediate", "kill"])
    for _ in arena.moments(seconds, 3):
        _restart(arena, next(ways))
    arena.settle()


def _restart(arena: Arena, way: str, down_seconds: float = 0.0) -> None:
    server = arena.server
    arena.faults += 1
    if way == "kill":
        server.kill()
    else:
        server.stop(way)
    arena.rest(down_seconds)
    server.start()


@_scenario("restart during takeover", lease_seconds=3)
def restart_during_takeover(arena: Arena, seconds: float) -> None:
    """A worker dies, and while the others find out and take over the server restarts, and kills those that recover."""
    workers = arena.workers(2)
    arena.start(PLAIN, int(8 * seconds), pause=0.1)
    ways = cycle(["immediate", "fast"])
    strikes = cycle(product(("recover", "written", "reload", "owned"), PHASES))
    for number, _ in enumerate(arena.moments(seconds, 4)):
        place = number % len(workers)
        arena.kill(workers[place])
        arena.rest(arena.lease_seconds * arena.draw.uniform(0.8, 1.4))
        _restart(arena, next(ways))
        method, phase = next(strikes)
        workers[place] = arena.worker(strike=f"{method}:1:{phase}:KILL")
    arena.worker()
    arena.settle()


@_scenario("server down", lease_seconds=15)
def server_down(arena: Arena, seconds: float) -> None:
    """The server is down for long, while 100 Tasks are in flight; they go on, and none is repeated."""
    down, tasks = (30.0, 100) if seconds >= LONG_SECONDS else (seconds, 20)
    arena.workers(2)
    arena.start(["one"], tasks, seconds=down * 0.8 + 3)
    until(lambda: arena.begun() == tasks, f"{tasks} Tasks in flight")
    _restart(arena, "fast", down)
    arena.settle()


@_scenario("server stands still", lease_seconds=10)
def server_stands_still(arena: Arena, seconds: float) -> None:
    """All processes of the server stop for a third of the lease: nothing breaks, and nobody is to be declared dead."""
    arena.workers(2)
    arena.start(PLAIN, int(10 * seconds), pause=0.08)
    for _ in arena.moments(seconds, 3):
        arena.server.signal_all(signal.SIGSTOP)
        arena.rest(arena.lease_seconds / 3)
        arena.server.signal_all(signal.SIGCONT)
        arena.faults += 1
    arena.settle()


@_scenario("connections cut", lease_seconds=10)
def connections_cut(arena: Arena, seconds: float) -> None:
    """Statements that never arrive, whose answers are lost, that arrive long after, or half of them; any connection."""
    proxy = Proxy(arena.server.folder, arena.draw)
    try:
        arena.reach_through(proxy.url(arena.url))
        arena.workers(2)
        arena.start(MIXED, int(10 * seconds), pause=0.08)
        arena.senders.begin()
        for _ in arena.moments(seconds, 1.0):
            proxy.likely = 0.2
            arena.rest(0.4)
            proxy.likely = 0.0
            proxy.cut_one()
        arena.settle()
        arena.faults += len(proxy.cuts)
        arena.stop_all()
    finally:
        proxy.close()


@_scenario("worker cut off", lease_seconds=3)
def worker_cut_off(arena: Arena, seconds: float) -> None:
    """One worker alone cannot reach the server, for a moment or for longer than its lease, and then comes back."""
    ways: list[tuple[Proxy, Child]] = []
    try:
        for _ in range(2):
            proxy = Proxy(arena.server.folder, arena.draw)
            arena.place = ["--db", proxy.url(arena.url)]
            ways += [(proxy, child) for child in arena.workers(1)]
        arena.start(PLAIN, int(10 * seconds), pause=0.08)
        for number, _ in enumerate(arena.moments(seconds, 2)):
            proxy, child = ways[number % 2]
            arena.disturb(child)
            proxy.go_dark()
            arena.rest(arena.lease_seconds * arena.draw.choice([0.3, 0.8, 1.5]))
            proxy.lighten()
        arena.settle()
        arena.stop_all()
    finally:
        for proxy, _ in ways:
            proxy.close()


@_scenario("disk full", lease_seconds=10, server="small disk")
def disk_full(arena: Arena, seconds: float) -> None:
    """The server's disk is full for seconds at a time; it may go down by itself over that."""
    ballast = Ballast(arena.server.folder)
    arena.workers(2)
    arena.start(PLAIN, int(8 * seconds), pause=0.1)
    for _ in arena.moments(seconds, 3):
        ballast.fill()
        arena.rest(2)
        ballast.drop()
        if not arena.server.is_up():
            _restart_after_crash(arena)
        arena.faults += 1
    arena.settle()


def _restart_after_crash(arena: Arena) -> None:
    """It comes back by itself, unless there was no room for that either."""
    deadline = monotonic() + 5
    while monotonic() < deadline:
        if arena.server.is_up():
            return
        arena.rest(0.1)
    arena.server.start()


# ── Distributed Maps ────────────────────────────────────────────────────────────────────────────────────────────────


def _run_map(arena: Arena, seconds: float, program: str) -> None:
    """In the middle of a map a worker is killed and the server restarted; once more, in the other order."""
    total = MAP_ITEMS if seconds >= LONG_SECONDS else MAP_ITEMS // 50
    workers = arena.workers(2)
    arena.start_map(program, total)

    def kill() -> None:
        place = arena.draw.randrange(len(workers))
        arena.kill(workers[place])
        workers[place] = arena.worker()

    restarts = partial(_restart, arena, "immediate"), partial(_restart, arena, "fast")
    for part, harm in enumerate([kill, *restarts, kill], 1):
        items = total * part // 5
        until(lambda items=items: begun(arena.items) >= items, f"{items} items are begun", MAP_SECONDS)  # type: ignore[misc]
        harm()
    arena.settle(MAP_SECONDS)


@_scenario("map run, Express children", lease_seconds=10)
def map_run_express(arena: Arena, seconds: float) -> None:
    """Children in the memory of the workers that are killed: those without a result run again."""
    _run_map(arena, seconds, "map-express")


@_scenario("map run, Standard children", lease_seconds=10)
def map_run_standard(arena: Arena, seconds: float) -> None:
    """Children that any worker goes on with: only Tasks that were in flight run again."""
    _run_map(arena, seconds, "map-standard")


# ── what is not needed, and who works beside whom ───────────────────────────────────────────────────────────────────


@_scenario("no notifications", lease_seconds=2)
def no_notifications(arena: Arena, seconds: float) -> None:
    """Every NOTIFY is dropped, and workers are killed."""
    workers = arena.workers(2, deaf=True)
    arena.start(MIXED, int(8 * seconds), pause=0.1)
    arena.senders.begin()
    for _ in arena.moments(seconds, 3):
        place = arena.draw.randrange(len(workers))
        arena.kill(workers[place])
        workers[place] = arena.worker(deaf=True)
    arena.settle()


@_scenario("two versions", lease_seconds=2)
def two_versions(arena: Arena, seconds: float) -> None:
    """Workers that read one format beside workers that write the next one, which are killed now and then."""
    old = arena.workers(1)
    new = arena.workers(1, format=2)[0]
    arena.start(PLAIN, int(8 * seconds), pause=0.1)
    for number, _ in enumerate(arena.moments(seconds, 2.5)):
        if number % 2:
            arena.kill(new)
            new = arena.worker(format=2)
        else:
            arena.kill(old.pop())
            old.append(arena.worker())
    if not new.is_alive:
        arena.worker(format=2)
    arena.settle()


@_scenario("rolling restart", lease_seconds=15)
def rolling_restart(arena: Arena, seconds: float) -> None:
    """Workers with 100 Tasks in flight are replaced one after the other, each drained: none is repeated."""
    tasks, task_seconds = (100, seconds) if seconds >= LONG_SECONDS else (20, 3.0)
    old = arena.workers(2)
    arena.start(["one"], tasks, seconds=task_seconds)
    until(lambda: arena.begun() == tasks, f"{tasks} Tasks in flight")
    arena.start(PLAIN, tasks, pause=0.05)
    for child in old:
        replacement = arena.workers(1)
        child.signal(signal.SIGTERM)
        until(lambda child=child: not child.is_alive, f"{child.name} is drained")  # type: ignore[misc]
        if child.code != 0:
            arena.faults_found.append(f"{child.name} ended with {child.code} after a drain")
        old = replacement
    arena.settle()


@_scenario("task tokens", lease_seconds=2)
def task_tokens(arena: Arena, seconds: float) -> None:
    """Answers sent twice, at once, and late, while workers that wait for them are killed and the server restarts."""
    workers = arena.workers(2)
    arena.start(["token", "tokens"], int(10 * seconds), pause=0.05)
    arena.senders.begin(late_seconds=4)
    for number, _ in enumerate(arena.moments(seconds, 2)):
        place = arena.draw.randrange(len(workers))
        arena.kill(workers[place])
        if number % 2:
            _restart(arena, "immediate")
        workers[place] = arena.worker()
    arena.settle()


@_scenario("embedded server", lease_seconds=2, server="embedded")
def embedded_server(arena: Arena, seconds: float) -> None:
    """The engine's own server and all its users are killed during `asl run --data-dir`; the next worker finishes it.

    Then the server is killed once more, under that worker.
    """
    programs = ["chain", "parked", "map", "parallel"] if seconds >= LONG_SECONDS else ["chain", "parked"]
    runs = [arena.run(program, number) for number, program in enumerate(programs)]
    until(lambda: arena.begun() >= 2 * len(programs), "the executions are under way")
    arena.all_are_acknowledged()
    arena.faults += 1
    arena.server.kill()
    for child in runs:
        arena.kill(child)
    arena.workers(1)
    arena.faults += 1
    arena.server.kill()
    arena.settle()
