"""Everything in asl_examples/ does what its README and its expected files say, in the library and on the command line.

The commands in the READMEs are the cases: each names a definition, an input and handlers, and `input-<case>.json` ends
as `expected-<case>.json` says.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine import ExecutionFailed, Handlers, blocking
from engine.asl.parser import parse
from engine.asl.program import TaskState, flows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.asl.program import Flow
    from engine.asl.source import Syntax

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "asl_examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith("_"))
MACHINE = "Order"
"""What mock configurations of examples call their state machine."""

EXIT_CODES = {"SUCCEEDED": 0, "FAILED": 2, "TIMED_OUT": 3, "ABORTED": 4}

_COMMAND = re.compile(r"^\$ (asl run .*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command of a README. Paths are as the command has them, from the root of the project."""

    words: list[str]
    definition: str
    input: str
    handlers: str | None
    handlers_file: str | None
    mock_config: str | None
    test_case: str | None
    targets: list[str]
    type: Any

    @property
    def id(self) -> str:
        return f"{Path(self.definition).parent.name}/{Path(self.input).stem}"

    @property
    def expected(self) -> dict[str, Any]:
        path = ROOT / self.input
        value = json.loads(path.with_name(path.name.replace("input", "expected", 1)).read_text(encoding="utf-8"))
        assert isinstance(value, dict)
        return value


def case_of(command: str) -> Case:
    """What `asl run` would make of the words."""
    words = shlex.split(command)
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("definition")
    parser.add_argument("-i", dest="input", required=True)
    parser.add_argument("-t", dest="targets", action="append", default=[])
    for option in ("--handlers", "--handlers-file", "--mock-config", "--test-case"):
        parser.add_argument(option)
    parser.add_argument("--type", default="STANDARD")
    given = parser.parse_args(words[2:])
    assert given.input.startswith("@"), command
    return Case(words=words, **{**vars(given), "input": given.input[1:]})


def cases_in(folder: Path) -> list[Case]:
    return [case_of(command) for command in _COMMAND.findall((folder / "README.md").read_text(encoding="utf-8"))]


def definition_in(folder: Path) -> Path:
    (path,) = folder.glob("state_machine.asl.*")
    return path


CASES = [case for folder in FOLDERS for case in cases_in(folder)]
# A process takes half a second: the first command of each README and every one that tells of a failure.
PROCESS_CASES = [case for case in CASES if case.id.endswith("/input") or case.expected["status"] != "SUCCEEDED"]

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_case
def test_the_library_gives_what_is_expected(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # targets such as cmd: have paths from here
    assert_as_expected(run(case), case.expected)


@pytest.mark.parametrize("case", PROCESS_CASES, ids=lambda case: case.id)
def test_the_command_in_the_readme_gives_what_is_expected(case: Case) -> None:
    command = [sys.executable, "-m", "engine", *case.words[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    expected = case.expected
    assert done.returncode == EXIT_CODES[expected["status"]], done.stderr
    if expected["status"] == "SUCCEEDED":
        assert json.loads(done.stdout) == expected["output"]
    else:
        assert done.stdout == ""
        assert expected["status"] in done.stderr
        assert expected.get("error", "") in done.stderr
    assert "Traceback" not in done.stderr


def run(case: Case) -> dict[str, Any]:
    """Status, and output or error and cause, as an expected file has them."""
    handlers = Handlers(None if case.handlers is None else module_at(ROOT / case.handlers))
    if case.handlers_file is not None:
        handlers.include(Handlers.from_file(ROOT / case.handlers_file))
    for target in case.targets:
        state, _, spec = target.partition("=")
        handlers.add(state, spec)
    data = json.loads((ROOT / case.input).read_text(encoding="utf-8"))
    definition = ROOT / case.definition
    mocks = None if case.mock_config is None else ROOT / case.mock_config
    try:
        with blocking.Engine.in_memory(handlers, clock="virtual", mock_config=mocks) as engine:
            machine = engine.create_state_machine(definition, MACHINE, type=case.type)
            output = engine.run(machine if case.test_case is None else f"{MACHINE}#{case.test_case}", data)
    except ExecutionFailed as failed:
        return {"status": failed.status, "error": failed.error, "cause": failed.cause}
    return {"status": "SUCCEEDED", "output": output}


def module_at(path: Path) -> object:
    """The registry of a handlers.py, or the module itself; not kept, because all of them have the same name."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_handlers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "handlers", module)


def assert_as_expected(got: dict[str, Any], expected: dict[str, Any]) -> None:
    """What an expected file leaves out depends on time or chance."""
    assert {key: got.get(key) for key in expected} == expected


# ── definitions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@each_folder
def test_a_definition_has_neither_errors_nor_warnings(folder: Path) -> None:
    path = definition_in(folder)
    syntax: Syntax = "YAML" if path.suffix == ".yaml" else "JSON"
    parsed = parse(path.read_bytes(), syntax=syntax, type=cases_in(folder)[0].type)
    assert parsed.diagnostics == ()


def test_the_validate_command_agrees() -> None:
    files = [str(definition_in(folder).relative_to(ROOT)) for folder in FOLDERS]
    command = [sys.executable, "-m", "engine", "validate", "--strict", "--quiet", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each_folder
def test_every_handler_is_for_a_task(folder: Path) -> None:
    path = definition_in(folder)
    program = parse(path.read_bytes(), syntax="YAML" if path.suffix == ".yaml" else "JSON").program
    assert program is not None
    has_tasks = any(True for _ in task_states(program))
    gives_handlers = any(case.handlers or case.handlers_file or case.targets for case in cases_in(folder))
    assert has_tasks == gives_handlers
    assert (folder / "handlers.py").exists() == any(case.handlers for case in cases_in(folder))


def task_states(flow: Flow) -> Iterator[TaskState]:
    for state in flow.states.values():
        if isinstance(state, TaskState):
            yield state
        for inner in flows_of(state):
            yield from task_states(inner)


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────


@each_folder
def test_a_readme_has_a_command_for_every_input_of_its_folder(folder: Path) -> None:
    cases = cases_in(folder)
    here = folder.relative_to(ROOT)
    assert cases[0].input == f"{here}/input.json"
    assert sorted(case.input for case in cases) == sorted(f"{here}/{path.name}" for path in folder.glob("input*.json"))
    assert {case.definition for case in cases} == {f"{here}/{definition_in(folder).name}"}
    assert {case.handlers for case in cases} <= {None, f"{here}/handlers.py"}
    assert {case.handlers_file for case in cases} <= {None, f"{here}/asl.toml"}
    assert {case.mock_config for case in cases} <= {None, f"{here}/MockConfigFile.json"}


@each_folder
def test_every_input_has_an_expected_file_and_the_readme_links_it(folder: Path) -> None:
    expected = {path.name for path in folder.glob("expected*.json")}
    assert expected == {path.name.replace("input", "expected", 1) for path in folder.glob("input*.json")}
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert expected == set(re.findall(r"\]\((expected[^)]*\.json)\)", readme))


def test_the_table_lists_every_example_once_and_begins_with_the_order_saga() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)/README\.md\)", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert all(name == link for name, link in listed)
    names = [name for name, _ in listed]
    assert names[0] == "order_saga"
    assert sorted(names) == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("readme", ["README.md", "asl_examples/README.md"])
def test_the_first_command_of_a_front_page_is_that_of_the_order_saga(readme: str) -> None:
    first = " ".join(cases_in(EXAMPLES / "order_saga")[0].words)
    assert first in (ROOT / readme).read_text(encoding="utf-8")
