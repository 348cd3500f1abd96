"""What an engine counts. Plain numbers, changed where things happen and read by whoever wants to know; no lock.

Each number has one thread that changes it. A reader in another thread may see one of them a moment before the next.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from threading import Lock
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, cast

from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.runtime.lease import Lease
    from engine.store.protocol import Backlog, Claims, Committed, DurableStore, ExecutionStatus, Group

K = TypeVar("K")
T = TypeVar("T")

GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

_MS_PER_SECOND = 1_000


class Histogram:
    """How often a number was how large.

    Attributes:
        bounds: Upper bounds, ascending; a number that is equal to one counts below it.
        counts: How many numbers came below each bound and above the one before; at last those above all.
        sum: Of all numbers.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, number: float) -> None:
        """Counts one."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.sum += number

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMetrics:
    """How a worker of a fleet gets on with its store. Seconds; counts are since this engine was entered.

    Attributes:
        group_size: Checkpoints and releases in one commit.
        commit_seconds: How long a commit took that was carried out.
        claim_seconds: How long a claim took, those that found nothing too.
        claimed: Executions that were claimed.
        claim_lag_seconds: How late executions that were due, or had mail, were claimed; a takeover does not count.
        parked: Executions of this worker's pools that nobody has in memory, as last asked; None: not asked yet. Beyond
            `PARKED_COUNTED_MAX` it is the database's own estimate.
        oldest_due_seconds: How long the one of them that is due longest has been due, as last asked.
        lease_margin_seconds: How much longer Tasks may be started without another renewal; below 0 none are.
        lease_lost: How often this worker was declared dead and began anew.
        reconnects: How often the store came back after it could not be reached.
        is_available: Whether the store answered when it was asked last.
    """

    group_size: Histogram
    commit_seconds: Histogram
    claim_seconds: Histogram
    claimed: int
    claim_lag_seconds: Histogram
    parked: int | None
    oldest_due_seconds: float | None
    lease_margin_seconds: float
    lease_lost: int
    reconnects: int
    is_available: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What an engine has done since it was entered, and what it has in hand.

    Attributes:
        started: Executions whose first transition was written here.
        ended: Executions that ended here, by status.
        live: Executions in memory.
        transitions: Calls of the interpreter that were written.
        in_flight: Tasks whose handler runs or waits for its turn.
        jobs_watched: Jobs of `.sync` Tasks that are asked about here; those of parked executions are nobody's.
        tasks_ended: Tasks whose handler has come to an end, by outcome: `succeeded`, `failed`, `cancelled`.
        abandoned: Handlers in threads that were given up while they ran.
        hanging: Those of them that still run, and coroutines that do not heed their cancellation.
        quarantined: Executions that were put into quarantine here.
        missing: How often an execution was given up because this worker has no handler, by Resource.
        told: Log records and status changes, by kind and what became of them: `delivered`, `dropped`.
        store: None of an engine in memory, and of a client.
    """

    started: int = 0
    ended: Mapping[ExecutionStatus, int] = field(default_factory=dict)
    live: int = 0
    transitions: int = 0
    in_flight: int = 0
    jobs_watched: int = 0
    tasks_ended: Mapping[str, int] = field(default_factory=dict)
    abandoned: int = 0
    hanging: int = 0
    quarantined: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)
    store: StoreMetrics | None = None


def together(first: Metrics, second: Metrics) -> Metrics:
    """Of two loops of one process, which share its threads and the store of the first."""
    return replace(
        first,
        started=first.started + second.started,
        ended=_sum(first.ended, second.ended),
        live=first.live + second.live,
        transitions=first.transitions + second.transitions,
        in_flight=first.in_flight + second.in_flight,
        jobs_watched=first.jobs_watched + second.jobs_watched,
        tasks_ended=_sum(first.tasks_ended, second.tasks_ended),
        quarantined=first.quarantined + second.quarantined,
        missing=_sum(first.missing, second.missing),
    )


def _sum(first: Mapping[K, int], second: Mapping[K, int]) -> dict[K, int]:
    return {key: first.get(key, 0) + second.get(key, 0) for key in {**first, **second}}


class StoreMeter:
    """Measures a worker's calls to the store, and knows whether it answers.

    Attributes:
        is_available: Whether it answered last.
        backlog: As it was last asked.
    """

    def __init__(self, notice: Callable[..., None]) -> None:
        """`notice` is told when the store goes away and when it is back; from any thread."""
        self.is_available = True
        self.reconnects = 0
        self.backlog: Backlog | None = None
        self.group_size = Histogram(GROUP_SIZES)
        self.commit_seconds = Histogram(SECONDS)
        self.claim_seconds = Histogram(SECONDS)
        self.claimed = 0
        self.claim_lag_seconds = Histogram(LAG_SECONDS)
        self._notice = notice
        self._lock = Lock()
        self._away_at = 0.0

    def metered(self, store: DurableStore) -> DurableStore:
        """The same store, measured."""
        return cast("DurableStore", _Metered(store, self))

    def read(self, lease: Lease, *, incarnations: int) -> StoreMetrics:
        """All of it, with what the worker knows."""
        backlog = self.backlog
        return StoreMetrics(
            group_size=self.group_size,
            commit_seconds=self.commit_seconds,
            claim_seconds=self.claim_seconds,
            claimed=self.claimed,
            claim_lag_seconds=self.claim_lag_seconds,
            parked=None if backlog is None else backlog.parked,
            oldest_due_seconds=None if backlog is None else backlog.overdue / _MS_PER_SECOND,
            lease_margin_seconds=max(lease.unsafe_at - lease.monotonic(), -lease.seconds),
            lease_lost=max(0, incarnations - 1),
            reconnects=self.reconnects,
            is_available=self.is_available,
        )

    def went_away(self, error: StoreUnavailable) -> None:
        """A call was not answered."""
        with self._lock:
            if not self.is_available:
                return
            self.is_available = False
            self._away_at = monotonic()
        self._notice("database away", error=str(error))

    def answered(self) -> None:
        """A call was answered."""
        if self.is_available:
            return
        with self._lock:
            if self.is_available:
                return
            self.is_available = True
            self.reconnects += 1
            away = monotonic() - self._away_at
        self._notice("database back", seconds=round(away, 3))


class _Metered:
    """A `DurableStore`: measures what is called often and passes all else on."""

    def __init__(self, store: DurableStore, meter: StoreMeter) -> None:
        self._store = store
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, group: Group) -> Committed:
        committed, seconds = self._timed(lambda: self._store.commit(group))
        self._meter.commit_seconds.observe(seconds)
        self._meter.group_size.observe(len(group.checkpoints) + len(group.releases))
        return committed

    def claim(self, *, most: int, chunks: int | None = None, offered: bool = False) -> Claims:
        claims, seconds = self._timed(lambda: self._store.claim(most=most, chunks=chunks, offered=offered))
        meter = self._meter
        meter.claim_seconds.observe(seconds)
        meter.claimed += len(claims.claimed)
        for claim in claims.claimed:
            if not claim.is_orphan:
                due = min(claim.wake_at, claim.mail[0].sent_at) if claim.mail else claim.wake_at
                meter.claim_lag_seconds.observe(max(0, claims.now - due) / _MS_PER_SECOND)
        return claims

    def enlist(self, **about: Any) -> Any:
        return self._timed(lambda: self._store.enlist(**about))[0]

    def renew(self) -> int:
        return self._timed(self._store.renew)[0]

    def recover(self) -> int:
        return self._timed(self._store.recover)[0]

    def _timed(self, call: Callable[[], T]) -> tuple[T, float]:
        begun = perf_counter()
        try:
            answer = call()
        except StoreUnavailable as error:
            self._meter.went_away(error)
            raise
        self._meter.answered()
        return answer, perf_counter() - begun
