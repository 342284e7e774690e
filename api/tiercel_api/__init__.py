"""The HTTP API: sends commands, waits for what came of them, reads the read model."""
