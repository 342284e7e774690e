"""The event log: its port (`base`), adapters for Kafka, SQLite and memory, and tables over it."""
