"""Those who answer task tokens: twice, at once, late, and while everything breaks down around them."""

from __future__ import annotations

import json
import random
import threading
from collections import defaultdict
from time import monotonic
from typing import TYPE_CHECKING, Any

from engine import blocking
from engine.errors import InvalidToken, TaskTimedOut
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0


class TokenSenders:
    """Reads tokens from the file of effects and sends the answers, from two threads with a client each.

    Attributes:
        accepted: Token → how often an answer was acknowledged.
        unknown: Tokens of which a sender does not know whether its answer counted.
        refused: How many answers came too late.
        url: Of the database, for those who begin from now on.
        answers: Token → (execution ARN, answer).
    """

    def __init__(self, url: str, effects: Path, seed: int) -> None:
        self.accepted: dict[str, int] = defaultdict(int)
        self.unknown: set[str] = set()
        self.refused = 0
        self.answers: dict[str, tuple[str, Any]] = {}
        self.url = url
        self._effects = effects
        self._draw = random.Random(seed)
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,), daemon=True) for number in range(2)]
        self._late = 0.0

    def begin(self, late_seconds: float = 2.0) -> None:
        """From now on tokens are answered, within so many seconds."""
        self._late = late_seconds
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No more answers."""
        self._is_closed.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10)

    def _send(self, number: int) -> None:
        """Both threads see every token, so most are answered twice, often at once; some by one only, some thrice."""
        draw = random.Random(f"{self._draw.random()}{number}")
        due: list[tuple[float, str]] = []
        place = 0
        with blocking.Engine(self.url) as client:
            while not self._is_closed.wait(_POLL_SECONDS):
                place, lines = _new_lines(self._effects, place)
                for line in lines:
                    if "token" in line:
                        self.answers[line["token"]] = (line["arn"], line["answer"])
                        moment = line["at"] + draw.choice([0.0, 0.0, draw.random() * self._late])
                        due += [(moment, line["token"])] * draw.choice([1, 1, 2])
                for moment, token in sorted(due):
                    if moment <= monotonic() and not self._is_closed.is_set():
                        due.remove((moment, token))
                        self._answer(client, token)

    def _answer(self, client: blocking.Engine, token: str) -> None:
        deadline = monotonic() + _PATIENCE_SECONDS
        while monotonic() < deadline:
            try:
                client.send_task_success(token, self.answers[token][1])
            except StoreUnavailable:
                with self._lock:
                    self.unknown.add(token)
                if self._is_closed.wait(_POLL_SECONDS):
                    return
                continue
            except (TaskTimedOut, InvalidToken):
                with self._lock:
                    self.refused += 1
                return
            with self._lock:
                self.accepted[token] += 1
            return


def _new_lines(path: Path, place: int) -> tuple[int, list[dict[str, Any]]]:
    with path.open("rb") as file:
        file.seek(place)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return place + len(whole), [json.loads(line) for line in whole.splitlines()]
