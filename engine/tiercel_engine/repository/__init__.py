"""The read model on SQL: what the indexer writes and the API reads. It can be rebuilt."""
