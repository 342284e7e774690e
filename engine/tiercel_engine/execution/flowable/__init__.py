"""flowable: see docs/architecture.md."""
