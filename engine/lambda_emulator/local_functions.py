"""Functions that are files of this machine: nothing is packed or uploaded, and a change is seen at once.

f=app:handler              handler in app.py of the directory, or in a package of that name
index.mjs:handler          likewise for Node; the function is called as its module
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import structlog

from engine.lambda_emulator.errors import InvalidParameterValueException
from engine.lambda_emulator.operations.configuration import check_environment
from engine.lambda_emulator.records import Configuration, FunctionRecord, new_revision_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.limits import Limits

NODE_RUNTIME = "nodejs22.x"
PYTHON_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"

_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
_FORM = re.compile(r"(?:(?P<name>[a-zA-Z0-9-_]{1,64})=)?(?P<module>[^=:]+):(?P<function>[A-Za-z_$][\w$]*)")
_NODE_SUFFIXES = (".mjs", ".js", ".cjs")
_WATCHED_SUFFIXES = (".py", *_NODE_SUFFIXES, ".json", ".toml", ".yaml", ".yml")
_UNWATCHED = frozenset({"node_modules", "__pycache__", "venv"})
_USUAL_NAMES = frozenset({"handler", "lambda_handler"})
"""Of handlers: they say nothing about the function."""

_LOOK_SECONDS = 0.5
_FILES_MAX = 20_000


class InvalidLocalFunction(ValueError):
    """The words do not name a function in files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFunction:
    """A function in files of a directory.

    Attributes:
        handler: As Lambda names it: `app.handler`.
        environment: Its own variables.
        timeout: Seconds.
        memory_size: MB.
    """

    name: str
    directory: Path
    handler: str
    runtime: str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 3
    memory_size: int = 128

    @classmethod
    def parse(
        cls, words: str, directory: Path, *, name: str | None = None, environment: Mapping[str, str], timeout: int,
        memory_size: int,
    ) -> LocalFunction:  # fmt: skip
        """What `[NAME=]MODULE:FUNCTION` stands for.

        Raises:
            InvalidLocalFunction: Nothing.
        """
        found = _FORM.fullmatch(words)
        if found is None:
            raise InvalidLocalFunction(f"expected [NAME=]MODULE:FUNCTION, as f=app:handler, got {words!r}")
        module, function = found["module"], found["function"]
        runtime, module = _program(directory, module)
        stem = module.replace("/", ".").rpartition(".")[2]
        name = name or found["name"] or (stem if function in _USUAL_NAMES else function)
        if _NAME.fullmatch(name) is None:
            raise InvalidLocalFunction(f"expected a name of at most 64 letters, digits, - and _, got {name!r}")
        return cls(
            name=name,
            directory=directory,
            handler=f"{module}.{function}",
            runtime=runtime,
            environment=environment,
            timeout=timeout,
            memory_size=memory_size,
        )


def check(function: LocalFunction, limits: Limits) -> None:
    """Whether Lambda would take it with its limits and variables. Raises InvalidLocalFunction."""
    for what, value, most, setting in (
        ("timeout", function.timeout, limits.timeout_max, "ASL_LAMBDA_TIMEOUT_MAX"),
        ("memory", function.memory_size, limits.memory_size_max, "ASL_LAMBDA_MEMORY_MAX"),
    ):
        if value > most:
            raise InvalidLocalFunction(f"{what}: expected at most {most}, got {value}; {setting} allows more")
    for name in function.environment:
        if _VARIABLE.fullmatch(name) is None:
            raise InvalidLocalFunction(f"expected a variable of a letter and letters, digits or _, got {name!r}")
    try:
        check_environment(limits, function.environment)
    except InvalidParameterValueException as error:
        raise InvalidLocalFunction(error.message.removesuffix(".")) from error


def _program(directory: Path, module: str) -> tuple[str, str]:
    """Runtime, and the module as a handler names it. Raises InvalidLocalFunction."""
    stem, suffix = os.path.splitext(module)
    if suffix in _NODE_SUFFIXES and (directory / module).is_file():
        return NODE_RUNTIME, stem
    if suffix == ".py" and (directory / module).is_file():
        return PYTHON_RUNTIME, stem
    path = directory / module.replace(".", "/")
    if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
        return PYTHON_RUNTIME, module
    if any((directory / f"{module}{suffix}").is_file() for suffix in _NODE_SUFFIXES):
        return NODE_RUNTIME, module
    raise InvalidLocalFunction(f"{directory} has no module {module}: expected {module}.py, .mjs, .js or .cjs there")


class _LocalCode:
    """Files as they are; `digest` names how they were when they were last looked at."""

    def __init__(self, directory: Path, digest: str) -> None:
        self.digest = digest
        self._directory = directory

    async def directory(self) -> Path:
        """See `Code`."""
        return self._directory


def put(emulator: Emulator, function: LocalFunction, digest: str) -> None:
    """Shows it with its files as they are now."""
    configuration = Configuration(
        role=f"arn:aws:iam::{emulator.account_id}:role/local",
        last_modified=int(emulator.clock.now().timestamp() * 1_000),
        revision_id=new_revision_id(),
        content_id=f"{digest}-{new_revision_id()}",
        runtime=function.runtime,
        handler=function.handler,
        timeout=function.timeout,
        memory_size=function.memory_size,
        environment=dict(function.environment) or None,
        logging_config={"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"},
    ).active()
    record = FunctionRecord(
        account_id=emulator.account_id, region=emulator.region, name=function.name, latest=configuration
    )
    emulator.library.put_local(record, _LocalCode(function.directory, digest))


async def watch(emulator: Emulator, function: LocalFunction, digest: str) -> None:
    """Puts it anew when its files change, until it is cancelled. What runs meanwhile ends as it began."""
    log = structlog.get_logger()
    while True:
        await anyio.sleep(_LOOK_SECONDS)
        found = digest_of(function.directory)
        if found == digest:
            continue
        digest = found
        put(emulator, function, digest)
        await emulator.environments.retire(function.name)
        log.info("function reloaded", function=function.name, directory=str(function.directory))


def digest_of(directory: Path) -> str:
    """Changes when a file of a kind that functions are made of is changed, made or removed."""
    digest = hashlib.sha256()
    for path, state in _files(directory):
        digest.update(f"{path}\0{state.st_mtime_ns}\0{state.st_size}\0".encode())
    return digest.hexdigest()


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """In a steady order; the first so many, so that somebody's home directory does no harm."""
    count = 0
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if name not in _UNWATCHED and not name.startswith("."))
        for name in sorted(names):
            if not name.endswith(_WATCHED_SUFFIXES):
                continue
            path = os.path.join(place, name)
            try:
                yield path, os.stat(path)
            except OSError:
                continue  # it went meanwhile
            count += 1
            if count >= _FILES_MAX:
                return
