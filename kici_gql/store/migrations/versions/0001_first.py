"""All tables of the first release."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "org",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("log_epoch", sa.String(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("token_id", sa.String(), nullable=True),
        sa.Column("token_name", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum("SUCCEEDED", "REFUSED", name="auditoutcome", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("audit_at", ["org_id", "at", "id"], unique=False)

    op.create_table(
        "cluster",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("auto_named", sa.Boolean(), nullable=False),
        sa.Column("pending_name", sa.String(), nullable=True),
        sa.Column("connected_since", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("backends_reported_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("org_id", "name"),
    )
    op.create_table(
        "event_log",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("org_id", "seq"),
    )
    with op.batch_alter_table("event_log", schema=None) as batch_op:
        batch_op.create_index("event_log_at", ["org_id", "at"], unique=False)
        batch_op.create_index("event_log_topic", ["org_id", "topic", "seq"], unique=False)

    op.create_table(
        "idempotency",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("token_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("input_sha256", sa.String(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("org_id", "token_id", "action", "key"),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index("idempotency_at", ["created_at"], unique=False)

    op.create_table(
        "job_figures",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("org_id"),
    )
    op.create_table(
        "run_bucket",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("start", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("hour", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("timed", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("org_id", "start"),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column(
            "scope",
            sa.Enum(
                "VIEWER", "OPERATOR", "ADMIN", "ORCHESTRATOR", name="tokenscope", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("cluster_name", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("revoked_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("last_used_at", sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_org_id"), ["org_id"], unique=False)

    op.create_table(
        "alert",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=True),
        sa.Column("dedupe_key", sa.String(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "ORCHESTRATOR_DISCONNECTED",
                "AGENT_LOST",
                "CLUSTER_SILENT",
                "SCALER_AT_CAPACITY",
                "VERSION_SKEW",
                "NAME_COLLISION",
                "BACKEND_UNHEALTHY",
                "DEAD_LETTERS_GROWING",
                "REPORTED",
                name="alertkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "severity",
            sa.Enum("CRITICAL", "WARNING", "INFO", name="alertseverity", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum("OPEN", "ACKNOWLEDGED", "RESOLVED", name="alertstate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=True),
        sa.Column("opened_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("resolved_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=True),
        sa.Column("acknowledged_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("acknowledged_note", sa.String(), nullable=True),
        sa.Column("acknowledged_until", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("flap_count", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("org_id", "dedupe_key"),
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index("alert_state", ["org_id", "state", "opened_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_cluster_id"), ["cluster_id"], unique=False)

    op.create_table(
        "former_name",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("renamed_at", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("org_id", "name"),
    )
    op.create_table(
        "orchestrator",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("cluster_key", sa.String(), nullable=True),
        sa.Column("instance_id", sa.String(), nullable=False),
        sa.Column("instance_named", sa.Boolean(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("COORDINATOR", "WORKER", name="orchestratorrole", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("running_as", sa.String(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("arch", sa.String(), nullable=False),
        sa.Column("cpu_count", sa.Integer(), nullable=False),
        sa.Column("memory_used_mb", sa.Integer(), nullable=False),
        sa.Column("memory_total_mb", sa.Integer(), nullable=False),
        sa.Column("uptime_seconds", sa.Integer(), nullable=False),
        sa.Column("routing_keys", sa.JSON(), nullable=False),
        sa.Column("capabilities", sa.JSON(), nullable=False),
        sa.Column("registry_version", sa.String(), nullable=True),
        sa.Column("running_jobs", sa.Integer(), nullable=False),
        sa.Column("queued_jobs", sa.Integer(), nullable=False),
        sa.Column(
            "liveness",
            sa.Enum(
                "ONLINE",
                "LATE",
                "LOST",
                "OFFLINE",
                "NEVER_SEEN",
                name="liveness",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("liveness_reason", sa.String(), nullable=False),
        sa.Column("liveness_since", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("missed_beats", sa.Integer(), nullable=False),
        sa.Column("connected_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("disconnected_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("last_heartbeat_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("clock_skew_ms", sa.Integer(), nullable=True),
        sa.Column("due_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("cpu_count > 0 AND memory_total_mb >= 0 AND memory_used_mb >= 0"),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cluster_id", "instance_id"),
        sa.UniqueConstraint("connection_id"),
    )
    with op.batch_alter_table("orchestrator", schema=None) as batch_op:
        batch_op.create_index("orchestrator_due", ["due_at"], unique=False)
        batch_op.create_index("orchestrator_org", ["org_id", "id"], unique=False)

    op.create_table(
        "registry",
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("announced_version", sa.String(), nullable=True),
        sa.Column("announced_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("cluster_id"),
    )
    with op.batch_alter_table("registry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_registry_org_id"), ["org_id"], unique=False)

    op.create_table(
        "reported_surface",
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column(
            "surface",
            sa.Enum(
                "SECURITY_POLICY",
                "ENVIRONMENTS",
                "SECRET_SCOPES",
                "DEAD_LETTERS",
                "GLOBAL_WORKFLOWS",
                name="surface",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("reported_at", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("cluster_id", "surface"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("workflow_id", sa.String(), nullable=True),
        sa.Column("workflow_name", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "PENDING",
                "HELD",
                "RUNNING",
                "CANCELLING",
                "SUCCESS",
                "FAILED",
                "CANCELLED",
                name="runstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("status_by_server", sa.Boolean(), nullable=False),
        sa.Column("repository", sa.String(), nullable=True),
        sa.Column("branch", sa.String(), nullable=True),
        sa.Column("commit_sha", sa.String(), nullable=True),
        sa.Column("commit_message", sa.String(), nullable=True),
        sa.Column("trigger_type", sa.String(), nullable=True),
        sa.Column("triggered_by", sa.String(), nullable=True),
        sa.Column("cancelled_by", sa.String(), nullable=True),
        sa.Column("failure_reason", sa.String(), nullable=True),
        sa.Column("parent_run", sa.String(), nullable=True),
        sa.Column("original_run", sa.String(), nullable=True),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("queued_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("started_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("completed_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("duration_order_ms", sa.Integer(), nullable=False),
        sa.Column("log_bytes", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("stamps", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cluster_id", "external_id"),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index("run_branch", ["org_id", "branch", "id"], unique=False)
        batch_op.create_index("run_cluster", ["org_id", "cluster_id", "id"], unique=False)
        batch_op.create_index(
            "run_created",
            [
                "org_id",
                "id",
                "status",
                "workflow_name",
                "branch",
                "repository",
                "trigger_type",
                "cluster_id",
                "workflow_id",
            ],
            unique=False,
        )
        batch_op.create_index(
            "run_duration",
            [
                "org_id",
                "duration_order_ms",
                "id",
                "status",
                "workflow_name",
                "branch",
                "repository",
                "trigger_type",
                "cluster_id",
                "workflow_id",
            ],
            unique=False,
        )
        batch_op.create_index("run_external", ["org_id", "external_id"], unique=False)
        batch_op.create_index(
            "run_queued",
            [
                "org_id",
                "queued_at",
                "id",
                "status",
                "workflow_name",
                "branch",
                "repository",
                "trigger_type",
                "cluster_id",
                "workflow_id",
            ],
            unique=False,
        )
        batch_op.create_index("run_repository", ["org_id", "repository", "id"], unique=False)
        batch_op.create_index("run_status", ["org_id", "status", "id"], unique=False)
        batch_op.create_index("run_trigger", ["org_id", "trigger_type", "id"], unique=False)
        batch_op.create_index("run_workflow", ["org_id", "workflow_name", "id"], unique=False)
        batch_op.create_index("run_workflow_id", ["workflow_id", "org_id", "id"], unique=False)

    op.create_table(
        "secret_backend",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column(
            "health",
            sa.Enum(
                "HEALTHY",
                "DEGRADED",
                "UNREACHABLE",
                "UNKNOWN",
                name="backendhealth",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("last_sync_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("reported_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cluster_id", "name"),
    )
    with op.batch_alter_table("secret_backend", schema=None) as batch_op:
        batch_op.create_index("secret_backend_org", ["org_id", "id"], unique=False)

    op.create_table(
        "workflow",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("trigger_types", sa.JSON(), nullable=False),
        sa.Column("triggers", sa.JSON(), nullable=False),
        sa.Column("source_repos", sa.JSON(), nullable=False),
        sa.Column("source_file", sa.String(), nullable=True),
        sa.Column("commit_sha", sa.String(), nullable=True),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("registered_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("last_triggered_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("next_fire_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("next_fire_reported", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cluster_id", "external_id"),
    )
    with op.batch_alter_table("workflow", schema=None) as batch_op:
        batch_op.create_index("workflow_fire", ["next_fire_at"], unique=False)
        batch_op.create_index("workflow_name", ["org_id", "name", "id"], unique=False)
        batch_op.create_index("workflow_org", ["org_id", "id"], unique=False)

    op.create_table(
        "command",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("orchestrator_id", sa.String(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "RUN_NOW",
                "SET_ENABLED",
                "DELETE",
                "CANCEL",
                "RERUN",
                "RENAME",
                "BACKEND_SYNC",
                "BACKEND_SYNC_ALL",
                "BACKEND_TEST",
                "DEAD_LETTER_RETRY",
                "DEAD_LETTER_DISCARD",
                name="commandkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "DELIVERED",
                "SUCCEEDED",
                "FAILED",
                "EXPIRED",
                name="commandstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("workflow_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("delivered_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("completed_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("due_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["orchestrator_id"],
            ["orchestrator.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("command", schema=None) as batch_op:
        batch_op.create_index("command_due", ["due_at"], unique=False)
        batch_op.create_index("command_open", ["orchestrator_id", "state"], unique=False)
        batch_op.create_index("command_org", ["org_id", "id"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "PENDING",
                "QUEUED",
                "RUNNING",
                "RECOVERING",
                "CANCELLING",
                "SUCCESS",
                "FAILED",
                "CANCELLED",
                "SKIPPED",
                "TIMED_OUT_STALE",
                "DRIFT_DROPPED",
                name="jobstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("runs_on", sa.JSON(), nullable=False),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("started_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("completed_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("stamps", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["run.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "external_id"),
    )
    op.create_table(
        "scaler",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("orchestrator_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "type",
            sa.Enum(
                "CONTAINER",
                "FIRECRACKER",
                "BARE_METAL",
                "KUBERNETES",
                name="scalertype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("active_agents", sa.Integer(), nullable=False),
        sa.Column("max_agents", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("config_summary", sa.JSON(), nullable=False),
        sa.Column("hosts", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("max_agents >= 0 AND active_agents >= 0"),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["orchestrator_id"],
            ["orchestrator.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("orchestrator_id", "name"),
    )
    with op.batch_alter_table("scaler", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_scaler_cluster_id"), ["cluster_id"], unique=False)
        batch_op.create_index("scaler_org", ["org_id", "id"], unique=False)

    op.create_table(
        "agent",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("orchestrator_id", sa.String(), nullable=False),
        sa.Column("scaler_id", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("running_as", sa.String(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("arch", sa.String(), nullable=False),
        sa.Column("cpu_count", sa.Integer(), nullable=False),
        sa.Column("memory_used_mb", sa.Integer(), nullable=False),
        sa.Column("memory_total_mb", sa.Integer(), nullable=False),
        sa.Column("uptime_seconds", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("active_jobs", sa.Integer(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column(
            "liveness",
            sa.Enum(
                "ONLINE",
                "LATE",
                "LOST",
                "OFFLINE",
                "NEVER_SEEN",
                name="liveness",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("liveness_reason", sa.String(), nullable=False),
        sa.Column("liveness_since", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("missed_beats", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("last_heartbeat_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("due_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("active_jobs >= 0 AND max_concurrency > 0"),
        sa.CheckConstraint("cpu_count > 0 AND memory_total_mb >= 0 AND memory_used_mb >= 0"),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["cluster.id"],
        ),
        sa.ForeignKeyConstraint(
            ["orchestrator_id"],
            ["orchestrator.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.ForeignKeyConstraint(
            ["scaler_id"],
            ["scaler.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cluster_id", "agent_id"),
    )
    with op.batch_alter_table("agent", schema=None) as batch_op:
        batch_op.create_index("agent_due", ["due_at"], unique=False)
        batch_op.create_index("agent_org", ["org_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_agent_orchestrator_id"), ["orchestrator_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_agent_scaler_id"), ["scaler_id"], unique=False)

    op.create_table(
        "log_chunk",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("first_line", sa.BigInteger(), nullable=False),
        sa.Column("last_line", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["run.id"],
        ),
        sa.PrimaryKeyConstraint("job_id", "step", "first_line"),
    )
    with op.batch_alter_table("log_chunk", schema=None) as batch_op:
        batch_op.create_index("log_chunk_at", ["org_id", "at"], unique=False)

    op.create_table(
        "step",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "PENDING",
                "RUNNING",
                "SUCCESS",
                "FAILED",
                "SKIPPED",
                "CANCELLED",
                name="stepstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("started_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("completed_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("stamps", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["org.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["run.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "number"),
    )
    with op.batch_alter_table("step", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_step_run_id"), ["run_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("step", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_step_run_id"))

    op.drop_table("step")
    with op.batch_alter_table("log_chunk", schema=None) as batch_op:
        batch_op.drop_index("log_chunk_at")

    op.drop_table("log_chunk")
    with op.batch_alter_table("agent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_agent_scaler_id"))
        batch_op.drop_index(batch_op.f("ix_agent_orchestrator_id"))
        batch_op.drop_index("agent_org")
        batch_op.drop_index("agent_due")

    op.drop_table("agent")
    with op.batch_alter_table("scaler", schema=None) as batch_op:
        batch_op.drop_index("scaler_org")
        batch_op.drop_index(batch_op.f("ix_scaler_cluster_id"))

    op.drop_table("scaler")
    op.drop_table("job")
    with op.batch_alter_table("command", schema=None) as batch_op:
        batch_op.drop_index("command_org")
        batch_op.drop_index("command_open")
        batch_op.drop_index("command_due")

    op.drop_table("command")
    with op.batch_alter_table("workflow", schema=None) as batch_op:
        batch_op.drop_index("workflow_org")
        batch_op.drop_index("workflow_name")
        batch_op.drop_index("workflow_fire")

    op.drop_table("workflow")
    with op.batch_alter_table("secret_backend", schema=None) as batch_op:
        batch_op.drop_index("secret_backend_org")

    op.drop_table("secret_backend")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("run_workflow_id")
        batch_op.drop_index("run_workflow")
        batch_op.drop_index("run_trigger")
        batch_op.drop_index("run_status")
        batch_op.drop_index("run_repository")
        batch_op.drop_index("run_queued")
        batch_op.drop_index("run_external")
        batch_op.drop_index("run_duration")
        batch_op.drop_index("run_created")
        batch_op.drop_index("run_cluster")
        batch_op.drop_index("run_branch")

    op.drop_table("run")
    op.drop_table("reported_surface")
    with op.batch_alter_table("registry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_registry_org_id"))

    op.drop_table("registry")
    with op.batch_alter_table("orchestrator", schema=None) as batch_op:
        batch_op.drop_index("orchestrator_org")
        batch_op.drop_index("orchestrator_due")

    op.drop_table("orchestrator")
    op.drop_table("former_name")
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alert_cluster_id"))
        batch_op.drop_index("alert_state")

    op.drop_table("alert")
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_org_id"))

    op.drop_table("token")
    op.drop_table("run_bucket")
    op.drop_table("job_figures")
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index("idempotency_at")

    op.drop_table("idempotency")
    with op.batch_alter_table("event_log", schema=None) as batch_op:
        batch_op.drop_index("event_log_topic")
        batch_op.drop_index("event_log_at")

    op.drop_table("event_log")
    op.drop_table("cluster")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index("audit_at")

    op.drop_table("audit")
    op.drop_table("org")
