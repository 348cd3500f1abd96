"""The SQL function `asl.start_execution`, for triggers and for programs in any language.

Runs before the code that needs it. Locks `asl.state_machine` against writes while its index is made, which takes
milliseconds.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the function and the index that it reads."""
    op.execute("create index state_machine_by_name on asl.state_machine (name)")
    # As it stands: neither alembic nor the driver is to find parameters in it.
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql, execution_options={"no_parameters": True})
