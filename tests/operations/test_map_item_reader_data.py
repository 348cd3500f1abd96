from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.asl.program import ItemReader, ReaderConfig
from engine.asl.resource import UNREADABLE
from engine.errors import ValidationException
from engine.operations.map_item_reader_data import items_read

if TYPE_CHECKING:
    from engine.jsonvalue import Json

FIRST_ROW = ReaderConfig(input_type="CSV", csv_header_location="FIRST_ROW")


def read(config: ReaderConfig | None, data: str) -> Json:
    return items_read(ItemReader(resource=UNREADABLE, reader_config=config), data)


@pytest.mark.parametrize(
    ("config", "data", "items"),
    [
        (None, "[1, 2]", [1, 2]),
        (ReaderConfig(input_type="JSON"), '{"a": 1}', {"a": 1}),
        (ReaderConfig(input_type="JSON", items_pointer="/x~1y/1"), '{"x/y": [0, [5]]}', [5]),
        (ReaderConfig(input_type="JSONL"), '{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (
            FIRST_ROW,
            'id,name\n1,"a,b"\n2\n3,c,d\n',
            [{"id": "1", "name": "a,b"}, {"id": "2", "name": ""}, {"id": "3", "name": "c"}],
        ),
        (
            ReaderConfig(input_type="CSV", csv_header_location="GIVEN", csv_headers=("a", "b"), csv_delimiter="PIPE"),
            "1|2\n",
            [{"a": "1", "b": "2"}],
        ),
        (FIRST_ROW, "a\n", []),
    ],
)
def test_items_are_read_as_the_reader_is_configured(config: ReaderConfig | None, data: str, items: Json) -> None:
    assert read(config, data) == items


@pytest.mark.parametrize(
    ("config", "data", "reason"),
    [
        (None, "5", "Attempting to map over non-iterable node."),
        (None, "[1", "the data: not JSON as it should be at byte 2: expected `,` or `]`, got the end of the file"),
        (ReaderConfig(input_type="JSON", items_pointer="/a/9"), '{"a": [1]}', "does not match any valid path"),
        (ReaderConfig(input_type="PARQUET"), "", "PARQUET is not supported"),
        (FIRST_ROW, "", "expected a header in the first row"),
        (FIRST_ROW, "a,a\n1,2\n", "CSV headers cannot contain duplicates."),
    ],
)
def test_what_cannot_be_read_is_told(config: ReaderConfig | None, data: str, reason: str) -> None:
    with pytest.raises(ValidationException, match=r"^mapItemReaderData: ") as refused:
        read(config, data)
    assert reason in refused.value.message
