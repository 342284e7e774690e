"""tiercel_schemas: see docs/architecture.md."""
