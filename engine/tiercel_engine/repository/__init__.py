"""repository: see docs/architecture.md."""
