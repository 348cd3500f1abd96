"""The embedded server and its users killed at any point: the next who comes finds, or makes, a server that works."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.store.postgres import embedded_server
from engine.store.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, stop
from engine.store.postgres.embedded_server import Server
from engine.store.postgres.embedded_user import server_user
from tests.store.postgres.embedded_process import (
    finish,
    installed,
    is_up,
    kill,
    kill_postmaster,
    moved,
    postmaster,
    query,
    spawn,
    user_process,
)
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_killed_five_times_is_started_again_with_all_that_was_committed(data_dir: Path):
    with EmbeddedPostgres(data_dir) as before:
        query(before.url(), "create table rounds (round int)")
        for round_number in range(5):
            query(before.url(), f"insert into rounds values ({round_number})")
            kill_postmaster(data_dir)
            with EmbeddedPostgres(data_dir) as after:
                assert query(after.url(), "select count(*) from rounds") == [(round_number + 1,)]
        query(before.url(), "drop table rounds")
        url = before.url()
    assert not is_up(url)


def test_killed_users_are_not_counted(data_dir: Path):
    with user_process(data_dir) as (last, url):
        for _ in range(5):
            with user_process(data_dir) as (killed, _):
                kill(killed)
        assert is_up(url)
        finish(last)
        assert not is_up(url)


def test_a_server_that_its_killed_users_left_behind_is_taken_over(data_dir: Path):
    with user_process(data_dir) as (killed, url):
        kill(killed)
        left = postmaster(data_dir)
        with EmbeddedPostgres(data_dir) as server:
            assert server.url() == url
            assert postmaster(data_dir) == left
        assert not is_up(url)


def test_closing_after_the_server_was_killed_ends_quietly(data_dir: Path):
    server = EmbeddedPostgres(data_dir).start()
    kill_postmaster(data_dir)
    server.close()


@pytest.mark.parametrize("left", ["", "7", "OURS\n/nowhere\n1\n5432\n", "no number\n"])
def test_files_that_a_killed_server_left_do_not_count(data_dir: Path, left: str):
    stale = data_dir / "data" / "postmaster.pid"
    sockets = data_dir / "run"
    for file in (stale, sockets / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432.lock"):
        file.unlink(missing_ok=True)
        file.write_text(left.replace("OURS", str(os.getpid())))
        server_user(data_dir).give(file)
    with EmbeddedPostgres(data_dir) as server:
        assert is_up(server.url())


def test_a_zombie_is_not_taken_for_a_server(data_dir: Path):
    become_reaper = """
import ctypes, signal
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER: as process 1 of a container is
server = EmbeddedPostgres(data_dir).start()
file = data_dir / "data" / "postmaster.pid"
killed = int(file.read_text().split()[0])
os.kill(killed, signal.SIGKILL)
os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)  # it is dead, and stays a zombie
again = EmbeddedPostgres(data_dir).start()
assert int(file.read_text().split()[0]) != killed
os.kill(killed, 0)
again.close()
server.close()
print("zombie ignored")
"""
    assert finish(spawn(become_reaper, data_dir)) == "zombie ignored\n"


def _with_initdb(home: Path, script: str) -> Path:
    """Server programs of which `initdb` does what the script says; `$REAL` in it is the real one."""
    real = installed()[0]
    binaries = home / "bin"
    binaries.mkdir()
    for program in ("pg_ctl", "postgres"):
        # pg_ctl and initdb look for postgres beside themselves, by the path that links lead to.
        (binaries / program).symlink_to(real / program)
    initdb = binaries / "initdb"
    initdb.write_text("#!/bin/sh\n" + script.replace("$REAL", str(real / "initdb")))
    initdb.chmod(0o755)
    return binaries


@pytest.mark.skipif(not installed(), reason="no PostgreSQL server is installed")
@pytest.mark.parametrize(
    "initdb",
    [
        'mkdir "$2/base"; echo 18 > "$2/PG_VERSION"; echo > reached; read _ < killed',  # it ends, too, halfway
        '$REAL "$@"; echo > reached; read _ < killed',  # and this at the end
        'echo > reached; read _ < killed; exec $REAL "$@"',  # it goes on alone, while the next user comes
    ],
)
def test_a_first_start_killed_during_initdb_leaves_nothing_half_made(home: Path, new_dir: Path, initdb: str):
    for fifo in (home / "reached", home / "killed"):
        os.mkfifo(fifo)
        fifo.chmod(0o666)
    first = spawn(
        "EmbeddedPostgres(data_dir, binaries=binaries).start()",
        new_dir,
        _with_initdb(home, initdb.replace("reached", str(home / "reached")).replace("killed", str(home / "killed"))),
    )
    (home / "reached").read_text()
    kill(first)
    (home / "killed").write_text("\n")
    assert not (new_dir / "data").exists()
    with EmbeddedPostgres(new_dir) as server:
        assert is_up(server.url())
    assert not (new_dir / "data.tmp").exists()


@pytest.mark.skipif(not installed(), reason="no PostgreSQL server is installed")
def test_a_failing_initdb_is_quoted(home: Path, new_dir: Path):
    binaries = _with_initdb(home, "echo no room left >&2; exit 1")
    with pytest.raises(EmbeddedPostgresError, match=r"initdb failed .*: no room left"):
        EmbeddedPostgres(new_dir, binaries=binaries).start()


def test_a_server_that_does_not_start_is_quoted(data_dir: Path):
    settings = data_dir / "data" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "\nshared_buffers = 1\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"did not start in [^ ]*, it said: .*shared_buffers"):
            EmbeddedPostgres(data_dir).start()
    finally:
        settings.write_text(good)
    with EmbeddedPostgres(data_dir) as server:
        assert is_up(server.url())


def test_a_data_directory_of_another_version_is_refused_by_name(data_dir: Path):
    version = data_dir / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 9, and only PostgreSQL \d+.* was found"):
            EmbeddedPostgres(data_dir).start()
    finally:
        version.write_text(right)


@pytest.mark.skipif(len(installed()) < 2, reason="one version of PostgreSQL is installed")
def test_a_data_directory_is_served_by_the_version_that_made_it(new_dir: Path):
    oldest = installed()[-1]
    EmbeddedPostgres(new_dir, binaries=oldest).start().close()
    with EmbeddedPostgres(new_dir) as server:
        (shown,) = query(server.url(), "show server_version_num")
    assert int(str(shown[0])) // 10000 == int((new_dir / "data" / "PG_VERSION").read_text())


def test_a_server_that_was_started_by_hand_elsewhere_is_left_alone(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded_server, "_SILENT_SECONDS", 0.1)
    user = server_user(data_dir)
    places = (place for place in installed() if _major(place) == (data_dir / "data" / "PG_VERSION").read_text().strip())
    pg_ctl = next(places) / "pg_ctl"
    log = str(data_dir / "data" / "by-hand.log")
    options = "-c listen_addresses= -c unix_socket_directories=/tmp -c port=54329"
    assert user.run(pg_ctl, "-D", data_dir / "data", "-w", "-l", log, "-o", options, "start").returncode == 0
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"works in .*, but lets nobody in"):
            EmbeddedPostgres(data_dir).start()
        assert is_up("postgresql://postgres@/asl?host=/tmp&port=54329")
    finally:
        assert user.run(pg_ctl, "-D", data_dir / "data", "-w", "-m", "fast", "stop").returncode == 0


def _major(place: Path) -> str:
    told = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[2].split(".")[0]


def test_the_server_of_a_directory_that_was_moved_away_is_not_taken_for_ours(home: Path, data_dir: Path):
    # A path so long that the socket is not inside.
    with moved(data_dir, home / ("long" * 30)) as here, EmbeddedPostgres(here):
        away = here.rename(home / "away")
        try:
            with pytest.raises(EmbeddedPostgresError, match="does not serve"):
                EmbeddedPostgres(here).start()
        finally:
            shutil.rmtree(here)
            away.rename(here)


def test_a_server_that_dies_under_a_user_who_stays_is_started_again(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        server.keep_up()
        url = server.url()
        for _ in range(2):
            dead = kill_postmaster(data_dir)
            wait_until(lambda dead=dead: is_up(url) and postmaster(data_dir) != dead)
    assert not is_up(url)


def test_a_server_that_was_stopped_is_not_taken_for_dead(data_dir: Path):
    server = Server(data_dir)
    with EmbeddedPostgres(data_dir):
        assert not server.has_crashed()
        stop(data_dir, force=True)
        assert not server.has_crashed()
    with EmbeddedPostgres(data_dir):
        kill_postmaster(data_dir)
        wait_until(server.has_crashed)
