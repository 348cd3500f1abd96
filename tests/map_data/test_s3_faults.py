"""S3 that says no, or whose connections break."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from tests.map_data.sources import failure, items, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

BODY = b"1\n2\n3\n"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, int, bytes]) -> Iterator[list[str]]:
    """An S3 that gives these answers, `(status, length that is announced, body)`, the last one again and again."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, length, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.headers["Range"])
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Range", f"bytes 0-{length - 1}/{length}")
            self.send_header("ETag", '"v"')
            self.send_header("x-amz-request-id", "R1")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *told: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_without_permission_it_fails_with_the_words_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, (403, len(DENIED), DENIED)) as asked:
        cause = failure(reader("b", "a.jsonl", "JSONL"))
    assert cause == "s3://b/a.jsonl: Access Denied (Service: S3, Status Code: 403, Request ID: R1)"
    assert len(asked) == 1


def test_a_connection_that_breaks_within_the_body_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, (206, len(BODY), BODY[:2]), (206, len(BODY), BODY)) as asked:
        assert items(reader("b", "a.jsonl", "JSONL")) == [1, 2, 3]
    assert len(asked) == 2


def test_connections_that_break_again_and_again_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, (206, len(BODY), BODY[:2])) as asked:
        assert failure(reader("b", "a.jsonl", "JSONL")).startswith("s3://b/a.jsonl: ")
    assert len(asked) == 5
