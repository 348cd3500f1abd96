"""The arrays arrive as what they were, NULLs and all."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.raw_cursor import RawCursor

from engine.store.postgres import arrays


@pytest.mark.parametrize(
    ("make", "type_", "values"),
    [
        (arrays.uuids, "uuid", [uuid4(), None, uuid4()]),
        (arrays.int4s, "integer", [1, -1, None, 2**31 - 1]),
        (arrays.int8s, "bigint", [1, None, -(2**63)]),
        (arrays.byteas, "bytea", [b"", b"\0\xff", None]),
        (arrays.texts, "text", ["", "é", None]),
        (arrays.texts, "text", []),
    ],
)
def test_an_array_arrives_as_it_was(url: str, make: Any, type_: str, values: list[object]):
    with psycopg.connect(url, cursor_factory=RawCursor) as connection:
        arrays.register(connection)
        row = connection.execute(f"select pg_typeof($1)::text, $1::{type_}[]", (make(values),)).fetchone()
        assert row == (f"{type_}[]", values)


def test_text_that_utf8_cannot_hold_is_refused():
    with pytest.raises(UnicodeEncodeError):
        arrays.texts(["\ud800"])
