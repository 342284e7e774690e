"""tiercel_worker: see docs/architecture.md."""
