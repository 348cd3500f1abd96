"""The tables, all in the schema `asl`. What stands here is what the migrations have made (a test compares them).

A **state machine** has immutable revisions; an execution names one of them for good. Definitions are never deleted
while an execution names them.

An **execution** has a row in `execution` from its start on, which never changes, and one in `open_execution` until its
end: its state *and* its place in the queue. `owner` is a worker or nobody, `wake_at` says when it is due. Only the
owner writes it; whoever wants something of the execution inserts `mail`. At its end the open row gives way to one in
`closed_execution`, which never changes either. A redrive does the opposite. What happened is in `history_segment`, one
row for each checkpoint, written once. So all that stays is append-only, and all that changes is small and short-lived.

A **worker** is one incarnation of a process: its id is new each time. `epoch` fences it: every statement by which a
worker writes locks its own row FOR SHARE at the epoch that it knows, and fails when that is gone. Taking a worker's
rights means changing its row, which waits for a statement that is under way and makes every later one fail.

Keys are UUIDv7 and come first, so that rows of one time stand together. No foreign key, trigger or sequence ties rows
of two executions together. Times are milliseconds since the epoch, of the database's clock.

`execution`, `closed_execution` and `history_segment` are partitioned by days of their ids, which is by start time, and
retention removes whole days: see `partitions` and `retention`.

What is written as bytes has a format number beside it: see `snapshots.READABLE_FORMATS`.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

SCHEMA = "asl"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

# Written by `deploy` and the operations on state machines. Its id is the UUIDv5 of its ARN, so that a start need not
# look it up. `published`: how many versions it ever had. `is_published`, `version_description`: what its creation said.
# DELETING since `deleted_at`, until none of its executions is open; as DELETED (since then) it stays for the executions
# that name its revisions.
state_machine = Table(
    "state_machine",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("arn", Text(collation="C"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("creation_date", BigInteger, nullable=False),
    Column("revision_id", Uuid, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'ACTIVE'")),
    Column("published", Integer, nullable=False, server_default=text("0")),
    Column("is_published", Boolean, nullable=False, server_default=text("false")),
    Column("version_description", Text),
    Column("deleted_at", BigInteger),
    UniqueConstraint("arn"),
    CheckConstraint("status IN ('ACTIVE', 'DELETING', 'DELETED')", name="status"),
    Index("state_machine_by_name", "name"),
    Index("state_machine_deleting", "id", postgresql_where=text("status = 'DELETING'")),
    Index("state_machine_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
)

# Written once for each creation and change; immutable. `configuration`: logging, tracing and encryption, as JSON.
revision = Table(
    "revision",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state_machine_id", Uuid, nullable=False),
    Column("creation_date", BigInteger, nullable=False),
    Column("is_initial", Boolean, nullable=False),
    Column("definition", Text, nullable=False),
    Column("role_arn", Text),
    Column("configuration", Text),
    Index("revision_by_machine", "state_machine_id"),
)

# A number for a revision: written by PublishStateMachineVersion, removed by DeleteStateMachineVersion.
version = Table(
    "version",
    metadata,
    Column("state_machine_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("revision_id", Uuid, nullable=False),
    Column("creation_date", BigInteger, nullable=False),
    Column("description", Text),
)

# A name for one or two versions; `routing`: their numbers with their shares in percent, as JSON.
alias = Table(
    "alias",
    metadata,
    Column("state_machine_id", Uuid, primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("routing", Text, nullable=False),
    Column("creation_date", BigInteger, nullable=False),
    Column("update_date", BigInteger, nullable=False),
    Column("description", Text),
)

# Of state machines and activities; they go with them.
tag = Table(
    "tag",
    metadata,
    Column("resource_arn", Text, primary_key=True),
    Column("key", Text(collation="C"), primary_key=True),
    Column("value", Text, nullable=False),
)

# Written at the start and never changed: what it is. Goes with retention.
execution = Table(
    "execution",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state_machine_id", Uuid, nullable=False),
    Column("revision_id", Uuid, nullable=False),
    Column("start_time", BigInteger, nullable=False),
    Column("pool", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("format", SmallInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Index("execution_by_machine", "state_machine_id", "id"),
    postgresql_partition_by="RANGE (id)",
)

# Written at the end and never changed: how it ended. A redrive deletes it. Of every end other than SUCCEEDED it has
# (Standard) the last snapshot with all its Frames, for a redrive.
closed_execution = Table(
    "closed_execution",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("stop_time", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("last_event_id", Integer, nullable=False),
    Column("redrive_count", Integer),
    Column("redrive_time", BigInteger),
    Column("status", Text, nullable=False),
    Column("format", SmallInteger, nullable=False),
    Column("ending", LargeBinary, nullable=False),
    Column("state_machine_id", Uuid),
    Column("snapshot", LargeBinary),
    Index("closed_execution_by_machine", "state_machine_id", "status", "stop_time", "execution_id"),
    postgresql_partition_by="RANGE (execution_id)",
)

# Written by a start with a name of the caller's; the name is taken as long as the row is there. An execution without a
# row here has an ARN that ends in its own id. It outlives its execution: retention, which removes that, sets the time
# from when on the name is free again, and removes the row after it.
execution_name = Table(
    "execution_name",
    metadata,
    Column("state_machine_id", Uuid, primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("execution_id", Uuid, nullable=False),
    Column("input_digest", LargeBinary, nullable=False),
    Column("expires_at", BigInteger),
    Index("execution_name_expired", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
)

# The hot row of an execution that is not over: inserted at its start, changed by its owner's checkpoints, deleted at
# its end. No index holds what a checkpoint changes.
open_execution = Table(
    "open_execution",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("wake_at", BigInteger, nullable=False),
    Column("format", SmallInteger, nullable=False),
    # How often it was taken over from a dead worker, and how many of them owned nothing else; since it was cleared.
    Column("suspect", SmallInteger, nullable=False, server_default=text("0")),
    Column("deaths", SmallInteger, nullable=False, server_default=text("0")),
    # Of an orphan: Tasks whose tickets have a number up to this may have run.
    Column("lost_tasks", Integer),
    Column("owner", Uuid),
    Column("pool", Text, nullable=False),
    # JSON array of Resources; text of a traceback.
    Column("missing", LargeBinary),
    Column("quarantine", LargeBinary),
    Column("seq", Integer, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    # Of one that was redriven: when last.
    Column("redrive_time", BigInteger),
    # Of a chunk of a map run.
    Column("is_chunk", Boolean, nullable=False, server_default=text("false")),
    Index(
        "open_execution_chunk_due",
        "pool",
        "wake_at",
        postgresql_where=text("is_chunk AND (owner IS NULL) AND (quarantine IS NULL)"),
    ),
    Index("open_execution_redriven", "redrive_time", postgresql_where=text("redrive_time IS NOT NULL")),
    Index("open_execution_due", "pool", "wake_at", postgresql_where=text("(owner IS NULL) AND (quarantine IS NULL)")),
    Index("open_execution_owned", "owner", postgresql_where=text("owner IS NOT NULL")),
    postgresql_with={
        "fillfactor": 60,
        "autovacuum_vacuum_scale_factor": 0.02,
        "autovacuum_vacuum_cost_delay": 0,
        "autovacuum_analyze_scale_factor": 0.2,
    },
)

# The Frames of a snapshot that outgrew its row: written by the checkpoints that change them, deleted by those that end
# them and at the end.
frame = Table(
    "frame",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("fork", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    postgresql_with={"fillfactor": 80, "autovacuum_vacuum_scale_factor": 0.05},
)

# One row for each checkpoint that has events; goes with its execution.
history_segment = Table(
    "history_segment",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("first_event_id", Integer, primary_key=True),
    Column("format", SmallInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    postgresql_partition_by="RANGE (execution_id)",
)

# Inserted by anybody on condition that the open row is there, deleted by the checkpoint that folded it. Mail that came
# in the moment of the end stays until retention's sweep or a redrive removes it.
mail = Table(
    "mail",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("sent_at", BigInteger, nullable=False),
    Column("format", SmallInteger, nullable=False),
    # [fork, place, number]: put in place of the event's task_id, where a task token named it.
    Column("task_id", ARRAY(Integer)),
    Column("event", LargeBinary, nullable=False),
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.05, "autovacuum_vacuum_cost_delay": 0},
)

# The right to end a Task: inserted by the checkpoint that minted the token, closed once: by SendTaskSuccess or
# SendTaskFailure together with the mail, or by a checkpoint that ends the wait otherwise. A closed one stays with its
# execution, to tell a caller that he is late.
# `offer` (token and input, as JSON) is there while the Task waits for a worker of its activity; `activity_id` stays.
task_token = Table(
    "task_token",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("execution_id", Uuid, nullable=False),
    Column("fork", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("heartbeat_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("activity_id", Uuid),
    Column("offered_at", BigInteger),
    Column("deadline", BigInteger),
    Column("offer", LargeBinary),
    Column("taken_at", BigInteger),
    Index("task_token_by_execution", "execution_id"),
    Index(
        "task_token_offered",
        "activity_id",
        "offered_at",
        "execution_id",
        "number",
        postgresql_where=text("offer IS NOT NULL"),
    ),
)

# Inserted by the checkpoint that changes the status, of workers that are to tell of that; taken by one of them, which
# puts its next time, and deleted when it was told.
status_change = Table(
    "status_change",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("format", SmallInteger, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Index("status_change_due", "due_at", "execution_id", "number"),
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.05, "autovacuum_vacuum_cost_delay": 0},
)

# Written by CreateActivity, removed by DeleteActivity. Its id is the UUIDv5 of its ARN.
activity = Table(
    "activity",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("arn", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("creation_date", BigInteger, nullable=False),
    # As that of a state machine, as JSON; null: a key of AWS's.
    Column("encryption", Text),
    UniqueConstraint("arn"),
)

# By which client tokens an execution was redriven: written by the redrive, of use for a quarter of an hour.
redrive = Table(
    "redrive",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("client_token", Text, primary_key=True),
    Column("redrive_time", BigInteger, nullable=False),
)

# Inserted by a worker that begins, its heartbeat counted up by itself, its rights taken by whoever declares it dead.
# One that is not alive stays until nothing is left of what it owned.
worker = Table(
    "worker",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("pools", ARRAY(Text), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    # The one execution that it owned, or the one suspect among them, when it was declared dead.
    Column("blamed", Uuid),
    Column("state", Text, nullable=False),
    # What it writes.
    Column("format", SmallInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("heartbeat", BigInteger, nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('alive', 'dead', 'resigned')", name="state"),
    postgresql_with={"fillfactor": 50},
)

# Inserted before an asynchronous invocation of the Lambda emulator is acknowledged; a server that takes it puts its
# next time, again and again while it works on it; deleted when it is over. Its times are those of the servers' clocks.
lambda_invocation = Table(
    "lambda_invocation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("function_name", Text, nullable=False),
    Column("qualifier", Text),
    Column("request_id", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    Index("lambda_invocation_due", "region", "due_at"),
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.05, "autovacuum_vacuum_cost_delay": 0},
)

# What one process of a fleet does for all: whoever finds it due puts the time of the next one and does it.
chore = Table(
    "chore",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
)

# A function or a layer of the Lambda emulator, with all that it has; written and removed by its operations. `tag` is
# new with each write, and a write names the one that it follows. `packages`: digests of those that it needs; `handles`:
# ids of its URLs; `code_bytes`, `reserved`: what it counts towards the account's quotas.
lambda_document = Table(
    "lambda_document",
    metadata,
    Column("kind", Text(collation="C"), primary_key=True),
    Column("account_id", Text(collation="C"), primary_key=True),
    Column("region", Text(collation="C"), primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("tag", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("packages", ARRAY(Text), nullable=False),
    Column("code_bytes", BigInteger, nullable=False),
    Column("handles", ARRAY(Text), nullable=False),
    Column("reserved", Integer, nullable=False),
    Index("lambda_document_by_handle", "handles", postgresql_using="gin"),
    Index("lambda_document_by_package", "packages", postgresql_using="gin"),
)

# A zip, by the SHA-256 of its bytes. Inserted with the first document that names it; goes an hour after the last one.
lambda_package = Table(
    "lambda_package",
    metadata,
    Column("digest", Text(collation="C"), primary_key=True),
    Column("named_at", BigInteger, nullable=False),
    Column("zip", LargeBinary, nullable=False),
)
