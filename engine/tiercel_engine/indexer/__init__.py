"""The indexer: events and lines of the log -> rows of the read model, whose only writer it is."""
