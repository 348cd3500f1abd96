"""Where changes of status go: a webhook, a bus of EventBridge, a channel of PostgreSQL, a function."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.store.library import Store

Outcome: TypeAlias = Literal["TAKEN", "AGAIN", "NEVER"]
"""What became of an event. AGAIN: to be sent again later. NEVER: whoever gets it refuses it for good."""

_TIMEOUT_SECONDS = 10.0
_AT_ONCE = 8

_AGAIN_STATUSES = frozenset([408, 409, 425, 429])
"""Besides 5xx: the receiver may take the event later."""

PUT_EVENTS_MAX = 10
"""Entries of one PutEvents."""

_PUT_BYTES_MAX = 256 * 1_024
_NOTIFY_BYTES_MAX = 7_999

OWN_SOURCE = "asl.states"
"""Of events that are put onto a bus: AWS keeps sources that begin with `aws.` to itself."""


class EventSink(Protocol):
    """Gets events, in one thread. Their text is that of EventBridge; see `engine.events.status_changes`."""

    name: str

    def send(self, events: Sequence[bytes], store: Store) -> Sequence[tuple[Outcome, str]]:
        """What became of each of these events, and why."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class WebhookSink:
    """Posts each event to a URL, some at once; 2xx takes it. 5xx, 408, 409, 425, 429 and no answer: again."""

    def __init__(self, url: str) -> None:
        # Path and query may be secrets: chat services tell their webhooks apart by nothing else.
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc}"
        self._url = url
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, events: Sequence[bytes], store: Store) -> Sequence[tuple[Outcome, str]]:
        """See `EventSink`."""
        outcomes: list[tuple[Outcome, str]] = [("AGAIN", "not sent")] * len(events)
        places = iter(range(len(events)))

        def post_some() -> None:
            for place in places:
                try:
                    outcomes[place] = self._post(events[place])
                except Exception as error:  # noqa: BLE001  one event's trouble must not keep others from being sent
                    outcomes[place] = ("AGAIN", repr(error))

        # Not a pool of the standard library: a process does not end before all that such pools were given is done, and
        # a batch for a receiver that hangs takes more than a minute.
        threads = [
            threading.Thread(target=post_some, name="asl webhook", daemon=True)
            for _ in range(min(_AT_ONCE, len(events)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    def close(self) -> None:
        """See `EventSink`."""

    def _post(self, event: bytes) -> tuple[Outcome, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "asl-engine"}
        request = urllib.request.Request(self._url, event, headers, method="POST")  # noqa: S310  checked: http or https
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS):
                return "TAKEN", ""
        except urllib.error.HTTPError as error:
            with error:
                is_passing = error.code >= 500 or error.code in _AGAIN_STATUSES
            return "AGAIN" if is_passing else "NEVER", f"HTTP {error.code}"
        except (OSError, HTTPException) as error:
            return "AGAIN", str(getattr(error, "reason", error))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without the event."""

    def redirect_request(self, *_: Any) -> None:
        """Follows none: the redirect is an error like any other status."""


class EventBridgeSink:
    """Puts events onto a bus with boto3, which reads its own settings."""

    def __init__(self, bus: str, source: str = OWN_SOURCE) -> None:
        self.name = f"eventbridge:{bus}"
        self._bus = bus
        self._source = source
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            import boto3
            from botocore.config import Config

            retries = {"mode": "standard", "total_max_attempts": 3}
            config = Config(retries=retries, connect_timeout=5, read_timeout=10)
            self._made = boto3.session.Session().client("events", config=config)
        return self._made

    def send(self, events: Sequence[bytes], store: Store) -> Sequence[tuple[Outcome, str]]:
        """See `EventSink`."""
        outcomes: list[tuple[Outcome, str]] = []
        batch: list[dict[str, Any]] = []
        size = 0
        for entry in map(self._entry, events):
            bytes_ = len(entry["Detail"].encode()) + 1_024
            if batch and (len(batch) == PUT_EVENTS_MAX or size + bytes_ > _PUT_BYTES_MAX):
                outcomes += self._put(batch)
                batch, size = [], 0
            batch.append(entry)
            size += bytes_
        return outcomes + self._put(batch)

    def close(self) -> None:
        """See `EventSink`."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def _entry(self, event: bytes) -> dict[str, Any]:
        given = msgspec.json.decode(event)
        return {
            "Time": given["time"],
            "Source": self._source,
            "Resources": given["resources"],
            "DetailType": given["detail-type"],
            "Detail": msgspec.json.encode(given["detail"]).decode(),
            "EventBusName": self._bus,
        }

    def _put(self, batch: list[dict[str, Any]]) -> list[tuple[Outcome, str]]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.put_events(Entries=batch)
        except (BotoCoreError, ClientError) as error:
            return [("AGAIN", str(error))] * len(batch)
        return [
            ("TAKEN", "") if "ErrorCode" not in entry else ("AGAIN", f"{entry['ErrorCode']}: {entry['ErrorMessage']}")
            for entry in answer["Entries"]
        ]


class NotifySink:
    """NOTIFY on a channel of the engine's own database.

    A payload of NOTIFY has 7,999 bytes at most: of an event that is longer input and output are left out, `included`
    false, and then error and cause.
    """

    def __init__(self, channel: str) -> None:
        self.name = f"notify:{channel}"
        self._channel = channel

    def check(self, store: Store) -> None:
        """Raises ValueError: the store has no channels."""
        store.notify(self._channel, [])

    def send(self, events: Sequence[bytes], store: Store) -> Sequence[tuple[Outcome, str]]:
        """See `EventSink`."""
        from engine.store.protocol import StoreUnavailable

        try:
            store.notify(self._channel, [_notice(event) for event in events])
        except StoreUnavailable as error:
            return [("AGAIN", str(error))] * len(events)
        return [("TAKEN", "")] * len(events)

    def close(self) -> None:
        """See `EventSink`."""


def _notice(event: bytes) -> str:
    if len(event) <= _NOTIFY_BYTES_MAX:
        return event.decode()
    given = msgspec.json.decode(event)
    detail = given["detail"]
    detail |= {"input": None, "inputDetails": {"included": False}}
    if detail["output"] is not None:
        detail |= {"output": None, "outputDetails": {"included": False}}
    if len(msgspec.json.encode(given)) > _NOTIFY_BYTES_MAX:
        detail |= {"error": None, "cause": None}
    return msgspec.json.encode(given).decode()


class FunctionSink:
    """Calls a function with each event, as a dict, in a thread; when it raises, the event is sent again later."""

    def __init__(self, function: Callable[[dict[str, Any]], object]) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        self._function = function

    def send(self, events: Sequence[bytes], store: Store) -> Sequence[tuple[Outcome, str]]:
        """See `EventSink`."""
        return [self._call(msgspec.json.decode(event)) for event in events]

    def close(self) -> None:
        """See `EventSink`."""

    def _call(self, event: dict[str, Any]) -> tuple[Outcome, str]:
        try:
            self._function(event)
        except Exception as error:  # noqa: BLE001  user code
            return "AGAIN", repr(error)
        return "TAKEN", ""
