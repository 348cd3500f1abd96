"""What a worker of a fleet does beside running executions: claims, fetches mail, watches the others and its own lease.

Nothing here waits: `tick` does what is due and tells when it wants to be called again. All that it asks of the store is
answered later, by a call of a method; at most one question of each kind is open.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from engine.runtime.absence import Absence
from engine.runtime.lease import Watch
from engine.runtime.pace import HEARD_POLL_SECONDS_MAX, POLL_SECONDS_MAX, POLL_SECONDS_MIN, Pace
from engine.runtime.writer import Closing
from engine.store.hints import NoHints
from engine.store.protocol import DEFAULT_POOL, OwnershipLost, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from engine.interpreter.plan import Plan
    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.clock import StoreClock
    from engine.runtime.custody import Custody
    from engine.runtime.executions import Executions
    from engine.runtime.lease import Lease
    from engine.store.hints import Hint, Hints
    from engine.store.protocol import Claim, DurableStore, ExecutionId, Mail, RevisionId, WorkerId

T = TypeVar("T")

NO_HINTS = NoHints()

Planned: TypeAlias = "tuple[Sequence[Claim], Mapping[RevisionId, Plan | Exception]]"
"""Claims, and the plans of their revisions."""

CLAIM_MAX = 128
"""Executions in one claim. More: their snapshots hold up the loop while they are decoded."""

SWEEP_SECONDS = 60.0

SAMPLE_SECONDS = 30.0
"""Between two looks at what waits in the store."""

_WATCHES_PER_LEASE = 15
"""Every second by default. A death is seen at most two looks late: one until it counts, one after the lease is over."""

_RETRY_SECONDS = 0.25
_MS_PER_SECOND = 1_000


class Incarnations(Protocol):
    """What makes this worker a new one, or sure of itself."""

    def enlist(self, answered: Callable[[Outcome[None]], None]) -> None:
        """Makes it a new worker, which owns nothing."""
        ...

    def recover(self, answered: Callable[[Outcome[None]], None]) -> None:
        """Whatever was asked of the store and not answered has happened by the answer, or never will."""
        ...


class Plans(Protocol):
    """Compiled definitions by revision."""

    def load(self, revision_ids: Collection[RevisionId]) -> Mapping[RevisionId, Plan | Exception]:
        """The plans of these revisions, or why one cannot be made; called where the store may be asked."""
        ...


class Housekeeping:
    """The services of one worker.

    Attributes:
        KINDS: Of hints that mean something to it.
        is_draining: Nothing is claimed any more.
        incarnations: How often this worker was enlisted.
        is_enlisted: Whether it is a worker now.
    """

    KINDS = frozenset({"START", "MAIL", "MISSING", "SILENT", "CONNECTED", "DISCONNECTED"})

    def __init__(
        self,
        *,
        store: DurableStore,
        calls: Calls,
        slow_calls: Calls,
        custody: Custody,
        executions: Executions,
        plans: Plans,
        committer: Incarnations,
        clock: StoreClock,
        lease: Lease,
        sweep: Callable[[], object],
        sample: Callable[[], None],
        free: Callable[[], int],
        free_chunks: Callable[[], int],
        dispatch: Callable[[], None],
        claims: bool,
        notice: Callable[..., None],
        pools: Collection[str] = (DEFAULT_POOL,),
        hints: Hints = NO_HINTS,
        poll_seconds_max: float = POLL_SECONDS_MAX,
    ) -> None:
        """Nothing is done before `begin`.

        Args:
            slow_calls: For what may take minutes.
            sweep: Deletes what nobody needs any more, as `Store`.
            sample: Looks what waits in the store.
            free: How many more executions this worker can take.
            free_chunks: How many of them may be chunks of map runs.
            dispatch: Called when Tasks that were held may be started.
            claims: Whether it takes what others started.
            notice: See `FleetOptions`.
            pools: Those that it serves.
            hints: Whether those are heard; they come by `heard`.
            poll_seconds_max: The longest pause between two questions for work.
        """
        self.is_draining = False
        self.incarnations = 0
        self.is_enlisted = False
        self._store = store
        self._calls = calls
        self._slow_calls = slow_calls
        self._custody = custody
        self._executions = executions
        self._plans = plans
        self._committer = committer
        self._clock = clock
        self._lease = lease
        self._sweep = sweep
        self._sample = sample
        self._free = free
        self._free_chunks = free_chunks
        self._had_room_for_chunks = True
        self._dispatch = dispatch
        self._claims_others = claims
        self._notice = notice
        self._pause_max = poll_seconds_max
        self._watch = Watch(lease)
        self._absence = Absence(lease)
        self._pools = frozenset(pools)
        self._may_be_offered = True  # others may have released what only this one can do
        self._hints_of_others = hints
        self._claims = Pace(lease.monotonic, self._poll_seconds_max)
        self._mail = Pace(lease.monotonic, self._poll_seconds_max)
        self._next_watch = lease.monotonic()
        self._next_look = lease.monotonic()
        self._next_retry = lease.monotonic()
        self._next_sweep = lease.monotonic()
        self._next_sample = lease.monotonic()
        self._hints: dict[ExecutionId, None] = {}
        self._open: set[str] = set()  # questions that are not answered yet
        self._was_safe = True
        self._has_held = False  # Tasks that could not be started; between two ticks the lease may change twice
        self._is_unsure = False  # something was asked, and it is not known what came of it
        self._has_strays = False  # this worker may own what is not in its hands

    # ── being somebody ──────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, enlisted: Callable[[Outcome[None]], None] | None = None) -> None:
        """Becomes a worker; `enlisted` is told once it is one."""
        self._committer.enlist(partial(self._enlisted, enlisted))

    def _enlisted(self, told: Callable[[Outcome[None]], None] | None, outcome: Outcome[None]) -> None:
        if told is not None:
            told(outcome)
        try:
            outcome()
        except Closing:
            return
        self.incarnations += 1
        self.is_enlisted = True
        self._claims.hurry()

    def lost(self) -> None:
        """This worker was declared dead: what it had is others', and it begins anew as another."""
        if not self.is_enlisted:
            return
        self._notice("lease lost", executions=len(self._executions.live))
        self.is_enlisted = False
        self._lease.lose()
        self._custody.drop_all()
        self._watch.forget()
        self._absence.forget()
        self._is_unsure = self._has_strays = False
        self._was_safe = True
        self.begin()

    def unsure(self) -> None:
        """It is not known what came of something that the store was asked: this worker may own more than it knows."""
        self._is_unsure = True

    # ── hints ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def hint(self, execution_id: ExecutionId) -> None:
        """There may be something to do for this execution: a start, or mail. It is never the only way to know."""
        self._hints[execution_id] = None

    def heard(self, hint: Hint) -> None:
        """Another process has told something."""
        match hint.kind:
            case "START" | "MISSING":
                self._may_be_offered |= hint.kind == "MISSING"
                if not hint.about or hint.about & self._pools:
                    self._claims.hinted()
            case "MAIL":
                mine = [one for one in self._executions.live if one.hex in hint.about]
                for execution_id in mine:
                    self.hint(execution_id)
                if not hint.about:
                    self._mail.hinted()
                if not hint.about or len(mine) < len(hint.about):
                    self._claims.hinted()
            case "SILENT":
                self._next_look = self._lease.monotonic()
            case "CONNECTED":
                self._claims.hinted()
                self._mail.hinted()
            case "DISCONNECTED":
                self._absence.forget()
            case _:
                pass

    def _poll_seconds_max(self) -> float:
        heard, alone = max(HEARD_POLL_SECONDS_MAX, self._pause_max), self._pause_max
        return heard if self._hints_of_others.are_heard else alone

    # ── doing what is due ───────────────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> float:
        """Does what is due. When it wants to be called again, monotonic seconds; earlier does no harm."""
        now = self._lease.monotonic()
        self._lease.show_life()
        self._look_after_lease()
        if not self.is_enlisted:
            return now + self._pause_max
        due = [self._lease.unsafe_at if self._lease.is_safe else now + self._pause_max]
        due.append(self._retry(now))
        self._take_hints()
        if self._claims_others and not self.is_draining:
            due.append(self._claim(now))
        if self._executions.live:
            due.append(self._fetch(now))
        due.append(self._look_after_others(now))
        if self._hints_of_others.are_heard:
            due.append(self._look_for_missing(now))
        due.append(self._tidy(now))
        return min(due)

    def may_start(self) -> bool:
        """Whether a Task may be started now. Those that may not are dispatched when the lease is safe again."""
        if self._lease.may_dispatch:
            return not self.is_draining
        self._has_held = True
        return False

    def _look_after_lease(self) -> None:
        is_safe = self.is_enlisted and self._lease.is_safe
        if is_safe and self._has_held and self._lease.may_dispatch:
            self._has_held = False
            self._dispatch()
        elif self._was_safe and not is_safe and self.is_enlisted:
            self._notice("lease not renewed in time", executions=len(self._executions.live))
            self._custody.interrupt()
            self._has_held = True
        if self.is_enlisted:
            self._was_safe = is_safe

    def _retry(self, now: float) -> float:
        if not (self._is_unsure or self._has_strays or self._custody.has_unreconciled):
            return now + self._pause_max
        if now >= self._next_retry:
            self._next_retry = now + _RETRY_SECONDS
            self._custody.retry()
            if self._is_unsure:
                if self._begins("recover"):
                    self._committer.recover(self._recovered)
            elif self._has_strays and self._begins("strays"):
                self._executions.arrivals = set()
                self._ask(partial(self._strays, frozenset(self._executions.live)), self._found_strays)
        return self._next_retry

    def _take_hints(self) -> None:
        mine = [execution_id for execution_id in self._hints if execution_id in self._executions.live]
        if mine:
            for execution_id in mine:
                del self._hints[execution_id]
            self._custody.fetch(mine)
        if self.is_draining or (self._claims_others and self._free() <= 0):
            self._hints.clear()  # it is others' as much as ours
        elif self._hints and self._free() > 0 and self._begins("hint"):
            execution_id = next(iter(self._hints))
            del self._hints[execution_id]
            self._ask(partial(self._claim_one, execution_id), self._claimed_one)

    def _claim(self, now: float) -> float:
        chunks = self._free_chunks()
        if chunks and not self._had_room_for_chunks:
            self._claims.hurry()
        self._had_room_for_chunks = chunks > 0
        if now < self._claims.due:
            return self._claims.due
        most = min(self._free(), CLAIM_MAX)
        if most <= 0:
            return now + self._pause_max  # whoever ends a Task calls
        if self._begins("claim"):
            offered, self._may_be_offered = self._may_be_offered, False
            claim = partial(self._claim_most, most, chunks=chunks, offered=offered)
            self._ask(claim, partial(self._claimed, most))
        return now + self._pause_max

    def _fetch(self, now: float) -> float:
        if now < self._mail.due:
            return self._mail.due
        if self._begins("mail"):
            for execution in self._executions.live.values():
                execution.consumed.clear()
            self._ask(partial(self._store.fetch_mail, list(self._executions.live)), self._fetched)
        return now + self._pause_max  # whoever answers calls

    def _look_after_others(self, now: float) -> float:
        if now >= self._next_watch:
            self._next_watch = now + self._lease.seconds / _WATCHES_PER_LEASE
            if self._begins("watch"):
                self._ask(self._store.others, partial(self._saw_others, now))
        return self._next_watch

    def _look_for_missing(self, now: float) -> float:
        if now >= self._next_look:
            self._next_look = now + self._absence.pause_seconds
            if self._begins("look"):
                self._ask(self._store.presence, partial(self._looked, now))
        return self._next_look

    def _tidy(self, now: float) -> float:
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            if self._begins("sweep"):
                self._slow_calls.ask(self._sweep, partial(self._done, "sweep", self.incarnations))
        if self._claims_others and now >= self._next_sample:
            self._next_sample = now + SAMPLE_SECONDS
            if self._begins("sample"):
                self._ask(self._sample, partial(self._done, "sample"))
        return min(self._next_sweep, self._next_sample) if self._claims_others else self._next_sweep

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begins(self, question: str) -> bool:
        """Whether this question may be asked now: it is not open already."""
        if question in self._open:
            return False
        self._open.add(question)
        return True

    def _ask(self, function: Callable[[], T], answered: Callable[[int, Outcome[T]], None]) -> None:
        self._calls.ask(function, partial(answered, self.incarnations))

    # These run where calls to the store may wait.

    def _claim_most(self, most: int, *, chunks: int, offered: bool) -> tuple[Planned, int | None]:
        claims = self._store.claim(most=most, chunks=chunks, offered=offered)
        self._clock.observe(claims.now)
        return self._planned(claims.claimed), None if claims.claimed else self._store.next_due()

    def _claim_one(self, execution_id: ExecutionId) -> Planned:
        claim = self._store.claim_one(execution_id)
        return self._planned([] if claim is None else [claim])

    def _strays(self, in_hand: Collection[ExecutionId]) -> Planned:
        strays = [execution_id for execution_id in self._store.owned() if execution_id not in in_hand]
        return self._planned(self._store.reload(strays).claimed if strays else [])

    def _planned(self, claimed: Sequence[Claim]) -> Planned:
        return claimed, self._plans.load({claim.revision_id for claim in claimed})

    # ── being answered ──────────────────────────────────────────────────────────────────────────────────────────────

    def _value(self, question: str, incarnation: int, outcome: Outcome[T]) -> T | None:
        """The answer to a question; None when there is none, or it is about somebody who this worker was before."""
        self._open.discard(question)
        try:
            value = outcome()
        except OwnershipLost:
            if incarnation == self.incarnations:
                self.lost()
            return None
        except StoreUnavailable:
            self._watch.forget()
            self._absence.forget()
            self._is_unsure |= question in ("claim", "hint")
            return None
        except Exception as error:  # noqa: BLE001  we are wrong; a claim may have been made all the same
            import structlog

            structlog.get_logger().error("a question to the store failed", question=question, exc_info=error)
            self._is_unsure |= question in ("claim", "hint")
            return None
        if incarnation != self.incarnations or not self.is_enlisted:
            self._has_strays = True  # asked by one, answered to the next: the claim may have been made by either
            return None
        return value

    def _claimed(self, most: int, incarnation: int, outcome: Outcome[tuple[Planned, int | None]]) -> None:
        answer = self._value("claim", incarnation, outcome)
        if answer is None:
            self._claims.found(False)
            return
        planned, next_due = answer
        found = len(planned[0])
        self._take(planned)
        self._claims.found(bool(found))
        if found == most or any(claim.snapshot.execution.role == "CHUNK" for claim in planned[0]):
            self._claims.hurry()  # chunks come one by one
        elif next_due is not None:
            seconds = max((next_due - self._clock.now()) / _MS_PER_SECOND, POLL_SECONDS_MIN)
            self._claims.due = min(self._claims.due, self._lease.monotonic() + seconds)

    def _claimed_one(self, incarnation: int, outcome: Outcome[Planned]) -> None:
        planned = self._value("hint", incarnation, outcome)
        if planned is not None:
            self._take(planned)

    def _found_strays(self, incarnation: int, outcome: Outcome[Planned]) -> None:
        # What came to hand since was no stray, or is none any more: it may have moved on, and gone, after it was read.
        arrivals, self._executions.arrivals = self._executions.arrivals or (), None
        planned = self._value("strays", incarnation, outcome)
        if planned is not None:
            claimed, plans = planned
            strays = [claim for claim in claimed if claim.execution_id not in arrivals]
            self._has_strays = len(strays) < len(claimed)
            self._take((strays, plans))

    def _take(self, planned: Planned) -> None:
        claimed, plans = planned
        for claim in claimed:
            if claim.is_orphan:
                self._notice("execution taken over", execution=claim.snapshot.execution.arn, deaths=claim.deaths)
            self._custody.take(claim, plans[claim.revision_id])

    def _fetched(self, incarnation: int, outcome: Outcome[Sequence[Mail]]) -> None:
        mail = self._value("mail", incarnation, outcome)
        self._mail.found(self._custody.deliver(mail or ()))

    def _recovered(self, outcome: Outcome[None]) -> None:
        self._open.discard("recover")
        try:
            outcome()
        except OwnershipLost:
            self.lost()
        except Closing:
            return
        else:
            self._is_unsure, self._has_strays = False, True

    def _done(self, question: str, incarnation: int, outcome: Outcome[object]) -> None:
        self._value(question, incarnation, outcome)

    def _saw_others(
        self, asked_at: float, incarnation: int, outcome: Outcome[Mapping[WorkerId, tuple[int, int]]]
    ) -> None:
        others = self._value("watch", incarnation, outcome)
        if others is None:
            return
        self._declare(self._watch.look(others, asked_at))

    def _looked(
        self, asked_at: float, incarnation: int, outcome: Outcome[Mapping[WorkerId, tuple[int, int, bool]]]
    ) -> None:
        presence = self._value("look", incarnation, outcome)
        if presence is None:
            return
        was_missing = self._absence.is_somebody_missing
        self._declare(self._absence.look(presence, asked_at))
        if self._absence.is_somebody_missing and not was_missing:
            self._hints_of_others.tell("SILENT")
        self._next_look = min(self._next_look, self._lease.monotonic() + self._absence.pause_seconds)

    def _declare(self, dead: Sequence[tuple[WorkerId, tuple[int, int]]]) -> None:
        for worker_id, (epoch, heartbeat) in dead:
            declare = partial(self._store.declare_dead, worker_id, epoch=epoch, heartbeat=heartbeat)
            self._ask(declare, partial(self._declared, worker_id))

    def _declared(self, worker_id: WorkerId, incarnation: int, outcome: Outcome[bool]) -> None:
        if self._value("declare", incarnation, outcome):
            self._notice("worker declared dead", worker=str(worker_id))
            self._hints_of_others.tell("START")
            self._claims.hurry()
