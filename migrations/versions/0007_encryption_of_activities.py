"""What was asked for an activity's encryption is kept and shown.

Runs before the code that needs it. Locks `asl.activity` for a moment.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the column."""
    op.execute("alter table asl.activity add column encryption text")
