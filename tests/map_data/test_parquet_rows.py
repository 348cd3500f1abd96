"""Items of Parquet files, and of files compressed with ZSTD: what takes pyarrow."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.map_data.sources import failure, items, reader

if TYPE_CHECKING:
    from pathlib import Path

pa = pytest.importorskip("pyarrow")


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path, **options)


@pytest.mark.parametrize("anew", [False, True])
def test_rows_come_in_their_order_across_row_groups(folder: Path, anew: bool) -> None:
    rows = [{"n": n, "text": f"é{n}", "deep": {"list": [n, None]}} for n in range(1_100)]
    write(folder / "a.parquet", rows, row_group_size=600)
    assert items(reader(folder, "a.parquet", "PARQUET"), items_max=250, anew=anew) == rows


def test_types_that_json_has_not_are_texts(folder: Path) -> None:
    row = {
        "date": date(2024, 1, 2),
        "time": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        "decimal": Decimal("1.10"),
        "bytes": b"\xff",
        "text": b"abc",
        "nan": float("nan"),
    }
    write(folder / "a.parquet", [row])
    assert items(reader(folder, "a.parquet", "PARQUET")) == [
        {
            "date": "2024-01-02",
            "time": "2024-01-02T03:04:05+00:00",
            "decimal": "1.10",
            "bytes": "/w==",
            "text": "abc",
            "nan": None,
        }
    ]


def test_nanoseconds_are_cut_off_wherever_they_are(folder: Path) -> None:
    import pyarrow.parquet as pq

    nanoseconds = pa.timestamp("ns", "UTC")
    columns = {
        "at": pa.array([1_001, None], nanoseconds),
        "took": pa.array([1_000_001_001, 0], pa.duration("ns")),
        "time": pa.array([1_001, 0], pa.time64("ns")),
        "deep": pa.array(
            [{"list": [1_001], "text": "x"}] * 2, pa.struct({"list": pa.list_(nanoseconds), "text": "string"})
        ),
        "map": pa.array([[("k", 1_001)]] * 2, pa.map_(pa.string(), nanoseconds)),
    }
    pq.write_table(pa.table(columns), folder / "a.parquet")
    first, second = items(reader(folder, "a.parquet", "PARQUET"))
    moment = "1970-01-01T00:00:00.000001+00:00"
    assert first == {
        "at": moment,
        "took": 1.000001,
        "time": "00:00:00.000001",
        "deep": {"list": [moment], "text": "x"},
        "map": {"k": moment},
    }
    assert second["at"] is None


@pytest.mark.parametrize("column", ["far", "text"])
def test_a_value_that_cannot_be_shown_fails_with_its_row(folder: Path, column: str) -> None:
    import pyarrow.parquet as pq

    far = pa.array([0, 2**55], pa.timestamp("ms"))
    text = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff"]).buffers())
    pq.write_table(pa.table({"n": {"far": far, "text": text}[column]}), folder / "a.parquet")
    assert "a value behind row 0 of row group 0" in failure(reader(folder, "a.parquet", "PARQUET"))


def test_two_columns_of_one_name_fail(folder: Path) -> None:
    import pyarrow.parquet as pq

    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, folder / "a.parquet")
    assert "two columns have the same name" in failure(reader(folder, "a.parquet", "PARQUET"))


def test_a_map_is_an_object(folder: Path) -> None:
    import pyarrow.parquet as pq

    column = pa.array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.table({"m": column}), folder / "a.parquet")
    assert items(reader(folder, "a.parquet", "PARQUET")) == [{"m": {"a": 1, "b": 2}}]


def test_a_file_without_rows_has_no_items(folder: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), folder / "a.parquet")
    assert items(reader(folder, "a.parquet", "PARQUET")) == []


@pytest.mark.parametrize("damage", ["truncated", "text", "middle", "empty"])
def test_a_file_that_is_truncated_or_none_fails(folder: Path, damage: str) -> None:
    path = folder / "a.parquet"
    write(path, [{"n": n, "text": "x" * n} for n in range(500)], compression="snappy")
    content = path.read_bytes()
    broken = bytes(byte ^ 0x55 for byte in content[4 : len(content) // 2])
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "text": b'{"a": 1}\n' * 9,
            "middle": content[:4] + broken + content[4 + len(broken) :],
            "empty": b"",
        }[damage]
    )
    assert "it is truncated or no Parquet" in failure(reader(folder, "a.parquet", "PARQUET"))


@pytest.mark.parametrize("anew", [False, True])
def test_zstd_is_inflated(folder: Path, anew: bool) -> None:
    with pa.output_stream(folder / "a.zst", compression="zstd") as stream:
        stream.write(b"1\n2\n3\n")
    assert items(reader(folder, "a.zst", "JSONL"), items_max=1, anew=anew) == [1, 2, 3]


def test_truncated_zstd_fails(folder: Path) -> None:
    with pa.output_stream(folder / "a.zst", compression="zstd") as stream:
        stream.write(b"".join(b"%d\n" % n for n in range(5_000)))
    content = (folder / "a.zst").read_bytes()
    (folder / "a.zst").write_bytes(content[: len(content) // 2])
    assert "ZSTD data is broken or truncated" in failure(reader(folder, "a.zst", "JSONL"))


def test_without_pyarrow_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for input_type in ("PARQUET", "JSONL"):
        assert "install asl-engine[parquet]" in failure(reader(folder, "a", input_type))
