"""What `asl validate` says, in each format, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import PASS, asl, write_definition

GOOD = {"A": PASS}
DANGLING = '{\n  "StartAt": "A",\n  "States": {\n    "A": {"Type": "Pass", "Next": "Nope"}\n  }\n}\n'
WARNED = {"A": {"Type": "Pass", "Next": "B", "Assign": {"unused": 1}}, "B": PASS}
TEMPLATE = {"Resources": {"M": {"Type": "AWS::Serverless::StateMachine", "Properties": {"DefinitionUri": "a.json"}}}}


@pytest.fixture
def dangling(tmp_path: Path) -> str:
    path = tmp_path / "bad.asl.json"
    path.write_text(DANGLING)
    return str(path)


@pytest.fixture
def warned(tmp_path: Path) -> str:
    """Has one warning of AWS's: a path in a field that does not end in `.$`."""
    states = {"A": {"Type": "Pass", "Parameters": {"x": "$.y"}, "End": True}}
    path = write_definition(tmp_path / "warned.json", states)
    assert asl("validate", path).stdout.count("warning[") == 1
    return path


def test_a_good_definition_is_said_to_have_no_problems(tmp_path: Path) -> None:
    result = asl("validate", write_definition(tmp_path / "a.json", GOOD))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "1 file: no problems\n")


def test_quiet_says_nothing_about_a_good_definition(tmp_path: Path) -> None:
    result = asl("validate", "--quiet", write_definition(tmp_path / "a.json", GOOD))
    assert (result.exit_code, result.output) == (0, "")


def test_an_error_is_shown_with_its_line_and_carets(dangling: str) -> None:
    result = asl("validate", dangling)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:5] == [
        f"{dangling}:4:35: error[MISSING_TRANSITION_TARGET]: Missing 'Next' target: Nope",
        "  |",
        '4 |     "A": {"Type": "Pass", "Next": "Nope"}',
        "  |                                   ^^^^^^",
        "  = in /States/A/Next",
    ]
    assert result.stderr == "1 file: 2 errors\n"


def test_yaml_is_shown_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("StartAt: A\nStates:\n  A:\n    Type: Passs\n    End: true\n")
    result = asl("validate", str(path))
    assert result.exit_code == 1
    assert f"{path}:4:11: error" in result.stdout
    assert "\n4 |     Type: Passs\n  |           ^^^^^\n" in result.stdout


def test_text_that_is_no_json_is_shown_where_it_stops_being_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n  "StartAt": "A"\n  "States": {}\n}')
    result = asl("validate", str(path))
    assert result.exit_code == 1
    assert f"{path}:3:3: error[INVALID_JSON_DESCRIPTION]: Unexpected character" in result.stdout
    assert '3 |   "States": {}\n  |   ^\n' in result.stdout
    assert "[Source" not in result.stdout


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b'"x"', b"{" * 5_000, b"[" * 100_000])
def test_whatever_a_file_holds_is_answered_with_a_diagnostic(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    result = asl("validate", str(path))
    assert result.exit_code == 1
    assert "error[" in result.stdout


def test_stdin_may_be_json_or_yaml() -> None:
    assert asl("validate", "-", stdin='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}').exit_code == 0
    assert asl("validate", "-", stdin="StartAt: A\nStates:\n  A:\n    Type: Succeed\n").exit_code == 0
    result = asl("validate", "-", stdin="StartAt: B\nStates:\n  A:\n    Type: Succeed\n")
    assert (result.exit_code, result.stdout.startswith("<stdin>:1:10: error")) == (1, True)


def test_stdin_can_be_named_only_once() -> None:
    assert asl("validate", "-", "-", stdin="{}").exit_code == 1


def test_several_files_are_summed_up(dangling: str, tmp_path: Path) -> None:
    good = write_definition(tmp_path / "good.json", GOOD)
    result = asl("validate", good, dangling, dangling)
    assert (result.exit_code, result.stderr) == (1, "3 files: 4 errors\n")


def test_warnings_do_not_fail(warned: str) -> None:
    result = asl("validate", warned)
    assert (result.exit_code, result.stderr) == (0, "1 file: 1 warning\n")


def test_strict_makes_warnings_errors(warned: str) -> None:
    result = asl("validate", "--strict", warned)
    assert (result.exit_code, result.stderr) == (1, "1 file: 1 error\n")


def test_what_only_express_refuses_is_an_error_with_its_type(tmp_path: Path) -> None:
    states = {
        "A": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": "q", "MessageBody": "m"},
            "End": True,
        }
    }
    path = write_definition(tmp_path / "a.json", states)
    assert asl("validate", path).exit_code == 0
    assert asl("validate", "--type", "EXPRESS", path).exit_code == 1
    assert asl("validate", "--type", "express", path).exit_code == 1


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_template_is_refused_by_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"template.{suffix}"
    yaml = "Transform: AWS::Serverless-2016-10-31\nResources:\n  M:\n    Role: !GetAtt R.Arn\n"
    path.write_text(json.dumps(TEMPLATE) if suffix == "json" else yaml)
    result = asl("validate", str(path))
    assert result.exit_code == 1
    assert "CloudFormation or SAM template" in result.stdout
    assert "DefinitionUri" in result.stdout


def test_a_definition_that_mentions_resources_is_no_template(tmp_path: Path) -> None:
    states = {"Resources": {"Type": "Pass", "Comment": "AWS::Lambda::Function", "End": True}}
    assert asl("validate", write_definition(tmp_path / "a.json", states)).exit_code == 0


# ── json ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def report(*words: str) -> Any:
    return json.loads(asl("validate", *words).stdout)


def test_json_has_awss_answer_for_each_file(dangling: str, tmp_path: Path) -> None:
    good = write_definition(tmp_path / "good.json", GOOD)
    found = report("--format", "json", good, dangling)
    assert found["result"] == "FAIL"
    assert found["files"][0] == {"file": good, "result": "OK", "diagnostics": [], "truncated": False}
    assert found["files"][1]["result"] == "FAIL"
    first = found["files"][1]["diagnostics"][0]
    assert {name: first[name] for name in ("severity", "code", "message", "location")} == {
        "severity": "ERROR",
        "code": "MISSING_TRANSITION_TARGET",
        "message": "Missing 'Next' target: Nope",
        "location": "/States/A/Next",
    }
    assert (first["line"], first["column"], first["end_line"], first["end_column"]) == (4, 35, 4, 41)
    assert first["pointer"] == "/States/A/Next"


def test_json_of_files_with_warnings_alone_is_ok(warned: str) -> None:
    found = report("--format", "json", warned)
    assert (found["result"], found["files"][0]["diagnostics"][0]["severity"]) == ("OK", "WARNING")


# ── SARIF ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sarif_has_what_the_standard_requires(dangling: str, warned: str) -> None:
    log = report("--format", "sarif", dangling, warned)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    driver = run["tool"]["driver"]
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert [result["level"] for result in run["results"]] == ["error", "error", "warning"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        region = location["physicalLocation"]["region"]
        assert all(isinstance(value, int) and value >= 1 for value in region.values())
        assert (region["startLine"], region["startColumn"]) < (region["endLine"], region["endColumn"])


def test_sarif_gives_the_region_and_the_file(dangling: str) -> None:
    result = report("--format", "sarif", dangling)["runs"][0]["results"][0]
    place = result["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": Path(dangling).as_uri()},
        "region": {"startLine": 4, "startColumn": 35, "endLine": 4, "endColumn": 41},
    }
    assert place["logicalLocations"] == [{"fullyQualifiedName": "/States/A/Next"}]


def test_sarif_escapes_file_names_as_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b#é.json").write_text(DANGLING)
    result = report("--format", "sarif", "a b#é.json")["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%23%C3%A9.json"


def test_sarif_of_a_good_file_has_an_empty_list_of_results(tmp_path: Path) -> None:
    log = report("--format", "sarif", write_definition(tmp_path / "a.json", GOOD))
    assert log["runs"][0]["results"] == []


# ── GitHub ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_github_gets_a_command_for_each_diagnostic(dangling: str) -> None:
    result = asl("validate", "--format", "github", dangling)
    assert result.exit_code == 1
    first, *others = result.stdout.splitlines()
    assert first == (
        f"::error file={dangling},line=4,endLine=4,col=35,endColumn=41,title=MISSING_TRANSITION_TARGET"
        "::Missing 'Next' target: Nope"
    )
    assert len(others) == 1


def test_github_commands_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    states = {"A": {"Type": "Pass", "Next": "50%\r\n,:"}}
    path = write_definition(Path("a,b:c%.json"), states)
    first = asl("validate", "--format", "github", path).stdout.splitlines()[0]
    assert first.startswith("::error file=a%2Cb%3Ac%25.json,")
    assert first.endswith("target: 50%25%0D%0A,:")


def test_github_gets_no_columns_for_what_spans_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": 1, "ResultPath": [\n]}}}')
    commands = asl("validate", "--format", "github", str(path)).stdout
    assert "::error" in commands
    for command in commands.splitlines():
        properties = dict(part.split("=") for part in command.split("::")[1].partition(" ")[2].split(","))
        assert ("endColumn" in properties) == (properties["line"] == properties["endLine"])
