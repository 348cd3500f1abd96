"""Documents: what is written is read again, also what earlier servers wrote, and what newer ones write is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.lambda_emulator.records import (
    FORMAT,
    FunctionRecord,
    LayerRecord,
    Package,
    Settling,
    UnreadableRecord,
    document_of,
    function_key,
    layer_key,
    record_of,
)
from engine.lambda_emulator.store import Document
from tests.lambda_emulator.control_plane import ACCOUNT, REGION

GOLDEN = Path(__file__).with_name("golden")
FUNCTION = function_key(ACCOUNT, REGION, "f")
LAYER = layer_key(ACCOUNT, REGION, "l")


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text().strip()


def function() -> FunctionRecord:
    record = record_of(Document(key=FUNCTION, tag="t", text=golden("function_1")))
    assert isinstance(record, FunctionRecord)
    return record


def test_the_documents_of_format_1_are_read_to_the_last_member():
    for key, name in ((FUNCTION, "function_1"), (LAYER, "layer_1")):
        record = record_of(Document(key=key, tag="t", text=golden(name)))
        assert (record.key, record.format) == (key, 1)
        assert json.loads(document_of(record).text) == json.loads(golden(name))


def test_what_a_function_is_made_of_is_read_as_it_was():
    record = function()
    assert (record.latest.timeout, record.versions[1].timeout, record.published) == (9, 3, 2)
    assert record.aliases["prod"].additional_version_weights == {"2": 0.25}
    assert (record.reserved_concurrency, record.provisioned["2"].requested) == (5, 1)
    assert record.event_invoke_settings["prod"].on_failure == "arn:aws:sqs:eu-central-1:0:q"
    assert (record.tags, record.recursive_loop) == ({"a": "1"}, "Allow")
    assert record.policies["$LATEST"]["s"]["Principal"] == "*"
    assert record.latest.layers[0].arn == f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l:1"
    layer = record_of(Document(key=LAYER, tag="t", text=golden("layer_1")))
    assert isinstance(layer, LayerRecord)
    assert (layer.versions[1].license_info, layer.versions[1].compatible_runtimes) == ("MIT", ("python3.12",))


def test_a_document_tells_what_it_needs_and_what_it_counts():
    record = function()
    package = record.latest.package
    assert isinstance(package, Package)
    document = document_of(record)
    assert document.packages == {package.digest, record.latest.layers[0].package.digest}
    assert document.code_bytes == 3 * package.code_size  # of $LATEST and two versions; layers count for themselves
    assert document.handles == {record.urls["$LATEST"].url_id}
    assert document.reserved == 5
    assert document.tag != document_of(record).tag


@pytest.mark.parametrize(("key", "name"), [(FUNCTION, "function_1"), (LAYER, "layer_1")])
@pytest.mark.parametrize("change", [{}, {"versions": "all of them"}])
def test_a_document_of_a_newer_server_is_refused_by_name(key, name, change):
    newer = json.loads(golden(name)) | {"format": FORMAT + 1} | change
    with pytest.raises(UnreadableRecord, match=f"{key.name}: its document has format {FORMAT + 1}.*upgrade"):
        record_of(Document(key=key, tag="t", text=json.dumps(newer)))


def test_a_configuration_settles_at_its_time():
    pending = replace(function().latest, state="Pending", settling=Settling(at=10, revision_id="next"))
    assert (pending.settled(9), pending.is_settled(9)) == (pending, False)
    settled = pending.settled(10)
    assert (settled.state, settled.last_update_status, settled.revision_id) == ("Active", "Successful", "next")
    assert settled.settled(99) is settled
