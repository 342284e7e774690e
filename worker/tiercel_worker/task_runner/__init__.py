"""task_runner: see docs/architecture.md."""
