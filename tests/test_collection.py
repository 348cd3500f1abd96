"""No test is written where nobody would run it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def hidden(tree: ast.Module) -> Iterator[str]:
    """Tests inside of functions, where a wrong indentation puts them; and those whose name comes twice."""
    for scope in ast.walk(tree):
        if isinstance(scope, FUNCTION):
            yield from (one.name for one in ast.walk(scope) if one is not scope and is_test(one))  # type: ignore[attr-defined]
        elif isinstance(scope, ast.ClassDef | ast.Module):
            names = [one.name for one in scope.body if is_test(one)]  # type: ignore[attr-defined]
            yield from (name for name in names if names.count(name) > 1)


def is_test(node: ast.AST) -> bool:
    return isinstance(node, FUNCTION) and node.name.startswith("test_")


def test_every_test_is_one_that_pytest_finds():
    files = sorted(TESTS.rglob("*.py"))
    assert Path(__file__) in files
    found = {f"{file.relative_to(TESTS)}: {name}" for file in files for name in hidden(ast.parse(file.read_text()))}
    assert not found
