"""`-t` and `--handlers`: what does the Tasks, and what is said when it cannot."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine.blocking
from engine.cli.targets import read_handlers
from tests.cli.command_line import TASK, asl, write_definition

HANDLERS = """
def charge(event, context):
    print("charging")
    return {"charged": event, "attempt": context.attempt}

async def ship_order(event):
    return "shipped"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def charge(here: Path) -> str:
    return write_definition(here / "m.json", {"Charge": TASK})


def test_a_fixed_result(charge: str) -> None:
    assert asl("run", charge, "-t", 'Charge=mock:{"ok": true}').stdout == '{"ok":true}\n'


def test_a_fixed_failure(charge: str) -> None:
    result = asl("run", charge, "-t", "Charge=fail:Boom:it: burst")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "FAILED: Boom" in result.stderr
    assert "it: burst" in result.stderr


def test_a_command(charge: str) -> None:
    assert asl("run", charge, "-i", "[1]", "-t", "Charge=cmd:cat").stdout == "[1]\n"


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("aws:?endpoint=http://127.0.0.1:1", "Lambda.SdkClientException"),
        ("aws:?region=eu-west-1&endpoint=http://127.0.0.1:1", "Lambda.SdkClientException"),
        ("http://127.0.0.1:1/charge", "Endpoint.NotReached"),
        ("https://127.0.0.1:1/charge?a=b", "Endpoint.NotReached"),
    ],
)
def test_a_service_of_aws_and_an_endpoint(
    target: str, error: str, charge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    result = asl("run", charge, "-t", f"Charge={target}")
    assert result.exit_code == 2
    assert f"FAILED: {error}" in result.stderr


def test_a_function_of_a_module_in_the_current_directory(charge: str, here: Path) -> None:
    (here / "shop.py").write_text(HANDLERS)
    result = asl("run", charge, "-i", "7", "-t", "Charge=shop:charge")
    assert result.stdout == '{"charged":7,"attempt":0}\n'
    assert "charging\n" in result.stderr


def test_the_functions_of_a_module_by_the_names_of_the_states(here: Path) -> None:
    (here / "shop2.py").write_text(HANDLERS)
    machine = write_definition(here / "m.json", {"Ship Order": TASK})
    assert asl("run", machine, "--handlers", "shop2").stdout == '"shipped"\n'


def test_the_functions_of_a_file(charge: str, here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "shop3.py").write_text(HANDLERS)
    assert asl("run", charge, "--handlers", "sub/shop3.py", "-i", "1").stdout == '{"charged":1,"attempt":0}\n'


def test_the_registry_of_a_module(charge: str, here: Path) -> None:
    (here / "shop4.py").write_text(
        "from engine import Handlers\nhandlers = Handlers()\n"
        "@handlers.task('arn:aws:lambda:*')\ndef anything(event): return 'glob'\n"
    )
    assert asl("run", charge, "--handlers", "shop4").stdout == '"glob"\n'


def test_a_target_goes_before_the_module(charge: str, here: Path) -> None:
    (here / "shop5.py").write_text(HANDLERS)
    assert asl("run", charge, "--handlers", "shop5", "-t", "Charge=mock:1").stdout == "1\n"


def test_a_glob_stands_for_all_that_have_no_other(here: Path) -> None:
    first = {"Type": "Task", "Resource": TASK["Resource"], "ResultPath": "$.a", "Next": "B"}
    states = {"A": first, "B": {**TASK, "ResultPath": "$.b"}}
    machine = write_definition(here / "m.json", states)
    assert asl("run", machine, "-t", "*=mock:1", "-t", "B=mock:2").stdout == '{"a":1,"b":2}\n'


def test_a_state_may_have_an_equals_sign_in_its_name(here: Path) -> None:
    machine = write_definition(here / "m.json", {"a=b": TASK})
    assert asl("run", machine, "-t", 'a=b=mock:{"x=y": "c=mock:1"}').stdout == '{"x=y":"c=mock:1"}\n'


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("Charge", "expected STATE=TARGET"),
        ("Charge=", "expected STATE=TARGET"),
        ("=mock:1", "expected STATE=TARGET"),
        ("Charge=nothing", "expected STATE=TARGET"),
        ("Charge=mock:{", "column"),
        ("Charge=fail:", "fail:Error:cause"),
        ("Charge=cmd:no-such-command-anywhere", "no such command"),
        ("Charge=cmd:", "expected"),
        ("Charge=no_such_module:f", "no_such_module"),
        ("Charge=json:no_such_function", "no_such_function"),
        ("Charge=broken:f", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_target_that_cannot_be_is_wrong_usage_and_named(target: str, said: str, charge: str, here: Path) -> None:
    (here / "broken.py").write_text("\n1 / 0\n")
    result = asl("run", charge, "-t", target)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"-t {target}: " in result.stderr
    assert said in result.stderr


def test_a_fault_in_the_users_module_is_placed(charge: str, here: Path) -> None:
    (here / "broken2.py").write_text("\n\nundefined_name\n")
    result = asl("run", charge, "--handlers", "broken2")
    assert result.exit_code == 1
    assert "NameError" in result.stderr
    assert f"{here / 'broken2.py'}, line 3" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("module", ["no_such_module", "missing.py", "empty.py", "json.py"])
def test_a_module_that_cannot_be_used_is_wrong_usage(module: str, charge: str, here: Path) -> None:
    (here / "empty.py").write_text("")
    (here / "json.py").write_text(HANDLERS)
    result = asl("run", charge, "--handlers", module)
    assert (result.exit_code, "--handlers" in result.stderr) == (1, True)


def test_tasks_without_a_handler_are_listed_with_a_target_to_paste(here: Path) -> None:
    machine = write_definition(here / "m.json", {"Charge it": {**TASK, "End": True}})
    result = asl("run", machine)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Charge it calls arn:aws:lambda:us-east-1:123456789012:function:f" in result.stderr
    assert "\n  -t 'Charge it=mock:{}'\n" in result.stderr
    assert asl("run", machine, "-t", "Charge it=mock:{}").exit_code == 0


def test_the_target_to_paste_has_the_envelope_that_the_task_gives(here: Path) -> None:
    resource = "arn:aws:states:::lambda:invoke"
    call = {"Type": "Task", "Resource": resource, "Parameters": {"FunctionName": "f"}, "OutputPath": "$.Payload"}
    asked = {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}}
    ask = {"Type": "Task", "Resource": f"{resource}.waitForTaskToken", "Parameters": asked, "End": True}
    machine = write_definition(here / "m.json", {"Call": {**call, "Next": "Ask"}, "Ask": ask})
    assert "\n  -t 'Call=mock:{\"Payload\": {}}'\n  -t 'Ask=mock:{}'\n" in asl("run", machine).stderr
    assert asl("run", machine, "-t", 'Call=mock:{"Payload": {}}', "-t", "Ask=mock:{}").exit_code == 0


def test_a_target_that_fits_no_task_is_pointed_out(here: Path) -> None:
    machine = write_definition(here / "m.json", {"Charge": TASK})
    result = asl("run", machine, "-t", "Chrage=mock:1", "-t", "*=mock:2", "-t", "f=mock:3", "-t", "arn:*:g=mock:4")
    assert (result.exit_code, result.stdout) == (0, "3\n")
    assert [line for line in result.stderr.splitlines() if line.startswith("Warning")] == [
        "Warning: -t 'Chrage' fits no Task state, function or Resource; did you mean 'Charge'?",
        "Warning: -t 'arn:*:g' fits no Task state, function or Resource",
    ]
    assert asl("run", machine, "-t", "Chrage=mock:1", "-t", "*=mock:2", "--quiet").stderr == ""


def test_no_target_is_pointed_out_where_the_function_comes_from_data(here: Path) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    machine = write_definition(here / "m.json", {"Call": {**task, "Parameters": {"FunctionName.$": "$.f"}}})
    result = asl("run", machine, "-i", '{"f": "ship"}', "-t", "ship=mock:1", "-t", "pack=mock:2")
    assert (result.stdout, "Warning" in result.stderr) == ("1\n", False)


def test_a_handler_that_is_missed_only_at_run_time_is_no_failure_of_the_state_machine(here: Path) -> None:
    states = {
        "Invoke": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName.$": "$.f"},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
            "End": True,
        },
        "Caught": {"Type": "Pass", "End": True},
    }
    result = asl("run", write_definition(here / "m.json", states), "-i", '{"f": "unknown"}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Invoke" in result.stderr


def test_of_several_modules_the_earlier_goes_before(here: Path) -> None:
    (here / "early_shop.py").write_text("def charge(event): return 'early'\n")
    (here / "late_shop.py").write_text("def charge(event): return 'late'\ndef pack(event): return 'packed'\n")
    handlers = read_handlers(["early_shop", "late_shop.py"], [])

    definition = {"StartAt": "Charge", "States": {"Charge": {**TASK, "Next": "Pack"}, "Pack": TASK}}
    del definition["States"]["Charge"]["End"]
    with engine.blocking.Engine.in_memory(handlers) as here_only:
        execution = here_only.start_execution(definition)
        assert execution.result() == "packed"
        outputs = [
            event["stateExitedEventDetails"]["output"] for event in execution.history() if "Exited" in event["type"]
        ]
    assert outputs == ['"early"', '"packed"']


# ── the handlers file ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_rules_of_a_file(charge: str, here: Path) -> None:
    (here / "mine.toml").write_text("""[handlers]\nCharge = 'mock:"file"'\n""")
    assert asl("run", charge, "--handlers-file", "mine.toml").stdout == '"file"\n'


@pytest.mark.parametrize(("name", "head"), [("asl.toml", "handlers"), ("pyproject.toml", "tool.asl.handlers")])
def test_the_file_of_the_current_directory_is_found(charge: str, here: Path, name: str, head: str) -> None:
    (here / name).write_text(f"""[{head}]\nCharge = 'mock:"found"'\n""")
    assert asl("run", charge).stdout == '"found"\n'
    assert asl("run", charge, "--handlers-file", "/dev/null", "-t", "Charge=mock:1").stdout == "1\n"


def test_of_equal_rules_the_option_goes_before_the_file_and_the_file_before_modules(here: Path) -> None:
    states = dict.fromkeys(("A", "B", "C"), TASK)
    for name, following in (("A", "B"), ("B", "C")):
        states[name] = {**TASK, "Next": following, "ResultPath": f"$.{name}"}
        states[name].pop("End", None)
    states["C"] = {**TASK, "ResultPath": "$.C"}
    machine = write_definition(here / "m.json", states)
    (here / "shop9.py").write_text(
        "from engine import Handlers\n"
        """handlers = Handlers({name: 'mock:"module"' for name in ("A", "B", "C")})\n"""
    )
    (here / "asl.toml").write_text("""[handlers]\nA = 'mock:"file"'\nB = 'mock:"file"'\n""")
    words = ("run", machine, "--handlers", "shop9", "-t", 'A=mock:"option"')
    assert asl(*words).stdout == '{"A":"option","B":"file","C":"module"}\n'


def test_what_is_more_specific_goes_before_whatever_comes_first(charge: str, here: Path) -> None:
    (here / "asl.toml").write_text("""[handlers]\nCharge = 'mock:"state"'\n""")
    assert asl("run", charge, "-t", "*=mock:1").stdout == '"state"\n'


def test_a_wrong_rule_of_the_file_is_told_with_its_place(charge: str, here: Path) -> None:
    (here / "asl.toml").write_text("[handlers]\nCharge = 'mock:{'\n")
    result = asl("run", charge)
    assert result.exit_code == 1
    assert "asl.toml, line 2: handlers.Charge: " in result.stderr


def test_a_target_may_be_lambda_without_a_name(charge: str) -> None:
    result = asl("run", charge, "--resource", "Charge=lambda:?profile=none-of-that-name")
    assert "Lambda.SdkClientException" in result.stderr
    assert "none-of-that-name" in result.stderr
