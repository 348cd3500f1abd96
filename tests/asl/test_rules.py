"""One file a rule: `invalid/` holds what is refused, with all that is to be said about it; `valid/` what must pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.asl.parser import Parsed, parse

FOLDER = Path(__file__).parent
INVALID = sorted((FOLDER / "invalid").glob("*.asl.json"))
VALID = sorted((FOLDER / "valid").glob("*.asl.json"))


def read(path: Path) -> tuple[dict[str, Any], str, Parsed]:
    case = json.loads(path.read_text(encoding="utf-8"))
    source = case["text"] if "text" in case else json.dumps(case["definition"], indent=2)
    return case, source, parse(source, type=case.get("type", "STANDARD"))


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name.removesuffix(".asl.json"))
def test_everything_wrong_is_reported_and_nothing_else(path: Path) -> None:
    case, source, parsed = read(path)
    found = [
        {"code": diagnostic.code, "message": diagnostic.message}
        | ({} if diagnostic.location is None else {"location": diagnostic.location})
        for diagnostic in parsed.diagnostics
        if diagnostic.severity == "ERROR"
    ]
    assert found == case["diagnostics"]
    assert parsed.program is None
    if source.strip() not in ("", "[]"):
        assert all(diagnostic.line is not None for diagnostic in parsed.diagnostics)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name.removesuffix(".asl.json"))
def test_what_is_legal_is_accepted(path: Path) -> None:
    _, _, parsed = read(path)
    assert [str(diagnostic) for diagnostic in parsed.diagnostics if diagnostic.severity == "ERROR"] == []
    assert parsed.program is not None


def test_there_is_a_file_for_every_rule_an_error_has() -> None:
    """The rules' names as they stand in the code, against those that the files make appear."""
    import re

    import engine.asl

    sources = "".join(path.read_text() for path in Path(engine.asl.__path__[0]).glob("*.py"))
    written = set(re.findall(r'(?:report\.error|_invalid_text|_invalid)\(\s*"([a-z0-9.-]+)"', sources))
    seen = {diagnostic.rule for path in INVALID for diagnostic in read(path)[2].diagnostics}
    # Of texts that are no JSON or YAML at all: tests/asl/test_source.py.
    elsewhere = {"invalid-machine-name"}
    assert written - seen == elsewhere
