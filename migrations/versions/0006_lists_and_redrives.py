"""Executions are listed by when something happened to them last; a redrive is known again by its client token.

Runs before the code that needs it. Writes every row of `asl.closed_execution` of an execution that succeeded anew, for
its state machine, and makes an index of that table; nobody can end an execution meanwhile.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

_STATEMENTS = (
    """
    update asl.closed_execution c set state_machine_id = e.state_machine_id from asl.execution e
    where e.id = c.execution_id and c.state_machine_id is null
    """,
    "drop index asl.closed_execution_unsuccessful",
    """
    create index closed_execution_by_machine
    on asl.closed_execution (state_machine_id, status, stop_time, execution_id)
    """,
    "alter table asl.open_execution add column redrive_time bigint",
    "create index open_execution_redriven on asl.open_execution (redrive_time) where redrive_time is not null",
    """
    create table asl.redrive (
        execution_id uuid not null,
        client_token text not null,
        redrive_time bigint not null,
        primary key (execution_id, client_token)
    )
    """,
)


def upgrade() -> None:
    """Changes the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
