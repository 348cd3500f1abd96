"""Messages of AWS's event stream encoding, of which botocore has the reading half alone.

    total length, length of headers, CRC32 of both | headers | payload | CRC32 of all      numbers: 32 bits, big-endian

A header is its name, with a byte for its length, the type 7 (text), and the text, with two bytes for its length.
"""

from __future__ import annotations

import struct
from binascii import crc32

from engine.http.answers import encode

_TEXT = 7
_FRAME_BYTES = 16
"""Of a message: two lengths and two checksums."""


def payload_chunk(data: bytes) -> bytes:
    """A part of the function's response."""
    return _message("PayloadChunk", "application/octet-stream", data)


def invoke_complete(error_code: str | None, error_details: str | None, log_result: str | None) -> bytes:
    """The end: with an error's code and details, if there was one, and the tail of the log in base64, if asked for."""
    told = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    given = {name: value for name, value in told.items() if value is not None}
    return _message("InvokeComplete", "application/json", encode(given))


def _message(event_type: str, content_type: str, payload: bytes) -> bytes:
    headers = b"".join(
        _header(name, text)
        for name, text in ((":message-type", "event"), (":event-type", event_type), (":content-type", content_type))
    )
    lengths = struct.pack(">II", _FRAME_BYTES + len(headers) + len(payload), len(headers))
    begun = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return begun + struct.pack(">I", crc32(begun))


def _header(name: str, text: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT, len(text)) + text.encode()
