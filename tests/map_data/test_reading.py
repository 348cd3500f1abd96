"""Reading items of one file: every type, page by page, also by a reader that takes over."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StatesError
from engine.map_data.reading import open_items
from engine.map_data.streams import BLOCK_BYTES
from tests.map_data.sources import failure, items, pages, reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST_ROW = {"CSVHeaderLocation": "FIRST_ROW"}
RECORDS = [{"n": n, "text": f'"{n}", {{é]\\', "deep": [{"a": [n]}, "}"]} for n in range(50)]


def as_json(records: list[Any]) -> bytes:
    return json.dumps(records, indent=1).encode()


def as_lines(records: list[Any]) -> bytes:
    return b"\n\n".join(json.dumps(one).encode() for one in records)


@pytest.mark.parametrize("anew", [False, True], ids=["one reader", "a reader for each page"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("input_type", "written"), [("JSON", as_json), ("JSONL", as_lines)])
def test_items_come_in_their_order_whoever_reads_the_next_page(
    folder: Path, input_type: str, written: Callable[[Any], bytes], packed: Callable[[bytes], bytes], anew: bool
) -> None:
    (folder / "items").write_bytes(packed(written(RECORDS)))
    assert items(reader(folder, "items", input_type), items_max=7, anew=anew) == RECORDS


@pytest.mark.parametrize("anew", [False, True])
def test_rows_with_line_breaks_in_cells_are_read_whole(folder: Path, anew: bool) -> None:
    (folder / "a.csv").write_bytes(b'\xef\xbb\xbfid,text\r\n1,"a\n""b"", c"\r\n\r\n2,\xc3\xa9\r\n3,""')
    expected = [{"id": "1", "text": 'a\n"b", c'}, {"id": "2", "text": "é"}, {"id": "3", "text": ""}]
    assert items(reader(folder, "a.csv", "CSV", **FIRST_ROW), items_max=1, anew=anew) == expected


def test_cells_that_are_missing_are_empty_and_those_without_a_header_are_dropped(folder: Path) -> None:
    (folder / "a.csv").write_text("1\n1,2,3\n ,\n")
    config = {"CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b"]}
    expected = [{"a": "1", "b": ""}, {"a": "1", "b": "2"}, {"a": " ", "b": ""}]
    assert items(reader(folder, "a.csv", "CSV", **config)) == expected


def test_cells_are_in_the_order_that_aws_was_seen_to_give_them(folder: Path) -> None:
    (folder / "a.csv").write_text("0,True,{}\na,b,c\n")
    assert [list(row) for row in items(reader(folder, "a.csv", "CSV", **FIRST_ROW))] == [["0", "{}", "True"]]


@pytest.mark.parametrize(
    ("name", "sign"), [("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("SPACE", " "), ("TAB", "\t")]
)
def test_each_delimiter_divides(folder: Path, name: str, sign: str) -> None:
    (folder / "a.csv").write_text(f"a{sign}b\n1{sign}2\n")
    assert items(reader(folder, "a.csv", "CSV", **FIRST_ROW, CSVDelimiter=name)) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("anew", [False, True])
def test_members_of_an_object_come_with_their_keys(folder: Path, anew: bool) -> None:
    (folder / "a.json").write_text('{"x": 1, "y": {"z": [2]}, "w": null}')
    found = pages(reader(folder, "a.json", "JSON"), items_max=1, anew=anew)
    assert [(page.items, page.keys) for page in found] == [([1], ["x"]), ([{"z": [2]}], ["y"]), ([None], ["w"])]


@pytest.mark.parametrize("anew", [False, True])
def test_an_items_pointer_leads_past_other_members(folder: Path, anew: bool) -> None:
    skipped = {"x]": ["}", {"items": [0]}], "long": "a" * 3 * BLOCK_BYTES}
    (folder / "a.json").write_text(json.dumps({"skip": skipped, "a/b": [1, {"c~": [1, 2, "3"], "d": 0}], "e": 1}))
    wanted = reader(folder, "a.json", "JSON", ItemsPointer="/a~1b/1/c~0")
    assert items(wanted, items_max=1, anew=anew) == [1, 2, "3"]


@pytest.mark.parametrize("shift", range(6))
def test_values_may_lie_across_the_blocks_that_are_read(folder: Path, shift: int) -> None:
    values = ["a" * (BLOCK_BYTES - 6 + shift), 12345, '\\"]', [["x"]], True, {"b": "c" * BLOCK_BYTES}, -1.5e3]
    (folder / "a.json").write_text(json.dumps(values))
    assert items(reader(folder, "a.json", "JSON")) == values


def test_of_all_items_max_items_are_read(folder: Path) -> None:
    (folder / "a.jsonl").write_text("1\n2\n3\n")
    assert items(reader(folder, "a.jsonl", "JSONL", MaxItems=2), items_max=1, anew=True) == [1, 2]
    assert items(reader(folder, "a.jsonl", "JSONL", MaxItems=9)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.csv", b"n\n" + b"1\n" * 9, [8 / 20, 14 / 20, None]),
        ("a.jsonl", b"1\n" * 8, [6 / 16, 12 / 16, None]),
        ("a.json", b"[1,2,3,4]", [6 / 9, None]),
        ("b.json", b'{"a":1,"b":2,"c":3,"d":4}', [18 / 25, None]),
        ("a.jsonl", gzip.compress(b"1\n" * 4, mtime=0), [None, None]),
    ],
)
def test_a_page_of_one_file_says_how_much_of_it_was_read(
    folder: Path, name: str, content: bytes, parts: list[float | None]
) -> None:
    (folder / name).write_bytes(content)
    kind = name.rpartition(".")[2].upper()
    found = pages(reader(folder, name, kind, **(FIRST_ROW if kind == "CSV" else {})), items_max=3)
    assert [page.cursor and page.cursor["part"] for page in found] == parts


def test_a_page_ends_when_it_has_bytes_enough(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps(["x" * 600_000] * 5))
    assert [len(page.items) for page in pages(reader(folder, "a.json", "JSON"))] == [2, 2, 1]


@pytest.mark.parametrize(("name", "text"), [("a.json", "[]"), ("a.json", " { } "), ("a.csv", "a,b\n"), ("a.jsonl", "")])
def test_a_set_may_be_empty(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert items(reader(folder, name, name.partition(".")[2].upper(), **FIRST_ROW)) == []


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("3", "Attempting to map over non-iterable node."),
        ('"a"', "Attempting to map over non-iterable node."),
        ("", "Attempting to map over non-iterable node."),
        ("[1, 2", "expected `,` or `]`, got the end of the file"),
        ('[1, {"a": 2}, "b', "at byte 14: the file ends within a value"),
        ("[1 2]", "at byte 3: expected `,` or `]`, got '2'"),
        ("[1,]", "expected a value, got ']'"),
        ("[1, nul]", "the value at byte 4 is not JSON"),
        ("[1] 2", "at byte 4: expected the end of the file"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' comes twice"),
        ("{1: 2}", "expected a key in quotes, got '1'"),
        ("[" * 400 + "]" * 400, "nested too deeply"),
    ],
)
def test_wrong_json_fails_with_its_place(folder: Path, text: str, cause: str) -> None:
    (folder / "a.json").write_text(text)
    assert cause in failure(reader(folder, "a.json", "JSON"))


@pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/x", "/a/0/c"])
def test_a_pointer_that_leads_to_nothing_fails(folder: Path, pointer: str) -> None:
    (folder / "a.json").write_text('{"a": [1, 2]}')
    cause = "The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure."
    assert failure(reader(folder, "a.json", "JSON", ItemsPointer=pointer)) == cause


@pytest.mark.parametrize(
    ("content", "config", "cause"),
    [
        (b"a,a\n1,2\n", FIRST_ROW, "CSV headers cannot contain duplicates."),
        (b"", FIRST_ROW, "expected a header in the first row"),
        (b"a,b\n1,\xff\n", FIRST_ROW, "expected UTF-8, got the byte 0xff at byte 6"),
        (b"a" * 11_000 + b"\n", FIRST_ROW, "the CSV header is larger than 10 KiB"),
        (b"a\n" + b"x" * (9 << 20), FIRST_ROW, "the item at byte 2 is larger than 8 MB"),
        (b'a\n"' + b"x\n" * (5 << 20), FIRST_ROW, "the item at byte 2 is larger than 8 MB"),
        (b"a\n" + b'"x\n",' * (2 << 20), FIRST_ROW, "the item at byte 2 is larger than 8 MB"),
        (b'a,b\n1,2\n3,"4\n5,6\n', FIRST_ROW, "a quote in the row at byte 8 is not closed"),
        (b"1\n", {"CSVHeaderLocation": "GIVEN", "CSVHeaders": "a"}, "CSVHeaders: expected an array of strings"),
    ],
)
def test_wrong_csv_fails_with_its_place(folder: Path, content: bytes, config: dict[str, Any], cause: str) -> None:
    (folder / "a.csv").write_bytes(content)
    assert cause in failure(reader(folder, "a.csv", "CSV", **config))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b'{"a": 1}\n{"a": \n', "the line at byte 9 is not JSON"),
        (b'"a"\n"\xff"\n', "expected UTF-8, got the byte 0xff at byte 5"),
        (b"x" * (9 << 20), "the item at byte 0 is larger than 8 MB"),
    ],
)
def test_wrong_lines_fail_with_their_place(folder: Path, content: bytes, cause: str) -> None:
    (folder / "a.jsonl").write_bytes(content)
    assert cause in failure(reader(folder, "a.jsonl", "JSONL"))


def test_one_item_larger_than_memory_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "a.json").open("wb") as file:
        file.write(b'["')
        file.seek(1 << 30)  # a hole: zeros
        file.write(b'"]')
    assert "is larger than 8 MB" in failure(reader(folder, "a.json", "JSON"))


@pytest.mark.parametrize("cut", [5, 60])
def test_a_truncated_gzip_file_fails(folder: Path, cut: int) -> None:
    packed = gzip.compress(as_lines(RECORDS))
    (folder / "a.gz").write_bytes(packed[:-cut])
    assert "its gzip data is truncated" in failure(reader(folder, "a.gz", "JSONL"))


def test_a_broken_gzip_file_fails(folder: Path) -> None:
    packed = bytearray(gzip.compress(as_lines(RECORDS)))
    packed[len(packed) // 2] ^= 0xFF
    (folder / "a.gz").write_bytes(packed)
    assert "gzip data is broken" in failure(reader(folder, "a.gz", "JSONL"))


def test_members_of_a_gzip_file_follow_one_another(folder: Path) -> None:
    (folder / "a.gz").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert items(reader(folder, "a.gz", "JSONL")) == [1, 2]


def test_a_file_that_changes_between_two_pages_fails(folder: Path) -> None:
    path = folder / "a.jsonl"
    path.write_text("1\n2\n3\n")
    source = open_items(reader(folder, "a.jsonl", "JSONL"), None, region="us-east-1")
    cursor = source.read(items_max=1, bytes_max=99).cursor
    source.close()
    path.write_text("4\n5\n6\n7\n")
    with pytest.raises(StatesError, match="ItemReaderFailed") as caught:
        open_items(reader(folder, "a.jsonl", "JSONL"), cursor, region="us-east-1").read(items_max=1, bytes_max=99)
    assert "it has changed while it was read" in str(caught.value.cause)


def test_a_file_that_is_missing_or_a_folder_fails(folder: Path) -> None:
    assert failure(reader(folder, "no.json", "JSON")).endswith("no.json: No such file or directory")
    (folder / "sub").mkdir()
    assert "it is a folder" in failure(reader(folder, "sub", "JSON"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_fails(folder: Path) -> None:
    (folder / "a.json").touch(mode=0)
    assert failure(reader(folder, "a.json", "JSON")).endswith("Permission denied")


def test_folders_are_closed_but_those_that_the_operator_opens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "in").mkdir()
    (folder / "out.json").write_text("[1]")
    (folder / "in" / "link.json").symlink_to(folder / "out.json")
    (folder / "in" / "a.json").write_text("[2]")
    monkeypatch.setenv("ASL_MAP_FILES", str(folder / "in"))
    assert items(reader(folder / "in", "a.json", "JSON")) == [2]
    for bucket, key in ((folder, "out.json"), (folder / "in", "../out.json"), (folder / "in", "link.json")):
        assert "name folders for Distributed Maps in ASL_MAP_FILES" in failure(reader(bucket, key, "JSON"))
    monkeypatch.delenv("ASL_MAP_FILES")
    monkeypatch.chdir(folder)
    assert items(reader("file:in", "a.json", "JSON")) == [2]
    monkeypatch.chdir("/")
    assert "ASL_MAP_FILES" in failure(reader(folder, "out.json", "JSON"))


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"Bucket": "file://host/a", "Key": "k"}, "expected file:///an/absolute/folder"),
        ({"Bucket": 3, "Key": "k"}, "Bucket: expected a string, got 3"),
        ({"Key": None}, "Key: expected a string, got null"),
        ({"Key": "a\0b"}, "'a\\x00b' is not the name of a file"),
    ],
)
def test_wrong_arguments_fail(folder: Path, arguments: dict[str, Any], cause: str) -> None:
    wanted = reader(folder, "k", "JSON")
    assert cause in failure({**wanted, "Arguments": wanted["Arguments"] | arguments})


def test_nothing_stays_open(folder: Path) -> None:
    (folder / "a.jsonl").write_text("1\nx\n")
    items(reader(folder, "a.jsonl", "JSONL", MaxItems=1))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    failure(reader(folder, "a.jsonl", "JSONL"))
    items(reader(folder, "a.jsonl", "JSONL", MaxItems=1))
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)
