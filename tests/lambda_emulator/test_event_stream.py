"""Messages as botocore reads them."""

from __future__ import annotations

import json

from botocore.eventstream import EventStreamBuffer

from engine.lambda_emulator.event_stream import invoke_complete, payload_chunk


def read(data: bytes) -> list[tuple[str, bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers[":event-type"], message.payload) for message in buffer]


def test_parts_and_the_end_are_what_botocore_reads():
    data = payload_chunk(b"\x00part") + payload_chunk(b"") + invoke_complete("Unhandled", "why", "bG9n")
    kinds = read(data)
    assert kinds[:2] == [("PayloadChunk", b"\x00part"), ("PayloadChunk", b"")]
    assert kinds[2][0] == "InvokeComplete"
    assert json.loads(kinds[2][1]) == {"ErrorCode": "Unhandled", "ErrorDetails": "why", "LogResult": "bG9n"}


def test_an_end_without_an_error_says_nothing_of_one():
    assert read(invoke_complete(None, None, None)) == [("InvokeComplete", b"{}")]
