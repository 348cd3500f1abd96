"""Which functions there are, as operations and invocations ask it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.library import Library
from engine.lambda_emulator.memory_store import MemoryFunctionStore
from engine.lambda_emulator.operations import functions
from engine.lambda_emulator.records import Configuration, FunctionRecord, function_key
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, ROLE, arn, created, emulating, refusal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

KEY = function_key(ACCOUNT, REGION, "f")


class Remote(MemoryFunctionStore):
    """As a store is that others write too."""

    is_remote = True


class Here:
    """A module's directory."""

    digest = "here"

    async def directory(self) -> Path:
        raise AssertionError("nothing runs here")


def local(content_id: str = "1") -> FunctionRecord:
    configuration = Configuration(
        role=ROLE,
        last_modified=0,
        revision_id="r",
        content_id=content_id,
        runtime="python3.12",
        handler="app.handler",
        logging_config={"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
    )
    return FunctionRecord(account_id=ACCOUNT, region=REGION, name="f", latest=configuration.active())


@pytest.mark.parametrize("kind", [MemoryFunctionStore, Remote])
async def test_a_function_is_known_as_soon_as_this_process_made_it_until_it_deleted_it(tmp_path, kind):
    async with emulating(tmp_path, store=kind()) as emulator:
        assert not emulator.library.knows(KEY)
        await created(emulator)
        assert emulator.library.knows(KEY)
        await functions.delete_function(emulator, function_name="f")
        assert not emulator.library.knows(KEY)


async def test_what_others_made_and_deleted_is_known_when_names_were_learned(tmp_path):
    store = Remote()
    library = Library(store)
    async with emulating(tmp_path, store=store) as emulator:
        await created(emulator)
        assert not library.knows(KEY)
        await library.learn_names()
        assert library.knows(KEY)
        assert await library.lately(KEY) is not None
        await functions.delete_function(emulator, function_name="f")
        await library.learn_names()
        assert not library.knows(KEY)


async def test_a_local_function_is_shown_and_invoked_and_not_changed(tmp_path):
    async with emulating(tmp_path) as emulator:
        await created(emulator, "g")
        emulator.library.put_local(local(), Here())
        assert emulator.library.knows(KEY)
        listed = await functions.list_functions(emulator)
        assert [one["FunctionName"] for one in listed["Functions"]] == ["f", "g"]
        shown = await functions.get_function(emulator, function_name="f")
        assert shown["Configuration"]["FunctionArn"] == arn()
        found = await invocable(emulator, "f")
        assert found.version.code is not None
        assert found.version.code.digest == "here"
        change = functions.update_function_configuration(emulator, function_name="f", timeout=9)
        assert (await refusal(change))[0] == "ResourceConflictException"


async def test_a_local_function_that_was_reloaded_is_another_revision(tmp_path):
    async with emulating(tmp_path) as emulator:
        emulator.library.put_local(local(), Here())
        first = (await invocable(emulator, "f")).version
        assert (await invocable(emulator, "f")).version is first
        emulator.library.put_local(local("2"), Here())
        assert (await invocable(emulator, "f")).version.revision_id == "2"
        emulator.library.remove_local(KEY)
        assert (await refusal(invocable(emulator, "f")))[0] == "ResourceNotFoundException"


async def test_a_change_is_made_anew_when_others_were_quicker(tmp_path):
    store = MemoryFunctionStore()
    async with emulating(tmp_path, store=store) as one, emulating(tmp_path, store=store) as other:
        await created(one)
        seen: list[dict[str, str]] = []

        def edit(before):
            seen.append(before.tags)
            if len(seen) == 1:
                document = store.document(KEY)
                assert document is not None
                text = document.text.replace('"tags":{}', '"tags":{"theirs":"1"}')
                assert store.write(replace(document, tag="t", text=text), instead_of=document.tag, packages={})
            return replace(before, tags=before.tags | {"mine": "1"})

        await other.library.change_function(KEY, edit)
        assert seen == [{}, {"theirs": "1"}]
        found = await one.library.function(KEY)
        assert found is not None
        assert found.tags == {"theirs": "1", "mine": "1"}
