"""One endpoint for `asl worker --processes N`: it asks the processes, which answer on Unix sockets of their own."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING

from engine.cli.worker_service import health_server
from engine.observability.health import UNIX, Page, fetch, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SECONDS = 2.0
"""For one process to answer; a probe waits for all of them, and usually gives up after a few seconds."""


@contextmanager
def answering(address: str, count: int) -> Iterator[list[str]]:
    """Answers probes for so many processes; gives the address that each of them is to listen at.

    Healthy is who has one healthy process, ready who has one that is ready: whoever is not is replaced, or comes back,
    while the others work.

    Raises:
        click.ClickException: The address cannot be listened at.
    """
    with tempfile.TemporaryDirectory(prefix="asl-health-") as folder:
        addresses = [f"{UNIX}{folder}/{number}" for number in range(count)]
        fleet = _Fleet(addresses)
        pages = {
            "/healthz": lambda: fleet.verdict("healthy", "/healthz"),
            "/readyz": lambda: fleet.verdict("ready", "/readyz"),
            "/metrics": fleet.metrics,
        }
        with health_server(address, pages):
            yield addresses


class _Fleet:
    """What the processes say, each by its number."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    def verdict(self, key: str, path: str) -> Page:
        said = {str(number): self._verdict(key, page) for number, page in enumerate(self._ask(path))}
        reasons = [f"process {number}: {reason}" for number, reasons in said.items() for reason in reasons]
        is_one_good = any(not reasons for reasons in said.values())
        return verdict(key, [] if is_one_good else reasons, processes=said)

    def _verdict(self, key: str, page: Page | None) -> list[str]:
        """The reasons of one process."""
        if page is None:
            return ["no answer: it begins, or it has ended and is being replaced"]
        try:
            document = loads(page.body)
        except JSONDecodeError:
            return [f"no answer that makes sense: {page.body[:200]!r}"]
        return [] if document.get(key) else [str(reason) for reason in document.get("reasons", ["it gives no reason"])]

    def metrics(self) -> Page:
        from engine.observability.prometheus import CONTENT_TYPE, merged

        texts = {
            str(number): page.body.decode()
            for number, page in enumerate(self._ask("/metrics"))
            if page is not None and page.status == 200
        }
        return Page(200, CONTENT_TYPE, merged(texts))

    def _ask(self, path: str) -> list[Page | None]:
        with ThreadPoolExecutor(len(self._addresses)) as threads:
            return list(threads.map(lambda address: _page(address, path), self._addresses))


def _page(address: str, path: str) -> Page | None:
    try:
        return fetch(address, path, seconds=_SECONDS)
    except (OSError, HTTPException):
        return None
