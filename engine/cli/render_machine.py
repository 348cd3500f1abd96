"""Diagnostics for programs: JSON, SARIF 2.1.0, and the workflow commands that GitHub turns into annotations."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine.cli.render_text import code_of, short_message
from engine.cli.version import version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.asl.diagnostics import Diagnostic
    from engine.cli.definitions import Definition
    from engine.jsonvalue import Json

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_OURS = ("pointer", "line", "column", "end_line", "end_column", "rule", "hint")


def json_report(definitions: Sequence[Definition]) -> Json:
    """For each file AWS's ValidateStateMachineDefinition answer (api.md 8), and beside it what AWS does not tell.

        {"result": "FAIL", "files": [{"file": "order.json", "result": "FAIL", "truncated": false, "diagnostics": [
            {"severity": "ERROR", "code": "MISSING_TRANSITION_TARGET", "message": "Missing 'Next' target: B",
             "location": "/States/A/Next", "pointer": "/States/A/Next", "line": 7, "column": 15, "end_line": 7,
             "end_column": 18, "rule": "missing-target", "hint": "..."}]}]}

    `location`, as on AWS, and the members after it are absent where they do not apply.
    """
    return {
        "result": _result(any(definition.has_errors for definition in definitions)),
        "files": [
            {
                "file": definition.file,
                "result": _result(definition.has_errors),
                "diagnostics": [_as_json(diagnostic) for diagnostic in definition.diagnostics],
                "truncated": False,
            }
            for definition in definitions
        ],
    }


def _result(has_errors: bool) -> str:
    return "FAIL" if has_errors else "OK"


def _as_json(diagnostic: Diagnostic) -> dict[str, Json]:
    shown: dict[str, Json] = {
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "location": diagnostic.location,
    }
    shown |= {name: getattr(diagnostic, name) for name in _OURS}
    return {name: value for name, value in shown.items() if value is not None}


def sarif_report(definitions: Sequence[Definition]) -> Json:
    """A SARIF log of one run. Columns count characters, as `columnKind` says; relative paths stay relative.

    Source: SARIF 2.1.0, and what GitHub's "SARIF support for code scanning" requires beyond it.
    """
    rules: list[str] = []
    for definition in definitions:
        rules += (each.rule for each in definition.diagnostics if each.rule not in rules)
    results: list[Json] = [
        _sarif_result(definition.file, diagnostic, rules.index(diagnostic.rule))
        for definition in definitions
        for diagnostic in definition.diagnostics
    ]
    driver: dict[str, Json] = {
        "name": "asl validate",
        "semanticVersion": version(),
        # GitHub wants a description; the name of a rule is one.
        "rules": [{"id": rule, "shortDescription": {"text": rule.replace("-", " ")}} for rule in rules],
    }
    run: dict[str, Json] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_result(file: str, diagnostic: Diagnostic, rule_index: int) -> Json:
    physical: dict[str, Json] = {"artifactLocation": {"uri": _uri(file)}}
    if diagnostic.line is not None:
        region = {
            "startLine": diagnostic.line,
            "startColumn": diagnostic.column,
            "endLine": diagnostic.end_line,
            "endColumn": diagnostic.end_column,
        }
        physical["region"] = {name: value for name, value in region.items() if value is not None}
    location: dict[str, Json] = {"physicalLocation": physical}
    if diagnostic.pointer is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": diagnostic.pointer}]
    message = short_message(diagnostic)
    return {
        "ruleId": diagnostic.rule,
        "ruleIndex": rule_index,
        "level": diagnostic.severity.lower(),
        "message": {"text": f"{message}; {diagnostic.hint}" if diagnostic.hint else message},
        "locations": [location],
        "properties": {"code": diagnostic.code},
    }


def _uri(file: str) -> str:
    if file == "<stdin>":
        return "stdin"
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def github_report(definitions: Sequence[Definition]) -> list[str]:
    """One `::error` or `::warning` command for each diagnostic.

    Source: GitHub's "Workflow commands for GitHub Actions"; the characters to escape are those of its toolkit.
    """
    return [_github_command(definition.file, each) for definition in definitions for each in definition.diagnostics]


def _github_command(file: str, diagnostic: Diagnostic) -> str:
    places = {
        "file": file,
        "line": diagnostic.line,
        "endLine": diagnostic.end_line,
        "col": diagnostic.column,
        # GitHub wants columns only where a place is within one line.
        "endColumn": diagnostic.end_column if diagnostic.line == diagnostic.end_line else None,
        "title": code_of(diagnostic),
    }
    told = ",".join(f"{name}={_property(str(value))}" for name, value in places.items() if value is not None)
    message = "; ".join(part for part in (short_message(diagnostic), diagnostic.hint) if part)
    return f"::{diagnostic.severity.lower()} {told}::{_message(message)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
