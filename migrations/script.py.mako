"""${message}.

Runs before | after the code that needs it. Locks:
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Forward only."""
