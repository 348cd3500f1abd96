"""Activities, and which Task tokens their workers are offered.

Runs before the code that needs it. Locks `asl.task_token` for a moment: the new columns are empty, and so is the index.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """
    create table asl.activity (
        id uuid primary key,
        arn text not null unique,
        name text not null,
        creation_date bigint not null
    )
    """,
    """
    alter table asl.task_token
        add column activity_id uuid,
        add column offered_at bigint,
        add column deadline bigint,
        add column offer bytea,
        add column taken_at bigint
    """,
    "alter table asl.task_token alter column offer set storage external",
    """
    create index task_token_offered on asl.task_token (activity_id, offered_at, execution_id, number)
    where offer is not null
    """,
)


def upgrade() -> None:
    """Creates the table, the columns and the index."""
    for statement in _STATEMENTS:
        op.execute(statement)
