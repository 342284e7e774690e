"""executor: see docs/architecture.md."""
