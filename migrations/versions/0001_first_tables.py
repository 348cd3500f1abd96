"""The first tables.

Runs before the code that needs it. Locks nothing that anybody uses: it only creates. The partitions of the days are
made by `engine.store.postgres.partitions`, now and ahead of each day.
"""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    """
    create table asl.state_machine (
        id uuid primary key,
        arn text not null unique,
        name text not null,
        type text not null,
        pool text not null,
        creation_date bigint not null,
        revision_id uuid not null
    )
    """,
    """
    create table asl.revision (
        id uuid primary key,
        state_machine_id uuid not null,
        digest bytea not null,
        creation_date bigint not null,
        definition text not null,
        unique (state_machine_id, digest)
    )
    """,
    """
    create table asl.execution (
        id uuid primary key,
        state_machine_id uuid not null,
        revision_id uuid not null,
        start_time bigint not null,
        pool text not null,
        name text not null,
        format smallint not null,
        head bytea not null
    ) partition by range (id)
    """,
    "create index execution_by_machine on asl.execution (state_machine_id, id)",
    """
    create table asl.closed_execution (
        execution_id uuid primary key,
        stop_time bigint not null,
        seq integer not null,
        last_event_id integer not null,
        redrive_count integer,
        redrive_time bigint,
        status text not null,
        format smallint not null,
        ending bytea not null,
        state_machine_id uuid,
        snapshot bytea
    ) partition by range (execution_id)
    """,
    """
    create index closed_execution_unsuccessful on asl.closed_execution (state_machine_id, status, execution_id)
    where state_machine_id is not null
    """,
    """
    create table asl.execution_name (
        state_machine_id uuid not null,
        name text collate "C" not null,
        execution_id uuid not null,
        input_digest bytea not null,
        expires_at bigint,
        primary key (state_machine_id, name)
    )
    """,
    "create index execution_name_expired on asl.execution_name (expires_at) where expires_at is not null",
    """
    create table asl.open_execution (
        id uuid primary key,
        wake_at bigint not null,
        format smallint not null,
        suspect smallint not null default 0,
        deaths smallint not null default 0,
        lost_tasks integer,
        owner uuid,
        pool text not null,
        missing bytea,
        quarantine bytea,
        seq integer not null,
        snapshot bytea not null
    ) with (
        fillfactor = 60,
        autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0.2
    )
    """,
    """
    create index open_execution_due on asl.open_execution (pool, wake_at)
    where owner is null and quarantine is null
    """,
    "create index open_execution_owned on asl.open_execution (owner) where owner is not null",
    """
    create table asl.frame (
        execution_id uuid not null,
        fork integer not null,
        place integer not null,
        data bytea not null,
        primary key (execution_id, fork, place)
    ) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)
    """,
    """
    create table asl.history_segment (
        execution_id uuid not null,
        first_event_id integer not null,
        format smallint not null,
        data bytea not null,
        primary key (execution_id, first_event_id)
    ) partition by range (execution_id)
    """,
    """
    create table asl.mail (
        execution_id uuid not null,
        id uuid not null,
        sent_at bigint not null,
        format smallint not null,
        task_id integer[],
        event bytea not null,
        primary key (execution_id, id)
    ) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)
    """,
    """
    create table asl.task_token (
        digest bytea primary key,
        execution_id uuid not null,
        fork integer not null,
        place integer not null,
        number integer not null,
        heartbeat_at bigint,
        closed_at bigint
    )
    """,
    "create index task_token_by_execution on asl.task_token (execution_id)",
    """
    create table asl.worker (
        id uuid primary key,
        pools text[] not null,
        host text not null,
        pid integer not null,
        started_at bigint not null,
        blamed uuid,
        state text not null constraint worker_state_check check (state in ('alive', 'dead', 'resigned')),
        format smallint not null,
        epoch integer not null,
        heartbeat bigint not null,
        renewed_at bigint not null
    ) with (fillfactor = 50)
    """,
    """
    create table asl.chore (
        name text primary key,
        due_at bigint not null
    )
    """,
    # What is packed already PostgreSQL need not try to compress.
    *(
        f"alter table asl.{table} alter column {column} set storage external"
        for table, column in (
            ("execution", "head"),
            ("closed_execution", "ending"),
            ("closed_execution", "snapshot"),
            ("open_execution", "snapshot"),
            ("frame", "data"),
            ("history_segment", "data"),
            ("mail", "event"),
        )
    ),
    # After that: a partition takes how a column is stored from its table when it is made.
    *(
        f"create table asl.{table}_default partition of asl.{table} default"
        for table in ("execution", "closed_execution", "history_segment")
    ),
)


def upgrade() -> None:
    """Creates all tables."""
    for statement in _TABLES:
        op.execute(statement)
