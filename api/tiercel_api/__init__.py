"""tiercel_api: see docs/architecture.md."""
