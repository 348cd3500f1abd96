"""Rules in a TOML file: what they may say, and where a wrong one stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.asl.resource import parse_resource
from engine.integrations.connections import Basic, Secret
from engine.integrations.handlers_file import file_here, read_rules
from engine.integrations.registry import Handlers, InvalidHandler
from tests.definitions import FUNCTION

CAT = "[handlers]\na = {{target = 'cmd:cat', {}}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, name: str = "asl.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def found(handlers: Handlers, state: str, function: str = "f") -> Any:
    resource = parse_resource(FUNCTION + function)
    assert resource is not None
    return handlers.find(state, resource, None, region="us-east-1", account="123456789012")


def test_a_rule_is_a_target_or_a_table_with_every_option_of_add():
    rules = read_rules(
        written("""
[handlers]
"Charge Card" = "cmd:true"
pay = { target = "tests.integrations.handler_functions:echo", process = true, timeout_seconds = 2.5, concurrency = 3 }

[handlers."arn:aws:lambda:*"]
target = "lambda:?region=eu-west-1"
on_worker_loss = "fail"
""")
    )
    pay, rest = found(rules, "Pay", "pay"), found(rules, "Other")
    assert found(rules, "Charge Card").name == "cmd:true"
    assert (pay.way, pay.seconds, pay.concurrency, pay.on_worker_loss) == ("process", 2.5, 3, "rerun")
    assert (rest.name, rest.on_worker_loss) == ("lambda:?region=eu-west-1", "fail")


def test_the_library_reads_it_too():
    assert found(engine.Handlers.from_file(written('[handlers]\nf = "mock:1"')), "A").name == "mock:1"


def test_a_project_keeps_it_under_its_tools():
    path = written('[project]\nname = "x"\n[tool.asl.handlers]\nf = "mock:1"\n', "pyproject.toml")
    assert found(read_rules(path), "A").name == "mock:1"


def test_the_file_of_a_directory_is_asl_toml_else_the_projects():
    assert file_here() is None
    written("[tool.other]\n", "pyproject.toml")
    assert file_here() is None
    written("[tool.asl.handlers]\n", "pyproject.toml")
    assert file_here() == Path("pyproject.toml")
    written("")
    assert file_here() == Path("asl.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[handlers]\na = \n", "asl.toml: Invalid value (at line 2, column 5)"),
        ("[handler]\n", "asl.toml: expected tables [handlers] and [connections.NAME], got 'handler'"),
        ("handlers = 1\n", "asl.toml: handlers: expected a table"),
        ("[handlers]\nok = 'mock:1'\n'Pay it' = 'mock:{'\n", 'asl.toml, line 3: handlers."Pay it": '),
        ("[handlers]\na = 1\n", "asl.toml, line 2: handlers.a: expected a target ("),
        ("[handlers.a]\nprocess = true\n", "asl.toml, line 1: handlers.a: expected a target ("),
        (CAT.format("timeout_secs = 1"), "got 'timeout_secs'; did you mean timeout_seconds?"),
        (CAT.format("timeout_seconds = '1'"), "timeout_seconds: expected a number of seconds, got '1'"),
        (CAT.format("timeout_seconds = true"), "timeout_seconds: expected a number of seconds, got True"),
        (CAT.format("timeout_seconds = 901"), "asl.toml, line 2: handlers.a: timeout_seconds: expected more than 0"),
        (CAT.format("concurrency = 0"), "concurrency: expected 1 or more, got 0"),
        (CAT.format("on_worker_loss = 'stop'"), "on_worker_loss: expected"),
        ("connections = 1\n", "asl.toml: connections: expected a table"),
        ("[connections]\ncrm = 'hush'\n", "asl.toml, line 2: connections.crm: expected a table"),
        (
            "[handlers]\ncrm = 'cmd:cat'\n[connections.crm]\ntype = 1\n",
            "asl.toml, line 3: connections.crm: type: expected",
        ),
        ("[handlers]\na = 'nowhere_at_all:f'\n", "asl.toml, line 2: handlers.a: No module named 'nowhere_at_all'"),
    ],
)
def test_a_wrong_rule_is_told_with_its_place(text, message):
    path = written(text)
    with pytest.raises(InvalidHandler, match=re.escape(message)):
        read_rules(path)


@pytest.mark.parametrize(("name", "table"), [("asl.toml", "connections"), ("pyproject.toml", "tool.asl.connections")])
def test_connections_stand_beside_the_rules(name, table):
    path = written(
        f'[{table}.crm]\ntype = "basic"\nusername = "u"\npassword = "env:P"\nheaders = {{ A = "b" }}\n', name
    )
    crm = engine.Handlers.from_file(path).connections["crm"]
    assert crm.authorization == Basic(username=Secret("u"), password=Secret("env:P"))
    assert crm.extras.headers == {"A": Secret("b")}


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(InvalidHandler, match=r"missing\.toml: No such file"):
        read_rules("missing.toml")
