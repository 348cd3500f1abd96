"""Unpacked packages: one directory for the servers of a machine, where only what nobody uses or names goes away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from engine.lambda_emulator.code_cache import CodeCache, default_cache_directory
from engine.lambda_emulator.deployment_packages import BadPackage, digest_of
from engine.lambda_emulator.library import Library
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.memory_store import MemoryFunctionStore
from tests.lambda_emulator.function_store_suite import document
from tests.lambda_emulator.packages import zipped
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio

ZIP = zipped({"app.py": "x = 1"})
DIGEST = digest_of(ZIP)
LONG_AFTER = 1_000.0

# Holds a package as a server in another process does, until its input ends.
HOLDER = """
import sys, anyio
from pathlib import Path
from engine.lambda_emulator.code_cache import CodeCache
from engine.lambda_emulator.library import Library
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.memory_store import MemoryFunctionStore

async def hold():
    await CodeCache(Path(sys.argv[1]), Library(MemoryFunctionStore()), Limits()).directory(sys.argv[2])
    print("held", flush=True)
    sys.stdin.read()

anyio.run(hold)
"""


class World:
    def __init__(self, directory: Path) -> None:
        self.elapsed = 0.0
        self.store = MemoryFunctionStore()
        self.directory = directory
        self.cache = CodeCache(directory, Library(self.store), Limits(), monotonic=lambda: self.elapsed)

    def name(self, package: bytes = ZIP) -> None:
        digest = digest_of(package)
        named = document(packages=frozenset({digest}))
        assert self.store.write(named, instead_of=self.store.tag(named.key), packages={digest: package})

    def forget(self) -> None:
        key = document().key
        tag = self.store.tag(key)
        assert tag is not None
        assert self.store.remove(key, instead_of=tag)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "cache")
    yield made
    made.cache.close()


async def test_a_package_is_unpacked_when_it_is_first_needed(world):
    world.name()
    place = await world.cache.code(DIGEST).directory()
    assert place == world.directory / DIGEST
    assert (place / "app.py").read_text() == "x = 1"
    assert await world.cache.directory(DIGEST) == place


async def test_many_that_need_it_at_once_find_it_whole(world):
    world.name()
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(world.cache.directory, DIGEST)
    assert sorted(one.name for one in world.directory.iterdir()) == sorted([DIGEST, "lock"])


async def test_what_was_removed_by_hand_is_unpacked_again(world):
    world.name()
    place = await world.cache.directory(DIGEST)
    (place / "app.py").unlink()
    place.rmdir()
    assert (await world.cache.directory(DIGEST) / "app.py").is_file()


async def test_what_nothing_names_is_not_there(world):
    with pytest.raises(FileNotFoundError, match=DIGEST):
        await world.cache.directory(DIGEST)


async def test_of_a_package_that_is_refused_nothing_is_left(world):
    with pytest.raises(BadPackage):
        await world.cache.add(digest_of(b"x"), b"x")
    assert [one.name for one in world.directory.iterdir()] == ["lock"]


async def test_what_a_function_names_stays_however_long_it_is_not_used(world):
    world.name()
    place = await world.cache.directory(DIGEST)
    world.elapsed += 10 * LONG_AFTER
    assert await world.cache.sweep() == 0
    assert place.is_dir()


async def test_what_no_function_names_goes_when_no_invocation_can_need_it_any_more(world):
    world.name()
    place = await world.cache.directory(DIGEST)
    world.forget()
    world.elapsed += Limits().timeout_max
    assert await world.cache.sweep() == 0
    assert place.is_dir()
    world.elapsed += LONG_AFTER
    assert await world.cache.sweep() == 1
    assert not place.exists()
    assert world.store.package(DIGEST) is None


async def test_the_next_server_removes_what_its_functions_do_not_name(world, tmp_path):
    world.name()
    await world.cache.directory(DIGEST)
    world.cache.close()
    other = World(world.directory)
    assert await other.cache.sweep() == 1
    other.cache.close()


async def test_what_another_process_uses_stays_until_it_ends(world):
    world.name()
    await world.cache.add(DIGEST, ZIP)
    world.cache.close()
    with holding(world.directory) as let_go:
        other = World(world.directory)
        assert await other.cache.sweep() == 0
        let_go()
        assert await other.cache.sweep() == 1
        other.cache.close()


@contextmanager
def holding(directory: Path) -> Iterator[Callable[[], object]]:
    """Another process uses the package, until it is told to end."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", HOLDER, str(directory), DIGEST]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def let_go() -> None:
            holder.communicate(timeout=DEADLINE_SECONDS)

        yield let_go


async def test_what_a_killed_server_left_half_unpacked_goes_after_a_while(world):
    await world.cache.add(DIGEST, ZIP)
    for name, age in (("tmp-old", 7_200), ("tmp-new", 0)):
        left = world.directory / name
        left.mkdir()
        os.utime(left, (time.time() - age,) * 2)
    await world.cache.sweep()
    assert not (world.directory / "tmp-old").exists()
    assert (world.directory / "tmp-new").exists()


async def test_the_directory_is_this_users_alone(world):
    await world.cache.add(DIGEST, ZIP)
    assert world.directory.stat().st_mode & 0o777 == 0o700
    world.cache.close()
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(world.directory, 12_345, -1)
    with pytest.raises(PermissionError, match="another user"):
        await CodeCache(world.directory, Library(world.store), Limits()).add(DIGEST, ZIP)


def test_it_is_in_the_users_cache_by_default():
    assert default_cache_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/asl/lambda")
    for said in ({}, {"XDG_CACHE_HOME": "relative"}):
        assert default_cache_directory(said) == Path.home() / ".cache/asl/lambda"
