"""Every Prometheus metric, as one table. `GET /prometheus` of the API shows them.

Names end in their unit; counters end in `_total`. Labels have few values: never an id.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

#: Buckets from half a millisecond to half a minute: a log commit up to a slow request.
DURATION_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
#: Buckets of a task's duration: milliseconds up to hours.
TASK_BUCKETS_S = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200)
#: Buckets of a count of records in one batch.
BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)

# -- executor ----------------------------------------------------------------------------------
EXECUTOR_COMMANDS = Counter(
    "tiercel_executor_commands_total", "Commands decided.", ["command", "outcome"]
)
EXECUTOR_EVENTS = Counter("tiercel_executor_events_total", "Events written.", ["event"])
EXECUTOR_BATCH_RECORDS = Histogram(
    "tiercel_executor_batch_records", "Commands per transaction.", buckets=BATCH_BUCKETS
)
EXECUTOR_COMMIT_S = Histogram(
    "tiercel_executor_commit_seconds", "Duration of a transaction.", buckets=DURATION_BUCKETS_S
)
EXECUTOR_LIVE_EXECUTIONS = Gauge(
    "tiercel_executor_live_executions", "Executions in memory that have not ended."
)
EXECUTOR_PARTITIONS = Gauge("tiercel_executor_partitions", "Partitions owned.")
EXECUTOR_RECOVERY_S = Histogram(
    "tiercel_executor_recovery_seconds", "Rebuilding one partition.", buckets=TASK_BUCKETS_S
)

# -- worker ------------------------------------------------------------------------------------
WORKER_ATTEMPTS = Counter(
    "tiercel_worker_attempts_total", "Attempts ended, by final state.", ["state"]
)
WORKER_ATTEMPT_S = Histogram(
    "tiercel_worker_attempt_seconds", "Duration of an attempt.", buckets=TASK_BUCKETS_S
)
WORKER_SLOTS = Gauge("tiercel_worker_slots", "Attempts that may run at a time.")
WORKER_SLOTS_BUSY = Gauge("tiercel_worker_slots_busy", "Attempts that run now.")

# -- scheduler ---------------------------------------------------------------------------------
SCHEDULER_STARTS = Counter("tiercel_scheduler_due_total", "Triggers that were due.")
SCHEDULER_COMMIT_S = Histogram(
    "tiercel_scheduler_commit_seconds", "Duration of a transaction.", buckets=DURATION_BUCKETS_S
)

# -- indexer -----------------------------------------------------------------------------------
INDEXER_RECORDS = Counter("tiercel_indexer_records_total", "Records indexed.", ["topic"])
INDEXER_BATCH_S = Histogram(
    "tiercel_indexer_batch_seconds", "Writing one batch.", buckets=DURATION_BUCKETS_S
)

# -- api ---------------------------------------------------------------------------------------
API_REQUEST_S = Histogram(
    "tiercel_api_request_seconds",
    "Duration of a request.",
    ["method", "route", "status"],
    buckets=DURATION_BUCKETS_S,
)

API_COMMAND_LAG = Gauge(
    "tiercel_api_command_lag_records", "Commands that no executor has decided yet."
)
API_COMMAND_LAG_S = Gauge(
    "tiercel_api_command_lag_seconds", "Age of the oldest command that is not decided."
)
API_INDEX_LAG = Gauge(
    "tiercel_api_index_lag_records", "Records that the read model does not hold yet."
)
API_INDEX_LAG_S = Gauge(
    "tiercel_api_index_lag_seconds", "Age of the oldest record that the read model does not hold."
)
API_STREAMS = Gauge("tiercel_api_streams", "Open streams of server-sent events.")
API_STREAMS_CUT = Counter(
    "tiercel_api_streams_cut_total", "Streams cut: their reader was slow, had gone …", ["reason"]
)
API_REFUSED = Counter(
    "tiercel_api_refused_total", "Requests and connections refused to protect us.", ["reason"]
)

# -- every role --------------------------------------------------------------------------------
DEAD_LETTERS = Counter(
    "tiercel_dead_letters_total", "Records that could not be read or accepted.", ["topic"]
)
ROLE_READY = Gauge("tiercel_role_ready", "1 when the role takes work.", ["role"])
