"""Versions and aliases in the library, of both faces."""

from __future__ import annotations

import pytest

import engine
from engine.errors import ConflictException, ResourceNotFound, ValidationException
from engine.releases import StateMachineAlias
from tests.definitions import machine
from tests.faces import Face, open_engine

pytestmark = pytest.mark.anyio

ONE, TWO = machine({"Type": "Pass", "Result": 1}), machine({"Type": "Pass", "Result": 2})


@pytest.fixture(params=["async", "blocking"])
def face(request: pytest.FixtureRequest) -> Face:
    return request.param


async def test_a_version_stays_and_an_alias_leads_to_it(face: Face):
    async with open_engine(face) as one:
        made = await one.deploy(ONE, "m")
        first = await one.publish_version(made, description="one")
        assert await one.publish_version("m") == first
        await one.deploy(TWO, "m")
        second = await one.publish_version(made.arn)
        assert [first.arn, second.arn] == [f"{made.arn}:1", f"{made.arn}:2"]
        assert await one.list_versions("m") == [second, first]
        alias = await one.create_alias("prod", {first.arn: 100}, description="d")
        assert alias == f"{made.arn}:prod"
        assert await one.run("m") == 2
        await one.update_alias(alias, {first.arn: 10, second.arn: 90})
        await one.update_alias(alias, description="e")
        (shown,) = await one.list_aliases("m")
        expected = {"arn": alias, "name": "prod", "routing": {first.arn: 10, second.arn: 90}, "description": "e"}
        assert {key: getattr(shown, key) for key in expected} == expected
        assert await one.describe_alias(alias) == shown == StateMachineAlias(*shown)
        with pytest.raises(ConflictException):
            await one.delete_version(first.arn)
        await one.delete_alias(alias)
        await one.delete_version(first.arn)
        assert await one.list_versions(made) == [second]
        await one.delete_state_machine(made)
        with pytest.raises(engine.StateMachineDoesNotExist):
            await one.run("m")
        with pytest.raises(engine.StateMachineDoesNotExist):
            await one.list_aliases("m")


@pytest.mark.parametrize(
    ("name", "routing"),
    [("1", {":1": 100}), ("a b", {":1": 100}), ("", {":1": 100}), ("prod", {}), ("prod", {":1": 101, ":2": -1}),
     ("prod", {":1": 50, ":2": 25, ":3": 25})],
)  # fmt: skip
async def test_what_no_wire_has_checked_is_checked_all_the_same(name: str, routing: dict[str, int]):
    async with open_engine("async") as one:
        made = await one.deploy(ONE, "m")
        await one.publish_version(made)
        with pytest.raises(ValidationException):
            await one.create_alias(name, {made.arn + version: weight for version, weight in routing.items()})


async def test_all_pages_are_listed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.operations.paging.PAGE_MAX", 2)
    async with open_engine("async") as one:
        made = await one.deploy(ONE, "m")
        version = (await one.publish_version(made)).arn
        for name in "abcde":
            await one.create_alias(name, {version: 100})
        assert [alias.name for alias in await one.list_aliases(made)] == list("abcde")
        with pytest.raises(ResourceNotFound):
            await one.describe_alias(made.arn + ":z")
