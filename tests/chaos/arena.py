"""One scenario's database, processes and starts: what was asked of the engine, and what was done to it."""

from __future__ import annotations

import json
import random
import signal
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import psycopg

from engine import blocking
from engine.errors import ExecutionAlreadyExists
from engine.store.postgres.snapshots import decode_execution
from engine.store.protocol import StoreUnavailable
from tests.chaos.maps import MAPS, write_items
from tests.chaos.programs import PROGRAMS, given
from tests.chaos.senders import TokenSenders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.chaos.nursery import Child, Nursery
    from tests.chaos.server import EmbeddedServer, Server

PATIENCE_SECONDS = 90.0
"""After which what should happen counts as not happening."""

_PAUSE_SECONDS = 0.05

_NEVER_LOGGED = ("Traceback (most recent call last)", "AssertionError", "never awaited")


class GaveUp(Exception):
    """Something that should happen did not."""


def until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Returns when `holds` does. Raises GaveUp."""
    deadline = monotonic() + seconds
    while not holds():
        if monotonic() > deadline:
            raise GaveUp(f"not within {seconds:.0f} s: {what}")
        sleep(_PAUSE_SECONDS)


@dataclass
class Asked:
    """Starts, as their callers saw them."""

    started: int = 0
    acknowledged: set[str] = field(default_factory=set)


class Arena:
    """One scenario's world; a context manager.

    Attributes:
        lease_seconds: Of the workers.
        place: The options by which processes find the database.
        faults: What was done: to processes, the server, connections.
        faults_found: What a scenario itself found wrong.
        items: Beginnings of the Tasks of maps, see `maps`.
        resumed: Executions that were quarantined because workers died under them, and given another chance.
    """

    def __init__(
        self, nursery: Nursery, server: Server | EmbeddedServer, folder: Path, *, seed: int, lease_seconds: float
    ) -> None:
        self._nursery = nursery
        self.server = server
        self.folder = folder
        self.lease_seconds = lease_seconds
        self.draw = random.Random(seed)
        self.url = server.new_database()
        self.place = server.place(self.url)
        self.asked = Asked()
        self.children: list[Child] = []
        self._disturbed: set[int] = set()
        self._struck: list[Child] = []
        self.faults = 0
        self.faults_found: list[str] = []
        self.resumed: set[str] = set()
        self.items = folder / "begun.txt"
        self.effects = folder / "effects.jsonl"
        self.effects.touch()
        self.senders = TokenSenders(self.url, self.effects, seed)
        self._numbers = count(1)
        self._client = blocking.Engine(self.url)
        self._machines: dict[str, Any] = {}
        self._starters: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Arena:
        self._connect()
        return self

    def _connect(self) -> None:
        with ExitStack() as if_it_fails:
            if_it_fails.enter_context(self._client)
            self._machines = {name: self._client.deploy(program, name) for name, program in (PROGRAMS | MAPS).items()}
            if_it_fails.pop_all()

    def reach_through(self, url: str) -> None:
        """From now on workers, those who start and those who answer tokens use this URL of the database."""
        self.place = ["--db", url]
        self.senders.url = url
        self._client.__exit__(None, None, None)
        self._client = blocking.Engine(url)
        self._connect()

    def __exit__(self, *_: object) -> None:
        self.senders.close()
        self.stop_all()
        self._client.__exit__(None, None, None)

    # ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def worker(self, *words: str, **planted: Any) -> Child:
        """An `asl worker` with all handlers; it may be on its way still."""
        return self._spawn("worker", planted, "-t", "*=tests.chaos.handlers:work", *words)

    def workers(self, number: int, *words: str, **planted: Any) -> list[Child]:
        """Several, all at work."""
        children = [self.worker(*words, **planted) for _ in range(number)]
        for child in children:
            until(lambda child=child: child.has_logged("worker started"), f"{child.name} starts")  # type: ignore[misc]
        return children

    def starter(self, programs: Sequence[str], number: int, **planted: Any) -> Child:
        """A worker that starts so many executions."""
        self.asked.started += number
        return self._spawn("start", planted, "--programs", ",".join(programs), "--count", str(number))

    def run(self, program: str, number: int) -> Child:
        """An `asl run` of one execution."""
        self.asked.started += 1
        path = self.folder / f"{program}.asl.json"
        path.write_text(json.dumps(PROGRAMS[program]))
        words = [str(path), "-t", "*=tests.chaos.handlers:work", "-i", json.dumps(given(number)), "--output", "json"]
        return self._spawn("run", {}, *words)

    def _spawn(self, command: str, planted: dict[str, Any], *words: str) -> Child:
        name = f"{command}-{next(self._numbers)}"
        options = [*self.place, *([] if command == "run" else ["--lease-seconds", str(self.lease_seconds)])]
        files = {"ASL_CHAOS_EFFECTS": self.effects, "ASL_CHAOS_ITEMS": self.items, "ASL_MAP_FILES": self.folder}
        settings = {name: str(path) for name, path in files.items()}
        child = self._nursery.spawn(name, planted, [command, *options, *words], self.folder, **settings)
        self.children.append(child)
        if "strike" in planted:
            self._struck.append(child)
        return child

    def disturb(self, child: Child) -> None:
        """Says that something is done to this process after which its Tasks may run again."""
        self._disturbed.add(child.pid)
        self.faults += 1

    @property
    def faults_in_all(self) -> int:
        """With the processes that a planted signal ended, which nobody else did anything to."""
        return self.faults + len(self.disturbed - self._disturbed)

    @property
    def disturbed(self) -> set[int]:
        """Processes whose Tasks may run again: they were killed, or stood still."""
        return self._disturbed | {child.pid for child in self._struck if not child.is_alive}

    def kill(self, child: Child) -> None:
        """kill -9."""
        if child.is_alive:
            self.disturb(child)
            child.kill()

    def wake_later(self, child: Child, seconds: float) -> None:
        """SIGCONT after a while."""
        timer = threading.Timer(seconds, child.signal, (signal.SIGCONT,))
        timer.daemon = True
        timer.start()

    def stop_all(self) -> None:
        """Ends all processes; all is over."""
        self._struck = [child for child in self._struck if not child.is_alive]
        for child in self.children:
            child.signal(signal.SIGCONT)
            child.kill()

    def rest(self, seconds: float) -> None:
        """Lets things go on for a while."""
        sleep(seconds)

    def moments(self, seconds: float, every: float) -> Iterator[None]:
        """Comes by about every so many seconds, until the time is over; always once."""
        end = monotonic() + seconds
        while True:
            sleep(every * self.draw.uniform(0.6, 1.4))
            yield
            if monotonic() + every > end:
                return

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, programs: Sequence[str], number: int, *, seconds: float | None = None, pause: float = 0.0) -> None:
        """Starts so many executions by name, in a thread; each start is made again until it is acknowledged."""

        def starting() -> None:
            for place in range(number):
                program = programs[place % len(programs)]
                self._start_one(program, f"x-{next(self._numbers)}", given(place, seconds))
                sleep(pause)

        self.asked.started += number
        thread = threading.Thread(target=starting, daemon=True)
        self._starters.append(thread)
        thread.start()

    def start_map(self, program: str, items: int) -> None:
        """Starts one Distributed Map over so many items."""
        self.asked.started += 1
        self._start_one(program, f"x-{next(self._numbers)}", write_items(self.folder, items))

    def _start_one(self, program: str, name: str, data: Any) -> None:
        machine = self._machines[program]
        deadline = monotonic() + PATIENCE_SECONDS
        while monotonic() < deadline:
            try:
                arn = self._client.start_execution(machine, data, name=name).arn
            except StoreUnavailable:
                continue
            except ExecutionAlreadyExists:  # of an earlier try: it is over by now
                arn = machine.arn.replace(":stateMachine:", ":execution:") + f":{name}"
            with self._lock:
                self.asked.acknowledged.add(arn)
            return

    def started(self) -> None:
        """Waits until all starts were made."""
        for thread in self._starters:
            thread.join(PATIENCE_SECONDS)
            if thread.is_alive():
                raise GaveUp("the starts do not end")

    def settle(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until all executions are over; those in quarantine because workers died are resumed. Raises GaveUp."""
        self.started()
        deadline = monotonic() + seconds
        while self._open():
            if monotonic() > deadline:
                raise GaveUp(f"not over after {seconds:.0f} s: {self._open_rows()}")
            sleep(_PAUSE_SECONDS * 4)
        self.asked.acknowledged |= self.acknowledged_by_starters()

    def acknowledged_by_starters(self) -> set[str]:
        """What processes said that they have started."""
        said = [line for child in self.children for line in child.said if isinstance(line, dict)]
        return {line["acknowledged"] for line in said if "acknowledged" in line}

    def all_are_acknowledged(self) -> None:
        """Whatever is in the database by now was started, as far as anybody can know, and must not be lost."""
        self.asked.acknowledged |= {
            decode_execution(row[0]).arn for row in self._query("select head from asl.execution")
        }

    def _open(self) -> int:
        rows = self._query("select e.head, o.quarantine from asl.open_execution o join asl.execution e on e.id = o.id")
        for head, quarantine in rows:
            if quarantine is not None and b"workers died" in quarantine:
                arn = decode_execution(head).arn
                self._client.execution(arn).resume()
                self.resumed.add(arn)
        return len(rows)

    def _open_rows(self) -> list[Any]:
        return self._query(
            "select o.id, o.seq, w.state, o.wake_at, o.missing, left(convert_from(o.quarantine, 'UTF8'), 2000), "
            "(select count(*) from asl.mail m where m.execution_id = o.id) "
            "from asl.open_execution o left join asl.worker w on w.id = o.owner limit 5"
        )

    def _query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        deadline = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
                    return connection.execute(sql.encode(), parameters).fetchall()
            except psycopg.OperationalError:
                if monotonic() > deadline:
                    raise
                sleep(_PAUSE_SECONDS)

    def begun(self) -> int:
        """How many Tasks have begun so far."""
        return self.effects.read_text().count('"what": "begun"')

    def complaints(self) -> list[str]:
        """What processes wrote that no process should ever write."""
        found = list(self.faults_found)
        for child in self.children:
            text = child.log.read_text()
            strange = [line for line in text.splitlines() if not line.startswith("{")]
            if strange and child.name.startswith("worker"):
                found.append(f"{child.name}: its log has lines that are no JSON: {strange[:3]}")
            for sign in _NEVER_LOGGED:
                if sign in text:
                    found.append(f"{child.name}: {sign} {text[text.index(sign) :][:1500]}")
                    break
        return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The documents of a file of lines; a last line that is not finished is left out."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
