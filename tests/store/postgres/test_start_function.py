"""`asl.start_execution`, the SQL function: what a trigger or a program in any language starts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from engine import blocking
from engine.arns import is_valid_name
from engine.errors import StateMachineDeleting, StateMachineDoesNotExist
from engine.jsonvalue import InvalidJson, decode, encode
from engine.store.postgres.identity import as_execution_id
from engine.store.protocol import RevisionId
from tests.definitions import machine, task, wait
from tests.store.runs import at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.store.postgres.store import PostgresStore

ROOT = Path(__file__).resolve().parents[3]

Database = psycopg.Connection[Any]

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:m"


@pytest.fixture
def client(url: str) -> Iterator[blocking.Engine]:
    with blocking.Engine(url) as opened:
        opened.deploy(machine({"Type": "Pass"}), "m")
        yield opened


def started(database: Database, *arguments: object) -> str:
    places = ", ".join(["%s"] * len(arguments))
    return str(database.execute(f"select asl.start_execution({places})", arguments).fetchall()[0][0])


def count(database: Database, table: str = "open_execution") -> int:
    return int(database.execute(f"select count(*) from asl.{table}").fetchall()[0][0])


def test_what_it_starts_a_worker_runs(client: blocking.Engine, url: str, database: Database):
    arn = started(database, "m", '{"a": [1, "\\u00e9", "é"]}')
    with blocking.Engine(url, handlers={}):
        execution = client.execution(arn)
        assert execution.result() == {"a": [1, "é", "é"]}
    history = execution.history()
    assert history[0]["executionStartedEventDetails"]["input"] == '{"a": [1, "\\u00e9", "é"]}'
    assert history[0]["executionStartedEventDetails"]["roleArn"] == "arn:aws:iam::000000000000:role/asl-engine"
    described = execution.describe()
    assert (described.name, described.state_machine_arn) == (arn.rpartition(":")[2], MACHINE)


def test_its_rows_are_those_of_a_start_by_the_library(
    client: blocking.Engine, database: Database, store: PostgresStore
):
    arns = [started(database, MACHINE, '{"a":1}', "sql"), client.start_execution("m", b'{"a":1}', name="python").arn]
    sql, python = (store.execution(arn) for arn in arns)
    assert abs(sql.execution.start_time - python.execution.start_time) < 10_000
    differing = ("arn", "name", "start_time", "input_bytes")
    members = [{key: getattr(one.execution, key) for key in one.execution.__struct_fields__} for one in (sql, python)]
    for member in differing:
        del members[0][member], members[1][member]
    assert members[0] == members[1]
    assert (sql.revision_id, sql.pool, sql.last_event_id) == (python.revision_id, python.pool, python.last_event_id)
    worker = store.handle()
    worker.enlist(pools=["default"], host="here", pid=1)
    claims = {claim.execution_id: claim for claim in worker.claim(most=9).claimed}
    one, other = claims[sql.execution_id], claims[python.execution_id]
    assert [mail.event for mail in one.mail] == [mail.event for mail in other.mail]
    assert (one.seq, one.snapshot.frames, one.snapshot.last_event_id) == (0, {}, 0)
    digests = database.execute("select count(distinct input_digest) from asl.execution_name").fetchall()
    assert digests == [(1,)]


def test_its_ids_are_uuids_of_version_7_and_of_now(client: blocking.Engine, database: Database, store: PostgresStore):
    execution_id = as_execution_id(started(database, "m").rpartition(":")[2])
    assert execution_id is not None
    assert (execution_id.version, execution_id.variant) == (7, "specified in RFC 4122")
    assert abs((execution_id.int >> 80) - store.handle().now()) < 10_000


@pytest.mark.parametrize("given", ["jsonb_build_object('a', 1)", "json_build_object('a', 1)", """'{"a": 1}'""", "'{}'"])
def test_input_may_be_text_json_or_jsonb(client: blocking.Engine, database: Database, given: str, store: PostgresStore):
    arn = database.execute(f"select asl.start_execution('m', input => {given}, name => 'n')").fetchall()[0][0]
    assert store.execution(arn).execution.input == ({} if given == "'{}'" else {"a": 1})


def test_a_rolled_back_transaction_leaves_nothing(client: blocking.Engine, url: str, database: Database):
    with psycopg.connect(url) as user:
        started(user, "m", "1", "n")
        assert count(user) == 1
        assert count(database) == 0
        user.rollback()
    assert [count(database, table) for table in ("execution", "execution_name", "open_execution", "mail")] == [0] * 4


def test_a_trigger_starts_an_execution_for_each_row_of_a_users_table(
    client: blocking.Engine, url: str, database: Database
):
    database.execute("create table public.purchase (id int primary key, item text)")
    try:
        database.execute(
            """create function public.on_purchase() returns trigger language plpgsql as $$
            begin perform asl.start_execution('m', to_jsonb(new), 'purchase-' || new.id); return new; end $$"""
        )
        database.execute(
            "create trigger fulfil after insert on public.purchase for each row execute function public.on_purchase()"
        )
        database.execute("insert into public.purchase values (1, 'pen'), (2, 'ink')")
        with pytest.raises(psycopg.errors.UniqueViolation, match="pkey"):
            database.execute("insert into public.purchase values (3, 'cap'), (1, 'again')")
        assert count(database) == 2
        with blocking.Engine(url, handlers={}):
            results = [
                client.execution(MACHINE.replace("stateMachine", "execution") + f":purchase-{n}") for n in (1, 2)
            ]
            assert [one.result() for one in results] == [{"id": 1, "item": "pen"}, {"id": 2, "item": "ink"}]
    finally:
        database.execute("drop table public.purchase cascade")
        database.execute("drop function public.on_purchase")


def test_a_program_that_is_killed_before_its_commit_has_started_nothing(
    client: blocking.Engine, url: str, database: Database
):
    program = """
import psycopg, sys, time
connection = psycopg.connect(sys.argv[1])
connection.execute("select asl.start_execution('m', '1', 'n')")
print("started", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"started\n"
        user.send_signal(signal.SIGKILL)
    assert started(database, "m", "2", "n").endswith(":n")  # waits until the server has noticed
    assert count(database) == 1


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_name_and_input_give_the_execution_that_runs(client: blocking.Engine, database: Database):
    arn = started(database, "m", '{"a":1}', "n")
    assert started(database, "m", '{"a":1}', "n") == arn
    assert client.start_execution("m", {"a": 1}, name="n").arn == arn
    assert count(database) == 1
    with pytest.raises(psycopg.errors.UniqueViolation, match=f"Execution Already Exists: '{arn}'"):
        started(database, "m", '{"a": 1}', "n")


def test_a_closed_execution_keeps_its_name(client: blocking.Engine, url: str, database: Database):
    arn = started(database, "m", "1", "n")
    with blocking.Engine(url, handlers={}):
        client.execution(arn).result()
    with pytest.raises(psycopg.errors.UniqueViolation, match="Already Exists"):
        started(database, "m", "1", "n")


def test_the_id_of_an_execution_without_a_name_is_no_name_for_another(client: blocking.Engine, database: Database):
    spelled = started(database, "m").rpartition(":")[2]
    with pytest.raises(psycopg.errors.UniqueViolation, match="Already Exists"):
        started(database, "m", "{}", spelled)
    assert started(database, "m", "{}", spelled[:-1] + "x")


def test_one_of_many_at_once_starts_it(client: blocking.Engine, url: str, database: Database):
    arns = []

    def start() -> None:
        with psycopg.connect(url) as user:
            arns.append(started(user, "m", "1", "n"))

    at_once(start, 6)
    assert len(arns) == 6
    assert len(set(arns)) == 1
    assert count(database) == 1


def test_names_are_refused_as_the_library_refuses_them(client: blocking.Engine, database: Database):
    points = [*range(1, 0x3100), 0xD7FF, 0xE000, *range(0xFFF0, 0x10010), 0x10FFFE, 0x10FFFF]
    database.execute("begin")
    database.execute(
        """create function pg_temp.is_refused(given text) returns boolean language plpgsql as $$
        begin perform asl.start_execution('m', '{}', given); return false;
        exception when invalid_parameter_value then return true; end $$"""
    )
    refused = database.execute(
        "select n from unnest(%s::int[]) n where pg_temp.is_refused('a' || chr(n))", (points,)
    ).fetchall()
    assert {row[0] for row in refused} == {n for n in points if not is_valid_name("a" + chr(n))}
    lengths = database.execute(
        "select n from unnest(array[0, 1, 80, 81]) n where pg_temp.is_refused(repeat('é', n))"
    ).fetchall()
    assert lengths == [(0,), (81,)]
    database.execute("rollback")


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_state_machine_is_refused_with_what_to_do(client: blocking.Engine, database: Database):
    for unknown in ("nobody", MACHINE + "x", None):
        with pytest.raises(psycopg.errors.UndefinedObject, match="State Machine Does Not Exist") as caught:
            started(database, unknown)
        assert "asl deploy" in str(caught.value.diag.message_hint)


def test_what_is_deleted_is_not_started(client: blocking.Engine, store: PostgresStore, database: Database):
    started(database, "m", "1")
    store.delete_state_machine(MACHINE)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is being deleted"):
        started(database, "m", "1")
    with pytest.raises(StateMachineDeleting):
        client.start_execution("m", 1, connection=database)
    database.execute("delete from asl.open_execution")
    store.delete_state_machine(MACHINE)
    with pytest.raises(psycopg.errors.UndefinedObject):
        started(database, "m", "1")
    with pytest.raises(StateMachineDoesNotExist):
        client.start_execution("m", 1, connection=database)


def test_it_runs_with_the_role_of_the_revision(client: blocking.Engine, store: PostgresStore, database: Database):
    role = "arn:aws:iam::123456789012:role/shop"
    store.update_state_machine(MACHINE, {"role_arn": role}, revision_id=RevisionId(uuid4()), now=9)
    assert store.execution(started(database, "m", "1")).execution.role_arn == role
    for name in (None, "n", "n"):
        by_python = client.start_execution("m", 1, name=name, connection=database)
        assert store.execution(by_python.arn).execution.role_arn == role
    assert count(database) == 3


def test_a_name_of_two_state_machines_is_ambiguous(client: blocking.Engine, url: str, database: Database):
    with blocking.Engine(url, region="eu-west-1") as elsewhere:
        arn = elsewhere.deploy(machine({"Type": "Pass"}), "m").arn
    with pytest.raises(psycopg.errors.AmbiguousParameter, match="several state machines"):
        started(database, "m")
    assert started(database, arn).startswith("arn:aws:states:eu-west-1:000000000000:execution:m:")


@pytest.mark.parametrize(
    "given",
    [
        *("", "{", "{'a': 1}", "[1,]", "NaN", '"\\ud800"', '"\\udc00\\ud800"', "1e309", "-1e309", '{"a":[1e400]}'),
        *("[" * 301 + "]" * 301, '{"a":' * 301 + "1" + "}" * 301, "x" * 10),
    ],
)
def test_what_the_engine_does_not_read_is_refused(client: blocking.Engine, database: Database, given: str):
    with pytest.raises(InvalidJson):
        decode(given)
    with pytest.raises(psycopg.DatabaseError):
        started(database, "m", given)
    assert count(database) == 0


@pytest.mark.parametrize(
    "given",
    [
        *(
            "null",
            '"\\u0000"',
            '"\\\\u0000"',
            '"\\ud83d\\ude00"',
            "1e308",
            "-1.5e308",
            "1" * 300,
            "1e-400",
            " [1 ,\n2 ] ",
        ),
        *("[" * 300 + "]" * 300, "1e15", '{"a":1,"a":2}', '"' + "é" * 131_071 + '"'),
    ],
)
def test_what_the_engine_reads_it_takes(client: blocking.Engine, database: Database, given: str, store: PostgresStore):
    record = store.execution(started(database, "m", given))
    assert record.execution.input == decode(given)
    assert record.execution.input_bytes >= len(encode(decode(given)))


def test_no_input_and_too_much_are_refused(client: blocking.Engine, database: Database):
    with pytest.raises(psycopg.errors.NullValueNotAllowed, match="it is null"):
        started(database, "m", None)
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="262145 bytes"):
        started(database, "m", '"' + "é" * 131_071 + ' "')


def test_an_express_execution_is_started_as_one(url: str, database: Database):
    with blocking.Engine(url) as client:
        client.deploy(machine({"Type": "Pass"}), "e", type="EXPRESS")
        arns = [started(database, "e", "{}", "n") for _ in range(2)]
        assert len(set(arns)) == 2
        assert arns[0].startswith("arn:aws:states:us-east-1:000000000000:express:e:n:")
        with blocking.Engine(url, handlers={}):
            assert [client.execution(arn).result() for arn in arns] == [{}, {}]


def test_it_runs_in_the_pool_and_the_revision_of_the_state_machine(url: str, database: Database, store: PostgresStore):
    with blocking.Engine(url) as client:
        client.deploy(machine(wait(5)), "m")
        client.deploy(machine(task()), "m", pool="gpu")
        record = store.execution(started(database, "m"))
        assert (record.pool, record.revision_id) == ("gpu", store.state_machine(MACHINE).revision_id)


def test_the_grants_that_are_documented_are_enough(client: blocking.Engine, url: str, database: Database):
    database.execute("create role shop login")
    howto = (ROOT / "docs" / "howto" / "start_in_a_transaction.md").read_text(encoding="utf-8")
    database.execute(howto[howto.index("grant usage") :].partition("```")[0].encode())
    try:
        with psycopg.connect(url, user="shop") as user:
            started(user, "m", "1", "n")
            started(user, "m", "1", "n")
            user.execute("set search_path to pg_temp")
            user.execute("create temp table state_machine (id int)")
            started(user, "m", json.dumps({"a": "b"}))
        with psycopg.connect(url, user="shop") as user:
            client.start_execution("m", 1, name="n", connection=user)
            client.start_execution("m", 1, connection=user)
        assert count(database) == 3
    finally:
        database.execute("drop owned by shop")
        database.execute("drop role shop")
