"""Reads what only a Map state has besides its item processor: ItemReader, ItemBatcher, ResultWriter (asl.md 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.asl.expression_fields import fill, integer_or_jsonata, jsonata, reference_path, template
from engine.asl.field_tables import (
    ITEM_BATCHER_FIELDS,
    ITEM_READER_FIELDS,
    READER_CONFIG_FIELDS,
    RESULT_WRITER_FIELDS,
    WRITER_CONFIG_FIELDS,
)
from engine.asl.program import ItemBatcher, ItemReader, ReaderConfig, ResultWriter
from engine.asl.resource import UNREADABLE, parse_resource

if TYPE_CHECKING:
    from engine.asl.fields import Fields
    from engine.asl.resource import Resource
    from engine.query.jsonata import JsonataTemplate

_ITEMS_MAX: Final = 100_000_000
_BATCH_BYTES_MAX: Final = 262_144

_READER_ACTIONS: Final = ("getObject", "listObjectsV2")
_WRITER_ACTIONS: Final = ("putObject",)

_HEADERS: Final = ("CSVHeaderLocation", "CSVHeaders", "CSVDelimiter")


def item_reader(state: Fields) -> ItemReader | None:
    """`ItemReader`: where the items come from, if not from the state's input."""
    reader = state.object("ItemReader")
    if reader is None:
        return None
    reader.check_names(ITEM_READER_FIELDS)
    reader.require("Resource")
    resource = _s3_resource(reader, _READER_ACTIONS)
    config = reader.object("ReaderConfig")
    reads_object = resource is not None and resource.action == "getObject"
    return ItemReader(
        resource=resource or UNREADABLE,
        reader_config=_reader_config(config, reads_object=reads_object) if config is not None else None,
        parameters=template(reader, "Parameters"),
        arguments=jsonata(reader, "Arguments"),
    )


def _s3_resource(fields: Fields, actions: tuple[str, ...]) -> Resource | None:
    text = fields.string("Resource")
    if text is None:
        return None
    resource = parse_resource(text)
    if resource is not None and resource.service == "s3" and resource.action in actions:
        return resource
    fields.report.error(
        "unsupported-map-resource",
        "The field 'Resource' does not match any of the allowed values",
        fields.at("Resource"),
        hint=" or ".join(f"arn:aws:states:::s3:{action}" for action in actions),
    )
    return None


def _reader_config(config: Fields, *, reads_object: bool) -> ReaderConfig:
    config.check_names(READER_CONFIG_FIELDS)
    config.at_most_one("MaxItems", "MaxItemsPath")
    transformation = config.one_of("Transformation", ("NONE", "LOAD_AND_FLATTEN"))
    manifest_type = config.one_of("ManifestType", ("ATHENA_DATA", "S3_INVENTORY"))
    # An inventory says itself of what type its files are.
    if (reads_object and manifest_type != "S3_INVENTORY") or transformation == "LOAD_AND_FLATTEN":
        config.require("InputType")
    input_type = config.one_of("InputType", ("CSV", "JSON", "JSONL", "PARQUET", "MANIFEST"))
    location = config.one_of("CSVHeaderLocation", ("FIRST_ROW", "GIVEN"))
    if input_type == "CSV" and "CSVHeaderLocation" not in config.values:
        config.report.error("csv-header-location", "The field 'CSVHeaderLocation' is required", config.place)
    if input_type in ("JSON", "JSONL", "PARQUET"):
        for name in _HEADERS:
            if name in config.values:
                config.unsupported(name, hint="only CSV has it")
    if location == "GIVEN":
        config.require("CSVHeaders")
    pointer = config.string("ItemsPointer")
    if pointer and not pointer.startswith("/"):
        config.report.error("not-a-json-pointer", "Value must be a valid JSON Pointer", config.at("ItemsPointer"))
    return ReaderConfig(
        input_type=input_type,
        transformation=transformation,
        manifest_type=manifest_type,
        csv_header_location=location,
        csv_headers=_csv_headers(config),
        csv_delimiter=config.one_of("CSVDelimiter", ("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")),
        items_pointer=pointer,
        max_items=integer_or_jsonata(config, "MaxItems", minimum=0, maximum=_ITEMS_MAX),
        max_items_path=reference_path(config, "MaxItemsPath", context=False),
    )


def _csv_headers(config: Fields) -> tuple[str, ...] | JsonataTemplate | None:
    value = config.values.get("CSVHeaders")
    if config.language == "JSONata" and (isinstance(value, str) or _has_expression(value)):
        return jsonata(config, "CSVHeaders")
    headers = config.strings("CSVHeaders", empty=False)
    return tuple(headers) if headers is not None else None


def _has_expression(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, str) and item.startswith("{%") for item in value)


def item_batcher(state: Fields) -> ItemBatcher | None:
    """`ItemBatcher`: how many items one child execution gets."""
    batcher = state.object("ItemBatcher")
    if batcher is None:
        return None
    batcher.check_names(ITEM_BATCHER_FIELDS)
    batcher.at_most_one("MaxItemsPerBatch", "MaxItemsPerBatchPath")
    batcher.at_most_one("MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath")
    limits = [name for name in ITEM_BATCHER_FIELDS if name != "BatchInput"]
    if not any(name in batcher.values for name in limits):
        # AWS wants one of the limits (its guide); the text is ours.
        names = ", ".join(name for name in limits if batcher.language == "JSONPath" or not name.endswith("Path"))
        message = f"This object should have at least one of the following fields: [{names}]"
        batcher.report.error("batch-without-limit", message, batcher.place)
    return ItemBatcher(
        batch_input=fill(batcher, "BatchInput"),
        max_items_per_batch=integer_or_jsonata(batcher, "MaxItemsPerBatch", minimum=0),
        max_items_per_batch_path=reference_path(batcher, "MaxItemsPerBatchPath", context=False),
        max_input_bytes_per_batch=integer_or_jsonata(
            batcher, "MaxInputBytesPerBatch", minimum=0, maximum=_BATCH_BYTES_MAX
        ),
        max_input_bytes_per_batch_path=reference_path(batcher, "MaxInputBytesPerBatchPath", context=False),
    )


def result_writer(state: Fields) -> ResultWriter | None:
    """`ResultWriter`: where the results go, and in which form."""
    writer = state.object("ResultWriter")
    if writer is None:
        return None
    writer.check_names(RESULT_WRITER_FIELDS)
    target = "Parameters" if writer.language == "JSONPath" else "Arguments"
    if not writer.values:
        writer.report.error("empty", "Value cannot be empty", writer.place)
    elif "Resource" in writer.values:
        writer.require(target)
    elif target in writer.values:
        writer.require("Resource")
    config = writer.object("WriterConfig")
    if config is not None:
        config.check_names(WRITER_CONFIG_FIELDS)
    return ResultWriter(
        resource=_s3_resource(writer, _WRITER_ACTIONS),
        parameters=template(writer, "Parameters"),
        arguments=jsonata(writer, "Arguments"),
        transformation=config.one_of("Transformation", ("NONE", "COMPACT", "FLATTEN")) if config else None,
        output_type=config.one_of("OutputType", ("JSON", "JSONL")) if config else None,
    )
