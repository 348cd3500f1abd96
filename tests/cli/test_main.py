"""The command itself: how it starts, and how it ends."""

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from engine.cli.main import main
from tests.cli.command_line import PROCESS, asl, asl_process, environment, write_definition

HEAVY = (
    "rich", "anyio", "asyncio", "structlog", "yaml", "jlens", "jsonpath_ng", "boto3", "sqlalchemy", "msgspec",
    "psycopg", "alembic",
)  # fmt: skip


def imported(*words: str, cwd: Path | None = None) -> set[str]:
    """The top-level packages that a process imports."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "engine", *words],
        capture_output=True, text=True, env=environment(), cwd=cwd, check=True,
    )  # fmt: skip
    return {found.group(1) for found in re.finditer(r"\|\s+([A-Za-z_]\w*)", run.stderr)}


@pytest.mark.parametrize("words", [["--help"], ["--version"]] + [[name, "--help"] for name in main.list_commands(None)])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    assert imported(*words).isdisjoint(HEAVY)


def test_validating_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    path = write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "End": True}})
    assert imported("validate", path).isdisjoint({"rich", "anyio", "asyncio", "structlog", "yaml", "boto3"})


@pytest.mark.parametrize("words", [["--help"], ["validate", "--help"]])
def test_help_takes_less_than_150_ms(words: list[str]) -> None:
    # CPU time, because other processes of a test run take turns with this one; the best of some, for the same reason.
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*PROCESS, *words], stdout=subprocess.DEVNULL, env=environment(), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_seconds() for _ in range(5)) < 0.150


@pytest.mark.parametrize("name", main.list_commands(None))
def test_the_line_in_the_list_of_commands_is_the_commands_own(name: str) -> None:
    command = main.get_command(None, name)
    assert command.help.partition("\n")[0] in asl("--help").stdout


def test_help_keeps_lists_as_they_are() -> None:
    assert '\n    mock:{"ok": true}     a fixed result\n' in asl("run", "--help").stdout
    assert "\n  asl eval '$.items[0].price'" in asl("eval", "--help").stdout


def test_without_a_command_help_is_shown_and_the_exit_code_is_that_of_wrong_usage() -> None:
    result = asl()
    assert (result.exit_code, "Run here:" in result.stderr) == (1, True)


def test_commands_are_listed_by_what_they_are_for() -> None:
    text = asl("--help").stdout
    here, _, fleet = text.partition("Operate a fleet:")
    assert all(f"\n  {name} " in here for name in ("run", "validate", "graph", "eval"))
    assert all(f"\n  {name} " in fleet for name in ("worker", "deploy", "start", "ls", "get", "history", "wait", "db"))


def test_wrong_usage_exits_with_1() -> None:
    assert asl("validate", "--nonsense").exit_code == 1
    assert asl("validate").exit_code == 1
    assert asl("graph", "no-such-file.json").exit_code == 1


def test_a_misspelt_command_is_guessed() -> None:
    result = asl("vaildate")
    assert result.exit_code == 1
    assert "Did you mean 'validate'?" in result.stderr


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"asl \S+\n", asl("--version").stdout)


def test_an_internal_error_is_told_as_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("two and two are five")

    monkeypatch.setattr("engine.asl.parser.parse", fail)
    result = asl("validate", write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "End": True}}))
    assert result.exit_code == 70
    assert "AssertionError: two and two are five" in result.stderr
    assert "please report it" in result.stderr


def test_an_interrupt_exits_with_4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.asl.parser.parse", interrupt)
    result = asl("validate", write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "End": True}}))
    assert (result.exit_code, "Traceback" in result.stderr) == (4, False)


@pytest.mark.parametrize("command", ["eval", "run"])
def test_a_reader_that_goes_away_is_no_error(command: str, tmp_path: Path) -> None:
    given = tmp_path / "input.json"
    given.write_text(json.dumps(["x" * 80] * 5_000))
    machine = write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "End": True}})
    what = ["$"] if command == "eval" else [machine, "--limits", "off", "--quiet"]
    with asl_process(command, *what, "-i", f"@{given}") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "words", [["eval", "1 + 1"], ["run", "a.json"], ["run", "a.json", "--jsonl", "-i", "@i.jsonl"]]
)
def test_output_that_cannot_be_written_is_named_and_no_fault_of_ours(words: list[str], tmp_path: Path) -> None:
    write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "End": True}})
    (tmp_path / "i.jsonl").write_text("1\n2\n")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*PROCESS, *words],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, "Error: stdout: No space left on device")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize(("closed", "shown"), [("<&-", "1\n"), (">&-", ""), ("2>&-", "1\n"), ("<&- >&- 2>&-", "")])
def test_streams_that_are_closed_are_no_error(closed: str, shown: str, tmp_path: Path) -> None:
    machine = write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "End": True}})
    line = shlex.join([*PROCESS, "run", machine, "-i", "1"])
    ended = subprocess.run(
        ["sh", "-c", f"{line} {closed}"], env=environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, shown)
    assert "Traceback" not in ended.stderr


def test_colours_are_only_for_terminals(tmp_path: Path) -> None:
    path = write_definition(tmp_path / "a.json", {"A": {"Type": "Pass"}})
    assert "\x1b" not in asl("validate", path).stdout


def test_colours_can_be_asked_for_and_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_definition(tmp_path / "a.json", {"A": {"Type": "Pass"}})
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in asl("validate", path).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in asl("validate", path).stdout


def test_commands_and_options_can_be_completed_in_a_shell() -> None:
    shell = ShellComplete(main, {}, "asl", "_ASL_COMPLETE")
    assert [item.value for item in shell.get_completions([], "va")] == ["validate"]
    assert [item.value for item in shell.get_completions(["validate"], "--for")] == ["--format"]
    assert [item.value for item in shell.get_completions(["graph", "--format"], "s")] == ["svg"]
