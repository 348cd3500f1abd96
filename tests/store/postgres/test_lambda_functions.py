"""The emulator's functions in the database: every store's promises, and what several servers see of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest

from engine.lambda_emulator.code_cache import CodeCache
from engine.lambda_emulator.errors import ResourceConflictException
from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.library import FRESH_SECONDS, Library
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.operations import aliases, functions, layers, versions
from engine.store.postgres.lambda_functions import PostgresFunctionStore
from engine.store.postgres.upgrade import SchemaMismatch
from tests.lambda_emulator.control_plane import StandingClock, created, emulating, refusal
from tests.lambda_emulator.function_store_suite import DIGEST, ZIP, FunctionStoreSuite, document
from tests.lambda_emulator.packages import zipped
from tests.store.postgres.waiting import InThread, until_sessions_wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.lambda_emulator.store import FunctionStore
    from tests.store.postgres.cluster import Cluster


@pytest.fixture
def store(url: str) -> Iterator[PostgresFunctionStore]:
    opened = PostgresFunctionStore(url)
    yield opened
    opened.close()


class TestPostgresFunctionStore(FunctionStoreSuite):
    @pytest.fixture(autouse=True)
    def _database(self, url: str) -> None:
        self.url = url

    def let_time_pass(self, store: FunctionStore) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("update asl.lambda_package set named_at = named_at - 3600001")

    def test_a_package_stays_for_an_hour_for_its_document_may_be_on_its_way(self, store: FunctionStore):
        first = document(packages=frozenset({DIGEST}))
        assert store.write(first, instead_of=None, packages={DIGEST: ZIP})
        assert store.remove(first.key, instead_of=first.tag)
        assert store.drop_packages() == 0
        self.let_time_pass(store)
        assert store.write(first, instead_of=None, packages={DIGEST: ZIP})
        assert store.remove(first.key, instead_of=first.tag)
        assert store.drop_packages() == 0

    def test_a_package_that_is_named_again_while_it_is_dropped_stays(self, store: FunctionStore, url: str):
        first = document(packages=frozenset({DIGEST}))
        assert store.write(first, instead_of=None, packages={DIGEST: ZIP})
        assert store.remove(first.key, instead_of=first.tag)
        self.let_time_pass(store)
        with psycopg.connect(url) as connection:
            connection.execute("update asl.lambda_package set named_at = named_at + 7200000")
            # The other transaction has not ended when the removal comes upon the row.
            dropping = InThread(store.drop_packages)
            until_sessions_wait(connection, 1)
            connection.commit()
        assert dropping.result() == 0
        assert store.package(DIGEST) == ZIP


def test_a_database_without_the_tables_is_refused(cluster: Cluster):
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("create database without_functions")
    with pytest.raises(SchemaMismatch, match="asl db upgrade"):
        PostgresFunctionStore(cluster.url("without_functions"))


@pytest.mark.anyio
async def test_functions_outlive_their_server(store: PostgresFunctionStore, tmp_path: Path):
    package = zipped({"app.py": "one = 1"})
    clock = StandingClock()
    async with emulating(tmp_path / "a", store=store, clock=clock) as emulator:
        layer = await layers.publish_layer_version(emulator, layer_name="l", content={"ZipFile": zipped()})
        await created(emulator, code={"ZipFile": package}, layers=[layer["LayerVersionArn"]], publish=True)
        await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
        before = await functions.get_function(emulator, function_name="f:prod")
    async with emulating(tmp_path / "b", store=store, clock=clock) as emulator:
        assert await functions.get_function(emulator, function_name="f:prod") == before
        found = (await invocable(emulator, "f:prod")).version
        assert found.code is not None
        assert (await found.code.directory() / "app.py").read_text() == "one = 1"
        assert (await found.layers[0].directory() / "app.py").is_file()


@pytest.mark.anyio
async def test_what_another_server_changed_is_invoked_a_second_later(store: PostgresFunctionStore, tmp_path: Path):
    elapsed = 0.0
    async with emulating(tmp_path, store=store) as one, emulating(tmp_path, store=store) as other:
        other.library = Library(store, monotonic=lambda: elapsed)
        other.code = CodeCache(tmp_path, other.library, Limits())
        await created(one)
        first = (await invocable(other, "f")).version
        await functions.update_function_configuration(one, function_name="f", timeout=9)
        assert (await invocable(one, "f")).version.timeout == 9
        assert (await invocable(other, "f")).version is first
        assert (await functions.get_function_configuration(other, function_name="f"))["Timeout"] == 9
        await functions.update_function_configuration(one, function_name="f", timeout=8)
        elapsed += FRESH_SECONDS
        assert (await invocable(other, "f")).version.timeout == 8
        await functions.delete_function(one, function_name="f")
        elapsed += FRESH_SECONDS
        assert (await refusal(invocable(other, "f")))[0] == "ResourceNotFoundException"


@pytest.mark.anyio
async def test_of_two_servers_that_change_a_revision_one_is_refused(store: PostgresFunctionStore, tmp_path: Path):
    async with emulating(tmp_path, store=store) as one, emulating(tmp_path, store=store) as other:
        await created(one)
        revision_id = (await functions.get_function_configuration(other, function_name="f"))["RevisionId"]
        for server, expected in ((one, None), (other, "PreconditionFailedException")):
            update = functions.update_function_configuration(
                server, function_name="f", timeout=9, revision_id=revision_id
            )
            if expected is None:
                await update
            else:
                assert (await refusal(update))[0] == expected
        assert (await refusal(created(other)))[0] == "ResourceConflictException"


@pytest.mark.anyio
async def test_versions_that_many_servers_publish_at_once_have_numbers_of_their_own(
    store: PostgresFunctionStore, tmp_path: Path
):
    async with emulating(tmp_path, store=store) as one, emulating(tmp_path, store=store) as other:
        await created(one)
        found: list[str] = []

        async def publish(server: Any, memory_size: int) -> None:
            try:
                await functions.update_function_configuration(server, function_name="f", memory_size=memory_size)
                found.append((await versions.publish_version(server, function_name="f"))["Version"])
            except ResourceConflictException:
                found.append("refused")

        async with anyio.create_task_group() as group:
            for memory_size in range(200, 208):
                group.start_soon(publish, one if memory_size % 2 else other, memory_size)
        shown = await versions.list_versions_by_function(one, function_name="f")
        numbers = [version["Version"] for version in shown["Versions"][1:]]
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
        assert set(found) - {"refused"} <= set(numbers)
        assert found.count("refused") < len(found)
