"""Changes of status that are still to be told outside.

Runs before the code that needs it. Locks nothing that is in use.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_STATEMENTS = (
    """
    create table asl.status_change (
        execution_id uuid not null,
        number integer not null,
        due_at bigint not null,
        attempts integer not null default 0,
        format smallint not null,
        event bytea not null,
        primary key (execution_id, number)
    ) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)
    """,
    "alter table asl.status_change alter column event set storage external",
    "create index status_change_due on asl.status_change (due_at, execution_id, number)",
)


def upgrade() -> None:
    """Creates the table and its index."""
    for statement in _STATEMENTS:
        op.execute(statement)
