"""The executor: owns partitions of commands, decides, and writes events in transactions.

One plain loop per process (`service`). Per partition it holds the live executions (`partition`),
which it reads back from the log and a checkpoint (`recovery`, `checkpoint`) when it becomes the
owner. Nobody else writes events of the executions of that partition.
"""
