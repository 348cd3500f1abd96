"""A FunctionVersion, which environments run, of what is kept of a function."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from engine.lambda_emulator.functions import FunctionVersion, ImageConfig, LoggingConfig

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.records import Configuration, FunctionRecord

_KEPT_MAX = 4_096


def function_version(emulator: Emulator, record: FunctionRecord, configuration: Configuration) -> FunctionVersion:
    """The same object as long as code and configuration are the same."""
    made = emulator.library.function_versions
    mark = (record.key, configuration.version, configuration.content_id)
    found = made.get(mark)
    if found is None:
        if len(made) >= _KEPT_MAX:
            made.clear()
        found = made[mark] = _made(emulator, record, configuration)
    return found


def _made(emulator: Emulator, record: FunctionRecord, configuration: Configuration) -> FunctionVersion:
    code = emulator.library.local_code(record.key)
    if code is None and configuration.package is not None:
        code = emulator.code.code(configuration.package.digest)
    return FunctionVersion(
        account_id=record.account_id,
        region=record.region,
        name=record.name,
        version=configuration.version,
        revision_id=configuration.content_id,
        package_type=configuration.package_type,
        runtime=configuration.runtime,
        handler=configuration.handler,
        code=code,
        layers=tuple(emulator.code.code(layer.package.digest) for layer in configuration.layers),
        endpoint=configuration.image_uri,
        image_config=_image_config(configuration.image_config or {}),
        architectures=configuration.architectures,
        timeout=configuration.timeout,
        memory_size=configuration.memory_size,
        ephemeral_storage=configuration.ephemeral_storage,
        environment=MappingProxyType(configuration.environment or {}),
        snap_start=configuration.snap_start,
        tracing=configuration.tracing_mode,
        logging_config=_logging_config(configuration.logging_config),
        log_group=configuration.logging_config["LogGroup"],
    )


def _image_config(shown: dict[str, Any]) -> ImageConfig:
    return ImageConfig(
        entry_point=tuple(shown.get("EntryPoint") or ()),
        command=tuple(shown.get("Command") or ()),
        working_directory=shown.get("WorkingDirectory"),
    )


def _logging_config(shown: dict[str, str]) -> LoggingConfig:
    return LoggingConfig(
        log_format=cast("Any", shown["LogFormat"]),
        application_log_level=shown.get("ApplicationLogLevel"),
        system_log_level=shown.get("SystemLogLevel"),
    )
