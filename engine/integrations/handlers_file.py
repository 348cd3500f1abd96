"""Rules in a TOML file: a table `[handlers]` of `asl.toml`, or `[tool.asl.handlers]` of a `pyproject.toml`.

    [handlers]
    "Charge Card" = "shop.cards:charge"
    ship = { target = "cmd:./ship.sh", timeout_seconds = 60, concurrency = 4 }

    [handlers."*"]
    target = "lambda:?region=eu-west-1"
    on_worker_loss = "fail"

A key is a pattern and a value what `Handlers.add` takes: a target, or a table of it with options. Beside it stand the
connections of HTTP Tasks, as `engine.integrations.connections` has them: `[connections.NAME]`, in a `pyproject.toml`
`[tool.asl.connections.NAME]`.

    [connections.crm]
    type = "api-key"
    name = "X-Api-Key"
    value = "env:CRM_KEY"
"""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.integrations.registry import TARGETS_EXPECTED, Handlers, InvalidHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "asl.toml"
_PROJECT = "pyproject.toml"

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "target": ((str,), "a text"),
    "process": ((bool,), "true or false"),
    "dask": ((bool, str), "true, false or the address of a scheduler"),
    "timeout_seconds": ((int, float), "a number of seconds"),
    "on_worker_loss": ((str,), '"rerun" or "fail"'),
    "concurrency": ((int,), "a whole number"),
}
assert _TYPES.keys() - {"target"} == inspect.signature(Handlers.add).parameters.keys() - {"self", "pattern", "spec"}


def file_here() -> Path | None:
    """The file of the current directory that has rules: asl.toml, else a pyproject.toml with a `[tool.asl]`.

    Raises:
        InvalidHandler: That pyproject.toml cannot be read.
    """
    if os.path.isfile(FILE):
        return Path(FILE)
    if os.path.isfile(_PROJECT) and "asl" in _parsed(_PROJECT, _text(_PROJECT)).get("tool", {}):
        return Path(_PROJECT)
    return None


def read_rules(path: os.PathLike[str] | str) -> Handlers:
    """The rules of a file.

    Raises:
        InvalidHandler: It cannot be read, or a rule means nothing; the text names file, line and rule.
    """
    text = _text(path)
    document, root = _parsed(path, text), ""
    if os.path.basename(path) == _PROJECT:
        document, root = document.get("tool", {}).get("asl", {}), "tool.asl."
    for key in document.keys() - {"handlers", "connections"}:
        raise InvalidHandler(f"{path}: expected tables [{root}handlers] and [{root}connections.NAME], got {key!r}")
    handlers = Handlers()
    for what, add in (("handlers", _add), ("connections", Handlers.connect)):
        head, table = f"{root}{what}", document.get(what, {})
        if not isinstance(table, dict):
            raise InvalidHandler(f"{path}: {head}: expected a table")
        for name, value in table.items():
            try:
                add(handlers, name, value)
            except (InvalidHandler, ValueError) as error:
                reason = str(error.__cause__ or error)
                raise InvalidHandler(f"{_place(path, text, what, name)}: {head}.{_quoted(name)}: {reason}") from error
    return handlers


def _add(handlers: Handlers, pattern: str, rule: object) -> None:
    """Adds one rule. Raises ValueError, InvalidHandler."""
    options: dict[str, Any] = {"target": rule} if isinstance(rule, str) else rule if isinstance(rule, dict) else {}
    if not isinstance(options.get("target"), str):
        raise ValueError(f"expected a target ({TARGETS_EXPECTED}) or a table that has one, got {rule!r}")
    for option, value in options.items():
        if option not in _TYPES:
            import difflib

            near = difflib.get_close_matches(option, _TYPES, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"expected {', '.join(_TYPES)}, got {option!r}{meant}")
        types, expected = _TYPES[option]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{option}: expected {expected}, got {value!r}")
    handlers.add(pattern, options["target"], **{key: value for key, value in options.items() if key != "target"})


def _text(path: os.PathLike[str] | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InvalidHandler(f"{path}: {reason}") from error


def _parsed(path: os.PathLike[str] | str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # which says where
        raise InvalidHandler(f"{path}: {error}") from error


def _place(path: os.PathLike[str] | str, text: str, table: str, name: str) -> str:
    """File and line of a rule or connection; the file alone where its key is written in an unexpected way."""
    spelled = "|".join(re.escape(form) for form in (name, f'"{name}"', f"'{name}'"))
    key = re.compile(rf"\s*(?:{spelled})\s*[=.]")
    head = re.compile(rf"\s*\[(?:tool\.asl\.)?{table}(?:\.(?P<name>{spelled}))?\s*\]")
    is_inside = False
    for number, line in enumerate(text.splitlines(), 1):
        found = head.match(line)
        if (found and found["name"]) or (is_inside and key.match(line)):
            return f"{path}, line {number}"
        is_inside = found is not None or (is_inside and not line.lstrip().startswith("["))
    return str(path)


def _quoted(pattern: str) -> str:
    return pattern if re.fullmatch(r"[\w-]+", pattern) else f'"{pattern}"'
