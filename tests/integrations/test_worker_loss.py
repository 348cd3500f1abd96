"""What becomes of a Task in flight when its worker is lost, for every kind of executor: it runs again, or fails."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest

import engine
from engine.store.memory import MemoryStore
from tests.definitions import catch, machine, task
from tests.integrations.handler_functions import touch_and_hang
from tests.integrations.stub_lambda import Reply, stub_lambda
from tests.runtime.fleets import Now, on
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}

Kind = Literal["async", "thread", "process", "command", "lambda", "emulator", "object"]
KINDS: tuple[Kind, ...] = ("async", "thread", "process", "command", "lambda", "emulator", "object")


class Held:
    """What runs, in whatever way: begun `begun` times, until it is let go."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark
        self.counted = 0
        self.released = threading.Event()

    @property
    def begun(self) -> int:
        """At least; of what another process does the file that it made is all that is seen."""
        return self.counted + self.mark.exists()

    async def in_loop(self, event: Any) -> str:
        self.counted += 1
        while not self.released.is_set():  # noqa: ASYNC110  it may be set from anywhere
            await anyio.sleep(0.01)
        return "through"

    def in_thread(self, event: Any) -> str:
        self.counted += 1
        self.released.wait()
        return "through"

    async def invoke(self, *_: Any, **__: Any) -> Any:
        return 200, [], b'"%s"' % (await self.in_loop(None)).encode()

    def has(self, *_: Any) -> bool:
        return False


class Custom:
    """A Handler of the user's own."""

    name = "custom"
    fixed_answer = None

    def __init__(self, held: Held, on_worker_loss: str) -> None:
        self.on_worker_loss = on_worker_loss
        self._held = held

    async def run(self, *_: Any) -> Any:
        from engine.integrations.request import Answer

        return Answer(await self._held.in_loop(None), 9)


@asynccontextmanager
async def rules(kind: Kind, held: Held, on_worker_loss: Any) -> AsyncIterator[engine.Handlers]:
    handlers = engine.Handlers()
    options = {"on_worker_loss": on_worker_loss}
    match kind:
        case "async":
            handlers.add("work", held.in_loop, **options)
        case "thread":
            handlers.add("work", held.in_thread, **options)
        case "process":
            handlers.add("work", touch_and_hang, process=True, **options)
        case "command":
            script = f'touch {held.mark}; while test -e {held.mark}; do sleep 0.01; done; echo "\\"through\\""'
            handlers.add("work", f"cmd:sh -c '{script}'", **options)
        case "emulator":
            handlers.add("work", "emulator:", **options)
        case "object":
            handlers.add("work", Custom(held, on_worker_loss))
        case "lambda":

            async def answer(_asked: Any) -> Reply:
                return Reply.of(await held.in_loop(None))

            async with stub_lambda(answer) as stub:
                handlers.add("work", f"lambda:?endpoint={stub.url}", **options)
                yield handlers
            return
    yield handlers


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")


@pytest.mark.parametrize("on_worker_loss", ["rerun", "fail"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_in_flight_runs_again_or_fails_as_its_rule_says(kind, on_worker_loss, tmp_path):
    store, held = MemoryStore(now=Now(), through_bytes=True), Held(tmp_path / "mark")
    async with rules(kind, held, on_worker_loss) as handlers, on(store) as client:
        await client.deploy(machine(task(Catch=catch("B")), ECHO), "m")
        with anyio.fail_after(DEADLINE_SECONDS):
            async with on(store, handlers, lambda_emulator=held):
                execution = await client.start_execution("m", str(held.mark))
                await until(lambda: held.begun == 1)
            held.mark.unlink(missing_ok=True)
            try:
                async with on(store, handlers, lambda_emulator=held):
                    if on_worker_loss == "rerun":
                        await until(lambda: held.mark.exists() or held.counted == 2)
                    held.mark.unlink(missing_ok=True)
                    held.released.set()
                    result = await execution.result()
            finally:
                held.released.set()
    if on_worker_loss == "fail":
        assert result["Error"] == "Engine.WorkerLost"
        assert held.begun <= 1
    else:
        assert result == (None if kind == "process" else "through")
