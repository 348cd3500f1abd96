"""Asynchronous invocations of the Lambda emulator.

Runs before the code that needs it. Locks nothing.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    """
    create table asl.lambda_invocation (
        id uuid primary key,
        account_id text not null,
        region text not null,
        function_name text not null,
        qualifier text,
        request_id text not null,
        trace_id text not null,
        payload bytea not null,
        accepted_at bigint not null,
        due_at bigint not null,
        attempts integer not null,
        refusals integer not null
    ) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)
    """,
    "create index lambda_invocation_due on asl.lambda_invocation (region, due_at)",
)


def upgrade() -> None:
    """Creates the table."""
    for statement in _STATEMENTS:
        op.execute(statement)
