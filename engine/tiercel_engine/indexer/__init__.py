"""indexer: see docs/architecture.md."""
