"""eventlog: see docs/architecture.md."""
