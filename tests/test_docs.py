"""The documents are true. Their examples run: the Python blocks of one document, in order, as one program.

Functions that are named as tests are called after it.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path
from types import FunctionType

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT / "docs" / "howto", ROOT / "docs" / "reference"]
DOCUMENTS = [ROOT / "README.md", *(path for folder in FOLDERS for path in sorted(folder.glob("*.md")))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def with_examples() -> list[Path]:
    return [path for path in DOCUMENTS if path.exists() and BLOCK.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", with_examples(), ids=lambda path: path.name)
def test_the_examples_of_a_document_run(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "example"}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(path), "exec"), names)
    for name, value in names.items():
        if name.startswith("test_") and isinstance(value, FunctionType):
            value()


def test_there_are_examples():
    assert {"handlers.md", "library.md", "testing.md"} <= {path.name for path in with_examples()}


def test_each_dependency_is_accounted_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[^\w-]", requirement, maxsplit=1)[0] for requirement in wanted} - {project["name"]}
    told = (ROOT / "docs/dependencies.md").read_text()
    assert {name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", told)} == set()
