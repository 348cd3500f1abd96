"""What a revision is besides its definition; versions, aliases, tags; deletion of state machines.

Runs before the code that needs it. Locks `asl.state_machine` and `asl.revision` for a moment: neither is large.
Revisions are no longer found by their definitions: going back to an earlier one makes a new revision.
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """
    alter table asl.state_machine
        alter column arn type text collate "C",
        add column status text not null default 'ACTIVE'
            constraint state_machine_status_check check (status in ('ACTIVE', 'DELETING', 'DELETED')),
        add column published integer not null default 0,
        add column is_published boolean not null default false,
        add column version_description text,
        add column deleted_at bigint
    """,
    "create index state_machine_deleting on asl.state_machine (id) where status = 'DELETING'",
    "create index state_machine_deleted on asl.state_machine (deleted_at) where deleted_at is not null",
    """
    alter table asl.revision
        drop constraint revision_state_machine_id_digest_key,
        drop column digest,
        add column is_initial boolean,
        add column role_arn text,
        add column configuration text
    """,
    """
    update asl.revision r set is_initial = not exists (
        select from asl.revision e where e.state_machine_id = r.state_machine_id
        and (e.creation_date, e.id) < (r.creation_date, r.id)
    )
    """,
    "alter table asl.revision alter column is_initial set not null",
    "create index revision_by_machine on asl.revision (state_machine_id)",
    """
    create table asl.version (
        state_machine_id uuid not null,
        number integer not null,
        revision_id uuid not null,
        creation_date bigint not null,
        description text,
        primary key (state_machine_id, number)
    )
    """,
    """
    create table asl.alias (
        state_machine_id uuid not null,
        name text collate "C" not null,
        routing text not null,
        creation_date bigint not null,
        update_date bigint not null,
        description text,
        primary key (state_machine_id, name)
    )
    """,
    """
    create table asl.tag (
        resource_arn text not null,
        key text collate "C" not null,
        value text not null,
        primary key (resource_arn, key)
    )
    """,
)


def upgrade() -> None:
    """Changes the tables, and the function that starts executions in SQL."""
    for statement in _STATEMENTS:
        op.execute(statement)
    # As it stands: neither alembic nor the driver is to find parameters in it.
    function = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(function, execution_options={"no_parameters": True})
