"""tiercel_scheduler: see docs/architecture.md."""
