"""Which open executions are chunks of map runs: a worker claims few of them at once.

Runs before the code that needs it. Locks `open_execution` for as long as a column without a default to fill in and an
index of no rows take.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

_STATEMENTS = (
    "alter table asl.open_execution add column is_chunk boolean not null default false",
    """
    create index open_execution_chunk_due on asl.open_execution (pool, wake_at)
        where is_chunk and owner is null and quarantine is null
    """,
)


def upgrade() -> None:
    """Adds the column and its index."""
    for statement in _STATEMENTS:
        op.execute(statement)
