"""The image and the Compose file, as far as that can be told without Docker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from engine.cli.api_options import DEFAULT_PORT
from engine.cli.main import main

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMMANDS = {name: one["command"] for name, one in COMPOSE["services"].items() if "command" in one}


@pytest.mark.parametrize("service", COMMANDS)
def test_the_command_of_a_service_is_one_of_ours(service: str):
    command, words = main, list(COMMANDS[service])
    while hasattr(command, "get_command"):
        with command.make_context("asl", [], resilient_parsing=True) as context:
            name = words.pop(0)
            found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context("asl", words)


@pytest.mark.parametrize("name", ["worker", "server"])
def test_a_service_is_given_more_time_than_it_takes_to_drain(name: str):
    service = COMPOSE["services"][name]
    drain = float(service["command"][service["command"].index("--drain-seconds") + 1])
    assert float(service["stop_grace_period"].removesuffix("s")) > drain


def test_there_are_two_workers():
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] == 2


def test_a_server_that_asks_for_no_key_is_reached_from_its_own_machine_alone():
    server = COMPOSE["services"]["server"]
    assert "--insecure-no-auth" in server["command"]
    (port,) = server["ports"]
    assert re.fullmatch(r"127\.0\.0\.1:[^:]*:-?[^:]*:(\d+)", port), port
    assert port.endswith(f":{DEFAULT_PORT}")
    exposed = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[0].split()
    assert str(DEFAULT_PORT) in exposed


def test_everything_that_the_image_copies_is_let_through_and_there():
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    copied = [word for line in lines for word in line.split()]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / path).exists() for path in copied)


def test_the_image_runs_as_nobody_special():
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001"]
