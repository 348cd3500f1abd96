"""Changes of status reach whoever is to be told, at least once, whatever breaks."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from engine.events.event_sinks import FunctionSink, Outcome
from engine.events.relay import ATTEMPTS_MAX, HIDDEN_MS, Relay
from engine.store.library import HIDDEN_MS_MAX, Store
from engine.store.memory import MemoryStore
from engine.store.protocol import StatusChange, StoreUnavailable
from tests.events.engines import Notices
from tests.store.runs import Run
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence


class Now:
    """The store's clock."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


class Flaky:
    """A receiver that answers as it is told, and at last takes everything."""

    name = "flaky"

    def __init__(self, *answers: Outcome | Exception) -> None:
        self.answers = list(answers)
        self.got: list[Any] = []
        self.calls = 0

    def send(self, events: Sequence[bytes], store: Store) -> list[tuple[Outcome, str]]:
        self.calls += 1
        answer: Outcome | Exception = self.answers.pop(0) if self.answers else "TAKEN"
        if isinstance(answer, Exception):
            raise answer
        if answer == "TAKEN":
            self.got += [json.loads(event) for event in events]
        return [(answer, "so it said")] * len(events)

    def close(self) -> None:
        pass


def store_with(*events: Any, now: Now | None = None) -> MemoryStore:
    store = MemoryStore(now=now or Now())
    worker = store.handle()
    worker.enlist(pools=["default"], host="here", pid=1)
    for event in events:
        Run().write(worker, status_changes=[StatusChange(number=0, event=json.dumps(event).encode())])
    return store


def test_what_the_store_has_is_told_and_gone() -> None:
    store, sink = store_with("a", "b"), Flaky()
    relay = Relay(store, [sink], Notices())
    relay.close()
    assert (sink.got, relay.delivered, relay.dropped) == (["a", "b"], 2, 0)
    assert not store.status_changes


def test_what_a_receiver_does_not_take_now_it_gets_later() -> None:
    now = Now()
    store, sink, notices = store_with("a", now=now), Flaky("AGAIN", OSError("broken")), Notices()
    relay = Relay(store, [sink], notices)
    wait_until(lambda: sink.calls == 1)
    now.ms += HIDDEN_MS
    wait_until(lambda: sink.calls == 2)
    now.ms += 2 * HIDDEN_MS
    wait_until(lambda: sink.got == ["a"])
    relay.close()
    assert (relay.delivered, relay.dropped) == (1, 0)
    assert notices.named("status events: trying again")[0]["error"] == "flaky: so it said"


def test_what_a_receiver_refuses_for_good_is_dropped_and_told() -> None:
    store, sink, notices = store_with("a"), Flaky("NEVER"), Notices()
    relay = Relay(store, [sink], notices)
    relay.close()
    assert (relay.delivered, relay.dropped, len(store.status_changes)) == (0, 1, 0)
    assert notices.named("status events: dropped") == [{"to": "flaky", "error": "so it said"}]


def test_what_nobody_took_for_a_day_is_given_up() -> None:
    now = Now()
    store, sink = store_with("a", now=now), Flaky(*["AGAIN"] * ATTEMPTS_MAX)
    for _ in range(ATTEMPTS_MAX - 1):
        store.take_status_changes(most=1, hidden_ms=HIDDEN_MS)
        now.ms += HIDDEN_MS_MAX
    relay = Relay(store, [sink], Notices())
    relay.close()
    assert (relay.dropped, len(store.status_changes)) == (1, 0)
    assert now.ms - 1_000_000 >= 24 * 3_600 * 1_000


def test_one_receiver_that_is_away_keeps_nothing_from_the_others() -> None:
    store, away, there = store_with("a"), Flaky("AGAIN", "AGAIN"), Flaky()
    relay = Relay(store, [away, there], Notices())
    relay.close()
    assert there.got == ["a"]
    assert store.status_changes, "the other one is still to get it"


def test_who_has_taken_it_does_not_get_it_again_while_another_one_is_away() -> None:
    now = Now()
    store, away, there, refusing = store_with("a", now=now), Flaky("AGAIN", "AGAIN"), Flaky(), Flaky("NEVER")
    relay = Relay(store, [away, there, refusing], Notices())
    for calls in (1, 2):
        wait_until(lambda calls=calls: away.calls == calls)
        now.ms += calls * HIDDEN_MS
    wait_until(lambda: away.got == ["a"])
    relay.close()
    assert (there.calls, there.got, refusing.calls) == (1, ["a"], 1)
    assert (relay.delivered, relay.dropped, len(store.status_changes)) == (0, 1, 0)


def test_a_store_that_is_away_is_asked_again() -> None:
    class Away(MemoryStore):
        times = 2

        def take_status_changes(self, **given: Any) -> Any:
            if Away.times:
                Away.times -= 1
                raise StoreUnavailable("away")
            return super().take_status_changes(**given)

    store, sink = Away(), Flaky()
    worker = store.handle()
    worker.enlist(pools=["default"], host="here", pid=1)
    Run().write(worker, status_changes=[StatusChange(number=0, event=b'"a"')])
    relay = Relay(store, [sink], Notices())
    wait_until(lambda: sink.got == ["a"])
    relay.close()


def test_a_function_that_raises_gets_the_event_again_later() -> None:
    now, calls = Now(), threading.Semaphore(0)
    got: list[dict[str, Any]] = []

    def function(event: dict[str, Any]) -> None:
        calls.release()
        got.append(event)
        if len(got) == 1:
            raise KeyError("not yet")

    store = store_with({"n": 1}, now=now)
    relay = Relay(store, [FunctionSink(function)], Notices())
    assert calls.acquire(timeout=DEADLINE_SECONDS)
    now.ms += HIDDEN_MS
    assert calls.acquire(timeout=DEADLINE_SECONDS)
    relay.close()
    assert got == [{"n": 1}, {"n": 1}]
